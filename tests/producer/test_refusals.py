"""What is refused: the status that fits, the field at fault, words that help, and nothing stored."""

from __future__ import annotations

import gzip
import json
import time
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from shared.ids import make_id
from shared.settings import Settings
from tests.producer.api import JSON, NDJSON, PROBLEM, REQUEST_ID, Api, assert_problem, stored
from tests.producer.conftest import OpenApi
from tests.producer.raw import RawConnection, head

CREATING = ("/echoAtTime", "/messages", "/messages/batch")
FINE: dict[str, Any] = {
    "/echoAtTime": {"time": 0, "message": "m"},
    "/messages": {"topic": "work"},
    "/messages/batch": [{"topic": "work"}],
}
DEEP = b'{"topic": "work", "body": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


async def refused(api: Api, redis: Redis, prefix: str, path: str, status: int, field: str, says: str, **sent: Any) -> None:
    """Sends what has to be refused, and looks that nothing was stored."""
    before = await stored(redis, prefix)
    answer = await api.post(path, **sent)
    assert_problem(answer, status, field, says=says)
    assert await stored(redis, prefix) == before == {}


@pytest.mark.parametrize("path", CREATING)
@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "expected JSON; the body is empty"),
        (b"   ", "expected JSON; the body is empty"),
        (b'{"topic": ', "expected JSON: Input data was truncated"),
        (rb'{"topic": "work", "body": "\ud83d\ude00 \\ud800", "delay": ', "expected JSON: Input data was truncated"),
        (rb'{"time": 0, "message": "\ud83d\ude00 \\\ud800"}', r"\ud800 is half of a surrogate pair"),
        (rb'{"topic": "work", "body": ["\uDC00\ud800"]}', r"\uDC00 is half of a surrogate pair"),
        (b"{'topic': 'work'}", "JSON"),
        (b'{"topic": "work"} extra', "JSON"),
        (b'{"topic": "work", "deliver_at": NaN}', "JSON"),
        (b'{"topic": "work", "deliver_at": Infinity}', "JSON"),
        (b'{"topic": "work", "deliver_at": -Infinity}', "JSON"),
        (b'{"topic": "work", "body": "\xff\xfe"}', "UTF-8"),
        ('{"topic": "work"}'.encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "JSON"),
    ],
)
async def test_what_is_no_json_is_refused(api: Api, redis: Redis, prefix: str, path: str, data: bytes, says: str) -> None:
    """Bytes that are no JSON in UTF-8 are a bad request, and the answer says what is wrong with them."""
    await refused(api, redis, prefix, path, 400, "", says, data=data)


@pytest.mark.parametrize(
    ("path", "data"), [("/messages", DEEP), ("/messages/batch", b"[" + DEEP + b"]"), ("/messages/batch", b"[" * 100_000)]
)
async def test_json_of_endless_depth_is_refused(api: Api, redis: Redis, prefix: str, path: str, data: bytes) -> None:
    """A bomb of brackets is answered like any bad request; the process lives on."""
    await refused(api, redis, prefix, path, 400, "", "", data=data)

    assert (await api.get("/health/live")).status == 200


