"""``/v2/queues``: queues over HTTP and by QStash's official client."""

from __future__ import annotations

import pytest
from qstash.errors import QStashError
from qstash.queue import Queue

from shared.record import Options
from shared.store import flow
from shared.store.flow import Limit
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client
from tests.producer.qstash.webhooks import Webhooks

pytestmark = pytest.mark.leaves("due", "index", "stream", "flow:")


async def test_a_queue_is_made_changed_and_deleted(client: Client) -> None:
    """It is a flow key with a limit, and gone when that is taken away."""
    await client.call(lambda qstash: qstash.queue.upsert("mail", parallelism=3))
    made = Queue(name="mail", parallelism=3, created_at=0, updated_at=0, lag=0, paused=False)
    assert await client.call(lambda qstash: qstash.queue.get("mail")) == made
    assert await client.call(lambda qstash: qstash.queue.list()) == [made]

    await client.call(lambda qstash: qstash.queue.upsert("mail", paused=True))
    changed = await client.call(lambda qstash: qstash.queue.get("mail"))
    assert (changed.parallelism, changed.paused) == (1, True)

    await client.call(lambda qstash: qstash.queue.delete("mail"))
    assert await client.call(lambda qstash: qstash.queue.list()) == []
    with pytest.raises(QStashError, match="status: 404"):
        await client.call(lambda qstash: qstash.queue.get("mail"))


async def test_a_queue_is_paused_and_resumed(client: Client) -> None:
    """Pausing makes it, with the usual parallelism; one that is there keeps its own."""
    await client.call(lambda qstash: qstash.queue.upsert("mail", parallelism=3))
    for name, parallelism in (("mail", 3), ("other", 1)):
        await client.call(lambda qstash, name=name: qstash.queue.pause(name))  # type: ignore[misc] # bound now
        paused = await client.call(lambda qstash, name=name: qstash.queue.get(name))  # type: ignore[misc] # bound now
        await client.call(lambda qstash, name=name: qstash.queue.resume(name))  # type: ignore[misc] # bound now
        resumed = await client.call(lambda qstash, name=name: qstash.queue.get(name))  # type: ignore[misc] # bound now

        assert (paused.paused, resumed.paused) == (True, False)
        assert paused.parallelism == resumed.parallelism == parallelism


async def test_the_lag_counts_what_waits_and_what_runs(api: Api, webhooks: Webhooks) -> None:
    """As many run as the parallelism says. Nothing of other keys is counted, and those are no queues."""
    await api.post("/v2/queues", {"queueName": "mail", "parallelism": 2})
    await webhooks.add(5, Options(flow_key="queue:mail"))
    await webhooks.add(2, Options(flow_key="mail"))
    assert await webhooks.let_through() == 4

    (found,) = (await api.get("/v2/queues")).json

    assert (found["name"], found["lag"]) == ("mail", 5)
    assert (await flow.get(webhooks.stage.store, "webhook", "queue:mail")).held == 2


async def test_what_is_in_a_deleted_queue_stays_one_after_the_other(api: Api, webhooks: Webhooks) -> None:
    """Without a limit all of it would go at once. It can be deleted again when nothing is in it."""
    await api.post("/v2/queues", {"queueName": "mail", "parallelism": 2})
    await webhooks.add(3, Options(flow_key="queue:mail"))
    assert await webhooks.let_through() == 2

    assert (await api.call("DELETE", "/v2/queues/mail")).status == 200

    assert (await api.get("/v2/queues/mail")).json["parallelism"] == 1
    assert await webhooks.let_through() == 0


async def test_what_comes_late_to_a_deleted_queue_goes_one_after_the_other_too(api: Api, webhooks: Webhooks) -> None:
    """It was delayed, or on its way, when the queue was deleted; other flow keys go all at once."""
    await api.post("/v2/queues", {"queueName": "mail", "parallelism": 2})
    assert (await api.call("DELETE", "/v2/queues/mail")).status == 200

    await webhooks.add(3, Options(flow_key="queue:mail"))
    assert await webhooks.let_through() == 1
    await webhooks.add(3, Options(flow_key="mail"))
    assert await webhooks.let_through() == 3


async def test_all_queues_are_listed_though_they_are_many(api: Api, webhooks: Webhooks) -> None:
    """In the order of their names, whatever flow keys stand around them."""
    names = [f"q{number:03}" for number in range(205)]
    for key in ("a", "queue", "queues", *(f"queue:{name}" for name in names)):
        await flow.set_limit(webhooks.stage.store, "webhook", key, Limit(0, 1000, 1))

    assert [one["name"] for one in (await api.get("/v2/queues")).json] == names
    others = (await api.get("/v2/flowControl")).json
    assert [one["flowControlKey"] for one in others] == ["a", "queue", "queues"]


@pytest.mark.parametrize(
    "content",
    [{}, {"queueName": "a b"}, {"queueName": ""}, {"queueName": "a" * 101}, {"queueName": "a", "parallelism": 0}],
)
async def test_a_queue_has_a_name_and_a_parallelism(api: Api, content: object) -> None:
    """Whatever else is refused."""
    assert (await api.post("/v2/queues", content)).status in {400, 422}
    assert (await api.get("/v2/queues")).json == []


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")])
async def test_another_name_is_refused(api: Api, method: str, path: str) -> None:
    """On every path of a queue."""
    assert (await api.call(method, f"/v2/queues/a~b{path}")).status == 400
