"""What is accepted: the answer, and what lies in Redis afterwards, to be read with ``redis-cli``."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.record import Record, decode_record
from shared.times import format_ms, parse_time_ms
from tests.producer.api import NDJSON, Api, stored

pytestmark = pytest.mark.leaves("due", "labels")

NOON = "2030-06-01T12:00:00.000Z"
NOON_MS = 1_906_545_600_000


async def members(redis: Redis, prefix: str, topic: str) -> list[tuple[bytes, float]]:
    """Every record in a due set with its score."""
    found: Any = await redis.zrange(f"{prefix}:{{0}}:due:{topic}", 0, -1, withscores=True)
    return list(found)


async def only_record(redis: Redis, prefix: str, topic: str = "work") -> Record:
    ((member, _),) = await members(redis, prefix, topic)
    return decode_record(member)


async def test_an_echo_is_accepted_and_can_be_read_in_redis(api: Api, redis: Redis, prefix: str) -> None:
    """202 with id, time and Location; in Redis lies one readable record at its exact millisecond."""
    assert await members(redis, prefix, "echo") == []

    answer = await api.post("/echoAtTime", {"time": "2030-06-01T12:00:00.250Z", "message": "grüße\nan alle"})

    assert answer.status == 202
    told = answer.json
    assert told == {
        "id": told["id"], "status": "scheduled", "time": "2030-06-01T12:00:00.250Z", "message": "grüße\nan alle",
        "durability": "memory",
    }  # fmt: skip
    assert answer.headers["location"] == f"/messages/{told['id']}"
    ((member, score),) = await members(redis, prefix, "echo")
    assert int(score) == NOON_MS + 250
    head, _, body = member.partition(b"\n")
    assert head.decode().startswith(f"{told['id']} v2 ")
    assert body.decode() == "grüße\nan alle"
    assert (await api.get(answer.headers["location"])).json["body"] == "grüße\nan alle"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2030-06-01T12:00:00Z", NOON),
        ("2030-06-01t12:00:00z", NOON),
        ("2030-06-01T12:00:00", NOON),
        ("2030-06-01 12:00", NOON),
        ("20300601T120000Z", NOON),
        ("2030-06-01T12:00:00+00:00", NOON),
        ("2030-06-01T12:00:00-00:00", NOON),
        ("2030-06-01T14:00:00+02:00", NOON),
        ("2030-06-01T17:45:00+0545", NOON),
        ("2030-06-01T02:30:00-09:30", NOON),
        ("2030-06-02T11:59:00+23:59", NOON),
        (1_906_545_600, NOON),
        (1_906_545_600.0, NOON),
        (1_906_545_600_000, NOON),
        (1_906_545_600_000.0, NOON),
        ("2030-06-01T12:00:00.123Z", "2030-06-01T12:00:00.123Z"),
        ("2030-06-01T12:00:00,5Z", "2030-06-01T12:00:00.500Z"),
        (1_906_545_600.123, "2030-06-01T12:00:00.123Z"),
        (1_906_545_600_123, "2030-06-01T12:00:00.123Z"),
        ("2030-06-01T12:00:00.1230001Z", "2030-06-01T12:00:00.124Z"),
        ("2030-06-01T12:00:00.123000000Z", "2030-06-01T12:00:00.123Z"),
        ("2030-06-01T12:00:00.1239Z", "2030-06-01T12:00:00.124Z"),
        ("2030-06-01T11:59:59.9999999Z", NOON),
        (1_906_545_600.1231, "2030-06-01T12:00:00.124Z"),
        (1_906_545_600_123.25, "2030-06-01T12:00:00.124Z"),
    ],
)
async def test_a_time_is_taken_in_every_form_and_never_early(
    api: Api, redis: Redis, prefix: str, given: Any, expected: str
) -> None:
    """Any offset, none for UTC, epoch seconds and milliseconds; a fraction of a millisecond is rounded up, never down."""
    echo = await api.accepted("/echoAtTime", {"time": given, "message": "m"})
    message = await api.accepted("/messages", {"topic": "work", "deliver_at": given})

    assert (echo["time"], message["deliver_at"]) == (expected, expected)
    assert (await api.message(message["id"]))["deliver_at"] == expected
    ((_, score),) = await members(redis, prefix, "work")
    assert format_ms(int(score)) == expected


@pytest.mark.parametrize(
    "given",
    [0, 1, 1e11, "1970-01-01T00:00:00Z", "1969-07-20T20:17:40Z", "0001-01-01T00:00:00+00:00", "2020-01-01T00:00:00Z", None],
)
async def test_a_time_in_the_past_means_now(api: Api, given: Any) -> None:
    """The message is due when it was accepted: not before it existed, and at once."""
    before_ms = int(time.time() * 1000)
    content = {"topic": "work"} if given is None else {"topic": "work", "deliver_at": given}

    told = await api.accepted("/messages", content)

    after_ms = int(time.time() * 1000)
    assert format_ms(before_ms - 50) <= told["deliver_at"] <= format_ms(after_ms + 50)
    message = await api.message(told["id"])
    assert message["created_at"] == message["deliver_at"] == told["deliver_at"]


@pytest.mark.parametrize(
    ("delay", "expected_ms"),
    [(0, 0), (1.5, 1500), (0.0001, 1), ("250ms", 250), ("1m", 60_000), ("1d2h3m4s5ms", 93_784_005), ("0s", 0), (3600, 3_600_000)],
)
async def test_a_delay_counts_from_acceptance(api: Api, delay: Any, expected_ms: int) -> None:
    """Seconds or a duration, to the millisecond, from the time at which the message was made."""
    told = await api.accepted("/messages", {"topic": "work", "delay": delay})

    message = await api.message(told["id"])
    assert message["deliver_at"] == told["deliver_at"]
    assert parse_time_ms(message["deliver_at"]) - parse_time_ms(message["created_at"]) == expected_ms


@pytest.mark.parametrize("topic", ["echo", "work"])
async def test_a_time_up_to_the_horizon_is_accepted(api: Api, topic: str) -> None:
    """Ten years but a minute are within ``Producer.HorizonDays``."""
    due_ms = int(time.time() * 1000) + 3650 * 86_400_000 - 60_000

    assert (await api.accepted("/messages", {"topic": topic, "deliver_at": due_ms}))["deliver_at"] == format_ms(due_ms)


@pytest.mark.parametrize(
    ("written", "kind", "kept"),
    [
        (b'"plain"', "text", b"plain"),
        (b'""', "text", b""),
        (b'"line\\nline \\u00e4 \\ud83d\\ude00"', "text", "line\nline ä 😀".encode()),
        (b'{"a":  1.0, "b" : 1e300,"c":-0}', "json", b'{"a":  1.0, "b" : 1e300,"c":-0}'),
        (b"1e300", "json", b"1e300"),
        (b"12345678901234567890123456789.10", "json", b"12345678901234567890123456789.10"),
        (b'{"a":1,"a":2}', "json", b'{"a":1,"a":2}'),
        (b"[ ]", "json", b"[ ]"),
        (b"{}", "json", b"{}"),
        (b"null", "json", b"null"),
        (b"false", "json", b"false"),
        (b'[\n"\\u0041"\n]', "json", b'[\n"\\u0041"\n]'),
    ],
)
async def test_a_json_body_is_kept_byte_for_byte(
    api: Api, redis: Redis, prefix: str, written: bytes, kind: str, kept: bytes
) -> None:
    """A string is kept as text, anything else as the very JSON that was sent; GET gives it back unchanged."""
    told = await api.accepted(
        "/messages", data=b'{"topic": "work", "deliver_at": "2030-06-01T12:00:00Z", "body": ' + written + b"}"
    )

    record = await only_record(redis, prefix)
    assert (record.kind, record.body) == (kind, kept)
    ((member, _),) = await members(redis, prefix, "work")
    assert member.endswith(b"\n" + kept)
    shown = (await api.get(f"/messages/{told['id']}")).content
    if kind == "json":
        assert b'"body":' + kept + b"," in shown
    else:
        assert json.loads(shown)["body"] == kept.decode()
    content_type = {"text": "text/plain; charset=utf-8", "json": "application/json"}[kind]
    assert json.loads(shown)["content_type"] == content_type


@pytest.mark.parametrize("body", [b"", b"\x00\xff\n\r\n\x80", bytes(range(256)), b"plain"])
async def test_any_bytes_travel_as_base64(api: Api, redis: Redis, prefix: str, body: bytes) -> None:
    """``body_base64`` carries what is no text; Redis holds it as base64 with a marker, GET gives it back."""
    sent = base64.b64encode(body).decode()

    told = await api.accepted("/messages", {"topic": "work", "delay": "1h", "body_base64": sent})

    record = await only_record(redis, prefix)
    assert (record.kind, record.body) == ("base64", body)
    shown = await api.message(told["id"])
    assert shown["body_base64"] == sent
    assert shown["content_type"] == "application/octet-stream"
    assert "body" not in shown


async def test_a_message_without_a_body_is_empty_text(api: Api, redis: Redis, prefix: str) -> None:
    """No body is a body of no bytes."""
    told = await api.accepted("/messages", {"topic": "work", "delay": "1h"})

    assert (await only_record(redis, prefix)).body == b""
    assert (await api.message(told["id"]))["body"] == ""


@pytest.mark.parametrize("content_type", ["text/csv", "application/vnd.api+json", "text/plain; charset=latin-1"])
async def test_a_content_type_of_its_own_is_kept(api: Api, content_type: str) -> None:
    """The handler sees the type the caller named, in place of the default."""
    told = await api.accepted("/messages", {"topic": "work", "delay": "1h", "body": "a;b", "content_type": content_type})

    assert (await api.message(told["id"]))["content_type"] == content_type


async def test_every_option_is_kept_and_shown(api: Api, redis: Redis, prefix: str) -> None:
    """What a message asks for comes back from GET as it was sent, and lies readable in Redis."""
    options = {
        "expires_at": "2030-06-01T13:00:00.000Z",
        "retry": {"max_attempts": 7, "initial_ms": 10, "max_ms": 1000, "factor": 1.5, "jitter": 0.0},
        "deadline_ms": 1234,
        "retention_ms": 0,
        "labels": ["a", "ä"],
        "headers": {"X-Tenant": "blue", "Accept": "text/*;q=0.5\t"},
        "flow_key": "tenant:17",
        "ordered": True,
    }
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    told = await api.accepted(
        "/messages", {"topic": "work", "deliver_at": NOON, "body": "b", **options}, headers={"traceparent": trace}
    )

    shown = await api.message(told["id"])
    assert {name: shown[name] for name in options} == options
    ((member, _),) = await members(redis, prefix, "work:limited")
    header = member.split(b"\n", 1)[0].decode()
    assert '"max_attempts":7' in header
    assert '"expires_ms":1906549200000' in header
    assert trace in header


async def test_what_is_absent_costs_no_byte(api: Api, redis: Redis, prefix: str) -> None:
    """A plain message's record is its header of four words, and its body."""
    told = await api.accepted("/messages", {"topic": "work", "deliver_at": NOON, "body": "b"})

    ((member, _),) = await members(redis, prefix, "work")
    created_ms = parse_time_ms((await api.message(told["id"]))["created_at"])
    assert member.decode() == f"{told['id']} v2 {created_ms}\nb"


