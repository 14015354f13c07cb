"""What a call raises: the kind says what to do, and the problem's own words come along."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from aiohttp import web
from redis.asyncio import Redis

from client import (
    Changed,
    Client,
    Conflict,
    Error,
    Failed,
    Invalid,
    NotFound,
    Retry,
    TooMany,
    Unauthorised,
    Unavailable,
    Unreachable,
)
from shared.settings import Settings
from tests.client.faces import Face, open_face
from tests.client.misbehaving import Misbehaving
from tests.producer.api import Api, stored
from tests.producer.conftest import OpenApi
from tests.producer.keys import Keyring
from tests.support.waiting import eventually

NONE = "work-0-" + "0" * 21
ONCE = Retry(tries=1)


async def failure(face: Face, kind: type[Error], name: str, *args: Any, **options: Any) -> Error:
    """The error of a call that has to fail in that way."""
    with pytest.raises(Error) as error:
        await face.call(name, *args, **options)
    assert type(error.value) is kind, error.value
    return error.value


async def test_a_wrong_field_is_named(face: Face, redis: Redis, prefix: str) -> None:
    """Also one that no release knows, and one inside a batch; nothing is stored."""
    unknown = await failure(face, Invalid, "schedule", "work", when="tomorrow")
    inside = await failure(face, Invalid, "schedule_many", [{"topic": "work"}, {"topic": "nobody's"}])
    nested = await failure(face, Invalid, "put_schedule", "a", every="1h", message={"topic": "work", "retry": {"jitter": 2}})

    assert (unknown.status, unknown.field, str(unknown)) == (422, "when", "422 when: there is no such field")
    assert unknown.request_id
    assert (inside.field, nested.field) == ("[1].topic", "message.retry.jitter")
    assert "expected one of echo, webhook, work" in inside.detail
    assert unknown.maybe_done is inside.maybe_done is nested.maybe_done is False
    assert await stored(redis, prefix) == {}


async def test_a_request_that_is_too_large_is_invalid(kind: str, open_api: OpenApi, settings: Settings) -> None:
    """413 is of the same kind: the same again would be refused again."""
    limits = msgspec.structs.replace(settings.producer, max_body_bytes=10)
    api = await open_api(msgspec.structs.replace(settings, producer=limits))
    async with open_face(kind, api.url) as face:
        error = await failure(face, Invalid, "schedule", "work", body="x" * 11)

    assert (error.status, error.field) == (413, "body")


async def test_what_is_not_there_is_not_found(face: Face) -> None:
    """By any call; an id with a slash in it is an id, not another path."""
    for name in ("get", "cancel", "deliver_now", "replay", "get_schedule", "run_schedule"):
        assert (await failure(face, NotFound, name, NONE)).status == 404
    assert "a/b?c" in (await failure(face, NotFound, "get_schedule", "a/b?c")).detail


@pytest.mark.leaves("finished", "idempotency")
async def test_what_is_too_late_is_a_conflict(face: Face) -> None:
    """A cancelled message is not changed any more, and the answer says why."""
    made = await face.call("schedule", "work", delay="1d")
    await face.call("cancel", made.id)

    assert "it is cancelled" in (await failure(face, Conflict, "change", made.id, body="x")).detail


@pytest.mark.leaves("due", "idempotency")
async def test_a_key_that_was_used_for_something_else_is_a_conflict(face: Face) -> None:
    """The error names the key."""
    await face.call("schedule", "work", delay="1d", idempotency_key="order-17")

    error = await failure(face, Conflict, "schedule", "work", delay="2d", idempotency_key="order-17")

    assert (error.field, error.idempotency_key) == ("Idempotency-Key", "order-17")


@pytest.mark.leaves("due", "finished", "idempotency", "index", "schedule")
async def test_what_has_changed_since_is_not_touched(face: Face) -> None:
    """With the tag of what one saw, a call does just that or nothing."""
    message_id = (await face.call("schedule", "work", delay="1d")).id
    seen = await face.call("get", message_id)
    now = await face.call("change", message_id, body="other", if_match=seen.etag)

    calls: dict[str, dict[str, Any]] = {"change": {"body": "mine"}, "cancel": {}, "deliver_now": {}}
    for name, more in calls.items():
        error = await failure(face, Changed, name, message_id, if_match=seen.etag, **more)
        assert (error.status, error.field, error.maybe_done) == (412, "If-Match", False)
    assert (await face.call("get", message_id)).body == "other"
    assert (await face.call("cancel", message_id, if_match=now.etag)).status == "cancelled"

    schedule: dict[str, Any] = {"every": "1h", "message": {"topic": "work"}}
    first = await face.call("put_schedule", "a", **schedule)
    second = await face.call("change_schedule", "a", max_runs=3, if_match=first.etag)
    calls = {"put_schedule": schedule, "change_schedule": {"max_runs": 1}}
    calls |= {name: {} for name in ("pause_schedule", "resume_schedule", "delete_schedule")}
    for name, more in calls.items():
        await failure(face, Changed, name, "a", if_match=first.etag, **more)
    assert (await face.call("delete_schedule", "a", if_match=second.etag)).status == "deleted"


@pytest.fixture
def ring() -> Keyring:
    ring = Keyring()
    ring.make("reader", "read")
    ring.make("slow", "admin", rate_per_s=0.01, burst=1)
    return ring


@pytest.fixture
async def keyed(open_api: OpenApi, settings: Settings, ring: Keyring) -> Api:
    return await open_api(ring.asked_for(settings))


async def test_a_key_is_sent_and_its_scope_holds(kind: str, keyed: Api, ring: Keyring) -> None:
    """401 without one that is known, 403 without the scope; with it the call is answered."""
    async with open_face(kind, keyed.url) as stranger, open_face(kind, keyed.url, api_key="mss_nobody_x") as unknown:
        for face in (stranger, unknown):
            assert (await failure(face, Unauthorised, "get", NONE)).status == 401
        assert (await stranger.call("health")).topics == ()
    key = ring.header("reader")["Authorization"].removeprefix("Bearer ")
    async with open_face(kind, keyed.url, api_key=key) as reader:
        assert (await failure(reader, Unauthorised, "schedule", "work")).status == 403
        assert (await failure(reader, NotFound, "get", NONE)).status == 404

        async def told() -> bool:
            return [topic.topic for topic in (await reader.call("health")).topics] == ["echo", "webhook", "work"]

        await eventually(told)  # it has asked Redis by then


@pytest.mark.leaves("rate")
async def test_a_limit_that_is_too_long_to_wait_for_is_told(kind: str, keyed: Api, ring: Keyring) -> None:
    """The service asks to wait for a hundred seconds, the caller has sixty: the error comes at once and says how long."""
    key = ring.header("slow")["Authorization"].removeprefix("Bearer ")
    async with open_face(kind, keyed.url, api_key=key) as slow:
        await failure(slow, NotFound, "get", NONE)

        error = await failure(slow, TooMany, "schedule", "work")

    assert error.retry_after_s is not None
    assert 60 < error.retry_after_s <= 100
    assert error.maybe_done is False


async def test_nobody_there_is_unreachable(kind: str, misbehaving: Misbehaving) -> None:
    """No connection: surely nothing was done, and the key to repeat the call with is told."""
    url = misbehaving.url
    await misbehaving.__aexit__(None, None, None)

    async with open_face(kind, url) as face:
        error = await failure(face, Unreachable, "schedule", "work")

    assert (error.status, error.maybe_done, len(error.idempotency_key)) == (0, False, 32)
    assert "no answer from the service" in str(error)


@pytest.mark.parametrize(
    ("status", "body", "expected", "maybe_done"),
    [(500, b"oops", Failed, True), (302, b"", Failed, False), (200, b"<html>", Failed, True), (202, b"{}", Failed, True),
     (502, b"<html>", Unavailable, True), (504, b"", Unavailable, True), (431, b"", Invalid, False)],
)  # fmt: skip
async def test_an_answer_that_is_none_of_the_service_is_an_error_too(
    kind: str, misbehaving: Misbehaving, status: int, body: bytes, expected: type[Error], *, maybe_done: bool
) -> None:
    """What stands before the service, or in its place, may answer anything: it never passes for success."""
    misbehaving.faults = [web.Response(status=status, body=body)]

    async with open_face(kind, misbehaving.url, retry=ONCE) as face:
        error = await failure(face, expected, "schedule", "work")

    assert (error.status, error.maybe_done) == (status, maybe_done)
    assert error.detail
    assert len(misbehaving.seen) == 1


async def test_fields_of_a_later_release_are_ignored(badly_served: Face, misbehaving: Misbehaving) -> None:
    """A client goes on working when the service is brought up to date before it."""
    later = {"id": "a", "topic": "work", "status": "new", "deliver_at": "2035-01-31T09:00:00.250Z", "attempts": 0, "colour": 1}
    misbehaving.faults = [web.json_response(later)]

    message = await badly_served.call("get", "a")

    assert (message.status, message.deliver_at) == ("new", datetime(2035, 1, 31, 9, 0, 0, 250_000, tzinfo=UTC))


async def test_an_error_can_be_sent_to_another_process(face: Face) -> None:
    """A pool of processes pickles what its workers raise."""
    error = await failure(face, Invalid, "schedule", "nobody's")

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - of this test

    assert type(again) is Invalid
    assert (again.status, again.field, again.detail, str(again)) == (error.status, error.field, error.detail, str(error))


@pytest.mark.parametrize("url", ["localhost:3000", "", "ftp://localhost", "redis://localhost"])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    """Not at the first call, and not after retries."""
    with pytest.raises(ValueError, match=f"url: expected one such as http://localhost:3000; got '{url}'"):
        Client(url)
