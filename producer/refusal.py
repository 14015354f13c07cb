"""What is refused before it is looked at: strangers, too much, too slow. ``producer.middleware`` makes it the answer."""

from __future__ import annotations

from shared.errors import ServiceError


class Refusal(ServiceError):
    """A request is refused with that status. ``headers`` say what would help."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.field = field
