"""Queues with QStash's Python client: one after the other, or as many at once as is allowed."""

from __future__ import annotations

import pytest
from qstash.errors import QStashError

from tests.qstash.python_client import Python
from tests.qstash.signed import check
from tests.support.receiver import Answer, Receiver
from tests.support.waiting import eventually


async def lags(client: Python, name: str, count: int) -> None:
    """Waits until so many messages of a queue are due and not over."""

    async def look() -> bool:
        return bool((await client.queue.get(name)).lag == count)

    await eventually(look, what=f"{count} messages of the queue are due")


async def test_a_queue_is_made_changed_listed_and_deleted(client: Python, name: str) -> None:
    await client.queue.upsert(name, parallelism=3)

    queue = await client.queue.get(name)
    assert (queue.name, queue.parallelism, queue.paused, queue.lag) == (name, 3, False, 0)
    await client.queue.upsert(name, parallelism=5, paused=True)
    queue = await client.queue.get(name)
    assert (queue.parallelism, queue.paused) == (5, True)
    assert [one.parallelism for one in await client.queue.list() if one.name == name] == [5]

    await client.queue.delete(name)
    assert name not in [one.name for one in await client.queue.list()]
    with pytest.raises(QStashError, match="404"):
        await client.queue.get(name)


async def test_messages_come_in_order_also_when_the_first_fails(client: Python, receiver: Receiver, name: str) -> None:
    """The queue makes itself; those behind a message wait until it is over, through all its retries."""
    url = receiver.answers("/a", Answer(500), Answer(500), Answer(200))
    sent = [await client.message.enqueue(queue=name, url=url, body=str(n), retry_delay="100") for n in range(5)]

    arrivals = await receiver.wait_for(7, "/a")
    assert [one.body for one in arrivals] == [b"0", b"0", b"0", b"1", b"2", b"3", b"4"]
    assert arrivals[-1].headers["Upstash-Message-Id"] == sent[-1].message_id
    assert receiver.most_at_once == 1
    for arrival in arrivals:
        check(arrival)
    assert (await client.queue.get(name)).parallelism == 1


async def test_a_message_that_dies_lets_the_next_go(client: Python, receiver: Receiver, name: str) -> None:
    url = receiver.answers("/a", Answer(500), Answer(500), Answer(200))
    await client.message.enqueue(queue=name, url=url, body="0", retries=1, retry_delay="1")
    await client.message.enqueue_json(queue=name, url=url, body={"number": 1})

    arrivals = await receiver.wait_for(3, "/a")
    assert [one.body for one in arrivals] == [b"0", b"0", b'{"number": 1}']
    (letter,) = await client.dead(1)
    assert (letter.queue, letter.body) == (name, "0")


async def test_as_many_at_once_as_is_allowed(client: Python, receiver: Receiver, name: str) -> None:
    """With parallelism 3 there are three under way, never four; another queue does not wait for them."""
    await client.queue.upsert(name, parallelism=3)
    url = receiver.answers("/a", Answer(held=True))
    for number in range(6):
        await client.message.enqueue(queue=name, url=url, body=str(number))
    await receiver.wait_for(3, "/a")
    await client.message.enqueue(queue=f"{name}-2", url=receiver.url("/b"))
    await receiver.wait_for(1, "/b")

    assert len(receiver.at("/a")) == 3
    await lags(client, name, 6)
    receiver.release("/a")
    await receiver.wait_for(6, "/a")


async def test_a_paused_queue_takes_messages_and_sends_none(client: Python, receiver: Receiver, name: str) -> None:
    """Not before it is resumed, and then in their order."""
    await client.queue.upsert(name)
    await client.queue.pause(name)
    for number in range(3):
        await client.message.enqueue(queue=name, url=receiver.url("/a"), body=str(number))
    await client.message.publish(url=receiver.url("/beside"))
    await receiver.wait_for(1, "/beside")
    await lags(client, name, 3)

    assert (await client.queue.get(name)).paused is True
    assert receiver.at("/a") == []
    await client.queue.resume(name)
    assert [one.body for one in await receiver.wait_for(3, "/a")] == [b"0", b"1", b"2"]
    assert (await client.queue.get(name)).paused is False


async def test_a_message_shows_its_queue(client: Python, receiver: Receiver, name: str) -> None:
    await client.queue.upsert(name, paused=True)
    sent = await client.message.enqueue(
        queue=name, url=receiver.url("/a"), body="x", deduplication_id=name, label="one", timeout="10s"
    )

    again = await client.message.enqueue(queue=name, url=receiver.url("/a"), body="y", deduplication_id=name)

    assert (again.message_id, again.deduplicated) == (sent.message_id, True)
    told = await client.message.get(sent.message_id)
    assert (told.queue, told.label, told.flow_control) == (name, "one", None)
