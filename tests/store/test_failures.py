"""What holds for every script: it checks everything before its first write, may be repeated, and drains a full Redis."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import count

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.errors import Outage
from shared.settings import RedisSettings, Settings
from shared.store import scripts
from shared.store.connect import Client
from shared.store.scripts import Script
from tests.store.scenes import PLAYS, Play, Scene
from tests.store.stage import Stage, contents, dump, open_stage
from tests.support.keys import delete_keys

pytestmark = pytest.mark.leaves(
    "due:", "index", "stream:", "errors:", "dead", "idempotency:", "schedule", "flow:", "labels", "webhooks"
)

every_play = pytest.mark.parametrize("name", PLAYS)
every_writing_play = pytest.mark.parametrize("name", [name for name, play in PLAYS.items() if play.first_write])
COMMAND = re.compile(r"redis\.p?call\('(\w+)'")


async def run(stage: Stage, play: Play, scene: Scene) -> object:
    return play.summary(await play.script.run(stage.client, scene.keys, scene.arguments))


async def refusal_of(redis: Client, text: str, scene: Scene) -> str | None:
    """What Redis says against running that text; ``None`` where it runs."""
    try:
        await redis.eval(text, len(scene.keys), *scene.keys, *scene.arguments)
    except ResponseError as error:
        return str(error)
    return None


async def states(stage: Stage, scene: Scene) -> dict[str, str]:
    return {message_id: await stage.status(message_id) for message_id in scene.after}


def test_every_script_has_a_play() -> None:
    """A new script comes with a state and a call here, so that nothing below passes it by."""
    assert {play.script.name for play in PLAYS.values()} == {script.name for script in scripts.ALL}


@every_play
async def test_a_script_does_what_its_play_says(stage: Stage, name: str) -> None:
    """Each play's state is real: run in it, the script succeeds, and every message is where it should be."""
    play = PLAYS[name]
    scene = await play.build(stage)

    answer = await run(stage, play, scene)

    assert answer == scene.first
    assert await states(stage, scene) == scene.after


@every_play
async def test_a_key_of_another_type_refuses_the_script_before_its_first_write(
    stage: Stage, redis: Client, prefix: str, name: str
) -> None:
    """Whichever of its keys is not what it should be: the script fails, and no other key has changed."""
    play = PLAYS[name]
    refused, ignored = [], []
    for position in count():
        await delete_keys(redis, prefix)
        scene = await play.build(stage)
        if position == len(scene.keys):
            break
        key = scene.keys[position]
        key_name = key.split("}:", 1)[1]
        was = await redis.type(key)
        await redis.delete(key)
        await redis.rpush(key, "wrong") if was == b"string" or key_name.startswith("idempotency") else await redis.set(
            key, "wrong"
        )
        before = await dump(redis, prefix)
        refusal = await refusal_of(redis, play.script.text, scene)
        if refusal is None:
            ignored.append("errors" if key_name.startswith("errors:") else key_name)
            continue
        assert "WRONGTYPE" in refusal, key_name
        assert await dump(redis, prefix) == before, key_name
        refused.append(key_name)

    assert set(ignored) == play.untouched
    assert refused


@every_play
async def test_a_repeat_has_no_second_effect(stage: Stage, redis: Client, prefix: str, name: str) -> None:
    """After a lost answer the same call may be sent again: it changes nothing, and answers as its header says."""
    play = PLAYS[name]
    scene = await play.build(stage)
    await run(stage, play, scene)
    before = await contents(redis, prefix)

    answer = await run(stage, play, scene)

    assert answer == scene.again
    assert await contents(redis, prefix) == before
    assert await states(stage, scene) == scene.after


async def written_by(redis: Client, script: Script) -> set[str]:
    """The names of the commands in a script that write."""
    names = sorted(set(COMMAND.findall(script.text)))
    found = await redis.execute_command("COMMAND", "INFO", *names)
    flags = {name: {str(flag) for flag in row["flags"]} for name, row in found.items()}
    return {name for name in names if name == "XGROUP" or "write" in flags[name.lower()]}


def failing_at(script: Script, number: int, writes: set[str]) -> str:
    """The script's text with a prelude that lets its write of that number fail."""
    table = ", ".join(f"{name} = true" for name in sorted(writes))
    return f"""
    local real, done, writes = redis, 0, {{{table}}}
    local function count(name)
      if not writes[name] then return end
      done = done + 1
      if done == {number} then error('write ' .. done .. ' is ' .. name) end
    end
    local redis = {{
      call = function(name, ...) count(name) return real.call(name, ...) end,
      pcall = function(name, ...) count(name) return real.pcall(name, ...) end,
    }}
    {script.text}"""


