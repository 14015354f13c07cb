"""Single messages that come at the same time share a script, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from redis.exceptions import ResponseError

from shared.settings import RedisSettings, Settings
from shared.store.accept import Accepted, NotStored, Unconfirmed, schedule
from shared.store.chunks import CHUNK_BYTES, Draft
from shared.store.connect import Client
from tests.store.conftest import Wakes
from tests.store.stage import Stage, open_stage
from tests.support.server import private_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.leaves("due:")

FAR_MS = 2_000_000_000_000


def draft(topic: str = "alpha", body: bytes = b"x", due_ms: int = FAR_MS) -> Draft:
    return Draft(topic, "text", body, due_ms=due_ms)


async def scripts_run(client: Client) -> int:
    found = await client.info("commandstats")
    return int(found.get("cmdstat_evalsha", {}).get("calls", 0))


async def test_messages_that_come_at_once_share_a_script(settings: Settings, tmp_path: Path) -> None:
    """A hundred requests in one step are one script for each topic; each has the answer that it would have had alone."""
    with private_server(tmp_path / "own") as server:
        own = msgspec.structs.replace(settings, redis=RedisSettings(connection_string=server.url))
        async with open_stage(own) as stage:
            await schedule(stage.store, [draft()])  # which loads the script
            before = await scripts_run(stage.client)

            calls = [schedule(stage.store, [draft(topic, due_ms=FAR_MS + n)]) for n in range(50) for topic in ("alpha", "beta")]
            accepted = await asyncio.gather(*calls)

            assert await scripts_run(stage.client) == before + 2
            alpha, beta = await stage.waiting("alpha"), await stage.waiting("beta")
            assert len(alpha) == 51
            assert len(beta) == 50
            for number, one in enumerate(accepted):
                assert one.ids[0] in (beta if number % 2 else alpha)
                assert one.due_ms == [FAR_MS + number // 2]


async def test_what_goes_together_is_bounded(stage: Stage) -> None:
    """Large messages that come at once are stored by several scripts, and all of them."""
    calls = [schedule(stage.store, [draft(body=b"x" * (CHUNK_BYTES // 2))]) for _ in range(5)]

    accepted = await asyncio.gather(*calls)

    assert set(await stage.waiting()) == {one.ids[0] for one in accepted}


async def test_the_earliest_of_those_that_go_together_wakes(stage: Stage, wakes: Wakes) -> None:
    """One wake-up, for the new head."""
    await asyncio.gather(*(schedule(stage.store, [draft(due_ms=FAR_MS + n)]) for n in (5, 2, 9)))

    assert await wakes.heard() == [f"alpha {FAR_MS + 2}"]


async def test_a_due_set_of_another_type_harms_its_own_topic_only(stage: Stage, redis: Client) -> None:
    """What nobody of this service wrote refuses the messages of that topic; others that come at the same time are stored."""
    await redis.set(stage.keys.due("beta"), "not ours")

    bad, good = await asyncio.gather(
        schedule(stage.store, [draft("beta")]), schedule(stage.store, [draft()]), return_exceptions=True
    )

    assert isinstance(bad, ResponseError)
    assert isinstance(good, Accepted)
    assert set(await stage.waiting()) == set(good.ids)
    await redis.delete(stage.keys.due("beta"))


async def test_a_conflict_and_a_repeat_beside_them_change_nothing(stage: Stage) -> None:
    """Requests with an idempotency key go alone, at the same time."""
    first = await schedule(stage.store, [draft()], "order-1")

    one, again, conflict, other = await asyncio.gather(
        schedule(stage.store, [draft()]),
        schedule(stage.store, [draft()], "order-1"),
        schedule(stage.store, [draft(body=b"y")], "order-1"),
        schedule(stage.store, [draft()]),
        return_exceptions=True,
    )

    assert isinstance(one, Accepted)
    assert isinstance(other, Accepted)
    assert isinstance(again, Accepted)
    assert (again.ids, again.deduplicated) == (first.ids, True)
    assert "another content" in str(conflict)
    assert set(await stage.waiting()) == {*first.ids, *one.ids, *other.ids}


async def test_an_outage_gives_each_its_own_answer(own_server_url: str, settings: Settings, prefix: str) -> None:
    """A full Redis stores none of those that go together, and each learns that it may simply be repeated."""
    own = msgspec.structs.replace(settings, redis=RedisSettings(connection_string=own_server_url, key_prefix=prefix))
    async with open_stage(own) as stage:
        await stage.client.config_set("maxmemory", 1)
        try:
            found = await asyncio.gather(*(schedule(stage.store, [draft()]) for _ in range(5)), return_exceptions=True)
        finally:
            await stage.client.config_set("maxmemory", 0)

        assert [type(one) for one in found] == [NotStored] * 5
        assert len({id(one) for one in found}) == 5
        assert await stage.waiting() == {}


async def test_a_lost_answer_tells_each_the_id_that_it_may_have(settings: Settings, tmp_path: Path) -> None:
    """A server that dies while they are on their way: nobody is told that it was stored, and each learns what to look for."""
    with private_server(tmp_path / "own") as server:
        own = msgspec.structs.replace(settings, redis=RedisSettings(connection_string=server.url, timeout_ms=500))
        async with open_stage(own) as stage:
            await schedule(stage.store, [draft()])
            server.kill()

            found = await asyncio.gather(*(schedule(stage.store, [draft()]) for _ in range(5)), return_exceptions=True)

            assert all(isinstance(one, Unconfirmed) for one in found)
            assert len({one.ids[0] for one in found if isinstance(one, Unconfirmed)}) == 5
            server.start()
            accepted = await schedule(stage.store, [draft()])
            assert set(await stage.waiting()) >= set(accepted.ids)


async def test_a_caller_who_goes_away_loses_no_write_of_others(stage: Stage, redis: Client) -> None:
    """It is cancelled while the script that carries its message is on its way."""
    await redis.client_pause(300, all=True)
    calls = [asyncio.create_task(schedule(stage.store, [draft()])) for _ in range(3)]
    groups = await eventually(lambda: stage.partition.gathering.get("alpha"))
    await eventually(lambda: not groups._asked)

    calls[0].cancel()
    gone, *accepted = await asyncio.gather(*calls, return_exceptions=True)

    assert isinstance(gone, asyncio.CancelledError)
    ids = {one.ids[0] for one in accepted if isinstance(one, Accepted)}
    assert len(ids) == 2
    assert set(await stage.waiting()) >= ids
