"""Answers: views of the store in the words of the API."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from producer.schemas import AttemptOut, CallbackOut, MessageOut, ResponseOut, Timed
from producer.timeline import retry_at, timeline, why_late
from shared.record import Callback, Options, Record
from shared.store.messages import Response, View
from shared.store.partition import Store
from shared.times import format_delay, format_ms
from shared.zones import format_local, zone_of

_encode = msgspec.json.Encoder().encode


def json_answer(content: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=_encode(content), status=status, headers={"Content-Type": "application/json", **(headers or {})})


def local_out(asked: Timed, time_ms: int) -> str | UnsetType:
    """That time as the zone's clocks show it, where a local time was asked for."""
    return UNSET if asked.timezone is UNSET else format_local(time_ms, zone_of(asked.timezone))


def message_answer(view: View, status: int = 200) -> web.Response:
    """The message, with its entity tag."""
    return json_answer(message_out(view), status, {"ETag": f'"{view.tag}"'})


async def detailed_answer(store: Store, view: View) -> web.Response:
    """The message with all that is known of its way. Raises ``Outage``."""
    shown = msgspec.structs.replace(message_out(view), why=await why_late(store, view), timeline=timeline(view))
    return json_answer(shown, 200, {"ETag": f'"{view.tag}"'})


def message_out(view: View) -> MessageOut:
    """Everything that is known of a message."""
    finished, record = view.finished, view.record
    if finished is not None:
        started = finished.started_ms
        return MessageOut(
            id=view.id,
            topic=view.topic,
            status=view.status,
            deliver_at=format_ms(view.due_ms),
            attempts=view.attempts,
            created_at=format_ms(finished.created_ms) if finished.created_ms else UNSET,
            started_at=format_ms(started) if started else UNSET,
            settled_at=format_ms(finished.settled_ms),
            lateness_ms=max(0, started - view.due_ms) if started else UNSET,
            worker=finished.worker,
            errors=_errors(view),
            response=_response(finished.response),
        )
    if record is None:
        return _unreadable_out(view)
    options = record.options
    body, body_base64 = body_out(record)
    return MessageOut(
        id=view.id,
        topic=view.topic,
        status=view.status,
        deliver_at=format_ms(view.due_ms),
        attempts=view.attempts,
        created_at=format_ms(record.created_ms),
        settled_at=format_ms(view.died_ms) if view.died_ms else UNSET,
        worker=view.worker,
        reason=view.reason,
        errors=_errors(view),
        body=body,
        body_base64=body_base64,
        content_type=record.content_type,
        expires_at=UNSET if options.expires_ms is None else format_ms(options.expires_ms),
        retry=options.retry or UNSET,
        deadline_ms=UNSET if options.deadline_ms is None else options.deadline_ms,
        retention_ms=UNSET if options.retention_ms is None else options.retention_ms,
        labels=options.labels,
        headers=options.headers or UNSET,
        **_webhook(options),
        flow_key=options.flow_key or "",
        ordered=options.ordered,
        priority=options.priority or UNSET,
        schedule=options.schedule or "",
        occurrence=UNSET if options.occurrence_ms is None else format_ms(options.occurrence_ms),
        durability=view.durability or UNSET,
    )


def body_out(record: Record) -> tuple[msgspec.Raw | UnsetType, str | UnsetType]:
    """A body as JSON or text, or else as base64."""
    if record.kind == "base64":
        return UNSET, base64.b64encode(record.body).decode()
    text = record.body if record.kind == "json" else _encode(record.body.decode("utf-8", "replace"))
    return msgspec.Raw(text), UNSET


def _unreadable_out(view: View) -> MessageOut:
    """What was stored by a stranger or a newer release: shown as it is."""
    return MessageOut(
        id=view.id,
        topic=view.topic,
        status=view.status,
        deliver_at=format_ms(view.due_ms),
        attempts=view.attempts,
        settled_at=format_ms(view.died_ms) if view.died_ms else UNSET,
        worker=view.worker,
        reason=view.reason,
        errors=_errors(view),
        body_base64=base64.b64encode(view.stored).decode(),
    )


def _errors(view: View) -> tuple[AttemptOut, ...]:
    return tuple(
        AttemptOut(
            attempt=one.attempt,
            started_at=format_ms(one.started_ms),
            ended_at=format_ms(one.ended_ms),
            error=one.error,
            worker=one.worker,
            retry_at=retry_at(view, number),
            response=_response(one.response),
        )
        for number, one in enumerate(view.errors)
    )


def _response(found: Response | None) -> ResponseOut | UnsetType:
    if found is None:
        return UNSET
    return ResponseOut(
        status=found.status,
        headers=found.headers,
        body=found.body,
        body_base64=found.body_base64 or UNSET,
        truncated=found.truncated,
    )


def _webhook(options: Options) -> dict[str, Any]:
    """Of topic ``webhook``: where it goes."""
    found = options.webhook
    if found is None:
        return {}
    return {
        "url": found.url,
        "method": found.method,
        "callback": callback_out(found.callback),
        "failure_callback": callback_out(found.failure_callback),
        "url_group": found.group or "",
        "callback_of": found.callback_of or "",
    }


def callback_out(found: Callback | None) -> CallbackOut | UnsetType:
    if found is None:
        return UNSET
    return CallbackOut(
        url=found.url,
        method=found.method,
        headers=found.headers,
        retry=found.retry or UNSET,
        delay=format_delay(found.delay_ms) if found.delay_ms else "",
        deadline_ms=UNSET if found.deadline_ms is None else found.deadline_ms,
    )
