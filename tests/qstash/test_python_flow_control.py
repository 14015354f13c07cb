"""Flow control with QStash's Python client: how many at once, how many in a time, for all messages of a key."""

from __future__ import annotations

from typing import Any

import pytest
from qstash.errors import QStashError

from tests.qstash.python_client import Python
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually


async def send(client: Python, url: str, count: int, key: str, **limits: Any) -> None:
    for number in range(count):
        await client.message.publish(url=url, body=str(number), flow_control={"key": key, **limits})


async def waiting(client: Python, key: str, count: int) -> Any:
    """The key, once so many of its messages wait."""

    async def look() -> Any:
        found = await client.flow_control.get(key)
        return found if found.wait_list_size == count else None

    return await eventually(look, what=f"{count} of {key} wait")


async def test_deliveries_at_once_are_limited(client: Python, receiver: Receiver, name: str) -> None:
    """Two under way, the rest waits; the key tells how many."""
    url = receiver.answers("/a", Answer(held=True))
    await send(client, url, 5, name, parallelism=2)
    await receiver.wait_for(2, "/a")

    told = await waiting(client, name, 3)
    assert (told.key, told.parallelism_max, told.parallelism_count) == (name, 2, 2)
    assert (told.is_paused, told.is_pinned_parallelism, told.is_pinned_rate) == (False, False, False)
    assert len(receiver.at("/a")) == 2
    everything = await client.flow_control.get_global_parallelism()
    assert everything.parallelism_count >= 2
    assert everything.parallelism_max >= everything.parallelism_count
    receiver.release("/a")
    await receiver.wait_for(5, "/a")
    assert receiver.most_at_once == 2


async def test_deliveries_in_a_time_are_limited(client: Python, receiver: Receiver, name: str) -> None:
    """Three go, the others wait for the next hour, unless the rate is begun anew."""
    await send(client, receiver.url("/a"), 5, name, rate=3, period="1h")
    await receiver.wait_for(3, "/a")

    told = await waiting(client, name, 2)
    assert (told.rate_max, told.rate_count, told.rate_period) == (3, 3, 3600)
    await client.flow_control.reset_rate(name)
    await receiver.wait_for(5, "/a")


async def test_a_paused_key_sends_nothing(client: Python, receiver: Receiver, name: str) -> None:
    await client.flow_control.pause(name)
    await send(client, receiver.url("/a"), 2, name, parallelism=1)
    await client.message.publish(url=receiver.url("/beside"))
    await receiver.wait_for(1, "/beside")

    assert (await waiting(client, name, 2)).is_paused is True
    assert receiver.at("/a") == []
    await client.flow_control.resume(name)
    await receiver.wait_for(2, "/a")


async def test_what_is_pinned_holds_whatever_messages_say(client: Python, receiver: Receiver, name: str) -> None:
    """Until it is unpinned, and the next message says what holds then."""
    await client.flow_control.pin(name, {"parallelism": 4, "rate": 100, "period": 60})
    await send(client, receiver.url("/a"), 1, name, parallelism=1, rate=1, period=1)
    await receiver.wait_for(1, "/a")

    told = await client.flow_control.get(name)
    assert (told.parallelism_max, told.rate_max, told.rate_period) == (4, 100, 60)
    assert (told.is_pinned_parallelism, told.is_pinned_rate) == (True, True)
    await client.flow_control.unpin(name, {"parallelism": True, "rate": False})
    await send(client, receiver.url("/a"), 1, name, parallelism=2, rate=1, period=1)
    told = await client.flow_control.get(name)
    assert (told.parallelism_max, told.rate_max) == (2, 100)
    assert (told.is_pinned_parallelism, told.is_pinned_rate) == (False, True)


async def test_a_later_message_changes_the_limit_of_its_key(client: Python, receiver: Receiver, name: str) -> None:
    url = receiver.answers("/a", Answer(held=True))
    await send(client, url, 4, name, parallelism=1)
    await receiver.wait_for(1, "/a")

    await send(client, url, 1, name, parallelism=3)

    await receiver.wait_for(3, "/a")
    assert (await client.flow_control.get(name)).parallelism_max == 3


async def test_a_key_that_nobody_used_is_not_there(client: Python, name: str) -> None:
    with pytest.raises(QStashError, match="404"):
        await client.flow_control.get(name)
