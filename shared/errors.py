"""Every typed error of the service, in one place.

``ServiceError``
├── ``SettingsError``     a setting is wrong; the process must not start
├── ``InvalidField``      a caller sent something that cannot be accepted; names the field
├── ``NotFound``          there is no such message
├── ``TooLate``           the message is in a state that forbids the change
├── ``Stale``             somebody else has changed it since the caller looked
├── ``AlreadyThere``      there is a schedule of that id
├── ``Conflict``          an idempotency key was used before with another content
└── ``Outage``            Redis refused or cannot be reached; wait and go on

Programmer errors are not here: they crash loudly.
"""

from __future__ import annotations


class ServiceError(Exception):
    """An operating error that is expected, caught at one place, and counted."""


class SettingsError(ServiceError):
    """A setting is missing, unknown or wrong.

    The text names the key, its value, and what was expected.
    """

    def __init__(self, key: str, value: object, expected: str) -> None:
        super().__init__(f"{key} = {value!r}: {expected}")
        self.key = key


class InvalidField(ServiceError):
    """A field of a request cannot be accepted.

    ``field`` is a dotted path such as ``[3].deliver_at``; an empty path means the request as a whole.
    ``status`` is the HTTP status that fits.
    """

    def __init__(self, field: str, detail: str, status: int = 422) -> None:
        super().__init__(f"{field}: {detail}" if field else detail)
        self.field = field
        self.detail = detail
        self.status = status

    def inside(self, prefix: str) -> InvalidField:
        """The same complaint, one level further out: ``[3]`` + ``topic`` is ``[3].topic``."""
        dot = "." if self.field and not self.field.startswith("[") else ""
        return InvalidField(f"{prefix}{dot}{self.field}", self.detail, self.status)


class NotFound(ServiceError):
    """There is no message (or schedule) of that id, or it was finished and its retention has passed."""

    def __init__(self, of_id: str, kind: str = "message") -> None:
        super().__init__(f"there is no {kind} {of_id!r}")


class TooLate(ServiceError):
    """The message exists, but its state (decided by the script) forbids what was asked."""

    def __init__(self, of_id: str, state: str, wanted: str, kind: str = "message") -> None:
        super().__init__(f"cannot {wanted} {kind} {of_id!r}: it is {state}")
        self.state = state


class AlreadyThere(ServiceError):
    """There is a schedule of that id already."""

    def __init__(self, schedule_id: str) -> None:
        super().__init__(f"there is a schedule {schedule_id!r} already; PUT replaces it, PATCH changes it")


class Stale(ServiceError):
    """It is not as the caller saw it: none of the entity tags that were given is that of now."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} has changed since: it does not match If-Match; look at it again")


class Conflict(ServiceError):
    """The idempotency key belongs to an earlier request with another content."""


class Outage(ServiceError):
    """Redis cannot be reached or refuses: a state to wait out, never a reason to crash.

    ``kind`` is one of a small closed set (see ``shared.store.outage``), fit for a metric label.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail
