"""Errors under ``/v2``: in QStash's form, whoever refuses; and no bytes that make one of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from qstash import QStash
from qstash.errors import RateLimitExceededError

from producer.app import make_app
from shared.errors import SettingsError
from shared.settings import ProducerSettings, Settings, WebhooksSettings
from tests.producer.api import Answer, Api
from tests.producer.conftest import OpenApi
from tests.producer.cutting import CuttingProxy
from tests.producer.keys import Keyring
from tests.producer.raw import RawConnection

URL = "https://example.com/hook"
PUBLISH = f"/v2/publish/{URL}"
pytestmark = pytest.mark.leaves("due:webhook", "index", "labels", "flow:webhook:limits", "rate:")


def told(answer: Answer, status: int) -> str:
    """The text; there is nothing else."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/json")
    assert answer.headers["x-request-id"]
    assert list(answer.json) == ["error"]
    return str(answer.json["error"])


async def test_whatever_is_refused_has_one_form(open_api: OpenApi, settings: Settings) -> None:
    """Also what is refused before any of its calls is reached; the rest of the service keeps its own."""
    api = await open_api(msgspec.structs.replace(settings, producer=ProducerSettings(port=0, max_body_bytes=10, max_batch=2)))

    assert "nothing at /v2/nothing" in told(await api.get("/v2/nothing"), 404)
    assert "allowed: " in told(await api.call("PUT", "/v2/batch"), 405)
    assert "Producer.MaxBodyBytes" in told(await api.post(PUBLISH, data=b"x" * 11), 413)
    assert "Producer.MaxBatch" in told(await api.post("/v2/batch", [{"destination": URL}] * 3), 413)
    assert "expected application/json" in told(await api.post("/v2/batch", data=b"[]", headers={"Content-Type": "a/b"}), 415)
    assert "packed" in told(await api.post(PUBLISH, data=b"x", headers={"Content-Encoding": "gzip"}), 415)
    assert "expected JSON" in told(await api.post("/v2/batch", data=b"["), 400)
    assert "[0].headers" in told(await api.post("/v2/batch", [{"destination": URL, "headers": {"A": 1}}]), 400)
    assert "[0].destination" in told(await api.post("/v2/batch", [{}]), 400)
    assert "at least one" in told(await api.post("/v2/batch", []), 400)
    assert "expected memory" in told(await api.post(PUBLISH, headers={"Durability": "much"}), 400)
    assert (await api.get("/nothing")).headers["content-type"] == "application/problem+json"
    assert (await api.get("/messages?topic=webhook")).json == {"items": []}


async def test_a_stranger_is_told_how_a_key_is_sent(open_api: OpenApi, settings: Settings) -> None:
    """401, and 403 without the scope. Without keys any will do, on this machine."""
    ring = Keyring()
    ring.make("reader", "read")
    ring.make("writer", "schedule")
    api, local = await open_api(ring.asked_for(settings)), await open_api(settings)

    assert "Bearer" in told(await api.post(PUBLISH), 401)
    assert "Bearer" in told(await api.get("/v2/nothing"), 401)
    assert "scope schedule" in told(await api.post(PUBLISH, headers=ring.header("reader")), 403)
    assert "scope admin" in told(await api.call("DELETE", "/v2/messages", headers=ring.header("writer")), 403)
    assert (await api.post(PUBLISH, headers=ring.header("writer"))).status == 201
    assert (await local.post(PUBLISH, headers={"Authorization": "Bearer whatever"})).status == 201


async def test_a_limit_is_told_in_the_headers_that_clients_read(open_api: OpenApi, settings: Settings) -> None:
    """How many at once, that none is left, and when there are more."""
    ring = Keyring()
    key = ring.make("slow", "admin", rate_per_s=0.01, burst=2)
    api = await open_api(ring.asked_for(settings))
    for _ in range(2):
        await api.get("/v2/schedules", headers=ring.header("slow"))

    answer = await api.get("/v2/schedules", headers=ring.header("slow"))

    assert "slow may ask for" in told(answer, 429)
    reset_s = int(answer.headers["burst-ratelimit-reset"])
    assert 0 < reset_s - time.time() <= int(answer.headers["retry-after"]) + 2
    client = QStash(key, base_url=api.url, retry=False)
    with client.http._client, pytest.raises(RateLimitExceededError) as raised:
        await _in_thread(client)
    assert (raised.value.limit, raised.value.remaining) == ("2", "0")
    assert "burst-ratelimit-limit" not in (await api.get("/topics", headers=ring.header("slow"))).headers


