"""A user who may not do all that the scripts do: found out before anything is half done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgspec
import pytest

from shared.errors import Outage
from shared.settings import RedisSettings, Settings
from shared.store import due, messages, scripts
from shared.store.accept import schedule
from shared.store.chunks import Draft
from shared.store.connect import Client
from shared.store.keys import Keys
from shared.store.partition import Store
from shared.store.permissions import TRIAL_MS, TRIALS
from tests.store.stage import dump
from tests.store.test_scripts import code_of

COMMAND = re.compile(r"redis\.p?call\('(\w+)'(?:, '(\w+)')?")
pytestmark = pytest.mark.leaves("due:echo")


@asynccontextmanager
async def as_user(settings: Settings, redis: Client, name: str, *rules: str) -> AsyncIterator[Store]:
    """A store of a user with every right but some."""
    await redis.execute_command("ACL", "SETUSER", name, "reset", "on", ">p", "~*", "&*", "+@all", *rules)
    url = urlsplit(settings.redis.connection_string)
    own = RedisSettings(
        connection_string=f"redis://{name}:p@{url.hostname}:{url.port}{url.path}", key_prefix=settings.redis.key_prefix
    )
    store = Store(msgspec.structs.replace(settings, redis=own), "test")
    try:
        yield store
    finally:
        await store.close()
        await redis.execute_command("ACL", "DELUSER", name)


def test_every_command_of_the_scripts_is_tried() -> None:
    """Who uses a new command in a script adds its trial, or a user without it loses messages."""
    used = set()
    for script in scripts.ALL:
        found = COMMAND.findall(code_of(script.text))
        used |= {f"{name} {second}" if name == "XGROUP" else name for name, second in found}

    assert {words[0] for words in TRIALS} == used
    assert TRIALS[-1][0] == "DEL"


async def test_a_trial_changes_nothing(store: Store, redis: Client, prefix: str) -> None:
    """Who may do everything is told nothing, and no key is left."""
    before = await dump(redis, prefix)
    store.partitions[0]._permitted = False

    await store.synchronise()

    assert await dump(redis, prefix) == before


@pytest.mark.parametrize("words", TRIALS, ids=lambda words: str(words[0]).lower())
async def test_whichever_command_is_forbidden_is_named_before_anything_is_done(
    settings: Settings, redis: Client, prefix: str, words: tuple[str, ...]
) -> None:
    """The outage says which, and where to look; nothing is left behind."""
    name = words[0].lower()
    before = await dump(redis, prefix)

    async with as_user(settings, redis, prefix, f"-{name.split()[0]}") as store:
        with pytest.raises(Outage) as caught:
            await store.synchronise()

    assert caught.value.kind == "noauth"
    assert f" {name}" in str(caught.value)
    assert "what that user may do" in str(caught.value)
    if name == "del":  # then it goes by itself
        assert 0 < await redis.pttl(Keys(prefix, 0).trial) <= TRIAL_MS
        await redis.delete(Keys(prefix, 0).trial)
    assert await dump(redis, prefix) == before


@pytest.mark.parametrize("rule", ["resetkeys", "resetchannels"])
async def test_keys_and_channel_are_tried_too(settings: Settings, redis: Client, prefix: str, rule: str) -> None:
    """A user of another prefix is found out as well."""
    async with as_user(settings, redis, prefix, rule) as store:
        with pytest.raises(Outage, match=r"noauth: not allowed.* (del|publish);"):
            await store.synchronise()


async def test_a_due_message_survives_a_user_who_may_not_add_to_streams(
    settings: Settings, redis: Client, prefix: str, store: Store
) -> None:
    """The dispatcher's first look ends in the outage, before the script that would have removed the message."""
    (message_id,) = (await schedule(store, [Draft("echo", "text", b"x")])).ids

    async with as_user(settings, redis, prefix, "-xadd") as narrow:
        with pytest.raises(Outage, match="xadd"):
            await narrow.synchronise()

    assert (await messages.get(store, message_id)).status == "scheduled"
    assert (await due.dispatch(store.partitions[0], "echo", 10, 100)).moved == 1
    await messages.cancel(store, message_id)


async def test_a_caller_waits_for_the_trial_too(settings: Settings, redis: Client, prefix: str, store: Store) -> None:
    """A producer that was not allowed to do everything changes nothing: a cancel would lose what it could not write down."""
    (message_id,) = (await schedule(store, [Draft("echo", "text", b"x", delay_ms=3_600_000)])).ids

    async with as_user(settings, redis, prefix, "-hset") as narrow:
        with pytest.raises(Outage, match="hset"):
            await messages.cancel(narrow, message_id)

    assert (await messages.get(store, message_id)).status == "scheduled"
    await messages.cancel(store, message_id)


async def test_a_full_redis_is_no_missing_permission(settings: Settings, own_server_url: str, prefix: str) -> None:
    """What is refused for want of memory is allowed: a full Redis still has to be drained by a process that starts."""
    own = RedisSettings(connection_string=own_server_url, key_prefix=prefix)
    store = Store(msgspec.structs.replace(settings, redis=own), "test")
    await store.partitions[0].client.config_set("maxmemory", 1)
    try:
        await store.synchronise()
    finally:
        await store.partitions[0].client.config_set("maxmemory", 0)
        await store.close()

    assert store.partitions[0]._permitted
