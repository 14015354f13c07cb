"""``/v2/flowControl`` and ``/v2/globalParallelism``, over HTTP and by QStash's official client."""

from __future__ import annotations

import time

import pytest
from qstash.errors import QStashError

from shared.record import Options
from shared.store.flow import Limit, set_limit
from tests.producer.api import Api
from tests.producer.qstash.conftest import Client
from tests.producer.qstash.webhooks import Webhooks

pytestmark = pytest.mark.leaves("due", "index", "stream", "flow:")


async def test_a_key_tells_its_limits_and_what_runs_and_waits(client: Client, webhooks: Webhooks, api: Api) -> None:
    """As the official client reads it."""
    await set_limit(webhooks.stage.store, "webhook", "customer", Limit(10, 60_000, 2))
    await webhooks.add(5, Options(flow_key="customer"))
    await webhooks.let_through()

    found = await client.call(lambda qstash: qstash.flow_control.get("customer"))

    assert (found.key, found.wait_list_size, found.parallelism_max, found.parallelism_count) == ("customer", 3, 2, 2)
    assert (found.rate_max, found.rate_count, found.rate_period) == (10, 2, 60)
    assert time.time() - 120 < found.rate_period_start < time.time()
    assert (found.is_paused, found.is_pinned_parallelism, found.is_pinned_rate) == (False, False, False)
    assert [one["flowControlKey"] for one in (await api.get("/v2/flowControl")).json] == ["customer"]


async def test_a_key_is_paused_and_resumed(client: Client) -> None:
    """What was let through goes on."""
    await client.call(lambda qstash: qstash.flow_control.pause("customer"))
    assert (await client.call(lambda qstash: qstash.flow_control.get("customer"))).is_paused

    await client.call(lambda qstash: qstash.flow_control.resume("customer"))
    with pytest.raises(QStashError, match="status: 404"):
        await client.call(lambda qstash: qstash.flow_control.get("customer"))


async def test_limits_are_pinned_and_unpinned(client: Client) -> None:
    """Each by itself; unpinned, they hold on until a message says others."""
    await client.call(lambda qstash: qstash.flow_control.pin("customer", {"parallelism": 3}))
    one = await client.call(lambda qstash: qstash.flow_control.get("customer"))
    await client.call(lambda qstash: qstash.flow_control.pin("customer", {"rate": 5, "period": 60}))
    both = await client.call(lambda qstash: qstash.flow_control.get("customer"))
    await client.call(lambda qstash: qstash.flow_control.unpin("customer", {"parallelism": True}))
    rate = await client.call(lambda qstash: qstash.flow_control.get("customer"))

    assert (one.is_pinned_parallelism, one.is_pinned_rate, one.parallelism_max) == (True, False, 3)
    assert (both.is_pinned_parallelism, both.is_pinned_rate, both.rate_max, both.rate_period) == (True, True, 5, 60)
    assert (rate.is_pinned_parallelism, rate.is_pinned_rate, rate.parallelism_max) == (False, True, 3)


async def test_a_rate_begins_anew(client: Client, api: Api) -> None:
    """Both ask for it and get an answer."""
    await client.call(lambda qstash: qstash.flow_control.reset_rate("customer"))

    assert (await api.post("/v2/flowControl/customer/resetRate")).json == {}


@pytest.mark.parametrize("query", ["", "parallelism=0", "rate=x", "period=5", "parallelism=1&period=5", "rate=1&every=2"])
async def test_a_pin_says_what_is_pinned(api: Api, query: str) -> None:
    """Whatever else is refused."""
    assert (await api.post(f"/v2/flowControl/customer/pin?{query}")).status == 400
    assert (await api.get("/v2/flowControl")).json == []


async def test_an_unpin_says_yes_or_no(api: Api) -> None:
    """And nothing else."""
    assert (await api.post("/v2/flowControl/customer/unpin?rate=maybe")).status == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/pin?rate=1"), ("POST", "/unpin"), ("POST", "/resetRate")],
)
async def test_a_queue_is_no_key(api: Api, method: str, path: str) -> None:
    """Though it is made of one."""
    await api.post("/v2/queues", {"queueName": "mail"})

    assert (await api.call(method, f"/v2/flowControl/queue:mail{path}")).status == 404


async def test_the_parallelism_of_all_is_that_of_the_workers(client: Client, webhooks: Webhooks) -> None:
    """Where the topic has no limit; what runs is counted."""
    before = await client.call(lambda qstash: qstash.flow_control.get_global_parallelism())
    await webhooks.add(3)
    await webhooks.let_through()
    await webhooks.read()

    after = await client.call(lambda qstash: qstash.flow_control.get_global_parallelism())

    assert (before.parallelism_max, before.parallelism_count) == (300, 0)
    assert (after.parallelism_max, after.parallelism_count) == (300, 3)
