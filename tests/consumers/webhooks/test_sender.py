"""sender.py, against receivers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from msgspec.structs import replace
from standardwebhooks import Webhook as StandardWebhook

from consumers.message import Message
from consumers.outcomes import Dead
from consumers.webhooks.sender import Sender, Undelivered
from shared.record import Webhook
from shared.settings import WebhooksSettings
from shared.signing import SigningKeys, secret_of
from shared.store.messages import Response
from shared.store.url_groups import Endpoint, UrlGroup

SETTINGS = WebhooksSettings(
    allowed_networks=("127.0.0.0/8",), allowed_ports=("1-65535",), connect_timeout_ms=2_000, read_timeout_ms=10_000,
    response_bytes=1000,
)  # fmt: skip
KEYS = SigningKeys("sig_" + "a" * 32, "sig_" + "b" * 32)
GROUP = UrlGroup("g", 1, 1, (Endpoint("https://one.example/", None),))
STARTED_MS = 1_790_000_000_000
Answers = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Known:
    """What a worker keeps of Redis."""

    def __init__(self) -> None:
        self.signing: SigningKeys | None = KEYS

    def group(self, name: str) -> UrlGroup | None:
        return GROUP if name == "g" else None


class Receiver:
    """Keeps what comes, and answers as it is told to."""

    def __init__(self) -> None:
        self.requests: list[tuple[web.Request, bytes]] = []
        self.answer: Answers = _ok
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self.server = TestServer(app)

    async def _take(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((request, await request.read()))
        return await self.answer(request)

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.server.port}{path}"


async def _ok(_: web.Request) -> web.StreamResponse:
    return web.Response(text="fine", headers={"X-Told": "1"})


def _answers(**how: Any) -> Answers:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(**how)

    return answer


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture
async def known() -> Known:
    return Known()


@pytest.fixture
async def sender(known: Known) -> AsyncIterator[Sender]:
    made = Sender(SETTINGS, known)
    yield made
    await made.close()


def _message(url: str, method: str = "POST", body: bytes = b"hello", **more: Any) -> Message:
    values: dict[str, Any] = {
        "id": "webhook-0-1", "topic": "webhook", "body": body, "content_type": "text/plain", "attempt": 1, "due_ms": STARTED_MS,
        "started_ms": STARTED_MS, "created_ms": STARTED_MS, "headers": {}, "labels": (), "trace": None,
        "webhook": Webhook(url, method),
    }  # fmt: skip
    return Message(**{**values, **more})


@asynccontextmanager
async def _raw(answer: bytes) -> AsyncIterator[str]:
    """The URL of a receiver that answers with these bytes, whatever they are."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_header_of_an_answer_that_is_no_text_is_kept_as_one(sender: Sender) -> None:
    """A receiver cannot have its answer fail to be stored."""
    async with _raw(b"HTTP/1.1 200 OK\r\nX-Name: caf\xe9\r\nX-Own: f\xc3\xbcge\r\nContent-Length: 0\r\n\r\n") as url:
        response = await sender.deliver(_message(url))

    assert isinstance(response, Response)
    assert msgspec.json.decode(msgspec.json.encode(response.headers)) == response.headers
    assert (response.headers["X-Name"], response.headers["X-Own"]) == ("caf\ufffd", "füge")


async def test_an_answer_that_is_no_http_is_told_without_the_url(sender: Sender) -> None:
    """URLs may be secrets, and errors are logged."""
    async with _raw(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n") as url:
        with pytest.raises(Undelivered, match=r"^no answer: .") as raised:
            await sender.deliver(_message(f"{url}/services/secret?key=abc"))

    assert "secret" not in str(raised.value)
    assert "abc" not in str(raised.value)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "GET", "DELETE", "PURGE"])
