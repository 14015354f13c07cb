"""What a call raises: an ``Error`` of a kind that says what to do.

Made from problem+json (RFC 9457), or from a connection that was lost.
"""

from __future__ import annotations

import msgspec


class Told(msgspec.Struct, frozen=True):
    """What is known of a failure."""

    status: int = 0
    """Of HTTP; 0 where no answer came."""
    detail: str = ""
    field: str = ""
    """The field at fault, such as ``[3].deliver_at``."""
    request_id: str = ""
    """The service's log has it."""
    ids: tuple[str, ...] = ()
    """Messages that may have been stored."""
    idempotency_key: str = ""
    """The key of the call: repeated with it, and with the same content, it completes and doubles nothing."""
    maybe_done: bool = False
    """Whether the service may have done it all the same, at this try or an earlier one."""
    retry_after_s: float | None = None
    """How long the service asks to wait."""


class Error(Exception):
    """A call that did not succeed. Has every field of ``Told``."""

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self.status = told.status
        self.detail = told.detail
        self.field = told.field
        self.request_id = told.request_id
        self.ids = told.ids
        self.idempotency_key = told.idempotency_key
        self.maybe_done = told.maybe_done
        self.retry_after_s = told.retry_after_s

    def __str__(self) -> str:
        return f"{self.status} {self.detail}" if self.status else self.detail


class Invalid(Error):
    """The request is wrong and nothing was done (400, 413, 415, 422, and any 4xx without a kind of its own)."""


class Unauthorised(Error):
    """No API key that is known (401), or one without the scope (403)."""


class NotFound(Error):
    """There is no such thing, or none any more (404)."""


class Conflict(Error):
    """It is too late for that, or the id or idempotency key was used for something else (409)."""


class Changed(Error):
    """It is not what ``if_match`` names any more (412). Nothing was done."""


class TooMany(Error):
    """More than the API key may ask for (429). Nothing was done; ``retry_after_s`` says when to try again."""


class Unavailable(Error):
    """The service cannot do it now (503), or what stands before it cannot reach it (502, 504)."""


class Unreachable(Error):
    """No answer came: no connection, or one that was lost or too slow."""


class Failed(Error):
    """An error of the service (500), or an answer that is none of the API: does the URL lead to the service?"""


_KINDS: dict[int, type[Error]] = {
    401: Unauthorised,
    403: Unauthorised,
    404: NotFound,
    409: Conflict,
    412: Changed,
    429: TooMany,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


def kind_of(status: int) -> type[Error]:
    """The kind of an answer that is no success."""
    return _KINDS.get(status, Invalid if 400 <= status < 500 else Failed)
