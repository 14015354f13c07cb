"""Where calls go and with what: the options that both clients have, and a call as the request that is sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

import httpx2

from client.call import DURABILITY, Answered, Call
from client.fields import Durability
from client.retry import Retry

TIMEOUT_S = 10.0
RETRY = Retry()
_USER_AGENT = "message-scheduling-client"


class Request(TypedDict):
    """The keywords of httpx2's ``request``."""

    method: str
    url: str
    params: Mapping[str, str | tuple[str, ...]] | None
    headers: Mapping[str, str]
    content: bytes | None
    timeout: float | httpx2.Timeout


class Target:
    """A service. Raises ``ValueError`` for a URL that is none."""

    def __init__(self, url: str, api_key: str | None, durability: Durability | None, timeout_s: float, retry: Retry) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url: expected one such as http://localhost:3000; got {url!r}")
        self.retry = retry
        self._url = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"User-Agent": _USER_AGENT, "Accept": "application/json, application/problem+json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._of_changes = {} if durability is None else {DURABILITY: durability}

    def request(self, call: Call[Answered], silence_s: float = 0.0) -> Request:
        """The same at every try. ``silence_s``: how long at least it may be silent."""
        headers = {**self._headers, **(self._of_changes if call.changes else {}), **call.headers}
        if call.content is not None:
            headers["Content-Type"] = "application/json"
        return Request(
            method=call.method,
            url=f"{self._url}{call.path}",
            params=call.query or None,
            headers=headers,
            content=call.content,
            timeout=httpx2.Timeout(self._timeout_s, read=max(self._timeout_s, silence_s)),
        )
