"""``/v2/schedules``: recurring schedules of webhooks, the same as those of ``/schedules``."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiohttp import web
from msgspec.structs import replace

from producer.answers import json_answer
from producer.context import SETTINGS, STORE, TARGETS
from producer.drafts import Rules
from producer.load import read_body
from producer.openapi import describe
from producer.qstash.destinations import Destination, destination_of, path_rest
from producer.qstash.drafts import Target, check_urls, draft_of
from producer.qstash.options import Asked, options_of
from producer.qstash.publishing import OPTIONS, USUAL_QUEUE
from producer.qstash.schedule_schemas import ZONE, QstashSchedule, ScheduleMade, flow_key_of, is_qstash, schedule_out, state_of
from producer.qstash.view_schemas import Done
from producer.requests import durability, rules
from shared.cron import Cron
from shared.errors import AlreadyThere, InvalidField, NotFound, TooLate
from shared.policy import topic_policy
from shared.record import Record
from shared.recurrence import Definition, Rule
from shared.settings import WEBHOOK
from shared.store import flow, messages, schedules, url_groups
from shared.store.chunks import Draft
from shared.store.flow import QUEUE_PREFIX
from shared.store.messages import View
from shared.store.partition import Store
from shared.store.schedules import KIND, PUT_TRIES, Schedule, Wanted
from shared.zones import zone_of

PAGE, MOST = 100, 10_000
AT_ONCE = 20
"""Scripts on their way at the same time."""
Asking = TypeVar("Asking")
Told = TypeVar("Told")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_HEADERS = {
    "Upstash-Cron": ({"type": "string"}, "Required: `0 9 * * *`, or with a time zone `CRON_TZ=Europe/Berlin 0 9 * * *`."),
    "Upstash-Schedule-Id": ({"type": "string"}, "One of that id is replaced."),
    "Upstash-Queue-Name": ({"type": "string"}, "The queue that its messages go to."),
    **{name: one for name, one in OPTIONS.items() if "Dedup" not in name and name != "Upstash-Not-Before"},
}


@describe(
    "Make a recurring schedule of messages. In place of `id` stands the URL or the URL group to which they go",
    tag="QStash schedules",
    scope="schedule",
    raw=True,
    headers=_HEADERS,
    answers={201: ScheduleMade},
    problems=(400, 404, 408, 413, 415, 422, 503),
)
async def create_webhook_schedule(request: web.Request) -> web.Response:
    asked = options_of(request.headers.items(), request.query.items())
    destination = destination_of(path_rest(request, 2), request.rel_url.raw_query_string)
    schedule_id = asked.schedule_id or f"scd_{secrets.token_hex(12)}"
    if not _ID.fullmatch(schedule_id):
        raise InvalidField(
            "Upstash-Schedule-Id", "expected 1 to 128 letters, digits and _ . -, the first a letter or a digit", 400
        )
    for name, value in (("Not-Before", asked.not_before_ms), ("Deduplication-Id", asked.deduplication_id)):
        if value is not None:
            raise InvalidField(f"Upstash-{name}", "expected none here: a schedule makes a message each time", 400)
    check_urls(asked, destination.url, request.app[TARGETS])
    if destination.group is not None:
        await url_groups.get(request.app[STORE], destination.group)
    wanted = _wanted(asked, destination, await read_body(request), schedule_id, request.remote, rules(request))
    await _limits(request, wanted, asked)
    await _put(request, schedule_id, wanted)
    return json_answer(ScheduleMade(schedule_id), 201, {"Location": f"/v2/schedules/{schedule_id}"})


def _wanted(
    asked: Asked, destination: Destination, body: bytes, schedule_id: str, caller_ip: str | None, against: Rules
) -> Wanted:
    target = Target(destination.url, destination.group)
    draft: Draft = draft_of(asked, target, body, None, caller_ip, against)
    rule = _rule(asked.cron)
    if rule.after(against.now_ms) is None:
        raise InvalidField("Upstash-Cron", "expected a rule that has a run to come", 400)
    template = Record(schedule_id, 0, draft.kind, draft.body, draft.options)
    definition = Definition(rule=rule, topic=WEBHOOK.name, delay_ms=asked.delay_ms or 0)
    return Wanted(definition=definition, template=template, status="active")


def _rule(cron: str | None) -> Rule:
    if not cron:
        raise InvalidField("Upstash-Cron", "this header is required: a rule such as 0 9 * * *", 400)
    zone, rest = "UTC", cron
    if cron.startswith(ZONE):
        zone, _, rest = cron.removeprefix(ZONE).partition(" ")
    try:
        Cron(rest.strip(), zone_of(zone))
    except ValueError as error:
        raise InvalidField("Upstash-Cron", f"{error}; got {cron[:80]!r}", 400) from None
    return Rule(cron=rest.strip(), timezone=zone)


async def _limits(request: web.Request, wanted: Wanted, asked: Asked) -> None:
    store, key = request.app[STORE], wanted.template.options.flow_key
    if key is not None and key.startswith(QUEUE_PREFIX):
        await flow.ensure_limit(store, WEBHOOK.name, key, USUAL_QUEUE)
    elif key is not None and asked.limit is not None:
        await flow.offer_limit(store, WEBHOOK.name, key, asked.limit)


async def _put(request: web.Request, schedule_id: str, wanted: Wanted) -> None:
    store, safe = request.app[STORE], durability(request)
    for _ in range(PUT_TRIES):
        try:
            await schedules.create(store, schedule_id, wanted, secrets.token_hex(12), safe)
        except AlreadyThere:
            seen = await schedules.get(store, schedule_id)
            if not is_qstash(seen):  # somebody else's, of another kind
                raise
            to_be = replace(wanted, status="paused") if seen.status == "paused" else wanted
            if await schedules.change(store, seen, to_be, secrets.token_hex(12), safe) is None:
                continue
        return
    raise TooLate(schedule_id, "being changed by others", "replace", KIND)


@describe(
    "Schedules of webhooks", tag="QStash schedules", scope="read", answers={200: tuple[QstashSchedule, ...]}, problems=(503,)
)
async def list_webhook_schedules(request: web.Request) -> web.Response:
    store, found, cursor = request.app[STORE], list[Schedule](), None
    for _ in range(MOST // PAGE):
        page = await schedules.list_schedules(store, PAGE, cursor)
        found += filter(is_qstash, page.schedules)
        cursor = page.next_cursor
        if cursor is None:
            break
    return json_answer(await _out(request, found))


@describe("One schedule of webhooks", tag="QStash schedules", scope="read", answers={200: QstashSchedule}, problems=(404, 503))
async def get_webhook_schedule(request: web.Request) -> web.Response:
    (told,) = await _out(request, [await _found(request)])
    return json_answer(told)


@describe("Delete a schedule", tag="QStash schedules", scope="schedule", answers={200: Done}, problems=(404, 409, 503))
async def delete_webhook_schedule(request: web.Request) -> web.Response:
    found = await _found(request)
    await schedules.delete(request.app[STORE], found.id, durability(request))
    return json_answer(Done())


@describe("Pause a schedule", tag="QStash schedules", scope="schedule", answers={200: Done}, problems=(404, 409, 503))
async def pause_webhook_schedule(request: web.Request) -> web.Response:
    return await _with_status(request, "paused")


@describe("Resume a schedule", tag="QStash schedules", scope="schedule", answers={200: Done}, problems=(404, 409, 503))
async def resume_webhook_schedule(request: web.Request) -> web.Response:
    return await _with_status(request, "active")


@describe("The same as PATCH", tag="QStash schedules", scope="schedule", answers={200: Done}, problems=(404, 409, 503))
async def post_pause_of_webhook_schedule(request: web.Request) -> web.Response:
    """Clients say PATCH, and QStash's documentation POST."""
    return await _with_status(request, "paused")


