"""``/topics``: how many messages a second were accepted, delivered and failed, over all processes."""

from __future__ import annotations

import msgspec
import pytest

from shared.settings import Settings
from shared.store.connect import Client
from shared.store.keys import Keys
from shared.store.partition import Store
from shared.store.tallies import KEPT_MS, TENS_MS, Tallies
from tests.producer.api import Api
from tests.producer.conftest import OpenApi
from tests.producer.stages import Stages
from tests.support.waiting import eventually

pytestmark = pytest.mark.leaves("due", "index", "stream", "finished", "errors", "dead")
Rates = tuple[float, float, float]


async def rates(api: Api, topic: str = "work") -> Rates:
    one = (await api.get(f"/topics/{topic}")).json
    (listed,) = [other for other in (await api.get("/topics")).json["items"] if other["topic"] == topic]
    assert all(one[name] == listed[name] for name in one if name.endswith("_per_second"))
    return one["accepted_per_second"], one["delivered_per_second"], one["failed_per_second"]


async def written(redis: Client, keys: list[bytes]) -> dict[str, int]:
    found: dict[str, int] = {}
    for key in keys:
        for field, number in (await redis.hgetall(key)).items():
            found[field.decode()] = found.get(field.decode(), 0) + int(number)
    return {name: number for name, number in found.items() if not name.endswith(" written")}


async def put(redis: Client, key: str, counts: dict[str, int]) -> None:
    for field, number in counts.items():
        await redis.hincrby(key, field, number)
    await redis.pexpire(key, KEPT_MS)


async def test_rates_add_up_over_producers_and_workers(
    open_api: OpenApi, settings: Settings, store: Store, redis: Client, prefix: str
) -> None:
    """Two producers store, two workers settle; each writes what it counted, and any producer tells the sum.

    What was written in these ten seconds is put where it will be a little later, in place of waiting for that.
    """
    apis = [await open_api(settings) for _ in range(2)]
    another = Store(settings, "another")
    await another.synchronise()
    hands = [Stages(one, name) for one, name in ((store, "worker-1"), (another, "worker-2"))]
    for api, number in zip(apis, (2, 4), strict=True):
        await api.accepted("/messages/batch", [{"topic": "work"}] * number)
    assert await hands[0].dispatch("work") == 6
    held = await hands[0].read("work")
    for entry in held[:3]:
        await hands[0].finish(entry)
    await hands[0].fail(held[3], "no", 0)
    await hands[0].bury(held[4], "told so", "no")
    await hands[0].finish(held[5], "expired")
    assert await hands[1].dispatch("work") == 1
    (again,) = await hands[1].read("work")
    await hands[1].finish(again)
    for one in (store, another):
        await Tallies(one).flush()

    async def all_written() -> list[bytes]:
        keys = [key async for key in redis.scan_iter(match=f"{prefix}:*:tally:*")]
        return keys if (await written(redis, keys)).get("work accepted") == 6 else []

    keys = await eventually(all_written, what="the producers have written what they counted")
    counts = await written(redis, keys)
    assert counts == {"work accepted": 6, "work delivered": 4, "work failed": 2}
    await redis.delete(*keys)
    await put(redis, Keys(prefix, 0).tally(store.partitions[0].clock.now_ms() // TENS_MS - 3), counts)

    assert [await rates(api) for api in apis] == [(0.1, 0.067, 0.033)] * 2
    assert await rates(apis[0], "echo") == (0.0, 0.0, 0.0)
    for hand in hands:
        await hand.close()
    await another.close()


async def test_rates_are_gone_after_a_minute(api: Api, store: Store, redis: Client, prefix: str) -> None:
    """What was more than a minute ago is told no more, though it is still there."""
    now = store.partitions[0].clock.now_ms() // TENS_MS
    await put(redis, Keys(prefix, 0).tally(now - 8), {"work accepted": 600})
    assert await rates(api) == (0.0, 0.0, 0.0)

    await put(redis, Keys(prefix, 0).tally(now - 2), {"work accepted": 60_000, "work delivered": 1})

    assert await rates(api) == (1000.0, 0.017, 0.0)


async def test_partitions_add_up(open_api: OpenApi, settings: Settings, store: Store, redis: Client, prefix: str) -> None:
    """A topic's rate is that of all its partitions."""
    api = await open_api(msgspec.structs.replace(settings, partitions=3))
    now = store.partitions[0].clock.now_ms() // TENS_MS
    for number in range(3):
        await put(redis, Keys(prefix, number).tally(now - 3), {"work failed": 30})

    assert await rates(api) == (0.0, 0.0, 1.5)
