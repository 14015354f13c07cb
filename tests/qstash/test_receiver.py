"""The receiver itself: what it notes, and that it does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.receiver import Answer, Receiver, running_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with running_receiver() as started:
        yield started


async def test_a_request_is_noted_whole_and_answered_in_turn(receiver: Receiver) -> None:
    """Method, query, headers and the bytes of the body are there; the last answer holds for all that come after it."""
    url = receiver.answers("/a", Answer(503, {"Retry-After": "1"}), Answer(201, body=b"done"))
    statuses = []
    async with aiohttp.ClientSession() as http:
        for _ in range(3):
            async with http.put(f"{url}?x=1%202", data=b"\x00\xff", headers={"X-Test": "yes"}) as answer:
                statuses.append(answer.status)

    assert statuses == [503, 201, 201]
    first = (await receiver.wait_for(3, "/a"))[0]
    assert (first.method, first.query, first.body, first.headers["x-test"]) == ("PUT", {"x": "1 2"}, b"\x00\xff", "yes")
    assert first.url == f"{url}?x=1%202"


async def test_what_is_held_is_answered_after_its_release_and_never_without(receiver: Receiver) -> None:
    """Requests are counted while they wait; the end of the receiver ends the rest."""
    held, never = receiver.answers("/held", Answer(held=True)), receiver.answers("/never", Answer(held=True))
    async with aiohttp.ClientSession() as http:
        waiting, lost = (asyncio.create_task(_status(http, url)) for url in (held, never))
        await receiver.wait_for(1, "/held")
        await receiver.wait_for(1, "/never")
        assert receiver.most_at_once == 2
        assert not waiting.done()
        receiver.release("/held")
        assert await asyncio.wait_for(waiting, 5) == 200
        assert not lost.done()
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)


async def _status(http: aiohttp.ClientSession, url: str) -> int:
    async with http.get(url) as answer:
        return answer.status
