"""Ordered messages under random steps of callers, dispatchers, workers and strangers: the order holds, and no place is lost."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from shared.errors import TooLate
from shared.record import Options
from shared.settings import LimitSettings
from shared.store import flow, messages
from shared.store.entries import Entry
from tests.store.flowing import Flowing
from tests.store.stage import Stage, dead, id_of, lease_of, retry
from tests.support.waiting import eventually

STEPS = 150
KEYS = "abc"


class Steps:
    """What happens, one step after the other, and what is known of each message."""

    def __init__(self, stage: Stage, flowing: Flowing, random: Random, concurrency: int) -> None:
        self._stage, self._flowing, self._random, self._concurrency = stage, flowing, random, concurrency
        self.waiting: dict[str, list[str]] = {key: [] for key in KEYS}
        """Ids that were never let through and may be, in their order."""
        self.under_way: dict[str, set[str]] = {key: set() for key in KEYS}
        """Let through and not over."""
        self.running: list[Entry] = []
        self._due_ms = 0

    async def step(self) -> None:
        await self._random.choice(
            (self._add, self._admit, self._admit, self._read, self._end, self._end, self._cancel, self._move, self._tidy)
        )()
        await self._check()

    async def go_on(self) -> None:
        """Nothing fails any more."""
        await self._admit()
        await self._check()
        self.running += await self._flowing.read()
        while self.running:
            await self._finish(self.running.pop())

    @property
    def over(self) -> bool:
        return not any(self.waiting.values()) and not any(self.under_way.values())

    async def _add(self) -> None:
        key, count = self._random.choice(KEYS), self._random.randint(1, 4)
        self._due_ms = max(self._due_ms, await self._stage.now_ms() - 100_000)
        options = Options(flow_key=key, priority=self._random.choice((None, "high", "low")), ordered=True)
        self.waiting[key] += await self._stage.add(*range(self._due_ms, self._due_ms + count), options=options)
        self._due_ms += count

    async def _admit(self) -> None:
        await self._flowing.admit(limit=self._random.choice((1, 3, 100)))

    async def _read(self) -> None:
        self.running += await self._flowing.read(self._random.randint(1, 4))

    async def _end(self) -> None:
        if not self.running:
            return
        entry = self.running.pop(self._random.randrange(len(self.running)))
        how = self._random.random()
        if how < 0.3:
            await self._finish(entry)
        elif how < 0.4:
            assert await self._stage.settle(dead(entry)) == [True]
            self._is_over(id_of(entry))
        elif how < 0.8:
            assert await self._stage.settle(retry(entry, delay_ms=self._random.randint(0, 3))) == [True]
        elif how < 0.9:
            assert await self._stage.worker().hand_back([lease_of(entry)]) == [True]
        else:  # a stranger deletes it
            await self._stage.client.xdel(entry.stream, entry.entry_id)
            assert await self._stage.settle(retry(entry)) == [True]
            self._is_over(id_of(entry))

    async def _finish(self, entry: Entry) -> None:
        assert await self._flowing.finish(entry) == [True]
        self._is_over(id_of(entry))

    async def _cancel(self) -> None:
        one = self._any()
        with suppress(TooLate):
            if one:
                await messages.cancel(self._stage.store, one)
                self._is_over(one)

    async def _move(self) -> None:
        """Only what waits for another attempt: the others keep their order."""
        retried = sorted(await self._flowing.kept())
        if retried:
            due_ms = await self._stage.now_ms() + self._random.randint(-5, 5)
            await messages.change(self._stage.store, self._random.choice(retried), due_ms=due_ms)

    async def _tidy(self) -> None:
        assert await flow.tidy(self._stage.partition, "alpha") == 0

    async def _check(self) -> None:
        held, kept = await self._flowing.held(), await self._flowing.kept()
        in_streams = set(await self._flowing.ready())
        assert held == in_streams
        for key in KEYS:
            while fresh := in_streams & set(self.waiting[key]):
                assert self.waiting[key][0] in fresh, "none overtakes another"
                self.under_way[key].add(self.waiting[key].pop(0))
            assert len(self.under_way[key]) <= self._concurrency
        assert held | kept == set().union(*self.under_way.values()), "all that are under way have a place, and no others"
        assert not held & kept

    def _any(self) -> str:
        one = self._random.choice(KEYS)
        return self._random.choice([*self.waiting[one], *sorted(self.under_way[one]), ""])

    def _is_over(self, message_id: str) -> None:
        for key in KEYS:
            self.under_way[key].discard(message_id)
            if message_id in self.waiting[key]:
                self.waiting[key].remove(message_id)


@pytest.mark.leaves("index", "stream:", "finished", "errors:", "dead")
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_the_order_holds_and_every_place_comes_back(stage: Stage, seed: int) -> None:
    """At each step those under way have the places of their key, no more than there are, and none was overtaken; in the end
    nothing is left behind."""
    concurrency = 1 + seed % 2
    limit = LimitSettings(concurrency=concurrency, rate=4 if seed % 4 > 1 else 0, period_ms=30)
    topic = LimitSettings(concurrency=2 if seed > 3 else 0)
    flowing = Flowing(stage, topic=topic, key=limit)
    steps = Steps(stage, flowing, Random(seed), concurrency)  # noqa: S311 - a run that can be had again

    for _ in range(STEPS):
        await steps.step()

    async def over() -> bool:
        await steps.go_on()
        return steps.over and await flowing.sets() == {}

    await eventually(over, within_s=30, what="every message is over, and nothing is left of flow control")
    assert await stage.client.exists(*stage.keys.dues("alpha"), stage.keys.index) == 0