@pytest.mark.parametrize(
    ("content", "field", "says"),
    [
        ([], "", "object"),
        ("text", "", "object"),
        (None, "", "object"),
        ({}, "time", "required"),
        ({"time": 1}, "message", "required"),
        ({"message": "m"}, "time", "required"),
        ({"time": 1, "message": "m", "when": 1}, "when", "no such field"),
        ({"time": 1, "message": 7}, "message", "str"),
        ({"time": 1, "message": None}, "message", "str"),
        ({"time": True, "message": "m"}, "time", "expected an ISO 8601 date and time such as 2030-01-31T09:00:00.250+01:00"),
        ({"time": True, "message": "m"}, "time", "since 1970; got bool"),
        ({"time": None, "message": "m"}, "time", "since 1970; got null"),
        ({"time": ["2030-01-01T00:00:00Z"], "message": "m"}, "time", "since 1970; got array"),
        ({"time": "soon", "message": "m"}, "time", "'soon'"),
        ({"time": "", "message": "m"}, "time", "ISO 8601"),
        ({"time": "2030-01-31", "message": "m"}, "time", "ISO 8601"),
        ({"time": "09:00:00", "message": "m"}, "time", "ISO 8601"),
        ({"time": "2030-02-30T09:00:00Z", "message": "m"}, "time", "ISO 8601"),
        ({"time": "2030-01-31T25:00:00Z", "message": "m"}, "time", "ISO 8601"),
        ({"time": "1900000000", "message": "m"}, "time", "ISO 8601"),
        ({"time": "x" * 100_000, "message": "m"}, "time", "ISO 8601"),
        ({"time": "2030-01-31T09:00:00Z\u0000", "message": "m"}, "time", "ISO 8601"),
        ({"time": -1, "message": "m"}, "time", "-1"),
        ({"time": 1e300, "message": "m"}, "time", "1e+300"),
        ({"time": 10**18, "message": "m"}, "time", "seconds"),
        ({"time": 10**30, "message": "m"}, "time", "seconds"),
        ({"time": 10**400, "message": "m"}, "time", ""),
        ({"time": 9_999_999_999_999, "message": "m"}, "time", "Producer.HorizonDays"),
        ({"time": "9999-12-31T23:59:59.999999-23:59", "message": "m"}, "time", "Producer.HorizonDays"),
    ],
)
async def test_an_echo_of_another_shape_is_refused(
    api: Api, redis: Redis, prefix: str, content: object, field: str, says: str
) -> None:
    """Wrong types, unknown and missing fields, and times that are none are each named."""
    await refused(api, redis, prefix, "/echoAtTime", 422, field, says, data=json.dumps(content).encode())


async def test_a_header_is_named_whatever_stands_beside_it(api: Api, redis: Redis, prefix: str) -> None:
    """Also what could not be read, had anybody to."""
    data = b'{"topic": "work", "body": 1e400, "headers": {"A": "b", "B": "c\\n", "C": 1e400}}'

    await refused(api, redis, prefix, "/messages", 422, "headers.B", "control characters", data=data)


async def test_a_number_beyond_every_number_is_refused(api: Api, redis: Redis, prefix: str) -> None:
    """``1e400`` is JSON, but no time."""
    await refused(api, redis, prefix, "/echoAtTime", 422, "time", "", data=b'{"time": 1e400, "message": "m"}')


