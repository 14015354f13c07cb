"""A call's way from its first try to its answer or its error. Knows no socket and never waits: the two clients do that."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Generic

import httpx2
import msgspec

from client.call import Answered, Call
from client.errors import Changed, Error, NotFound, Told, TooMany, Unavailable, Unreachable, kind_of
from client.retry import Retry

FAILURES = (httpx2.TimeoutException, httpx2.NetworkError, httpx2.RemoteProtocolError, httpx2.ProxyError)
"""What a network does. Other errors of the library are a caller's mistakes, and go up as they are."""
_UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
"""Those with which no request left this machine."""
_PASSING = (TooMany, Unavailable, Unreachable)
Outcome = httpx2.Response | httpx2.TransportError


class Exchange(Generic[Answered]):
    """One call. After each try, ``wait_s`` says how it goes on."""

    answer: Answered

    def __init__(self, call: Call[Answered], retry: Retry, now_s: Callable[[], float] = time.monotonic) -> None:
        self._call = call
        self._retry = retry
        self._now_s = now_s
        self._started_s = now_s()
        self._tries = 0
        self._unsure: Error | None = None
        """The last failure of a try that may have been done."""

    def wait_s(self, outcome: Outcome) -> float | None:
        """How long to wait before the next try; ``None`` where ``answer`` is there. Raises ``Error`` where it is over."""
        self._tries += 1
        if isinstance(outcome, httpx2.Response) and (outcome.is_success or outcome.status_code == self._call.also):
            self.answer = self._read(outcome)
            return None
        error = self._error(outcome)
        if self._unsure and isinstance(error, NotFound) and self._call.gone is not None:
            self.answer = self._call.gone
            return None
        if self._unsure and isinstance(error, Changed):
            raise self._unsure from error  # it was perhaps this call itself that changed it
        if error.maybe_done:
            self._unsure = error
        wait_s = self._wait_s(error)
        if wait_s is None:
            raise error
        return wait_s

    def _wait_s(self, error: Error) -> float | None:
        """``None`` where it is not repeated: it would not help, or might do it twice, or there is no time left."""
        if not isinstance(error, _PASSING) or (error.maybe_done and not self._call.repeatable):
            return None
        return self._retry.wait_s(self._tries, self._now_s() - self._started_s, error.retry_after_s)

    def _read(self, response: httpx2.Response) -> Answered:
        try:
            answer = msgspec.json.decode(response.content, type=self._call.answer)
        except msgspec.DecodeError as error:
            told = Told(status=response.status_code, detail=f"an answer that is none of the API: {error}")
            raise kind_of(response.status_code)(self._known(told, done=True)) from None
        etag = response.headers.get("ETag")
        return msgspec.structs.replace(answer, etag=etag) if etag and hasattr(answer, "etag") else answer

    def _error(self, outcome: Outcome) -> Error:
        if isinstance(outcome, httpx2.Response):
            told = self._known(_told(outcome), done=outcome.status_code >= 500)
            return kind_of(outcome.status_code)(told)
        detail = f"no answer from the service: {str(outcome) or type(outcome).__name__}"
        error = Unreachable(self._known(Told(detail=detail), done=not isinstance(outcome, _UNSENT)))
        error.__cause__ = outcome
        return error

    def _known(self, told: Told, *, done: bool) -> Told:
        """With what the call knows itself. ``done``: whether this try may have been done."""
        return msgspec.structs.replace(
            told,
            idempotency_key=told.idempotency_key or self._call.idempotency_key,
            maybe_done=self._unsure is not None or (done and self._call.changes),
        )


def _told(response: httpx2.Response) -> Told:
    """What the answer tells; what stands before the service may answer with something else than a problem."""
    try:
        told = msgspec.json.decode(response.content, type=Told)
    except msgspec.DecodeError:
        told = Told(detail=response.text[:200])
    retry_after_s = _seconds(response.headers.get("Retry-After"))
    detail = told.detail or response.reason_phrase
    return msgspec.structs.replace(told, status=response.status_code, detail=detail, retry_after_s=retry_after_s)


def _seconds(retry_after: str | None) -> float | None:
    """``Retry-After`` (RFC 9110, section 10.2.3): seconds, or a date. ``None`` where it is neither."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        return max(0.0, (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # TypeError: a date without a zone
        return None