async def test_a_request_is_what_the_message_says(sender: Sender, receiver: Receiver, method: str) -> None:
    """Method, path and query as given, the body byte for byte, its type and headers; what was answered is returned."""
    body = b"\x00\xff{ }\r\n"
    message = _message(
        receiver.url("/a%2Fb/%20c?q=%7E1&r"), method, body, headers={"X-Own": "a, b"}, content_type="application/x-own",
        attempt=3, schedule="daily", trace="00-11111111111111111111111111111111-2222222222222222-01",
    )  # fmt: skip

    response = await sender.deliver(message)

    ((request, sent),) = receiver.requests
    assert (request.method, request.raw_path, sent) == (method, "/a%2Fb/%20c?q=%7E1&r", body)
    names = ("X-Own", "Content-Type", "Upstash-Message-Id", "Upstash-Retried", "Upstash-Schedule-Id", "webhook-id", "traceparent")
    assert [request.headers.get(name) for name in names] == [
        "a, b", "application/x-own", message.id, "2", "daily", message.id, message.trace,
    ]  # fmt: skip
    assert request.headers["User-Agent"].startswith("Message-Scheduling-Service/")
    assert isinstance(response, Response)
    assert (response.status, response.body, response.headers["X-Told"], response.truncated) == (200, "fine", "1", False)


async def test_a_request_without_a_body_has_no_type(sender: Sender, receiver: Receiver) -> None:
    """Nothing says that there is one."""
    await sender.deliver(_message(receiver.url(), "GET", b""))

    assert "Content-Type" not in receiver.requests[0][0].headers


async def test_nobody_takes_the_place_of_our_headers(sender: Sender, receiver: Receiver) -> None:
    """A message that brings a signature of its own is sent with ours."""
    brought = {"Webhook-Id": "x", "webhook-signature": "v1,x", "UPSTASH-RETRIED": "7"}
    await sender.deliver(_message(receiver.url(), headers=brought))

    ((request, body),) = receiver.requests
    assert request.headers.getall("webhook-id") == ["webhook-0-1"]
    assert request.headers.getall("Upstash-Retried") == ["0"]
    assert len(request.headers.getall("webhook-signature")) == 1
    with pytest.raises(Exception, match="too old"):  # it is what was signed then, with the key
        StandardWebhook(secret_of(KEYS.current)).verify(body, dict(request.headers))


async def test_a_redirect_is_not_followed(sender: Sender, receiver: Receiver) -> None:
    """It may lead where the message is not to go."""
    receiver.answer = _answers(status=302, headers={"Location": receiver.url("/other")})

    with pytest.raises(Undelivered, match="answered 302 Found") as failed:
        await sender.deliver(_message(receiver.url()))

    assert len(receiver.requests) == 1
    assert failed.value.response is not None
    assert failed.value.response.headers["Location"] == receiver.url("/other")


async def test_what_an_answer_asks_for_is_done(sender: Sender, receiver: Receiver) -> None:
    """A limit costs no attempt, a failure that says when does, 489 may be the last; each keeps what was answered."""
    receiver.answer = _answers(status=429, headers={"Retry-After": "7"})
    with pytest.raises(Undelivered) as limited:
        await sender.deliver(_message(receiver.url()))
    assert (limited.value.wanted_ms, limited.value.counts) == (7_000, False)

    receiver.answer = _answers(status=500, headers={"Retry-After": "7"}, text="why")
    with pytest.raises(Undelivered) as failed:
        await sender.deliver(_message(receiver.url()))
    assert (failed.value.wanted_ms, failed.value.counts) == (7_000, True)
    assert failed.value.response is not None
    assert (failed.value.response.status, failed.value.response.body) == (500, "why")

    receiver.answer = _answers(status=404)
    with pytest.raises(Undelivered, match="answered 404 Not Found") as missing:
        await sender.deliver(_message(receiver.url()))
    assert (missing.value.wanted_ms, missing.value.counts) == (None, True)

    receiver.answer = _answers(status=489, headers={"Upstash-NonRetryable-Error": "true"})
    with pytest.raises(Dead, match="answered 489") as last:
        await sender.deliver(_message(receiver.url()))
    assert last.value.response is not None
    assert last.value.response.status == 489


async def test_as_much_of_a_body_is_kept_as_the_settings_say(sender: Sender, receiver: Receiver) -> None:
    """A long one is cut, bytes that are no text are kept as base64, packed ones as they came."""
    receiver.answer = _answers(body=b"x" * 5_000_000)
    long = await sender.deliver(_message(receiver.url()))
    assert isinstance(long, Response)
    assert (long.body, long.truncated) == ("x" * 1000, True)

    receiver.answer = _answers(body=b"\xff\xfe", headers={"Content-Encoding": "gzip"})
    odd = await sender.deliver(_message(receiver.url()))
    assert isinstance(odd, Response)
    assert (odd.body, odd.body_base64) == ("", "//4=")


