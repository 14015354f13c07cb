"""The handler of topic ``webhook``: one HTTP request for each delivery, many under way at once, in the loop of its own pool.

What was answered decides what becomes of the message (``consumers.webhooks.answers``); where nothing was, its policy does.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

import aiohttp
import msgspec
from multidict import CIMultiDict
from yarl import URL

from consumers.delivery import Delivery
from consumers.message import Message
from consumers.outcomes import Dead, Retry
from consumers.registry import Handler
from consumers.webhooks.answers import Answer, Judgement, judge
from consumers.webhooks.breaker import Breakers
from consumers.webhooks.callbacks import callbacks
from consumers.webhooks.connector import guarded_connector, refusal_in
from consumers.webhooks.groups import spread
from consumers.webhooks.responses import kept, read
from consumers.webhooks.signing import signature_headers
from shared.settings import WebhooksSettings
from shared.signing import SigningKeys
from shared.store.entries import Follow, Settlement
from shared.store.following import follow
from shared.store.messages import Attempt, Response
from shared.store.url_groups import UrlGroup
from shared.targets import Targets
from shared.version import VERSION

_attempt = msgspec.json.Decoder(Attempt)
ERROR_BYTES = 1024
FREE_MS = 600_000
"""How long a message waits for a host that is down before that costs attempts."""
NOT_READY_MS = 250
NO_GROUP_MS, NO_GROUP_FREE_MS = 1_000, 10_000
USER_AGENT = f"Message-Scheduling-Service/{VERSION}"
_OWN_HEADERS = ("Accept-Encoding", "User-Agent", "Content-Type")


class Knowledge(Protocol):
    """What is kept in Redis and needed here: read from the pool's own thread."""

    @property
    def signing(self) -> SigningKeys | None:
        """``None`` where they were not read yet."""

    def group(self, name: str) -> UrlGroup | None:
        """``None`` where there is none of that name."""


class Undelivered(Retry):
    """The request failed. With no ``after_ms`` the message's policy says when it is tried again."""

    def __init__(
        self,
        reason: str,
        response: Response | None = None,
        after_ms: int | None = None,
        *,
        counts: bool = True,
        free_ms: int = Retry.free_ms,
    ) -> None:
        Exception.__init__(self, reason)
        self.response, self.after_ms, self.counts, self.free_ms = response, after_ms, counts, free_ms


