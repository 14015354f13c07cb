"""Flow control under random steps of callers, dispatchers and workers: no limit is broken, and nothing is lost."""

from __future__ import annotations

from contextlib import suppress
from random import Random

import pytest

from shared.errors import TooLate
from shared.settings import LimitSettings
from shared.store import messages
from shared.store.entries import Entry
from tests.store.flowing import Flowing
from tests.store.stage import Stage, id_of, lease_of, retry
from tests.support.waiting import eventually

TOPIC = LimitSettings(concurrency=5)
KEY = LimitSettings(concurrency=2, rate=4, period_ms=30)
STEPS = 120


class Steps:
    """What happens, one step after the other, and what is known of each message."""

    def __init__(self, stage: Stage, flowing: Flowing, random: Random) -> None:
        self._stage, self._flowing, self._random = stage, flowing, random
        self.key_of: dict[str, str] = {}
        self.running: list[Entry] = []
        self.cancelled: set[str] = set()
        self.delivered: set[str] = set()

    async def step(self) -> None:
        await self._random.choice((self._add, self._admit, self._admit, self._read, self._end, self._end, self._change))()

    @property
    def over(self) -> bool:
        return self.delivered | self.cancelled == set(self.key_of)

    async def go_on(self) -> None:
        await self._flowing.admit()
        self.running += await self._flowing.read()
        while self.running:
            await self._finish(self.running.pop())

    async def _add(self) -> None:
        key, priority = self._random.choice("abc"), self._random.choice((None, "high", "low"))
        made = await self._flowing.add(key, self._random.randint(1, 4), priority)  # type: ignore[arg-type] # one of the three
        self.key_of |= dict.fromkeys(made, key)

    async def _admit(self) -> None:
        await self._flowing.admit(limit=self._random.choice((1, 3, 100)))

    async def _read(self) -> None:
        self.running += await self._flowing.read(self._random.randint(1, 4))

    async def _end(self) -> None:
        if not self.running:
            return
        entry = self.running.pop(self._random.randrange(len(self.running)))
        how = self._random.random()
        if how < 0.5:
            await self._finish(entry)
        elif how < 0.75:
            assert await self._stage.settle(retry(entry)) == [True]
        else:
            assert await self._stage.worker().hand_back([lease_of(entry)]) == [True]

    async def _finish(self, entry: Entry) -> None:
        assert await self._flowing.finish(entry) == [True]
        self.delivered.add(id_of(entry))

    async def _change(self) -> None:
        waiting = [one for one in self.key_of if one not in self.cancelled | self.delivered]
        if not waiting:
            return
        one, store = self._random.choice(waiting), self._stage.store
        with suppress(TooLate):
            if self._random.random() < 0.5:
                await messages.cancel(store, one)
                self.cancelled.add(one)
            else:
                await messages.change(store, one, due_ms=await self._stage.now_ms() - self._random.randint(0, 500))


@pytest.mark.leaves("index", "stream:", "finished", "errors:")
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_nothing_is_lost_and_no_limit_is_broken(stage: Stage, seed: int) -> None:
    """At each step the places that are held are those of the messages in streams, and no more than the limits; in the end every
    message is delivered or cancelled, none is both, and nothing is left behind."""
    flowing = Flowing(stage, topic=TOPIC, key=KEY)
    steps = Steps(stage, flowing, Random(seed))  # noqa: S311 - a run that can be had again

    for _ in range(STEPS):
        await steps.step()
        in_streams = set(await flowing.ready())
        assert await flowing.held() == in_streams
        assert len(in_streams) <= TOPIC.concurrency
        assert all(sum(steps.key_of[one] == key for one in in_streams) <= KEY.concurrency for key in "abc")

    async def over() -> bool:
        await steps.go_on()
        return steps.over and await flowing.sets() == {}

    await eventually(over, within_s=30, what="every message is over, and nothing is left of flow control")
    assert not steps.delivered & steps.cancelled
    assert await stage.client.exists(*stage.keys.dues("alpha"), stage.keys.index) == 0