async def test_what_is_not_answered_is_tried_again_by_the_policy(known: Known, receiver: Receiver) -> None:
    """No connection, an answer that does not come in time, one that breaks off: each says so, and counts."""
    hung, sender = asyncio.Event(), Sender(replace(SETTINGS, read_timeout_ms=200), known)

    async def never(_: web.Request) -> web.StreamResponse:
        await hung.wait()
        return web.Response()

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.close()
        return response

    for answer in (never, half):
        receiver.answer = answer
        with pytest.raises(Undelivered, match="no answer") as failed:
            await sender.deliver(_message(receiver.url()))
        assert (failed.value.wanted_ms, failed.value.counts, failed.value.response) == (None, True, None)
    hung.set()
    with pytest.raises(Undelivered, match="no answer"):
        await sender.deliver(_message(f"http://127.0.0.1:{unused_port()}/"))
    await sender.close()


async def test_a_host_that_does_not_answer_is_left_alone_for_a_while(sender: Sender, receiver: Receiver) -> None:
    """Its messages wait without cost; those to others go on."""
    dead = f"http://127.0.0.1:{unused_port()}/"
    for _ in range(5):
        with pytest.raises(Undelivered, match="no answer"):
            await sender.deliver(_message(dead))

    with pytest.raises(Undelivered, match="waiting until it does") as waits:
        await sender.deliver(_message(dead))

    assert not waits.value.counts
    assert not waits.value.holds_back
    assert waits.value.wanted_ms is not None
    assert isinstance(await sender.deliver(_message(receiver.url())), Response)


async def test_an_address_that_is_not_open_is_refused_for_good(receiver: Receiver, known: Known) -> None:
    """Also where only its name was known when it was accepted; nothing is sent."""
    closed = Sender(replace(SETTINGS, allowed_networks=()), known)
    for url in (receiver.url(), f"http://localhost:{receiver.server.port}/"):
        with pytest.raises(Dead):
            await closed.deliver(_message(url))
    await closed.close()

    assert receiver.requests == []


async def test_a_group_is_returned_for_its_endpoints_to_follow(sender: Sender) -> None:
    """One that is not there may have been made a moment ago: that costs nothing for a while."""
    assert await sender.deliver(_message("", webhook=Webhook(group="g"))) == GROUP
    with pytest.raises(Undelivered, match="no URL group 'other'") as waits:
        await sender.deliver(_message("", webhook=Webhook(group="other")))
    assert (waits.value.counts, waits.value.wanted_ms, waits.value.free_ms) == (False, 1_000, 10_000)
    with pytest.raises(Dead, match="no URL"):
        await sender.deliver(_message("", webhook=None))


async def test_before_the_signing_keys_are_known_messages_wait(sender: Sender, known: Known, receiver: Receiver) -> None:
    """A worker that has just started sends nothing unsigned."""
    known.signing = None

    with pytest.raises(Undelivered) as waits:
        await sender.deliver(_message(receiver.url()))

    assert (waits.value.counts, receiver.requests) == (False, [])


async def test_what_waits_for_others_to_its_host_is_held_back_at_no_cost(known: Known, receiver: Receiver) -> None:
    """However often: it was not tried. A host that answers may have all the places."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse:
        began.set()
        await go_on.wait()
        return web.Response()

    sender, receiver.answer = Sender(replace(SETTINGS, concurrency=4, read_timeout_ms=10_000), known), slow
    first = asyncio.create_task(sender.deliver(_message(receiver.url())))
    await began.wait()

    with pytest.raises(Undelivered, match="as many requests under way as it may") as waits:
        await sender.deliver(_message(receiver.url()))
    assert (waits.value.holds_back, waits.value.counts) == (True, False)

    go_on.set()
    await first
    assert isinstance(await sender.deliver(_message(receiver.url())), Response)
    await sender.close()


async def test_a_refused_address_is_no_failure_of_its_host(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message to it is a dead letter at once: none waits for the host to answer."""
    closed = Sender(replace(SETTINGS, allowed_networks=("10.0.0.0/8",)), known)
    monkeypatch.setattr(closed._targets, "check", lambda _: None)  # as of a name
    for _ in range(8):
        with pytest.raises(Dead, match="public"):
            await closed.deliver(_message(f"http://127.0.0.1:{unused_port()}/"))
    await closed.close()
