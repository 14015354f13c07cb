"""``/schedules``: recurring schedules."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from hashlib import blake2b
from itertools import islice
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from producer.answers import body_out, callback_out, json_answer
from producer.context import STORE
from producer.drafts import Rules, due_time
from producer.openapi import describe
from producer.requests import durability, idempotency_key, if_match, page_limit, read_json, rules
from producer.schedule_drafts import changed, rule_of, wanted
from producer.schedule_schemas import (
    ID_EXPECTED,
    NewSchedule,
    RunMade,
    RunOut,
    RunsOut,
    ScheduleChange,
    ScheduleDeleted,
    ScheduleOut,
    SchedulePreview,
    ScheduleReplacement,
    Schedules,
    TemplateOut,
)
from shared.errors import AlreadyThere, Conflict, InvalidField, NotFound, Stale, TooLate
from shared.record import Options
from shared.recurrence import Rule
from shared.store import firing, schedules
from shared.store.schedules import KIND, PUT_TRIES, Schedule, Wanted
from shared.times import format_delay, format_ms
from shared.zones import format_local, zone_of

NEXT_SHOWN, PAST_SHOWN = 5, 20
PAGE, LARGEST_PAGE = 50, 500
Change = Callable[[Schedule], Wanted]
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_new = msgspec.json.Decoder(NewSchedule)
_replacement = msgspec.json.Decoder(ScheduleReplacement)
_change = msgspec.json.Decoder(ScheduleChange)
_preview = msgspec.json.Decoder(SchedulePreview)
_EXAMPLE = {"cron": "0 9 * * MON-FRI", "timezone": "Europe/Berlin", "message": {"topic": "echo", "body": "good morning"}}


@describe(
    "Make a recurring schedule",
    tag="schedules",
    scope="schedule",
    request=NewSchedule,
    example=_EXAMPLE,
    answers={201: ScheduleOut},
    problems=(400, 408, 409, 413, 415, 422, 503),
    idempotent=True,
    durable=True,
    tagged=True,
)
async def post_schedule(request: web.Request) -> web.Response:
    """With an idempotency key and no id of its own, its id and its revision follow from the key: a repeat finds the first."""
    asked, against, key = await read_json(request, _new), rules(request), idempotency_key(request)
    seed = secrets.token_bytes(16) if key is None else key.encode()
    schedule_id = f"schedule-{_token(seed, b'id')}" if asked.id is UNSET else asked.id
    revision = _token(seed, msgspec.json.encode(asked)) if key is not None else _revision()
    to_be, repeated = wanted(asked, schedule_id, against), False
    try:
        made = await schedules.create(request.app[STORE], schedule_id, to_be, revision, durability(request))
    except AlreadyThere:
        made, repeated = await schedules.get(request.app[STORE], schedule_id), True
        if key is None or made.first_revision != revision:
            if key is not None and asked.id is UNSET:
                raise Conflict("the idempotency key was used before for a schedule with another content") from None
            raise
    answer = msgspec.structs.replace(_out(made), deduplicated=repeated or made.deduplicated)
    return _tagged(answer, made, 201, {"Location": f"/schedules/{schedule_id}"})


@describe(
    "Make a recurring schedule of that id, or replace it; its counters go on",
    tag="schedules",
    scope="schedule",
    request=ScheduleReplacement,
    example=_EXAMPLE,
    answers={200: ScheduleOut, 201: ScheduleOut},
    problems=(400, 408, 409, 413, 415, 422, 503),
    durable=True,
    tagged=True,
    conditional=True,
)
async def put_schedule(request: web.Request) -> web.Response:
    schedule_id = request.match_info["id"]
    if not _ID.fullmatch(schedule_id):
        raise InvalidField("id", f"expected {ID_EXPECTED}")
    asked, against, store, tags = await read_json(request, _replacement), rules(request), request.app[STORE], if_match(request)
    to_be, safe = wanted(asked, schedule_id, against), durability(request)
    for _ in range(PUT_TRIES):
        try:
            seen = await schedules.get(store, schedule_id)
        except NotFound:
            if "If-Match" in request.headers:  # there has to be one
                raise Stale(f"schedule {schedule_id!r}") from None
            try:
                made = await schedules.create(store, schedule_id, to_be, _revision(), safe)
            except AlreadyThere:
                continue
            return _tagged(_out(made), made, 201, {"Location": f"/schedules/{schedule_id}"})
        schedules.check_tag(seen, tags)
        going_on = _going_on(to_be, seen)
        if asked.paused is UNSET and seen.status == "paused":
            going_on = msgspec.structs.replace(going_on, status="paused")
        put = await schedules.change(store, seen, going_on, _revision(), safe)
        if put is not None:
            return _tagged(_out(put), put)
    raise TooLate(schedule_id, "being changed by others", "replace", KIND)


def _going_on(to_be: Wanted, seen: Schedule) -> Wanted:
    """An interval that is put again goes on as it was: else whoever puts it at each start of a program would hold it up."""
    rule, before = to_be.definition.rule, seen.definition.rule
    if msgspec.structs.replace(rule, anchor_ms=before.anchor_ms) != before:
        return to_be
    return msgspec.structs.replace(to_be, definition=msgspec.structs.replace(to_be.definition, rule=before))


@describe(
    "Change a recurring schedule",
    tag="schedules",
    scope="schedule",
    request=ScheduleChange,
    example={"cron": "30 9 * * MON-FRI"},
    answers={200: ScheduleOut},
    problems=(400, 404, 408, 409, 413, 415, 422, 503),
    durable=True,
    tagged=True,
    conditional=True,
)
async def patch_schedule(request: web.Request) -> web.Response:
    asked, against = await read_json(request, _change), rules(request)
    if asked == ScheduleChange():
        raise InvalidField("", f"expected at least one of {', '.join(ScheduleChange.__struct_fields__)}")
    return await _changed(request, lambda seen: changed(asked, seen, against), "change")


@describe(
    "Pause a recurring schedule: it makes nothing until it is resumed",
    tag="schedules",
    scope="schedule",
    answers={200: ScheduleOut},
    problems=(404, 409, 422, 503),
    durable=True,
    tagged=True,
    conditional=True,
)
async def pause_schedule(request: web.Request) -> web.Response:
    return await _changed(request, lambda seen: _with_status(seen, "paused"), "pause")


@describe(
    "Resume a recurring schedule: it goes on with the first run from now on",
    tag="schedules",
    scope="schedule",
    answers={200: ScheduleOut},
    problems=(404, 409, 422, 503),
    durable=True,
    tagged=True,
    conditional=True,
)
async def resume_schedule(request: web.Request) -> web.Response:
    return await _changed(request, lambda seen: _with_status(seen, "active"), "resume")


def _with_status(seen: Schedule, status: str) -> Wanted:
    return Wanted(definition=seen.definition, template=seen.template, status=status)


async def _changed(request: web.Request, to_be: Change, what: str) -> web.Response:
    """Changes it from what it is, again where others change it at the same time."""
    store, schedule_id, tags, safe = request.app[STORE], request.match_info["id"], if_match(request), durability(request)
    for _ in range(PUT_TRIES):
        seen = await schedules.get(store, schedule_id)
        schedules.check_tag(seen, tags)
        put = await schedules.change(store, seen, to_be(seen), _revision(), safe)
        if put is not None:
            return _tagged(_out(put), put)
    raise TooLate(schedule_id, "being changed by others", what, KIND)


@describe(
    "Run a recurring schedule now, once, beside its rule",
    tag="schedules",
    scope="schedule",
    answers={202: RunMade},
    problems=(404, 422, 503),
    durable=True,
)
async def run_schedule(request: web.Request) -> web.Response:
    run, reached = await firing.run_now(request.app[STORE], request.match_info["id"], durability(request))
    answer = RunMade(message_id=run.message_id, at=format_ms(run.occurrence_ms), durability=reached)
    return json_answer(answer, 202)


@describe(
    "Delete a recurring schedule; the messages that it has made stay",
    tag="schedules",
    scope="schedule",
    answers={200: ScheduleDeleted},
    problems=(404, 409, 422, 503),
    durable=True,
    conditional=True,
)
async def delete_schedule(request: web.Request) -> web.Response:
    schedule_id = request.match_info["id"]
    reached = await schedules.delete(request.app[STORE], schedule_id, durability(request), if_match(request))
    return json_answer(ScheduleDeleted(id=schedule_id, status="deleted", durability=reached))


@describe(
    "One recurring schedule, with its next runs and its past ones",
    tag="schedules",
    scope="read",
    answers={200: ScheduleOut},
    problems=(404, 503),
    tagged=True,
)
async def get_schedule(request: web.Request) -> web.Response:
    found = await schedules.get(request.app[STORE], request.match_info["id"], PAST_SHOWN)
    rule, zone = found.definition.rule, zone_of(found.definition.rule.timezone)
    past = tuple(
        RunOut(at=format_ms(run.occurrence_ms), at_local=format_local(run.occurrence_ms, zone), message_id=run.message_id)
        for run in found.past
    )
    following = () if found.next_ms is None else _runs(rule, found.next_ms - 1, _left(found))
    return _tagged(msgspec.structs.replace(_out(found), next_runs=following, past_runs=past), found)


def _left(schedule: Schedule) -> int:
    most = schedule.definition.max_runs
    return NEXT_SHOWN if most is None else max(0, min(NEXT_SHOWN, most - schedule.runs))


def _runs(rule: Rule, after_ms: int, count: int) -> tuple[RunOut, ...]:
    zone = zone_of(rule.timezone)
    return tuple(
        RunOut(at=format_ms(at_ms), at_local=format_local(at_ms, zone)) for at_ms in islice(rule.all_after(after_ms), count)
    )


@describe(
    "Recurring schedules, in the order of their ids",
    tag="schedules",
    scope="read",
    query={
        "limit": ({"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE}, "Most schedules a page."),
        "cursor": ({"type": "string", "pattern": f"^{_ID.pattern}$"}, "`next_cursor` of the page before."),
        "topic": ({"type": "string"}, "Only of this topic; a page may come short."),
        "status": ({"type": "string", "enum": ["active", "paused", "ended"]}, "Only of this status; a page may come short."),
    },
    answers={200: Schedules},
    problems=(422, 503),
)
async def list_schedules(request: web.Request) -> web.Response:
    unknown = set(request.query) - {"limit", "cursor", "topic", "status"}
    if unknown:
        raise InvalidField(min(unknown), "there is no such parameter; expected limit, cursor, topic or status")
    topic, status, cursor = request.query.get("topic"), request.query.get("status"), request.query.get("cursor")
    if status not in {None, "active", "paused", "ended"}:
        raise InvalidField("status", "expected active, paused or ended")
    if cursor is not None and not _ID.fullmatch(cursor):
        raise InvalidField("cursor", "expected the next_cursor of an earlier page")
    page = await schedules.list_schedules(request.app[STORE], page_limit(request, PAGE, LARGEST_PAGE), cursor)
    items = tuple(_out(one) for one in page.schedules if topic in {None, one.definition.topic} and status in {None, one.status})
    return json_answer(Schedules(items=items, next_cursor=page.next_cursor or ""))


@describe(
    "The next runs of a rule. Nothing is stored",
    tag="schedules",
    scope="read",
    request=SchedulePreview,
    example={"cron": "30 2 * * *", "timezone": "America/New_York", "after": "2035-03-10T00:00:00Z", "count": 3},
    answers={200: RunsOut},
    problems=(400, 408, 413, 415, 422),
)
async def preview_schedule(request: web.Request) -> web.Response:
    asked, against = await read_json(request, _preview), rules(request)
    rule, after_ms = rule_of(asked, against), _after(asked.after, against)
    return json_answer(RunsOut(runs=_runs(rule, after_ms, asked.count)))


def _after(asked: str | float | UnsetType, against: Rules) -> int:
    return against.now_ms if asked is UNSET else due_time("after", asked, against)


def _revision() -> str:
    return secrets.token_hex(12)


def _token(seed: bytes, more: bytes) -> str:
    return blake2b(more, key=blake2b(seed).digest(), digest_size=12).hexdigest()


def _tagged(answer: ScheduleOut, schedule: Schedule, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return json_answer(answer, status, {"ETag": f'"{schedule.revision}"', **(headers or {})})


def _out(schedule: Schedule) -> ScheduleOut:
    definition, rule = schedule.definition, schedule.definition.rule
    return ScheduleOut(
        id=schedule.id,
        status=schedule.status,
        cron=UNSET if rule.cron is None else rule.cron,
        every=_delay_or_unset(rule.every_ms),
        timezone=UNSET if rule.cron is None else rule.timezone,
        start=_time_or_unset(rule.start_ms),
        end=_time_or_unset(rule.end_ms),
        message=_template_out(schedule),
        max_runs=UNSET if definition.max_runs is None else definition.max_runs,
        overlap=definition.overlap,
        catch_up=definition.catch_up,
        catch_up_within=_delay_or_unset(definition.catch_up_within_ms),
        created_at=format_ms(schedule.created_ms),
        updated_at=format_ms(schedule.updated_ms),
        runs=schedule.runs,
        skipped=schedule.skipped,
        missed=schedule.missed,
        next_run=_time_or_unset(schedule.next_ms),
        durability=schedule.durability or UNSET,
    )


def _template_out(schedule: Schedule) -> TemplateOut:
    definition, options = schedule.definition, schedule.template.options
    body, body_base64 = body_out(schedule.template)
    return TemplateOut(
        topic=definition.topic,
        body=body,
        body_base64=body_base64,
        content_type=options.content_type or UNSET,
        expires_after=_delay_or_unset(definition.expires_after_ms),
        spread=_delay_or_unset(definition.spread_ms or None),
        retry=options.retry or UNSET,
        deadline_ms=UNSET if options.deadline_ms is None else options.deadline_ms,
        retention_ms=UNSET if options.retention_ms is None else options.retention_ms,
        labels=options.labels,
        headers=options.headers or UNSET,
        **_webhook(options),
        flow_key=options.flow_key or UNSET,
        ordered=options.ordered,
        priority=options.priority or UNSET,
    )


def _webhook(options: Options) -> dict[str, Any]:
    found = options.webhook
    if found is None:
        return {}
    callbacks = {"callback": callback_out(found.callback), "failure_callback": callback_out(found.failure_callback)}
    return {"url": found.url or UNSET, "method": found.method, **callbacks}


def _time_or_unset(time_ms: int | None) -> str | UnsetType:
    return UNSET if time_ms is None else format_ms(time_ms)


def _delay_or_unset(delay_ms: int | None) -> str | UnsetType:
    return UNSET if delay_ms is None else format_delay(delay_ms)
