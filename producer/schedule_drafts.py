"""From a checked request to what a recurring schedule is to be: what types cannot say."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from producer.drafts import Rules, content_draft, due_time, duration, zone_asked
from producer.schedule_schemas import ScheduleChange, SchedulePreview, ScheduleReplacement
from producer.schemas import Content
from shared.cron import Cron
from shared.errors import InvalidField
from shared.record import Record
from shared.recurrence import Definition, Rule
from shared.store.chunks import Draft
from shared.store.schedules import Schedule, Wanted
from shared.times import format_ms
from shared.zones import zone_of

SHORTEST_EVERY_MS = 100


def rule_of(asked: ScheduleReplacement | SchedulePreview, rules: Rules) -> Rule:
    """Raises ``InvalidField``."""
    if (asked.cron is UNSET) is (asked.every is UNSET):
        raise InvalidField("cron" if asked.cron is UNSET else "every", "expected exactly one of cron and every")
    start_ms, end_ms = _time("start", asked.start, rules), _time("end", asked.end, rules)
    if asked.cron is not UNSET:
        rule = Rule(cron=asked.cron, timezone=_zone(asked.timezone), start_ms=start_ms, end_ms=end_ms)
    else:
        if asked.timezone is not UNSET:
            raise InvalidField("timezone", "expected cron beside it: every counts time that passes, the same in all zones")
        anchor_ms = rules.now_ms if start_ms is None else start_ms - _every(asked.every, rules)
        rule = Rule(every_ms=_every(asked.every, rules), anchor_ms=anchor_ms, start_ms=start_ms, end_ms=end_ms)
    _check_rule(rule)
    return rule


def wanted(asked: ScheduleReplacement, schedule_id: str, rules: Rules) -> Wanted:
    """Raises ``InvalidField``."""
    rule = rule_of(asked, rules)
    draft = _draft(asked.message, rules)
    definition = Definition(
        rule=rule,
        topic=draft.topic,
        max_runs=None if asked.max_runs is UNSET else asked.max_runs,
        overlap=asked.overlap,
        catch_up=asked.catch_up,
        catch_up_within_ms=_within(asked.catch_up_within, rules),
        spread_ms=draft.spread_ms,
        expires_after_ms=draft.expires_after_ms,
    )
    paused = asked.paused is True
    if not paused and rule.after(rules.now_ms) is None:
        raise InvalidField("end" if rule.end_ms is not None else "cron", "expected a rule that has a run to come")
    return Wanted(definition=definition, template=_template(draft, schedule_id), status="paused" if paused else "active")


def changed(asked: ScheduleChange, seen: Schedule, rules: Rules) -> Wanted:
    """The schedule with what was asked for instead. Raises ``InvalidField``."""
    before = seen.definition
    definition = msgspec.structs.replace(
        before,
        rule=_changed_rule(asked, before.rule, rules),
        max_runs=before.max_runs if asked.max_runs is UNSET else asked.max_runs,
        overlap=before.overlap if asked.overlap is UNSET else asked.overlap,
        catch_up=before.catch_up if asked.catch_up is UNSET else asked.catch_up,
        catch_up_within_ms=before.catch_up_within_ms if asked.catch_up_within is UNSET else _within(asked.catch_up_within, rules),
    )
    template = seen.template
    if asked.message is not UNSET:
        draft = _draft(asked.message, rules)
        template = _template(draft, seen.id)
        definition = msgspec.structs.replace(
            definition, topic=draft.topic, spread_ms=draft.spread_ms, expires_after_ms=draft.expires_after_ms
        )
    return Wanted(definition=definition, template=template, status="paused" if seen.status == "paused" else "active")


def _changed_rule(asked: ScheduleChange, before: Rule, rules: Rules) -> Rule:
    if asked.cron is asked.every is asked.timezone is asked.start is asked.end is UNSET:
        return before
    if asked.cron is not UNSET and asked.every is not UNSET:
        raise InvalidField("every", "expected exactly one of cron and every")
    start_ms = before.start_ms if asked.start is UNSET else _time("start", asked.start, rules)
    end_ms = before.end_ms if asked.end is UNSET else _time("end", asked.end, rules)
    by_cron = asked.cron is not UNSET or (asked.every is UNSET and before.cron is not None)
    if by_cron:
        zone = before.timezone if asked.timezone is UNSET else _zone(asked.timezone)
        cron = before.cron if asked.cron is UNSET else asked.cron
        rule = Rule(cron=cron, timezone=zone, start_ms=start_ms, end_ms=end_ms)
    else:
        if asked.timezone is not UNSET and asked.timezone is not None:
            raise InvalidField("timezone", "expected cron beside it: every counts time that passes, the same in all zones")
        every_ms = _every(asked.every, rules) if asked.every is not UNSET else before.every_ms
        assert every_ms is not None  # noqa: S101 - the rule before has one
        anchor_ms = before.anchor_ms
        if asked.every is not UNSET or asked.start is not UNSET:
            anchor_ms = rules.now_ms if start_ms is None else start_ms - every_ms
        rule = Rule(every_ms=every_ms, anchor_ms=anchor_ms, start_ms=start_ms, end_ms=end_ms)
    _check_rule(rule)
    return rule


def _check_rule(rule: Rule) -> None:
    if rule.cron is not None:
        try:
            Cron(rule.cron, zone_of(rule.timezone))
        except ValueError as error:
            raise InvalidField("cron", f"{error}; got {rule.cron[:80]!r}") from None
    if rule.start_ms is not None and rule.end_ms is not None and rule.end_ms < rule.start_ms:
        raise InvalidField("end", f"expected a time not before start ({format_ms(rule.start_ms)})")


def _zone(name: str | UnsetType | None) -> str:
    if name is UNSET or name is None:
        return "UTC"
    return zone_asked(name, "cron").key


def _time(field: str, value: str | float | UnsetType | None, rules: Rules) -> int | None:
    return None if value is UNSET or value is None else due_time(field, value, rules)


def _every(value: str | float | UnsetType, rules: Rules) -> int:
    every_ms = duration("every", value, rules)
    if every_ms < SHORTEST_EVERY_MS:
        raise InvalidField("every", f"expected at least {SHORTEST_EVERY_MS} ms; got {every_ms}")
    return every_ms


def _within(value: str | float | UnsetType | None, rules: Rules) -> int | None:
    return None if value is UNSET or value is None else duration("catch_up_within", value, rules)


def _draft(message: Content, rules: Rules) -> Draft:
    try:
        return content_draft(message, rules)
    except InvalidField as error:
        raise error.inside("message") from None


def _template(draft: Draft, schedule_id: str) -> Record:
    return Record(schedule_id, 0, draft.kind, draft.body, draft.options)
