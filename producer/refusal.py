"""What is refused before it is looked at: strangers, too much, too slow. ``producer.middleware`` makes it the answer."""

from __future__ import annotations

from http import HTTPStatus

from shared.errors import ServiceError

_TITLES = {413: "Content Too Large", 414: "URI Too Long", 422: "Unprocessable Content"}
"""Their names in RFC 9110, which Python has from 3.13 on: an answer does not depend on the Python that gives it."""


def title_of(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


class Refusal(ServiceError):
    """A request is refused with that status. ``headers`` say what would help."""

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None, field: str = "") -> None:
        super().__init__(detail)
        self.status = status
        self.headers = headers or {}
        self.field = field
