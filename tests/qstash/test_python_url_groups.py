"""URL groups with QStash's Python client."""

from __future__ import annotations

import pytest
from qstash.errors import QStashError

from tests.qstash.callback_body import told_in
from tests.qstash.python_client import Python
from tests.qstash.signed import check
from tests.support.receiver import Answer, Receiver


async def test_a_group_is_made_changed_listed_and_deleted(client: Python, name: str) -> None:
    """An endpoint is known by its URL or its name; with the last one goes the group."""
    one, two, three = (f"http://127.0.0.1:9/{number}" for number in range(3))
    await client.url_group.upsert_endpoints(name, [{"url": one, "name": "first"}, {"url": two}])

    group = await client.url_group.get(name)
    assert (group.name, [(end.url, end.name) for end in group.endpoints]) == (name, [(one, "first"), (two, None)])
    assert 0 < group.created_at <= group.updated_at

    await client.url_group.upsert_endpoints(name, [{"url": three, "name": "first"}])
    assert {(end.url, end.name) for end in (await client.url_group.get(name)).endpoints} == {(three, "first"), (two, None)}

    await client.url_group.remove_endpoints(name, [{"name": "first"}])
    assert [end.url for end in (await client.url_group.get(name)).endpoints] == [two]
    assert name in [group.name for group in await client.url_group.list()]

    await client.url_group.remove_endpoints(name, [{"url": two}])
    with pytest.raises(QStashError, match="404"):
        await client.url_group.get(name)


async def test_a_deleted_group_takes_no_messages(client: Python, name: str) -> None:
    """Deleting it a second time is no error: QStash's own tests begin with it."""
    await client.url_group.upsert_endpoints(name, [{"url": "http://127.0.0.1:9/"}])

    await client.url_group.delete(name)
    await client.url_group.delete(name)

    assert name not in [group.name for group in await client.url_group.list()]
    with pytest.raises(QStashError, match=r"40[04]"):
        await client.message.publish(url_group=name, body="x")


async def test_each_endpoint_gets_its_own_message(client: Python, receiver: Receiver, name: str) -> None:
    """One of them fails and is retried alone; callbacks say which endpoint it was."""
    broken = receiver.answers("/broken", Answer(500), Answer(200))
    await client.url_group.upsert_endpoints(
        name, [{"url": receiver.url("/fine"), "name": "fine"}, {"url": broken, "name": "not"}]
    )

    sent = await client.message.publish_json(url_group=name, body={"for": "all"}, retry_delay="1", callback=receiver.url("/told"))

    assert {one.url for one in sent} == {receiver.url("/fine"), broken}
    assert len({one.message_id for one in sent}) == 2
    fine, *_ = await receiver.wait_for(1, "/fine")
    first, second = await receiver.wait_for(2, "/broken")
    for arrival in (fine, first, second):
        assert arrival.json() == {"for": "all"}
        check(arrival)
    told = [told_in(one) for one in await receiver.wait_for(3, "/told")]
    assert sorted((one["endpointName"], one["status"]) for one in told) == [("fine", 200), ("not", 200), ("not", 500)]
    assert {one["topicName"] for one in told} == {name}
    assert len(receiver.at("/fine")) == 1


async def test_a_message_to_a_group_knows_its_group(client: Python, receiver: Receiver, name: str) -> None:
    await client.url_group.upsert_endpoints(name, [{"url": receiver.url("/a"), "name": "first"}])
    (sent,) = await client.message.publish(url_group=name, body="x", delay="1h")

    told = await client.message.get(sent.message_id)

    assert (told.url_group, told.endpoint, told.url) == (name, "first", receiver.url("/a"))


async def test_a_group_is_enqueued_endpoint_by_endpoint(client: Python, receiver: Receiver, name: str) -> None:
    await client.url_group.upsert_endpoints(name, [{"url": receiver.url("/a")}, {"url": receiver.url("/b")}])

    sent = await client.message.enqueue(queue=name, url_group=name, body="x")

    assert {one.url for one in sent} == {receiver.url("/a"), receiver.url("/b")}
    await receiver.wait_for(1, "/a")
    await receiver.wait_for(1, "/b")
