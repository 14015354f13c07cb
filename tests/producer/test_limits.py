"""The limit of a key. Rates are so slow that no machine's pace decides."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import Settings
from tests.producer.api import NDJSON, Answer, Api, assert_problem, stored
from tests.producer.conftest import OpenApi
from tests.producer.keys import Keyring

pytestmark = pytest.mark.leaves("due")

INTERVAL_S = 100
WORK = {"topic": "work"}


@pytest.fixture
def ring() -> Keyring:
    ring = Keyring()
    ring.make("slow", "admin", rate_per_s=1 / INTERVAL_S, burst=5)
    ring.make("free", "admin")
    return ring


@pytest.fixture
async def keyed(open_api: OpenApi, settings: Settings, ring: Keyring) -> Api:
    return await open_api(ring.asked_for(settings))


def assert_waits(answer: Answer, least_s: int, most_s: int) -> None:
    assert_problem(answer, 429, says="slow may ask for 0.01 messages or other requests a second, 5 at once")
    assert least_s <= int(answer.headers["retry-after"]) <= most_s


async def test_what_is_over_the_limit_is_told_how_long_to_wait(keyed: Api, ring: Keyring, redis: Redis, prefix: str) -> None:
    """The burst passes, the next is refused with whole seconds, rounded up; nothing of it is stored."""
    headers = ring.header("slow")
    for _ in range(5):
        await keyed.accepted("/messages", WORK, headers=headers)

    assert_waits(await keyed.post("/messages", WORK, headers=headers), INTERVAL_S - 60, INTERVAL_S)

    assert (await stored(redis, prefix))["due:work"] == 5


async def test_every_kind_of_request_counts(keyed: Api, ring: Keyring) -> None:
    """Looking, and what is refused for another reason, takes from the same burst."""
    headers = ring.header("slow")
    for method, path in (
        ("GET", "/dead-letters"),
        ("GET", "/messages/x"),
        ("POST", "/messages"),
        ("GET", "/nothing"),
        ("DELETE", "/messages/x"),
    ):
        assert (await keyed.call(method, path, headers=headers)).status < 429

    assert (await keyed.get("/dead-letters", headers=headers)).status == 429


async def test_other_keys_and_health_and_strangers_are_not_held_up(keyed: Api, ring: Keyring) -> None:
    """A key's limit is its own."""
    for _ in range(6):
        last = await keyed.get("/dead-letters", headers=ring.header("slow"))
    assert last.status == 429

    assert (await keyed.get("/health", headers=ring.header("slow"))).status == 200
    for _ in range(10):
        assert (await keyed.get("/dead-letters", headers=ring.header("free"))).status == 200
        assert (await keyed.get("/dead-letters")).status == 401


async def test_a_batch_counts_its_messages(keyed: Api, ring: Keyring, redis: Redis, prefix: str) -> None:
    """Four of five: one more passes, two do not, in either form of a batch."""
    headers = ring.header("slow")
    await keyed.accepted("/messages/batch", [WORK] * 3, headers=headers)

    refused = await keyed.post("/messages/batch", data=b'{"topic": "work"}\n' * 3, headers={**headers, "Content-Type": NDJSON})
    assert_waits(refused, 1, INTERVAL_S)
    assert (await stored(redis, prefix))["due:work"] == 3

    await keyed.accepted("/messages/batch", [WORK], headers=headers)
    assert (await keyed.post("/messages", WORK, headers=headers)).status == 429


async def test_a_batch_larger_than_the_burst_is_paid_off_afterwards(keyed: Api, ring: Keyring) -> None:
    """No batch is impossible, and over time the limit holds: the next waits for all of it."""
    headers = ring.header("slow")
    await keyed.accepted("/messages/batch", [WORK] * 20, headers=headers)

    assert_waits(await keyed.post("/messages", WORK, headers=headers), 15 * INTERVAL_S, 16 * INTERVAL_S)


async def test_a_batch_larger_than_the_burst_waits_for_the_whole_burst(keyed: Api, ring: Keyring) -> None:
    """Many large batches at once do not all slip through."""
    headers = ring.header("slow")

    answers = await asyncio.gather(*(keyed.post("/messages/batch", [WORK] * 20, headers=headers) for _ in range(4)))

    assert sorted(answer.status for answer in answers) in ([202, 429, 429, 429], [429, 429, 429, 429])


async def test_producers_share_the_limit(open_api: OpenApi, settings: Settings, ring: Keyring) -> None:
    """Whichever of them is asked: as many pass as one alone would let."""
    producers = [await open_api(ring.asked_for(settings)) for _ in range(2)]

    answers = await asyncio.gather(
        *(one.get("/dead-letters", headers=ring.header("slow")) for _ in range(6) for one in producers)
    )

    assert sorted(answer.status for answer in answers) == [200] * 5 + [429] * 7


async def test_without_a_burst_a_second_s_worth_may_come_at_once(open_api: OpenApi, settings: Settings) -> None:
    """At least one."""
    ring = Keyring()
    ring.make("slow", "read", rate_per_s=0.01)
    api = await open_api(ring.asked_for(settings))

    answers = [await api.get("/dead-letters", headers=ring.header("slow")) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 429]


async def test_while_redis_is_out_the_answer_is_that_of_the_outage(open_api: OpenApi, settings: Settings, ring: Keyring) -> None:
    """A limit that cannot be counted refuses nobody; what was asked for says why it fails."""
    redis_settings = msgspec.structs.replace(settings.redis, connection_string="127.0.0.1:1")
    api = await open_api(ring.asked_for(msgspec.structs.replace(settings, redis=redis_settings)))

    for _ in range(7):
        assert_problem(await api.get("/dead-letters", headers=ring.header("slow")), 503, says="Redis is out")