BAD_FIELDS = [
    ({}, "topic", "required"),
    ({"topic": "nobody"}, "topic", "echo, webhook, work"),
    ({"topic": "x" * 65}, "topic", "64"),
    ({"topic": 1}, "topic", "str"),
    ({"topic": "work", "Body": 1}, "Body", "no such field"),
    ({"topic": "work", "body": 1, "body_base64": "AA=="}, "body_base64", "not both"),
    ({"topic": "work", "body_base64": "A"}, "body_base64", "base64"),
    ({"topic": "work", "body_base64": "A A="}, "body_base64", "base64"),
    ({"topic": "work", "body_base64": "_-=="}, "body_base64", "base64"),
    ({"topic": "work", "body_base64": "AÄ=="}, "body_base64", "base64"),
    ({"topic": "work", "body_base64": 1}, "body_base64", "str"),
    ({"topic": "work", "content_type": "csv"}, "content_type", "media type"),
    ({"topic": "work", "content_type": "text/csv\r\nX: y"}, "content_type", "media type"),
    ({"topic": "work", "deliver_at": 1, "delay": 1}, "delay", "one of deliver_at, delay"),
    ({"topic": "work", "deliver_at": False}, "deliver_at", "since 1970; got bool"),
    ({"topic": "work", "deliver_at": None}, "deliver_at", "since 1970; got null"),
    ({"topic": "work", "delay": True}, "delay", "1d2h30m10s250ms; got bool"),
    ({"topic": "work", "delay": None}, "delay", "1d2h30m10s250ms; got null"),
    ({"topic": "work", "delay": -1}, "delay", "-1"),
    ({"topic": "work", "delay": ""}, "delay", "1d2h30m10s250ms"),
    ({"topic": "work", "delay": "10"}, "delay", "1d2h30m10s250ms"),
    ({"topic": "work", "delay": "1 hour"}, "delay", "1d2h30m10s250ms"),
    ({"topic": "work", "delay": "9" * 30 + "d"}, "delay", "Producer.HorizonDays"),
    ({"topic": "work", "delay": 1e13}, "delay", "seconds"),
    ({"topic": "work", "delay": "3651d"}, "delay", "Producer.HorizonDays"),
    ({"topic": "work", "expires_at": "never"}, "expires_at", "ISO 8601"),
    ({"topic": "work", "expires_at": True}, "expires_at", "since 1970; got bool"),
    ({"topic": "work", "expires_at": 1}, "expires_at", "expected a time after the due time"),
    ({"topic": "work", "deliver_at": 1, "expires_at": 2}, "expires_at", "expected a time after the due time"),
    ({"topic": "work", "deliver_at": 1_906_545_600, "expires_at": 1_906_545_600}, "expires_at", "after deliver_at"),
    ({"topic": "work", "delay": "2d", "expires_at": time.time() + 86_400}, "expires_at", "expected a time after the due time"),
    ({"topic": "work", "retry": 3}, "retry", "object"),
    ({"topic": "work", "retry": {"attempts": 3}}, "retry.attempts", "no such field"),
    ({"topic": "work", "retry": {"max_attempts": 0}}, "retry.max_attempts", ">= 1"),
    ({"topic": "work", "retry": {"max_attempts": 2.5}}, "retry.max_attempts", "int"),
    ({"topic": "work", "retry": {"max_ms": 10, "initial_ms": 11}}, "retry.max_ms", "at least initial_ms (11); got 10"),
    ({"topic": "work", "retry": {"jitter": 2}}, "retry.jitter", "<= 1"),
    ({"topic": "work", "deadline_ms": 0}, "deadline_ms", ">= 1"),
    ({"topic": "work", "deadline_ms": "1s"}, "deadline_ms", "int"),
    ({"topic": "work", "retention_ms": -1}, "retention_ms", ">= 0"),
    ({"topic": "work", "labels": "one"}, "labels", "array"),
    ({"topic": "work", "labels": ["a", ""]}, "labels[1]", "length"),
    ({"topic": "work", "labels": ["a"] * 21}, "labels", "20"),
    ({"topic": "work", "labels": ["a", "b\nc"]}, "labels[1]", "control characters"),
    ({"topic": "work", "labels": ["\u2028"]}, "labels[0]", "control characters"),
    ({"topic": "work", "body": json.loads("[" * 101 + "]" * 101)}, "body", "at most 100 levels"),
    ({"topic": "work", "headers": {"a b": "c"}}, "headers", "header name"),
    ({"topic": "work", "headers": {"A": "b\r\nc: d"}}, "headers.A", "control characters"),
    ({"topic": "work", "headers": {"A": "b", "B": 1, "C": 2}}, "headers.B", "str"),
    ({"topic": "work", "flow_key": ""}, "flow_key", "length"),
    ({"topic": "work", "flow_key": "a b"}, "flow_key", "visible ASCII"),
    ({"topic": "work", "ordered": True}, "ordered", "flow_key beside it"),
    ({"topic": "work", "flow_key": "a", "ordered": 1}, "ordered", "bool"),
    ({"topic": "work", "flow_key": "a\n"}, "flow_key", "visible ASCII"),
    ({"topic": "work", "labels": ["a\n"]}, "labels[0]", "control characters"),
    ({"topic": "work", "content_type": "text/csv\n"}, "content_type", "media type"),
    ({"topic": "work", "headers": {"A\n": "b"}}, "headers", "header name"),
    ({"topic": "work", "headers": {"A": "b\n"}}, "headers.A", "control characters"),
    ({"topic": "work", "delay": "\u0663s"}, "delay", "1d2h30m10s250ms"),
]


@pytest.mark.parametrize(("content", "field", "says"), BAD_FIELDS)
async def test_a_message_with_a_bad_field_is_refused(
    api: Api, redis: Redis, prefix: str, content: object, field: str, says: str
) -> None:
    """Each rule of a message names its field, alone and within a batch."""
    await refused(api, redis, prefix, "/messages", 422, field, says, data=json.dumps(content).encode())

    batch = [{"topic": "work"}, content]
    await refused(api, redis, prefix, "/messages/batch", 422, f"[1].{field}", says, data=json.dumps(batch).encode())


