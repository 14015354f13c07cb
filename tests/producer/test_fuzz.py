"""Requests made from the service's own description: none finds an error of ours, or an answer that is not described.

``FUZZ_EXAMPLES=300 FUZZ_SEED=7`` tries more, and others.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis

from shared.settings import RedisSettings, Settings
from shared.store.partition import Store
from tests.producer.api import Api
from tests.producer.conftest import OpenApi
from tests.producer.fuzzing import ENDLESS, QSTASH, fuzz
from tests.producer.stages import Stages
from tests.support.keys import FORMS
from tests.support.pair import private_pair

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
SEED = int(os.environ["FUZZ_SEED"]) if "FUZZ_SEED" in os.environ else None
OF_EACH = 12


@pytest.fixture
async def reaching(settings: Settings, prefix: str, tmp_path: Path) -> AsyncIterator[Settings]:
    """Settings on a server of its own where every ``Durability`` can be reached: a 503 there is one of ours."""
    async with private_pair(tmp_path, "--appendfsync", "always") as (master, _):
        redis = RedisSettings(connection_string=master.url, key_prefix=prefix)
        yield msgspec.structs.replace(settings, redis=redis)


async def messages_of_each_kind(api: Api, settings: Settings) -> tuple[list[str], list[str]]:
    """Ids of messages that wait and of dead letters, and those of the dead letters; there are schedules of the same ids."""
    store = Store(settings, "test")
    await store.synchronise()
    stages, ids = Stages(store), list[str]()
    for number in range(OF_EACH):
        ids.append((await api.accepted("/messages", {"topic": "work", "body": number, "delay": "1h"}))["id"])
        ids.append((await api.accepted("/messages", {"topic": "work", "body": [number]}))["id"])
        await stages.bury(await stages.run("work"), "of no use", "an error")
    for one in ids:
        schedule = {"id": one, "every": "1d", "message": {"topic": "work"}}
        assert (await api.post("/schedules", schedule)).status == 201
    await stages.close()
    await store.close()
    return ids, ids[1::2]


async def test_no_request_finds_an_answer_that_is_not_described(open_api: OpenApi, reaching: Settings, prefix: str) -> None:
    """Whatever is allowed and forbidden is tried on every operation: no 5xx, nothing undescribed, no key by a caller's words."""
    api = await open_api(reaching)
    ids, letters = await messages_of_each_kind(api, reaching)

    found = await asyncio.to_thread(fuzz, api.url, ids, letters, examples=EXAMPLES, seed=SEED)

    assert "\n\n".join(dict.fromkeys(found.complaints)) == ""
    assert {tuple(operation.split(" ", 1)) for operation in found.statuses} == {
        (method, path) for method, path in api.description.operations() if path != ENDLESS and not re.match(QSTASH, path)
    }
    succeeded = {operation for operation, statuses in found.statuses.items() if statuses & {200, 201, 202}}
    assert succeeded == set(found.statuses), "an operation never succeeded, so hardly anything of it was tried"
    async with Redis.from_url(reaching.redis.connection_string) as client:
        names = [key.decode().removeprefix(f"{prefix}:{{0}}:") async for key in client.scan_iter(count=1000)]
    assert [name for name in names if not FORMS.fullmatch(name)] == []