@describe("The same as PATCH", tag="QStash schedules", scope="schedule", answers={200: Done}, problems=(404, 409, 503))
async def post_resume_of_webhook_schedule(request: web.Request) -> web.Response:
    return await _with_status(request, "active")


async def _with_status(request: web.Request, status: str) -> web.Response:
    store, safe = request.app[STORE], durability(request)
    for _ in range(PUT_TRIES):
        seen = await _found(request)
        wanted = Wanted(definition=seen.definition, template=seen.template, status=status)
        if await schedules.change(store, seen, wanted, secrets.token_hex(12), safe) is not None:
            return json_answer(Done())
    raise TooLate(request.match_info["id"], "being changed by others", status, KIND)


async def _found(request: web.Request) -> Schedule:
    """Raises ``NotFound``, also for one that makes no webhooks."""
    found = await schedules.get(request.app[STORE], request.match_info["id"])
    if not is_qstash(found):
        raise NotFound(found.id, KIND)
    return found


async def _out(request: web.Request, found: Sequence[Schedule]) -> list[QstashSchedule]:
    """With the limits of their flow keys and what became of their last messages, each looked up once."""
    store, settings = request.app[STORE], request.app[SETTINGS]
    keys = {key for one in found if (key := flow_key_of(one.template.options))}
    limits = await _each(sorted(keys), lambda key: flow.get(store, WEBHOOK.name, key))
    views = await _each(sorted({one.last_id for one in found} - {""}), lambda message_id: _message(store, message_id))
    states = {message_id: state_of(view) for message_id, view in views.items() if view is not None}
    attempts = topic_policy(settings, settings.all_topics().get(WEBHOOK.name, WEBHOOK)).max_attempts
    return [schedule_out(one, attempts, limits, states) for one in found]


async def _each(asking: Sequence[Asking], ask: Callable[[Asking], Awaitable[Told]]) -> dict[Asking, Told]:
    found: dict[Asking, Told] = {}
    for start in range(0, len(asking), AT_ONCE):
        some = asking[start : start + AT_ONCE]
        found |= dict(zip(some, await asyncio.gather(*map(ask, some)), strict=True))
    return found


async def _message(store: Store, message_id: str) -> View | None:
    """``None`` of one that is forgotten."""
    try:
        return await messages.get(store, message_id)
    except NotFound:
        return None


_ONE = "/v2/schedules/{id:(?!https?:)[^/]+}"
ROUTES = (
    web.get("/v2/schedules", list_webhook_schedules),
    web.get(_ONE, get_webhook_schedule),
    web.delete(_ONE, delete_webhook_schedule),
    web.patch(f"{_ONE}/pause", pause_webhook_schedule),
    web.post(f"{_ONE}/pause", post_pause_of_webhook_schedule),
    web.patch(f"{_ONE}/resume", resume_webhook_schedule),
    web.post(f"{_ONE}/resume", post_resume_of_webhook_schedule),
    web.post("/v2/schedules/{id:.+}", create_webhook_schedule),
)
