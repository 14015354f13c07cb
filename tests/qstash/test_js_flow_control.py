"""Flow control with QStash's client for JavaScript."""

from __future__ import annotations

from typing import Any

import pytest

from tests.qstash.js_client import Js, JsError
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually


async def send(js: Js, url: str, count: int, key: str, **limits: Any) -> None:
    for _ in range(count):
        await js("publish", {"url": url, "flowControl": {"key": key, **limits}})


async def waiting(js: Js, key: str, count: int) -> Any:
    """The key, once so many of its messages wait."""

    async def look() -> Any:
        found = await js("flowControl.get", key)
        return found if found["waitListSize"] == count else None

    return await eventually(look, what=f"{count} of {key} wait")


async def test_deliveries_at_once_are_limited(js: Js, receiver: Receiver, name: str) -> None:
    url = receiver.answers("/a", Answer(held=True))
    await send(js, url, 4, name, parallelism=2)
    await receiver.wait_for(2, "/a")

    told = await waiting(js, name, 2)
    assert (told["flowControlKey"], told["parallelismMax"], told["parallelismCount"]) == (name, 2, 2)
    everything = await js("flowControl.getGlobalParallelism")
    assert 2 <= everything["parallelismCount"] <= everything["parallelismMax"]
    receiver.release("/a")
    await receiver.wait_for(4, "/a")
    assert receiver.most_at_once == 2


async def test_deliveries_in_a_time_are_limited_until_it_is_begun_anew(js: Js, receiver: Receiver, name: str) -> None:
    await send(js, receiver.url("/a"), 5, name, rate=3, period="1h")
    await receiver.wait_for(3, "/a")

    told = await waiting(js, name, 2)
    assert (told["rateMax"], told["rateCount"], told["ratePeriod"]) == (3, 3, 3600)
    await js("flowControl.resetRate", name)
    await receiver.wait_for(5, "/a")


async def test_a_key_is_paused_and_resumed(js: Js, receiver: Receiver, name: str) -> None:
    await js("flowControl.pause", name)
    await send(js, receiver.url("/a"), 1, name, parallelism=1)

    assert (await waiting(js, name, 1))["isPaused"] is True
    assert receiver.at("/a") == []
    await js("flowControl.resume", name)
    await receiver.wait_for(1, "/a")


async def test_what_is_pinned_holds_until_it_is_unpinned(js: Js, receiver: Receiver, name: str) -> None:
    await js("flowControl.pin", name, {"parallelism": 4, "rate": 100, "period": 60})
    await send(js, receiver.url("/a"), 1, name, parallelism=1)

    told = await js("flowControl.get", name)
    assert (told["parallelismMax"], told["rateMax"], told["ratePeriod"]) == (4, 100, 60)
    assert (told["isPinnedParallelism"], told["isPinnedRate"]) == (True, True)
    await js("flowControl.unpin", name, {"parallelism": True, "rate": True})
    await send(js, receiver.url("/a"), 1, name, parallelism=2, ratePerSecond=7)
    told = await js("flowControl.get", name)
    assert (told["parallelismMax"], told["rateMax"], told["ratePeriod"]) == (2, 7, 1)
    assert (told["isPinnedParallelism"], told["isPinnedRate"]) == (False, False)


async def test_a_key_that_nobody_used_is_not_there(js: Js, name: str) -> None:
    with pytest.raises(JsError, match=r"QstashError \(404\)"):
        await js("flowControl.get", name)
