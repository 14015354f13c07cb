"""Topics with a limit: their lanes share the places that there are."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from dispatcher.forwarder import Forwarder
from shared.settings import LimitSettings
from shared.store.keys import LEVELS
from shared.store.partition import Store
from tests.store.flowing import Flowing
from tests.store.stage import Stage

DRAWS = 150


@pytest.mark.leaves("due:", "stream:", "index", "finished", "flow:")
async def test_lanes_share_the_places_of_their_topic_by_weights(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While all of them have a backlog, and whichever lane stands first in the agenda: none starves, high gets most."""
    monkeypatch.setattr("dispatcher.forwarder.random.expovariate", random.Random(7).expovariate)  # noqa: S311 - a run that can be had again
    stage = Stage(store)
    flowing = Flowing(stage, topic=LimitSettings(concurrency=2))
    forwarder = Forwarder(store.partitions, {"alpha": flowing.topic}, store.settings.dispatcher)
    lane_of: dict[str, str] = {}
    for level in LEVELS:
        lane_of |= dict.fromkeys(await flowing.add(None, 2 * DRAWS, level), level)  # type: ignore[arg-type] # one of the levels
    lane_of |= dict.fromkeys(await flowing.add("a", 2 * DRAWS), "with a flow key")
    served = Counter[str]()

    for _ in range(DRAWS):
        forwarder.agenda.all_now()
        await forwarder.run_once()
        ready = await flowing.ready()
        assert len(ready) <= 2
        served.update(lane_of[one] for one in ready)
        while entries := await flowing.read():
            await flowing.finish(*entries)
    await stage.close()

    assert served.total() == 2 * DRAWS
    assert served["high"] > served["normal"] > served["low"] > 0
    assert served["with a flow key"] > served["low"]
