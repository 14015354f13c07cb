"""Around every request: its id, and every error as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from secrets import token_hex
from typing import Any

import msgspec
from aiohttp import web

from producer.refusal import Refusal, title_of
from producer.schemas import Problem, QstashError
from shared.errors import AlreadyThere, Conflict, InvalidField, NotFound, Outage, ServiceError, Stale, TooLate
from shared.logs import logger
from shared.store.accept import NotStored, Unconfirmed
from shared.store.commit import NotSafe

REQUEST_ID = "X-Request-Id"
QSTASH = "/v2/"
"""What the paths of QStash's API begin with."""
RETRY_AFTER_S = 1
_REQUEST_ID = re.compile(r"[A-Za-z0-9._~+/=:-]{1,128}")
_encode = msgspec.json.Encoder().encode
_ID = web.RequestKey("request_id", str)
LONGEST_DETAIL = 1000
LONGEST_FIELD = 200
"""Characters of what a caller sent that are sent back."""
MOST_NAMED = 10
"""Ids in a text."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def request_ids(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Takes the caller's ``X-Request-Id`` or makes one; it is in the answer and in log lines."""
    request_id = _identified(request)
    response = await handler(request)
    response.headers[REQUEST_ID] = request_id
    return response


def id_header(request: web.BaseRequest) -> dict[str, str]:
    """For an answer that begins before its handler has ended."""
    return {REQUEST_ID: request[_ID]}


def _identified(request: web.BaseRequest) -> str:
    given = request.headers.get(REQUEST_ID, "")
    request[_ID] = given if _REQUEST_ID.fullmatch(given) else token_hex(8)
    return request[_ID]


def expecting(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> Any:
    """aiohttp refuses an ``Expect`` that it does not know before any middleware is asked; this is around all of them."""

    async def answered(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPExpectationFailed:
            request_id = _identified(request)
            response = problem(request, 417, "expected 100-continue or nothing", field="Expect")
            response.headers[REQUEST_ID] = request_id
            response.force_close()  # whether the body comes is not known
            return response

    return answered


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ServiceError as error:
        return _refusal(request, error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return _http_refusal(request, error)
    except Exception:  # noqa: BLE001 - the one place where a programmer's error becomes an answer
        logger.exception("{} {} failed", request.method, request.rel_url.path, request_id=request[_ID])
        return problem(request, 500, "an error of ours; the log has it under this request id")


def problem(request: web.BaseRequest, status: int, detail: str, **more: object) -> web.Response:
    headers = more.pop("response_headers", None)
    if request.path.startswith(QSTASH):
        return _qstash_error(HTTPStatus.BAD_REQUEST if status == HTTPStatus.UNPROCESSABLE_ENTITY else status, detail, headers)
    content = Problem(
        type="about:blank",
        title=title_of(status),
        status=status,
        detail=_cut(detail, LONGEST_DETAIL),
        request_id=request[_ID],
        **more,  # type: ignore[arg-type] # the fields of Problem
    )
    return web.Response(body=_encode(content), status=status, content_type="application/problem+json", headers=headers)  # type: ignore[arg-type] # a dict or None


def _qstash_error(status: int, detail: str, headers: object) -> web.Response:
    """In QStash's own form, which has a text and nothing else."""
    found = dict(headers) if isinstance(headers, Mapping) else {}
    body = _encode(QstashError(error=_cut(detail, LONGEST_DETAIL)))
    return web.Response(body=body, status=status, content_type="application/json", headers=found)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _refusal(request: web.Request, error: ServiceError) -> web.Response:
    if isinstance(error, Refusal):
        response = problem(request, error.status, str(error), field=error.field, response_headers=error.headers)
        if error.status == HTTPStatus.REQUEST_TIMEOUT:
            response.force_close()  # the rest of the body would be taken for the next request
        return response
    if isinstance(error, InvalidField):
        shown = InvalidField(_cut(error.field, LONGEST_FIELD), error.detail)
        return problem(request, error.status, str(shown), field=shown.field)
    if isinstance(error, NotFound):
        return problem(request, 404, str(error))
    if isinstance(error, (TooLate, AlreadyThere)):
        return problem(request, 409, str(error))
    if isinstance(error, Stale):
        return problem(request, 412, str(error), field="If-Match")
    if isinstance(error, Conflict):
        return problem(request, 409, str(error), field="Idempotency-Key")
    if isinstance(error, Outage):
        return _outage(request, error)
    raise error


def _outage(request: web.Request, error: Outage) -> web.Response:
    """Says whether something may have been done all the same, and what to do then."""
    retry_after = {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, Unconfirmed):
        return problem(
            request,
            503,
            f"storing was not confirmed ({error}); {_what_to_do(request, error)}",
            ids=tuple(error.ids),
            idempotency_key=error.idempotency_key or "",
            response_headers=retry_after,
        )
    detail = f"Redis is out: {error}"
    if isinstance(error, NotStored):
        detail += "; nothing was stored by this request"
    elif isinstance(error, NotSafe):
        detail = f"it was done, but {error.detail}; it may be undone if Redis fails now; a repeat is safe"
    return problem(request, 503, detail, response_headers=retry_after)


def _what_to_do(request: web.Request, error: Unconfirmed) -> str:
    if request.path.startswith(QSTASH):
        named = f"{', '.join(error.ids[:MOST_NAMED])}{', ...' if len(error.ids) > MOST_NAMED else ''}"
        return f"these messages may exist: {named}; with an Upstash-Deduplication-Id a repeat is safe"
    if error.idempotency_key:
        return "the messages may exist; a repeat with the idempotency_key completes what is missing and doubles nothing"
    return (
        f"the message may exist; GET /messages/{error.ids[0]} tells whether it was stored; "
        "with an Idempotency-Key a repeat is safe"
    )


def _http_refusal(request: web.Request, error: web.HTTPException) -> web.Response:
    headers = {name: value for name, value in error.headers.items() if name in {"Allow", "Retry-After"}}
    details = {
        404: f"there is nothing at {request.rel_url.path}; /docs describes the API",
        405: f"{request.method} is not possible here; allowed: {headers.get('Allow', '')}",
        413: "the request is larger than Producer.MaxRequestBytes",
    }
    return problem(request, error.status, details.get(error.status, error.reason), response_headers=headers)