@every_writing_play
async def test_a_script_begins_with_the_write_that_may_fail(stage: Stage, redis: Client, prefix: str, name: str) -> None:
    """An accepting script begins with a write that a full Redis refuses, every other with one that it does not.

    For these it is the removal: what was written before it would be doubled where it fails. Nothing has changed when it fails.
    """
    play = PLAYS[name]
    scene = await play.build(stage)
    writes = await written_by(redis, play.script)
    before = await dump(redis, prefix)

    with pytest.raises(ResponseError, match=f"write 1 is {play.first_write}"):
        await redis.eval(failing_at(play.script, 1, writes), len(scene.keys), *scene.keys, *scene.arguments)

    assert await dump(redis, prefix) == before
    (flags,) = [row["flags"] for row in (await redis.execute_command("COMMAND", "INFO", play.first_write)).values()]
    assert ("denyoom" in {str(flag) for flag in flags}) is await refused_when_full(redis, play)


async def refused_when_full(redis: Client, play: Play) -> bool:
    """What accepts; and before Redis 7, whose XGROUP counts as a command that needs memory, what leaves a group."""
    before_7 = int((await redis.info("server"))["redis_version"].split(".")[0]) < 7
    accepting = {scripts.SCHEDULE, scripts.PUT_SCHEDULE, scripts.FIRE, scripts.TALLY, scripts.PUT_WEBHOOK}
    return play.script in accepting or (play.script is scripts.LEAVE and before_7)


@every_writing_play
async def test_no_failed_write_leaves_a_message_in_two_places(stage: Stage, redis: Client, prefix: str, name: str) -> None:
    """Whichever write fails, no message lies in two places from which it would be delivered or replayed twice."""
    play = PLAYS[name]
    writes = await written_by(redis, play.script)
    for number in count(1):
        await delete_keys(redis, prefix)
        scene = await play.build(stage)
        refusal = await refusal_of(redis, failing_at(play.script, number, writes), scene)
        if refusal is None:
            assert number > 1
            return
        assert f"write {number} is" in refusal
        found = await places(redis, prefix, list(scene.after))
        assert all(place <= 1 for place in found.values()), f"write {number}: {found}"


async def places(redis: Client, prefix: str, ids: list[str]) -> dict[str, int]:
    """In how many due sets, streams and dead letter stores each message's record lies."""
    everything = await contents(redis, prefix)
    text = [repr(value) for name, value in everything.items() if name.startswith(("due:", "stream:"))]
    text.append(repr(list(everything.get("dead:records", {}))))
    return {message_id: sum(one.count(message_id) for one in text) for message_id in ids}


@pytest.fixture
async def own_redis(own_server_url: str, prefix: str) -> AsyncIterator[Client]:
    """The server whose configuration a test may change; put back afterwards."""
    client: Client = Redis.from_url(own_server_url, protocol=2)
    yield client
    await client.config_set("maxmemory", 0)
    await client.config_set("min-replicas-to-write", 0)
    await client.replicaof("NO", "ONE")
    await delete_keys(client, prefix)
    await client.aclose()


@pytest.fixture
async def own_stage(own_server_url: str, own_redis: Client, settings: Settings) -> AsyncIterator[Stage]:
    redis_settings = RedisSettings(connection_string=own_server_url, key_prefix=settings.redis.key_prefix)
    async with open_stage(msgspec.structs.replace(settings, redis=redis_settings)) as stage:
        yield stage


@every_play
async def test_a_full_redis_accepts_nothing_and_drains(own_stage: Stage, own_redis: Client, prefix: str, name: str) -> None:
    """With its memory full, Redis refuses to accept as an outage that stores nothing; all else works and loses nothing."""
    play = PLAYS[name]
    scene = await play.build(own_stage)
    before = await dump(own_redis, prefix)
    await own_redis.config_set("maxmemory", 1)

    if await refused_when_full(own_redis, play):
        with pytest.raises(Outage) as caught:
            await run(own_stage, play, scene)

        assert caught.value.kind == "oom"
        assert await dump(own_redis, prefix) == before
    else:
        answer = await run(own_stage, play, scene)

        assert answer == scene.first
        assert await states(own_stage, scene) == scene.after


@every_writing_play
@pytest.mark.parametrize("kind", ["noreplicas", "readonly"])
async def test_a_redis_that_takes_no_writes_is_an_outage(
    own_stage: Stage, own_redis: Client, prefix: str, name: str, kind: str
) -> None:
    """A server that may not write refuses every changing script as an outage of its kind; nothing has changed."""
    play = PLAYS[name]
    scene = await play.build(own_stage)
    before = await dump(own_redis, prefix)
    if kind == "noreplicas":
        await own_redis.config_set("min-replicas-to-write", 1)
    else:
        await own_redis.replicaof("127.0.0.1", 1)

    with pytest.raises(Outage) as caught:
        await run(own_stage, play, scene)

    assert caught.value.kind == kind
    assert await dump(own_redis, prefix) == before