@pytest.mark.parametrize("content", [{"topic": "work", "x" * 50_000: 1}, {"topic": "work", "headers": {"x" * 50_000: "y"}}])
async def test_an_answer_gives_back_no_more_than_a_line_of_what_was_sent(api: Api, content: object) -> None:
    """A refusal is short, whatever it refuses."""
    answer = await api.post("/messages", content)

    assert answer.status == 422
    assert "xxx..." in answer.json["field"] or "header" in answer.json["detail"]
    assert len(answer.content) < 1000


@pytest.mark.parametrize(
    ("data", "status", "field"),
    [
        (b'{"topic": "work"}\n{"topic": "nobody"}\n', 422, "[1].topic"),
        (b'{"topic": "work"}\n\n{"topic": 1}', 422, "[1].topic"),
        (b'{"topic": "work"}\n{"topic": \n', 400, "[1]"),
        (b'[{"topic": "work"}]', 422, "[0]"),
        (b"", 422, ""),
        (b"\n \n", 422, ""),
    ],
)
async def test_a_bad_line_of_ndjson_is_named(api: Api, redis: Redis, prefix: str, data: bytes, status: int, field: str) -> None:
    """The number in the field is that of the message, from 0 (empty lines are none), and nothing is stored."""
    await refused(api, redis, prefix, "/messages/batch", status, field, "", data=data, headers={"Content-Type": NDJSON})


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"topic": "work"}', b"null"])
async def test_a_batch_is_a_list_of_at_least_one(api: Api, redis: Redis, prefix: str, data: bytes) -> None:
    """An empty batch, or something that is no list, is a mistake of the caller."""
    await refused(api, redis, prefix, "/messages/batch", 422, "", "", data=data)


@pytest.mark.parametrize(
    "more",
    [
        {"deliver_at": "2030-06-01T12:00:00Z", "expires_at": "2030-06-01T12:00:00.001Z"},
        {"deliver_at": 1, "expires_at": "2030-06-01T12:00:00Z"},
        {"body": json.loads("[" * 100 + "]" * 100)},
        {"retry": {"initial_ms": 10, "max_ms": 10}},
        {"retry": {"max_ms": 10}},
    ],
)
@pytest.mark.leaves("due")
async def test_what_is_just_not_contradictory_is_accepted(api: Api, more: dict[str, Any]) -> None:
    """An expiry a millisecond after the due time, a longest wait equal to the first, or one of the two alone."""
    await api.accepted("/messages", {"topic": "work", **more})


