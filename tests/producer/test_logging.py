"""What a producer writes to its log, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from redis.asyncio import Redis

from shared.logs import logger
from shared.store.address import describe_address
from tests.producer.api import PROBLEM, Api

SECRET = "hunter2-in-a-body"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Every log line at INFO and above, with its context and traceback."""
    found: list[str] = []
    sink = logger.add(lambda line: found.append(str(line)), level="INFO", format="{message} {extra}\n{exception}", diagnose=False)
    yield found
    logger.remove(sink)


@pytest.mark.leaves("due")
async def test_no_body_is_in_the_log_whether_accepted_or_refused(api: Api, lines: list[str]) -> None:
    """Bodies are the callers' business: none at INFO, also not in what is said about a refusal."""
    assert (await api.post("/messages", {"topic": "work", "body": SECRET})).status == 202
    assert (await api.post("/echoAtTime", {"time": 0, "message": SECRET})).status == 202
    assert (await api.post("/messages", {"topic": "work", "body": SECRET, "surprise": SECRET})).status == 422
    assert (await api.post("/messages", data=f'{{"body": "{SECRET}"'.encode())).status == 400

    assert SECRET not in "".join(lines)


@pytest.mark.leaves("due")
async def test_an_error_of_ours_is_a_500_that_the_log_explains(api: Api, redis: Redis, prefix: str, lines: list[str]) -> None:
    """The caller gets an id and no inner workings; the log has the traceback under that id, without the body."""
    await redis.set(f"{prefix}:{{0}}:due:work", "a stranger's key of another type")

    async with api.http.post(
        f"{api.url}/messages", json={"topic": "work", "body": SECRET}, headers={"X-Request-Id": "find-me"}
    ) as answer:
        told = await answer.json(content_type=PROBLEM)

    assert (answer.status, told["request_id"]) == (500, "find-me")
    assert "WRONGTYPE" not in told["detail"]
    (line,) = [one for one in lines if "find-me" in one]
    assert "POST /messages failed" in line
    assert "Traceback" in line
    assert "WRONGTYPE" in line
    assert SECRET not in line


async def test_a_request_that_is_cut_off_is_no_error_of_ours(api: Api, lines: list[str]) -> None:
    """A client that goes away in the middle of its request leaves no traceback in the log."""
    host, port = api.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await api.get("/health/live")).status == 200
    assert not [line for line in lines if "failed" in line]


@pytest.mark.parametrize(
    ("connection_string", "shown"),
    [
        ("redis://user:hunter2@host:1/2", "redis://host:1/2"),
        ("rediss://:hunter2@host", "rediss://host:6379"),
        ("host", "redis://host:6379/0"),
    ],
)
def test_the_address_of_redis_is_shown_without_its_password(connection_string: str, shown: str) -> None:
    """What a producer says at its start."""
    assert describe_address(connection_string) == shown
