"""Rates of a topic with real processes: whatever they counted is told by any producer."""

from __future__ import annotations

import signal
from typing import Any

from tests.support.waiting import eventually
from tests.system.conftest import MakeService

SHOWN_WITHIN_S = 30.0
"""Two seconds until it is written, ten until these ten seconds are over, and as long again on a busy machine."""


async def test_a_whole_service_tells_its_rates(make_service: MakeService) -> None:
    """Two producers, a recurring schedule and two workers: what was accepted, delivered and failed, each once. A worker that
    is stopped at once has written down what it settled."""
    service = make_service(Retry__InitialMs=10)
    await service.start(producers=2, consumers=2)
    urls = [await process.url() for process in service.named("producer")]
    batch = [{"topic": "work"}] * 20 + [{"topic": "work", "body": {"fail": 1}}] * 4
    for url in urls:
        async with service.http.post(f"{url}/messages/batch", json=batch) as answer:
            assert answer.status == 202
    schedule = {"every": "100ms", "max_runs": 12, "message": {"topic": "work"}}
    assert (await service.call("PUT", "/schedules/quick", schedule))[0] == 201
    await service.all_ended(60)
    for process in service.named("consumers"):
        process.send(signal.SIGTERM)
    assert [await process.ended() for process in service.named("consumers")] == [0, 0]

    async def told() -> Any:
        _, topic = await service.call("GET", "/topics/work")
        found = tuple(topic[f"{what}_per_second"] for what in ("accepted", "delivered", "failed"))
        return found if found == (1.0, 1.0, 0.133) else None

    assert await eventually(told, within_s=SHOWN_WITHIN_S, what="all of it is told")
    assert (await service.call("DELETE", "/schedules/quick"))[0] == 200