@pytest.mark.parametrize("path", CREATING)
@pytest.mark.parametrize("media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "json"])
async def test_another_media_type_is_refused(api: Api, redis: Redis, prefix: str, path: str, media_type: str | None) -> None:
    """415 names the header, what came and what is expected: curl's default is a common mistake."""
    before = await stored(redis, prefix)
    data = json.dumps(FINE[path]).encode()

    headers = {"X-Request-Id": "r", **({"Content-Type": media_type} if media_type else {})}
    async with api.http.post(f"{api.url}{path}", data=data, headers=headers, skip_auto_headers=["Content-Type"]) as answer:
        told = await answer.json(content_type=PROBLEM)

    assert (answer.status, told["field"]) == (415, "Content-Type")
    assert "application/json" in told["detail"]
    assert (media_type or "none") in told["detail"]
    assert await stored(redis, prefix) == before == {}


@pytest.fixture
async def small(open_api: OpenApi, settings: Settings) -> Api:
    """A producer with small limits."""
    limits = msgspec.structs.replace(settings.producer, max_body_bytes=1000, max_request_bytes=5000, max_batch=3)
    return await open_api(msgspec.structs.replace(settings, producer=limits))


@pytest.mark.parametrize(
    ("path", "content", "field"),
    [
        ("/echoAtTime", {"time": 0, "message": "m" * 1001}, "message"),
        ("/echoAtTime", {"time": 0, "message": "ä" * 501}, "message"),
        ("/messages", {"topic": "work", "body": "m" * 1001}, "body"),
        ("/messages", {"topic": "work", "body": ["m" * 1000]}, "body"),
        ("/messages", {"topic": "work", "body_base64": "AAAA" * 334}, "body_base64"),
        ("/messages/batch", [{"topic": "work"}, {"topic": "work", "body": "m" * 1001}], "[1].body"),
    ],
)
async def test_a_body_over_its_limit_is_refused(
    small: Api, redis: Redis, prefix: str, path: str, content: object, field: str
) -> None:
    """413 says which limit of the settings it was."""
    await refused(small, redis, prefix, path, 413, field, "Producer.MaxBodyBytes", content=content)


@pytest.mark.leaves("due")
async def test_limits_are_inclusive(small: Api) -> None:
    """Exactly as much as the settings say is accepted: a body, a batch, a request."""
    await small.accepted("/messages", {"topic": "work", "body": "m" * 1000})
    await small.accepted("/messages/batch", [{"topic": "work"}] * 3)
    await small.accepted("/messages", data=json.dumps({"topic": "work"}).encode().ljust(5000))


@pytest.mark.parametrize("path", CREATING)
async def test_a_request_over_its_limit_is_refused(small: Api, redis: Redis, prefix: str, path: str) -> None:
    """413 also for what is larger as a whole, sent in one piece or streamed."""
    data = json.dumps(FINE[path]).encode().ljust(5001)

    async def streamed() -> Any:
        for start in range(0, len(data), 500):
            yield data[start : start + 500]

    await refused(small, redis, prefix, path, 413, "", "Producer.MaxRequestBytes", data=data)
    await refused(small, redis, prefix, path, 413, "", "Producer.MaxRequestBytes", data=streamed())


@pytest.mark.parametrize("path", CREATING)
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "x-gzip", "gzip, gzip", "GZIP"])
async def test_a_packed_request_is_refused(api: Api, redis: Redis, prefix: str, path: str, encoding: str) -> None:
    """A few packed bytes can stand for any number of them: 415, and the answer says what is accepted instead."""
    before = await stored(redis, prefix)
    headers = {"Content-Type": JSON, "Content-Encoding": encoding}
    answer = await api.post(path, data=gzip.compress(json.dumps(FINE[path]).encode()), headers=headers)

    assert_problem(answer, 415, "Content-Encoding", says=repr(encoding))
    assert answer.headers["accept-encoding"] == "identity"
    assert await stored(redis, prefix) == before == {}


@pytest.mark.leaves("due")
async def test_a_request_that_says_that_it_is_not_packed_is_accepted(api: Api) -> None:
    """``identity`` is what is expected."""
    await api.accepted("/messages", {"topic": "work"}, headers={"Content-Encoding": "identity"})


@pytest.mark.parametrize("media_type", [JSON, NDJSON])
async def test_a_batch_over_its_limit_is_refused(small: Api, redis: Redis, prefix: str, media_type: str) -> None:
    """The answer tells the limit and how many came."""
    lines = [json.dumps({"topic": "work"})] * 4
    data = "\n".join(lines) if media_type == NDJSON else f"[{','.join(lines)}]"

    headers = {"Content-Type": media_type}
    await refused(
        small,
        redis,
        prefix,
        "/messages/batch",
        413,
        "",
        "3 messages (Producer.MaxBatch); got 4",
        data=data.encode(),
        headers=headers,
    )


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/echoAtTime", {"POST"}),
        ("PUT", "/messages", {"GET", "HEAD", "POST"}),
        ("GET", "/messages/cancel", {"POST"}),
        ("DELETE", "/dead-letters/replay", {"POST"}),
        ("GET", "/schedules/preview", {"POST"}),
        ("POST", "/schedules/x", {"GET", "HEAD", "PUT", "PATCH", "DELETE"}),
        ("DELETE", "/messages/batch", {"POST"}),
        ("POST", "/messages/x", {"GET", "HEAD", "PATCH", "DELETE"}),
        ("GET", "/messages/x/deliver", {"POST"}),
        ("POST", "/dead-letters", {"GET", "HEAD"}),
        ("DELETE", "/dead-letters/x/replay", {"POST"}),
        ("POST", "/events", {"GET", "HEAD"}),
        ("DELETE", "/log", {"GET", "HEAD"}),
        ("POST", "/health", {"GET", "HEAD"}),
        ("PUT", "/health/ready", {"GET", "HEAD"}),
        ("POST", "/docs", {"GET"}),
        ("DELETE", "/openapi.json", {"GET"}),
    ],
)
async def test_another_method_is_refused(api: Api, method: str, path: str, allowed: set[str]) -> None:
    """405 names in ``Allow`` and in words what is possible instead."""
    answer = await api.call(method, path)

    assert_problem(answer, 405, says=method)
    assert set(answer.headers["allow"].split(",")) == allowed
    assert all(one in answer.json["detail"] for one in allowed)