@pytest.mark.parametrize("form", ["array", "ndjson", "ndjson with CRLF and empty lines"])
async def test_a_batch_is_stored_whole_and_in_order(api: Api, redis: Redis, prefix: str, form: str) -> None:
    """A JSON array and NDJSON mean the same: all messages, their ids in the order of the request."""
    messages = [{"topic": ("work", "echo")[n % 2], "deliver_at": NOON_MS + n, "body": {"n": n}} for n in range(7)]
    lines = [json.dumps(one) for one in messages]
    data, media_type = {
        "array": (f"[{', '.join(lines)}]", "application/json; charset=utf-8"),
        "ndjson": ("\n".join(lines) + "\n", NDJSON),
        "ndjson with CRLF and empty lines": ("\r\n\r\n".join(lines), "application/jsonl"),
    }[form]

    told = await api.accepted("/messages/batch", data=data.encode(), headers={"Content-Type": media_type})

    assert told["count"] == len(set(told["ids"])) == 7
    shown = [await api.message(one) for one in told["ids"]]
    assert [one["body"]["n"] for one in shown] == list(range(7))
    assert [one["deliver_at"] for one in shown] == [format_ms(NOON_MS + n) for n in range(7)]
    found = await stored(redis, prefix)
    assert (found["due:work"], found["due:echo"]) == (4, 3)


async def test_a_large_batch_is_stored_in_chunks_and_lies_there_once(api: Api, redis: Redis, prefix: str) -> None:
    """More than one chunk's worth: each message once, none missing."""
    messages = [{"topic": "work", "deliver_at": NOON_MS, "body": str(n)} for n in range(1203)]

    told = await api.accepted("/messages/batch", messages)

    found = await members(redis, prefix, "work")
    assert len(found) == len(set(told["ids"])) == 1203
    assert {decode_record(member).id for member, _ in found} == set(told["ids"])
    assert {decode_record(member).body for member, _ in found} == {str(n).encode() for n in range(1203)}


async def test_equal_messages_do_not_collide(api: Api, redis: Redis, prefix: str) -> None:
    """The same body at the same time twice is two messages."""
    told = await api.accepted("/messages/batch", [{"topic": "work", "deliver_at": NOON, "body": "same"}] * 50)

    assert len(await members(redis, prefix, "work")) == len(set(told["ids"])) == 50
