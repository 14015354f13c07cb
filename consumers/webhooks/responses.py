"""Reading an HTTP answer, no more of it than is kept, and keeping it."""

from __future__ import annotations

import base64

import aiohttp

from consumers.webhooks.answers import Answer
from shared.store.messages import Response

HEADER_BYTES = 8_192
"""Of all headers of an answer together that are kept."""


async def read(response: aiohttp.ClientResponse, most_bytes: int) -> Answer:
    """Raises what aiohttp raises where the body breaks off: such an answer was not given."""
    body, truncated = bytearray(), False
    async for part in response.content.iter_any():
        body += part
        if len(body) > most_bytes:
            truncated = True
            response.close()  # the connection: what follows is not wanted
            break
    return Answer(response.status, _headers(response), bytes(body[:most_bytes]), truncated)


def _headers(response: aiohttp.ClientResponse) -> tuple[tuple[str, str], ...]:
    left, found = HEADER_BYTES, []
    for name, raw in response.headers.items():
        value = raw.encode("utf-8", "surrogateescape").decode("utf-8", "replace")  # what is no UTF-8 could not be kept
        left -= len(name) + len(value)
        if left < 0:
            break
        found.append((name, value))
    return tuple(found)


def kept(answer: Answer) -> Response:
    headers: dict[str, str] = {}
    for name, value in answer.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        text, encoded = answer.body.decode(), ""
    except UnicodeDecodeError:
        text, encoded = "", base64.b64encode(answer.body).decode()
    return Response(status=answer.status, headers=headers, body=text, body_base64=encoded, truncated=answer.truncated)