@pytest.mark.parametrize("path", ["/", "/message", "/echoattime", "/messages/", "/messages/a/b/c", "/docs/static/../../app.py"])
async def test_a_path_that_is_not_there_is_refused(api: Api, path: str) -> None:
    """404 names the path and where the API is described."""
    assert_problem(await api.get(path), 404, says="/docs")


@pytest.mark.parametrize(
    "message_id",
    [
        "x",
        "echo",
        "echo-0-",
        "echo-0-xyz",
        "echo-0-00000000000000000000W",
        "work-9-" + "0" * 21,
        "nobody-0-" + "0" * 21,
        "work-0-" + "v" * 21,
        "work-00-" + "0" * 21,
        "work-99999-" + "0" * 21,
        "work-0-" + "0" * 21 + "%0A",
        "%00",
        "%FF%FE",
        "../../etc/passwd".replace("/", "%2F"),
        "a" * 5000,
        make_id("work", 0, 1_900_000_000_000, 12345),
    ],
)
async def test_an_id_of_no_message_is_not_found(api: Api, redis: Redis, prefix: str, message_id: str) -> None:
    """Unknown and malformed ids are answered alike on every resource that takes one."""
    path = f"/messages/{message_id}"
    calls = (
        ("GET", path, None),
        ("DELETE", path, None),
        ("PATCH", path, {"delay": 1}),
        ("POST", f"{path}/deliver", None),
        ("POST", f"/dead-letters/{message_id}/replay", None),
    )
    for method, url, content in calls:
        answer = await api.call(method, url, content)
        assert_problem(answer, 404, says="no message")
    assert await stored(redis, prefix) == {}


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256])
@pytest.mark.parametrize("path", CREATING)
async def test_a_bad_idempotency_key_is_refused(api: Api, redis: Redis, prefix: str, path: str, key: str) -> None:
    """A key that could not be kept as it is is not taken for another."""
    await refused(
        api, redis, prefix, path, 422, "Idempotency-Key", "visible ASCII", content=FINE[path], headers={"Idempotency-Key": key}
    )


async def test_a_request_id_is_made_where_none_or_a_bad_one_came(api: Api) -> None:
    """Every answer has an id that finds its log lines, also when the caller gave none that can be used."""
    given = [(await api.get("/health/live", headers={"X-Request-Id": text})).headers["x-request-id"] for text in ("", "a b", "é")]
    own = (await api.get("/health/live", headers={"X-Request-Id": "order/17:a=b"})).headers["x-request-id"]

    assert own == "order/17:a=b"
    assert len(set(given)) == 3
    assert all(len(one) == 16 for one in given)


@pytest.mark.parametrize("asked", ["", "disk", "FSYNC", "fsync, replica", "x" * 4000, "\udcff"])
async def test_a_bad_durability_is_refused(api: Api, redis: Redis, prefix: str, asked: str) -> None:
    """What nobody can promise is not taken for something else; bytes that are no text are no error of ours."""
    async with RawConnection(api.url) as connection:
        sent = head(durability="@", content_length=17, x_request_id=REQUEST_ID)
        await connection.send(sent.replace(b"@", asked.encode("utf-8", "surrogateescape")) + b'{"topic": "work"}')
        answer = await connection.answer()

    assert (answer.status, answer.json["field"]) == (422, "Durability")
    assert "expected memory, fsync or replica" in answer.json["detail"]
    assert len(answer.body) < 500
    assert await stored(redis, prefix) == {}