class Sender:
    """All webhooks of a process."""

    def __init__(self, settings: WebhooksSettings, knowledge: Knowledge) -> None:
        self._settings, self._knowledge = settings, knowledge
        self._targets = Targets(settings)
        self._breakers = Breakers(settings.concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def handler(self) -> Handler:
        return Handler(
            self.deliver,
            asynchronous=True,
            error_bytes=ERROR_BYTES,
            slots=self._settings.concurrency,
            follows=self.follows,
            close=self.close,
        )

    async def deliver(self, message: Message) -> Response | UrlGroup:
        """What was answered; or the group in whose place its endpoints come. Raises ``Undelivered``, ``Dead``."""
        webhook = message.webhook
        keys = self._knowledge.signing
        if webhook is None:
            raise Dead("it names no URL")
        if keys is None:
            raise Undelivered("the signing keys were not read yet", after_ms=NOT_READY_MS, counts=False)
        if not webhook.url:
            return self._group(webhook.group or "")
        try:
            self._targets.check(webhook.url)  # the settings may be others than when it was accepted
        except ValueError as error:
            raise Dead(f"url: {error}") from None
        url = _url_of(webhook.url)
        with self._breakers.place(f"{url.scheme}://{url.host}:{url.port}") as place:
            if place.wait_s is not None:
                raise _waits(url.host or "", max(1, round(place.wait_s * 1000)), is_full=place.is_full)
            try:
                answer = await self._request(webhook.method, url, message.body, _headers(message, str(url), keys))
            except Dead:  # nothing was sent, which says nothing of the host
                place.answered()
                raise
            place.answered()
        return _outcome(answer, message.started_ms)

    def _group(self, name: str) -> UrlGroup:
        """One that was made a moment ago is not known here yet, so its absence is no failure at once."""
        group = self._knowledge.group(name)
        if group is None:
            words = f"there is no URL group {name!r}"
            raise Undelivered(words, after_ms=NO_GROUP_MS, counts=False, free_ms=NO_GROUP_FREE_MS)
        return group

    async def _request(self, method: str, url: URL, body: bytes, headers: CIMultiDict[str]) -> Answer:
        """Raises ``Undelivered`` where nothing is answered, ``Dead`` where the address may not be reached."""
        try:
            async with self._open().request(
                method, url, data=body or None, headers=headers, allow_redirects=False, skip_auto_headers=_OWN_HEADERS
            ) as response:
                return await read(response, self._settings.response_bytes)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            refused = refusal_in(error)
            if refused is not None:
                raise Dead(refused) from error
            raise Undelivered(_words(error)) from error

    def _open(self) -> aiohttp.ClientSession:
        """Of the loop that runs now: a pool whose loop is blocked starts another one."""
        loop = asyncio.get_running_loop()
        if self._session is None or loop is not self._loop:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=guarded_connector(self._targets, self._settings),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=None,
                    sock_connect=self._settings.connect_timeout_ms / 1000,
                    sock_read=self._settings.read_timeout_ms / 1000,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def follows(self, delivery: Delivery, settlement: Settlement, ended_ms: int) -> tuple[Follow, ...]:
        """Callbacks, or the messages to the endpoints of a group."""
        if isinstance(delivery.result, UrlGroup):
            drafts = spread(delivery.record, delivery.result) if settlement.outcome == "finished" else []
        else:
            response, error = _told(settlement)
            if isinstance(delivery.result, Response):
                response = delivery.result
            drafts = callbacks(delivery, settlement, response, error)
        return tuple(follow(draft, delivery.partition, ended_ms) for draft in drafts)


def _headers(message: Message, url: str, keys: SigningKeys) -> CIMultiDict[str]:
    """Ours come last: no message has another signature or id than its own, however it writes their names."""
    headers = CIMultiDict({"User-Agent": USER_AGENT, "Accept-Encoding": "identity"})
    headers.update(message.headers)
    if message.body:
        headers["Content-Type"] = message.content_type
    if message.schedule:
        headers["Upstash-Schedule-Id"] = message.schedule
    if message.trace:
        headers["traceparent"] = message.trace
    headers["Upstash-Message-Id"] = message.id
    headers["Upstash-Retried"] = str(message.attempt - 1)
    headers.update(signature_headers(keys, message.id, url, message.body, message.started_ms))
    return headers


def _told(settlement: Settlement) -> tuple[Response | None, str]:
    """The response and the error of a failed attempt."""
    if settlement.outcome == "finished" or not settlement.text:
        return None, ""
    attempt = _attempt.decode(settlement.text)
    return attempt.response, attempt.error


def _waits(host: str, after_ms: int, *, is_full: bool) -> Undelivered:
    """For others to the host, at no cost, however long; or until the host answers, for a while at no cost."""
    if is_full:
        waits = Undelivered(f"{host} has as many requests under way as it may", after_ms=after_ms, counts=False)
        waits.holds_back = True
        return waits
    return Undelivered(f"{host} does not answer: waiting until it does", after_ms=after_ms, counts=False, free_ms=FREE_MS)


def _outcome(answer: Answer, now_ms: int) -> Response:
    """Raises ``Undelivered`` and ``Dead``."""
    response = kept(answer)
    meaning: Judgement = judge(answer, now_ms)
    words = f"answered {answer.status} {_phrase(answer.status)}".rstrip()
    if meaning.kind == "delivered":
        return response
    if meaning.kind == "dead":
        dead = Dead(f"{words}, and that no other attempt is wanted")
        dead.response = response
        raise dead
    raise Undelivered(words, response, meaning.after_ms, counts=meaning.kind != "wait")


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def _words(error: Exception) -> str:
    """``no answer: Cannot connect to host ...``; a time-out often has no words of its own."""
    if isinstance(error, aiohttp.ClientResponseError):  # its own words name the whole URL
        return f"no answer: {error.message}"
    return f"no answer: {error}" if str(error) else f"no answer: {type(error).__name__}"


def _url_of(text: str) -> URL:
    """As it was given, where it is a URL on the wire already."""
    return URL(text, encoded=text.isascii())
