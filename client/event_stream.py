"""A stream of events over all its connections. Knows no socket and never waits: the two clients do that.

The format is that of WHATWG HTML, section 9.2, "Server-sent events".
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import httpx2
import msgspec

from client.call import Call
from client.errors import Failed, Told
from client.event_answers import Event
from client.exchange import Exchange, Outcome
from client.retry import Retry

SILENCE_S = 45.0
"""The service says something every 15 seconds."""
LONGEST_LINE_BYTES = 2**20
_LINE_END = re.compile(rb"\r\n|\n|\r(?=[^\n])", re.DOTALL)
_MARK = b"\xef\xbb\xbf"


class Lines:
    """Bytes as they come, to the fields of whole events."""

    def __init__(self) -> None:
        self._rest = b""
        self._began = False
        self._fields: dict[bytes, bytes] = {}
        self.retry_s = 0.0
        """How long the service asks to wait before coming back."""

    def read(self, data: bytes) -> list[dict[bytes, bytes]]:
        """The fields of each event that is complete now. Raises ``ValueError`` for a line that has no end."""
        *lines, self._rest = _LINE_END.split(self._rest + data)
        if len(self._rest) > LONGEST_LINE_BYTES:
            raise ValueError("a line has no end")
        if lines and not self._began:
            self._began, lines[0] = True, lines[0].removeprefix(_MARK)
        found = []
        for line in lines:
            if line:
                self._take(line)
                continue
            if b"data" in self._fields:
                found.append(self._fields)
            self._fields = {}
        return found

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data" and b"data" in self._fields:
            self._fields[name] += b"\n" + value
        elif name == b"retry" and value.isdigit():
            self.retry_s = int(value[:9]) / 1000
        elif name:  # a line that begins with a colon is a comment
            self._fields[name] = value


class Stream:
    """One call of ``events``. Each of its connections tells ``opened``, what it ``read``, and how it ended."""

    def __init__(self, call: Call[Event], retry: Retry) -> None:
        self._call, self._retry = call, retry
        self._exchange = Exchange(call, retry)
        self._lines = Lines()
        self._begun = self._open = False

    def opened(self, response: httpx2.Response) -> list[Event]:
        """Raises ``Failed``."""
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            raise _no_stream(f"it is {response.headers.get('Content-Type', 'of no type')[:80]}")
        self._lines, self._open = Lines(), True
        again, self._begun = self._begun, True
        return [Event(event="resumed", at=datetime.now(UTC))] if again else []

    def read(self, data: bytes) -> list[Event]:
        """Raises ``Failed``."""
        try:
            return [_event(fields) for fields in self._lines.read(data)]
        except (ValueError, msgspec.MsgspecError) as error:
            raise _no_stream(str(error)) from None

    def wait_s(self, outcome: Outcome | None) -> float:
        """How long to wait before the next connection; ``None``: the service has ended this one. Raises ``Error``."""
        if self._open:  # tries count from the end of what went well
            self._exchange, self._open = Exchange(self._call, self._retry), False
        ended = httpx2.RemoteProtocolError("the stream has ended") if outcome is None else outcome
        wait_s = self._exchange.wait_s(ended)
        assert wait_s is not None  # noqa: S101 - only a success is an answer, and of a stream there is none
        return max(wait_s, min(self._lines.retry_s, self._retry.max_s))


def _event(fields: dict[bytes, bytes]) -> Event:
    event = msgspec.json.decode(fields[b"data"], type=Event)
    return msgspec.structs.replace(event, id=fields.get(b"id", b"").decode())


def _no_stream(why: str) -> Failed:
    return Failed(Told(status=200, detail=f"an answer that is no stream of events: {why}"))
