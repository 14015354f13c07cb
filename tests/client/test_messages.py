"""Every call about messages, through both clients, against a real producer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from client import Attempt, CallbackOf, Cancelled, EchoAccepted, Preview, PreviewedAttempt, RetryPolicy
from tests.client.faces import Face
from tests.producer.api import Api
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves("due", "index", "finished", "idempotency", "stream", "labels")

AT = datetime(2035, 1, 31, 9, 0, 0, 250_000, tzinfo=UTC)
EVERY_FIELD: dict[str, Any] = {
    "content_type": "application/vnd.a+json", "spread": "1m", "expires_after": timedelta(hours=2),
    "retry": {"max_attempts": 3, "delays_ms": [10, 20], "jitter": 0}, "deadline_ms": 5, "retention_ms": 6,
    "labels": ["a", "b"], "headers": {"X": "y"}, "flow_key": "k", "ordered": True,
}  # fmt: skip


async def test_a_message_is_scheduled_with_every_field(face: Face) -> None:
    """What was given is what the service keeps, and comes back as Python values."""
    made = await face.call("schedule", "work", body={"a": [1, None]}, deliver_at=AT, **EVERY_FIELD)

    kept = await face.call("get", made.id)
    assert (made.topic, made.status, made.durability, made.deduplicated) == ("work", "scheduled", "memory", False)
    assert AT <= made.deliver_at <= AT + timedelta(minutes=1)
    assert made.expires_at == made.deliver_at + timedelta(hours=2)
    assert (kept.id, kept.deliver_at, kept.expires_at) == (made.id, made.deliver_at, made.expires_at)
    assert (kept.body, kept.body_bytes, kept.content_type) == ({"a": [1, None]}, None, "application/vnd.a+json")
    assert kept.retry == RetryPolicy(max_attempts=3, delays_ms=(10, 20), jitter=0)
    assert (kept.deadline_ms, kept.retention_ms, kept.labels, kept.headers) == (5, 6, ("a", "b"), {"X": "y"})
    assert (kept.flow_key, kept.ordered, kept.attempts, kept.errors) == ("k", True, 0, ())
    assert kept.created_at.tzinfo is not None
    assert kept.etag.startswith('"')


@pytest.mark.leaves("due", "idempotency", "log")
async def test_a_webhook_is_scheduled_with_every_field(face: Face) -> None:
    """Who is told of it as well, with durations in any form; what is ``None`` is not asked for."""
    told: dict[str, Any] = {
        "url": "https://example.com/done",
        "method": "PUT",
        "headers": {"X": "y"},
        "retry": {"max_attempts": 2},
        "deadline_ms": 5,
    }
    asked = {"callback": {**told, "delay": timedelta(seconds=90)}, "failure_callback": {"url": told["url"], "delay": None}}

    made = await face.call("schedule", "webhook", url="https://example.com/hook", method="PATCH", deliver_at=AT, **asked)
    plain = await face.call("schedule", "webhook", url="https://example.com/hook", method=None, callback=None, deliver_at=AT)

    kept, other = await face.call("get", made.id), await face.call("get", plain.id)
    retry = RetryPolicy(max_attempts=2)
    assert (kept.url, kept.method) == ("https://example.com/hook", "PATCH")
    assert kept.callback == CallbackOf(**{**told, "retry": retry, "delay": "1m30s"})
    assert kept.failure_callback == CallbackOf(url=told["url"], method="POST")
    assert (other.url, other.method, other.callback, other.failure_callback) == (kept.url, "POST", None, None)


@pytest.mark.parametrize("when", [AT, AT.isoformat(), AT.timestamp(), int(AT.timestamp() * 1000)])
async def test_a_time_may_be_given_in_any_form(face: Face, when: object) -> None:
    """A datetime, text, and a number of seconds or milliseconds are the same time, to the millisecond."""
    assert (await face.call("schedule", "work", deliver_at=when)).deliver_at == AT


@pytest.mark.parametrize("delay", [timedelta(days=1, milliseconds=1.5), "1d2ms", 86_400.002])
async def test_a_delay_may_be_given_in_any_form(face: Face, api: Api, delay: object) -> None:
    """A timedelta, text and seconds are the same delay; what is finer than a millisecond is rounded up."""
    made = await face.call("schedule", "work", delay=delay)

    kept = await api.message(made.id)
    assert made.deliver_at - datetime.fromisoformat(kept["created_at"]) == timedelta(days=1, milliseconds=2)


@pytest.mark.parametrize("local", ["2035-03-25T02:30:00", datetime(2035, 3, 25, 2, 30)])  # noqa: DTZ001 - a local time has no zone
async def test_a_local_time_goes_with_its_zone(face: Face, local: object) -> None:
    """The clocks skip this one: the answer says which instant it is, and what they show then."""
    made = await face.call("schedule", "work", deliver_at_local=local, timezone="Europe/Berlin")

    assert made.deliver_at == datetime(2035, 3, 25, 1, 30, tzinfo=UTC)
    assert made.deliver_at_local.isoformat() == "2035-03-25T03:30:00+02:00"


@pytest.mark.parametrize(
    ("name", "when", "says"),
    [("deliver_at", datetime(2035, 1, 1), "with a time zone"), ("deliver_at_local", AT, "without a time zone")],  # noqa: DTZ001 - the mistake
)
async def test_a_time_that_could_mean_any_is_refused_here(face: Face, name: str, when: datetime, says: str) -> None:
    """A datetime without a zone is not taken for UTC by chance, nor a zone beside a local time dropped."""
    with pytest.raises(ValueError, match=f"{name}: expected a datetime {says}"):
        await face.call("schedule", "work", **{name: when})


@pytest.mark.parametrize(
    ("body", "text", "octets"),
    [("text", "text", None), (None, None, None), ([1, {"a": "b"}], [1, {"a": "b"}], None), (7, 7, None)]
    + [(kind(b"\x00\xff"), None, b"\x00\xff") for kind in (bytes, bytearray, memoryview)],
)
async def test_a_body_comes_back_as_it_was_given(face: Face, body: object, text: object, octets: bytes | None) -> None:
    """Text is text, bytes are bytes, anything else is JSON."""
    made = await face.call("schedule", "work", body=body, delay="1d")

    kept = await face.call("get", made.id)
    assert (kept.body, kept.body_bytes) == (text, octets)
    kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
    assert kept.content_type == ("application/octet-stream" if octets else kind)


async def test_many_are_scheduled_in_order(face: Face) -> None:
    """Each of a batch is a message of its own, with a body of any kind."""
    made = await face.call("schedule_many", [{"topic": "work", "body": b"\xff"}, {"topic": "echo", "deliver_at": AT}])

    first, second = [await face.call("get", one) for one in made.ids]
    assert (made.count, made.deduplicated) == (2, False)
    assert (first.topic, first.body_bytes, second.topic, second.deliver_at) == ("work", b"\xff", "echo", AT)


async def test_an_echo_is_scheduled(face: Face) -> None:
    """The oldest call of the service has its place too."""
    made = await face.call("echo_at", AT, "hello", idempotency_key="hello-1")

    assert made == EchoAccepted(id=made.id, status="scheduled", time=AT, message="hello", durability="memory")
    assert (await face.call("echo_at", AT, "hello", idempotency_key="hello-1")).deduplicated is True


@pytest.mark.leaves
async def test_a_preview_stores_nothing(face: Face) -> None:
    """It tells every attempt that the policy allows."""
    told = await face.call("preview", "work", deliver_at=AT, retry={"max_attempts": 2, "delays_ms": [1000], "jitter": 0})

    later = AT + timedelta(seconds=1)
    attempts = (
        PreviewedAttempt(attempt=1, earliest=AT, latest=AT),
        PreviewedAttempt(attempt=2, earliest=later, latest=later),
    )
    assert told == Preview(topic="work", deliver_at=AT, deadline_ms=60_000, attempts=attempts)


async def test_a_waiting_message_is_changed(face: Face) -> None:
    """Its time, and its body to bytes."""
    made = await face.call("schedule", "work", body="old", delay="1d")

    told = await face.call("change", made.id, deliver_at=AT, body=b"\x00", content_type="image/png")

    assert (told.id, told.deliver_at, told.body_bytes, told.content_type) == (made.id, AT, b"\x00", "image/png")
    kept = await face.call("get", made.id)
    assert [one.event for one in kept.timeline] == ["created", "due"]
    assert told == msgspec.structs.replace(kept, durability="memory", timeline=())


async def test_a_message_is_cancelled_as_often_as_one_likes(face: Face) -> None:
    """Every cancel says that it will not be delivered."""
    made = await face.call("schedule", "work", delay="1d")

    told = [await face.call("cancel", made.id) for _ in range(2)]

    assert told == [Cancelled(id=made.id, status="cancelled", durability="memory")] * 2
    assert (await face.call("get", made.id)).status == "cancelled"


async def test_a_message_is_delivered_now(face: Face, stages: Stages) -> None:
    """It is due at once; when it is over, that is what its answer tells."""
    made = await face.call("schedule", "work", delay="1d")

    told = await face.call("deliver_now", made.id)

    assert (told.id, told.status, told.durability) == (made.id, "scheduled", "memory")
    await stages.finish(await stages.run("work"))
    over = await face.call("get", made.id)
    assert (over.status, over.attempts, over.worker) == ("delivered", 1, "worker-1")
    assert over.settled_at > over.started_at
    assert over.lateness_ms >= 0


@pytest.mark.leaves("due", "index", "idempotency", "dead")
async def test_dead_letters_are_listed_over_all_pages_and_replayed(face: Face, stages: Stages) -> None:
    """Newest first, each once, of one topic or of all; a replay starts anew."""
    await face.call("schedule_many", [{"topic": topic, "body": n} for n in range(3) for topic in ("work", "echo")])
    for topic in ("work", "echo"):
        assert await stages.dispatch(topic) == 3
        for entry in await stages.read(topic):
            await stages.bury(entry, "told so", "no")

    letters = await face.items("list_dead_letters", page_size=2)
    of_one = await face.items("list_dead_letters", topic="work", page_size=1)
    told = await face.call("replay", of_one[0].id, deliver_at=AT)

    assert len({letter.id for letter in letters}) == len(letters) == 6
    assert [letter.settled_at for letter in letters] == sorted((letter.settled_at for letter in letters), reverse=True)
    assert [letter.topic for letter in of_one] == ["work"] * 3
    (error,) = of_one[0].errors
    assert (of_one[0].status, of_one[0].reason) == ("dead", "told so")
    assert error == Attempt(attempt=1, started_at=error.started_at, ended_at=error.ended_at, error="no", worker="worker-1")
    assert (told.id, told.status, told.attempts, told.deliver_at) == (of_one[0].id, "scheduled", 0, AT)
    assert len(await face.items("list_dead_letters")) == 5