async def _in_thread(client: QStash) -> None:
    await asyncio.to_thread(client.schedule.list)


@pytest.fixture
async def proxy(server_url: str) -> AsyncIterator[CuttingProxy]:
    async with CuttingProxy(server_url) as running:
        yield running


async def test_what_may_have_been_stored_is_named(open_api: OpenApi, settings: Settings, proxy: CuttingProxy) -> None:
    """With what makes a repeat safe, in QStash's words."""
    at_proxy = msgspec.structs.replace(settings.redis, connection_string=proxy.url)
    api = await open_api(msgspec.structs.replace(settings, redis=at_proxy))
    await api.post(PUBLISH)  # the script is loaded, the connection open

    proxy.cut_at_chunk(1, after_it_was_done=True)
    said = told(await api.post(PUBLISH, headers={"Upstash-Delay": "1h"}), 503)

    assert "not confirmed" in said
    message_id = said.partition("may exist: ")[2].partition(";")[0]
    assert (await api.get(f"/v2/messages/{message_id}")).status == 200
    assert said.endswith("with an Upstash-Deduplication-Id a repeat is safe")


@pytest.mark.parametrize(
    "header",
    [
        b"Upstash-Forward-X", b"Upstash-Label", b"Upstash-Deduplication-Id", b"Upstash-Callback", b"Upstash-Method",
        b"Upstash-Callback-Forward-X", b"Upstash-Redact-Fields", b"Upstash-Flow-Control-Key", b"Upstash-Queue-Name",
        b"Upstash-Retry-Delay", b"Content-Type", b"Upstash-Delay", b"Upstash-Schedule-Id", b"Upstash-Cron",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [b"/v2/publish/https://example.com/a", b"/v2/schedules/https://example.com/a"])
async def test_bytes_that_are_no_text_make_no_error_of_ours(api: Api, path: bytes, header: bytes) -> None:
    """They are taken, or refused."""
    async with RawConnection(api.url) as connection:
        lines = [
            b"POST " + path + b" HTTP/1.1",
            b"Host: localhost",
            b"Content-Length: 1",
            b"Upstash-Callback: https://example.com",
        ]
        await connection.send(b"\r\n".join([*lines, header + b": a\xff\xfe\x80", b"", b"x"]))
        answer = await connection.answer()

    assert answer.status in {201, 400}, answer.body


@pytest.mark.parametrize(
    "path",
    [
        "/v2/publish/https%3A%2F%2Fexample.com%2F%FF", "/v2/publish/https://example.com/%FF?x=%FF", "/v2/publish/%FF",
        "/v2/publish/https://%FF/", "/v2/publish/https://example.com/%00", "/v2/publish/https%3A%2F%2Fexample.com%2F%00",
        "/v2/publish/https://[::1", "/v2/publish/https://example.com:x/", "/v2/publish/https://", "/v2/publish/https:",
        "/v2/publish/https://example.com/?upstash-label=%FF", "/v2/publish/https://example.com/?upstash-forward-x=%00",
        "/v2/enqueue/%FF/https://example.com/", "/v2/enqueue/%6Dail/https://example.com/", "/v2/messages/%FF",
        "/v2/schedules/%FF",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_paths_that_are_no_text_make_no_error_of_ours(api: Api, method: str, path: str) -> None:
    """They are taken, or refused."""
    async with RawConnection(api.url) as connection:
        await connection.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
        answer = await connection.answer()

    assert answer.status in {201, 400, 404, 405}, answer.body


def test_settings_that_are_wrong_are_found_at_the_start(settings: Settings) -> None:
    """Not with the first message."""
    wrong = msgspec.structs.replace(settings, webhooks=WebhooksSettings(allowed_networks=("10.0.0.0/33",)))

    with pytest.raises(SettingsError, match=r"Webhooks\.AllowedNetworks"):
        make_app(wrong)
