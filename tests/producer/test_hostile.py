"""Bodies that are deep, huge, packed, or no text: refused with the reason, nothing stored, and the process stays as it was."""

from __future__ import annotations

import asyncio
import io
import re
import sys
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.settings import Settings
from tests.producer.api import JSON, Api, assert_problem, stored
from tests.producer.raw import RawConnection, head
from tests.system.service import Service

MIB = 2**20
IN_FLIGHT_BYTES = 16 * MIB
LEVELS = 100_000
DEEP = b"[" * LEVELS + b"]" * LEVELS
DEEP_OBJECTS = b'{"a":' * LEVELS + b"1" + b"}" * LEVELS
_message_id = "work-0-" + "0" * 21
TAKING_A_BODY = (
    ("POST", "/echoAtTime"),
    ("POST", "/messages"),
    ("POST", "/messages/batch"),
    ("PATCH", f"/messages/{_message_id}"),
    ("POST", f"/dead-letters/{_message_id}/replay"),
)


@pytest.mark.parametrize(("method", "path"), TAKING_A_BODY)
@pytest.mark.parametrize("data", [DEEP, DEEP_OBJECTS, b'{"delay": ' + DEEP + b"}", b"[" * MIB, b'{"a":' * LEVELS])
async def test_depth_breaks_nothing(api: Api, redis: Redis, prefix: str, method: str, path: str, data: bytes) -> None:
    """A hundred thousand levels, closed or not, wherever JSON is taken."""
    answer = await api.call(method, path, data=data)

    assert_problem(answer, 400, says="nested less deeply" if answer.json["detail"].count("nested") else "expected JSON")
    assert await stored(redis, prefix) == {}


@pytest.mark.parametrize(
    "number", ["1e999", "-1e999", "[1, 1E+400]", '{"a": 1e999}', "9" * 5000, "-" + "9" * 5000, "9" * 400 + ".5"]
)
async def test_a_number_beyond_every_number_is_no_body(api: Api, redis: Redis, prefix: str, number: str) -> None:
    """No handler could read it with ``message.json()``, and hardly a caller of GET."""
    for path, data in (
        ("/messages", f'{{"topic": "work", "body": {number}}}'),
        ("/messages/batch", f'[{{"topic": "work"}}, {{"topic": "work", "body": {number}}}]'),
    ):
        answer = await api.post(path, data=data.encode())
        assert_problem(answer, 422, "body" if path == "/messages" else "[1].body", says="out of range")
    assert await stored(redis, prefix) == {}


@pytest.mark.leaves("due")
@pytest.mark.parametrize("number", ["9" * 300, "1e-999", "0." + "1" * 5000, "1e308", "18446744073709551616", '"1e999"'])
async def test_a_number_that_can_be_read_is_kept_as_it_was_sent(api: Api, number: str) -> None:
    """To the last digit: nobody's numbers are rounded on the way."""
    told = await api.accepted("/messages", data=f'{{"topic": "work", "delay": "1h", "body": [{number}]}}'.encode())

    answer = await api.get(f"/messages/{told['id']}")

    assert f'"body":[{number}]' in answer.content.decode()


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 5000, "NaN", "Infinity", "0x10", "1_000", "01"])
@pytest.mark.parametrize("field", ["deliver_at", "delay", "deadline_ms", "retention_ms"])
async def test_a_number_beyond_every_number_is_no_field(api: Api, redis: Redis, prefix: str, field: str, number: str) -> None:
    """Refused as no JSON or as out of range, never taken for another."""
    answer = await api.post("/messages", data=f'{{"topic": "work", "{field}": {number}}}'.encode())

    assert_problem(answer, answer.status, field if answer.status == 422 else "")
    assert answer.status in {400, 422}
    assert await stored(redis, prefix) == {}


@pytest.mark.leaves("due")
async def test_of_equal_keys_the_last_counts_and_the_answer_tells(api: Api) -> None:
    """JSON leaves it open; here it is always the last, for every field, and a body's own are left as they are."""
    data = b'{"topic": "echo", "delay": 1, "topic": "work", "delay": "1h", "body": {"a": 1, "a": 2}}'

    told = await api.accepted("/messages", data=data)

    assert told["topic"] == "work"
    answer = await api.get(f"/messages/{told['id']}")
    assert b'"body":{"a": 1, "a": 2}' in answer.content


@pytest.mark.leaves("due")
async def test_zero_bytes_and_everything_unicode_has_come_back_as_they_were(api: Api) -> None:
    """Escaped or not, in text, in JSON and in labels' neighbours: what can be accepted is kept."""
    text = "\0\x1b[31m\r\n\u2028\ufeff\ufffe😀\U0010ffff"

    for body in (text, {text: [text]}):
        told = await api.accepted("/messages", {"topic": "work", "delay": "1h", "body": body})
        assert (await api.message(told["id"]))["body"] == body


async def chunked(data: bytes, times: int) -> AsyncIterator[bytes]:
    for _ in range(times):
        yield data


class Peak:
    """A producer in a process of its own, and the most memory it has had."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.url = service.producer_url
        self._pid = service.processes[0].pid

    def most_bytes(self) -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self._pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024


@pytest.fixture
async def peak(settings: Settings, redis: Redis, prefix: str, tmp_path: Path) -> AsyncIterator[Peak]:
    limits = {"Producer__MaxRequestBytes": 4 * MIB, "Producer__MaxInFlightBytes": IN_FLIGHT_BYTES}
    service = Service(settings.redis.connection_string, prefix, tmp_path, **limits)
    await service.start(dispatchers=0, consumers=0)
    yield Peak(service)
    await service.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="the most memory a process has had is read from /proc")
async def test_no_body_makes_the_process_grow(peak: Peak, redis: Redis, prefix: str) -> None:
    """Bombs, endless chunks, depth, floods of unread answers: memory stays within the settings' limits, others are served."""
    before = peak.most_bytes()
    http = peak.service.http
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(MIB)) for _ in range(256)) + packer.flush()
    statuses: list[int] = []

    async def send(data: Any, **headers: str) -> None:
        try:
            body = io.BytesIO(data) if isinstance(data, bytes) else data  # aiohttp warns of large bytes
            async with http.post(f"{peak.url}/messages", data=body, headers={"Content-Type": JSON, **headers}) as answer:
                statuses.append(answer.status)
        except OSError:  # it was closed while the rest was still being sent
            statuses.append(413)

    async def flood() -> None:
        async with RawConnection(peak.url) as connection:
            await asyncio.wait([asyncio.create_task(connection.send(head("GET", "/openapi.json") * 20_000))], timeout=3)

    async def served() -> None:
        for _ in range(20):
            async with http.get(f"{peak.url}/messages/{_message_id}") as answer:
                assert answer.status == 404

    await asyncio.gather(
        *(send(bomb, **{"Content-Encoding": coding}) for coding in ("gzip", "deflate", "br", "zstd") for _ in range(10)),
        *(send(chunked(b"[" * 65_536, 1_000)) for _ in range(20)),
        *(send(bytes(3 * MIB)) for _ in range(20)),
        *(send(b'{"topic": "work", "body": ' + b"[" * MIB) for _ in range(10)),
        flood(),
        served(),
    )

    assert set(statuses) <= {400, 413, 415, 503}
    assert len(statuses) == 90
    assert statuses.count(415) == 40
    assert peak.most_bytes() - before < 6 * IN_FLIGHT_BYTES
    assert await stored(redis, prefix) == {}
    async with http.get(f"{peak.url}/health/live") as answer:
        assert answer.status == 200
