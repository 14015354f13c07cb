"""Bytes that are no request, or could be taken for two: refused in words, the connection closed, nothing stored."""

from __future__ import annotations

import pytest
from redis.asyncio import Redis

from tests.producer.api import PROBLEM, Api, stored
from tests.producer.raw import RawConnection, head

BODY = b'{"topic": "work"}'
FINE = head(content_length=len(BODY)) + BODY
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
START = b"POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
LINE = b"GET /health/live HTTP/1.1\r\n"

BROKEN: dict[str, tuple[bytes, int, str]] = {
    # Two ways to tell where the body ends: whoever stands before the producer may have taken the other.
    "length and chunks": (START + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + FINE, 400, "Transfer-Encoding"),
    "chunks and length": (START + b"Transfer-Encoding: chunked\r\n" + LENGTH + b"\r\n0\r\n\r\n" + FINE, 400, "Content-Length"),
    "two lengths": (START + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY, 400, "Duplicate Content-Length"),
    "the same length twice": (START + LENGTH + LENGTH + b"\r\n" + BODY, 400, "Duplicate Content-Length"),
    "a list of lengths": (START + b"Content-Length: 17, 17\r\n\r\n" + BODY, 400, "Content-Length"),
    "a length with a sign": (START + b"Content-Length: +17\r\n\r\n" + BODY, 400, "Content-Length"),
    "a negative length": (START + b"Content-Length: -1\r\n\r\n" + BODY, 400, "Content-Length"),
    "a length beyond numbers": (START + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + BODY, 400, "Content-Length"),
    "chunks twice": (START + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n" + CHUNKED, 400, "Transfer-Encoding"),
    "a space before the colon": (START + b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKED, 400, "header"),
    "unknown coding": (START + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED, 400, "Transfer-Encoding"),
    "identity": (START + b"Transfer-Encoding: identity\r\n\r\n" + BODY, 400, "Transfer-Encoding"),
    "a length in the trailer": (START + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED[:-2] + LENGTH + b"\r\n", 400, "Length"),
    "more than the length": (START + b"Content-Length: 5\r\n\r\n" + BODY, 400, "method"),
    "no chunk size": (START + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY, 400, "chunk size"),
    "a negative chunk": (START + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + BODY, 400, "chunk size"),
    "a chunk beyond numbers": (START + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n" + BODY, 400, "Chunk size"),
    "a folded header": (START + b"X: a\r\n b\r\n" + LENGTH + b"\r\n" + BODY, 400, "whitespace"),
    "bare line feeds": (FINE.replace(b"\r\n", b"\n"), 400, "CRLF"),
    "a bare carriage return": (START + b"X: a\rContent-Length: 3\r\n" + LENGTH + b"\r\n" + BODY, 400, "LF"),
    "a zero byte in a header": (START + b"X: a\0b\r\n" + LENGTH + b"\r\n" + BODY, 400, "header value"),
    "a zero byte in the path": (b"GET /messages/\0 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "url path"),
    "no text in the path": (b"GET /messages/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "url path"),
    "no text in the query": (b"GET /dead-letters?topic=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "url query"),
    "no host": (LINE + b"\r\n", 400, "Host"),
    "two hosts": (LINE + b"Host: a\r\nHost: b\r\n\r\n", 400, "Host"),
    "no method": (b"G<T / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "method"),
    "a huge method": (b"A" * 100_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, "method"),
    "another version": (b"GET /health/live HTTP/3.7\r\nHost: localhost\r\n\r\n", 400, "version"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "HTTP/1.1"),
    "TLS": (bytes.fromhex("16030100c8010000c40303") + b"\0" * 200, 400, "HTTP/1.1"),
    "a huge URL": (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "8190 bytes"),
    "a huge query": (b"GET /dead-letters?topic=" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414, "8190 bytes"),
    "a huge header": (LINE + b"Host: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431, "16384 bytes"),
    "a huge name of a header": (LINE + b"Host: localhost\r\n" + b"a" * 100_000 + b": x\r\n\r\n", 431, "16384 bytes"),
    "many headers": (LINE + b"Host: localhost\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431, "fewer headers"),
    "a huge trailer": (START + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED[:-2] + b"X: y\r\n" * 20_000, 431, "fewer headers"),
    "a head without an end": (LINE + b"".join(b"X%d: %b\r\n" % (n, b"y" * 10_000) for n in range(20)), 431, "65536 bytes"),
    "an unknown expectation": (START + b"Expect: pizza\r\n" + LENGTH + b"\r\n", 417, "100-continue"),
    "an unknown expectation anywhere": (
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nExpect: pizza\r\n\r\n",
        417,
        "100-continue",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
async def test_what_is_no_request_is_refused(api: Api, redis: Redis, prefix: str, what: str) -> None:
    """A 4xx as problem+json says what is wrong, the connection ends, nothing is stored, and others are served."""
    data, status, says = BROKEN[what]
    async with RawConnection(api.url) as connection:
        await connection.send(data)

        answer = await connection.answer()

        assert (answer.status, answer.headers["content-type"], answer.json["status"]) == (status, PROBLEM, status)
        assert says.lower() in answer.json["detail"].lower()
        assert len(answer.body) < 1000
        assert await connection.closed()
    assert await stored(redis, prefix) == {}
    assert (await api.get("/health/live")).status == 200


@pytest.mark.parametrize("coding", ["gzip, chunked", "deflate, chunked", "identity, chunked"])
async def test_a_packed_transfer_is_refused(api: Api, redis: Redis, prefix: str, coding: str) -> None:
    """What is not unpacked is not taken for the body either."""
    async with RawConnection(api.url) as connection:
        await connection.send(head(transfer_encoding=coding) + CHUNKED)
        answer = await connection.answer()

    assert (answer.status, answer.json["field"]) == (400, "Transfer-Encoding")
    assert await stored(redis, prefix) == {}


@pytest.mark.leaves("due")
async def test_requests_sent_together_are_answered_in_their_order(api: Api, redis: Redis, prefix: str) -> None:
    """Pipelined: each gets its own answer, a refused one does not disturb the next."""
    bad = head(content_length=2) + b"{}"
    async with RawConnection(api.url) as connection:
        await connection.send(FINE + bad + head("GET", "/health/live") + FINE)
        answers = [await connection.answer() for _ in range(4)]

    assert [answer.status for answer in answers] == [202, 422, 200, 202]
    assert (await stored(redis, prefix))["due:work"] == 2


@pytest.mark.parametrize("data", [FINE[:-1], head(transfer_encoding="chunked") + CHUNKED[:-3], FINE[:40]])
async def test_what_is_cut_off_is_not_stored(api: Api, redis: Redis, prefix: str, data: bytes) -> None:
    """A client that goes away a byte before the end has asked for nothing."""
    async with RawConnection(api.url) as connection:
        await connection.send(data)

    assert (await api.get("/health/live")).status == 200
    assert await stored(redis, prefix) == {}
