"""put_webhook.lua, through URL groups and signing keys, and what a worker keeps of them."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from shared.errors import InvalidField, NotFound
from shared.settings import Settings, WebhooksSettings
from shared.signing import SigningKeys
from shared.store import signing_keys, url_groups, webhook_fields
from shared.store.connect import Client
from shared.store.directory import Directory
from shared.store.partition import Store
from shared.store.url_groups import MOST_ENDPOINTS, Endpoint, UrlGroup
from tests.store.stage import Stage, open_stage

ONE, TWO = Endpoint("https://one.example/", "one"), Endpoint("https://two.example/")
pytestmark = pytest.mark.leaves("webhooks")


async def test_it_is_set_where_it_is_as_it_was_seen(stage: Stage, redis: Client) -> None:
    """Another writer in between is told; a repeat has no second effect; every change leaves another revision."""
    assert await webhook_fields.put(stage.store, "a", b"", b"1") is None
    first = await redis.hget(stage.keys.webhooks, "*")
    assert await webhook_fields.put(stage.store, "a", b"", b"1") is None
    assert await redis.hget(stage.keys.webhooks, "*") == first
    assert await webhook_fields.put(stage.store, "a", b"", b"2") == b"1"
    assert await webhook_fields.put(stage.store, "a", b"0", b"") == b"1"

    assert await webhook_fields.put(stage.store, "a", b"1", b"2") is None

    assert await webhook_fields.read(stage.store, "a") == b"2"
    assert await redis.hget(stage.keys.webhooks, "*") not in {None, first}


async def test_with_the_last_of_them_the_key_is_gone(stage: Stage, redis: Client) -> None:
    """Also its revision; removing what is not there changes nothing."""
    for name in ("a", "b"):
        await webhook_fields.put(stage.store, name, b"", b"1")

    assert await webhook_fields.put(stage.store, "a", b"1", b"") is None
    assert await redis.hkeys(stage.keys.webhooks) != []
    assert await webhook_fields.put(stage.store, "b", b"1", b"") is None
    assert await webhook_fields.put(stage.store, "b", b"", b"") is None

    assert await redis.exists(stage.keys.webhooks) == 0


async def test_endpoints_are_added_changed_and_removed(stage: Stage) -> None:
    """By their URL or their name; a group is there while it has one."""
    store = stage.store
    made = await url_groups.upsert_endpoints(store, "g", [ONE, TWO])
    assert made.endpoints == (ONE, TWO)

    renamed, moved = Endpoint(TWO.url, "two"), Endpoint("https://new.example/", "one")
    changed = await url_groups.upsert_endpoints(store, "g", [renamed, moved])
    assert changed.endpoints == (moved, renamed)
    assert (changed.created_ms, changed.updated_ms >= made.updated_ms) == (made.created_ms, True)
    assert await url_groups.get(store, "g") == changed
    assert await url_groups.list_groups(store) == [changed]

    left = await url_groups.remove_endpoints(store, "g", [Endpoint("", "one")])
    assert left is not None
    assert left.endpoints == (renamed,)
    assert await url_groups.remove_endpoints(store, "g", [Endpoint(TWO.url)]) is None
    with pytest.raises(NotFound):
        await url_groups.get(store, "g")


async def test_groups_have_names_and_a_bound(stage: Stage) -> None:
    """What is too much or no name is refused, and nothing of it is kept."""
    many = [Endpoint(f"https://example.com/{number}") for number in range(MOST_ENDPOINTS + 1)]
    for name, endpoints in (("g", many), ("no name", [ONE]), ("", [ONE])):
        with pytest.raises(InvalidField):
            await url_groups.upsert_endpoints(stage.store, name, endpoints)
    with pytest.raises(NotFound):
        await url_groups.delete(stage.store, "g")
    assert await url_groups.list_groups(stage.store) == []


async def test_of_many_changes_at_once_none_is_lost(stage: Stage) -> None:
    """Each is made on what the one before left."""
    added = [Endpoint(f"https://example.com/{number}") for number in range(10)]

    await asyncio.gather(*(url_groups.upsert_endpoints(stage.store, "g", [one]) for one in added))

    assert set((await url_groups.get(stage.store, "g")).endpoints) == set(added)


async def test_signing_keys_are_made_once(stage: Stage) -> None:
    """Whoever asks first, all get the same."""
    found = set(await asyncio.gather(*(signing_keys.get(stage.store) for _ in range(10))))

    assert len(found) == 1
    assert len(set(found.pop())) == 2


async def test_a_rotation_makes_the_next_key_the_current_one(stage: Stage) -> None:
    """Those at once follow each other: the next key that one was told is what the one after it signs with."""
    before = await signing_keys.get(stage.store)

    after = await signing_keys.rotate(stage.store)
    assert (after.current, await signing_keys.get(stage.store)) == (before.next, after)

    async def rotation(after_reads: int) -> SigningKeys:
        for _ in range(after_reads):
            await signing_keys.get(stage.store)
        return await signing_keys.rotate(stage.store)

    told = await asyncio.gather(*(rotation(after_reads) for after_reads in range(12)))
    last = await signing_keys.get(stage.store)
    assert {one.current for one in told} == {after.next, *(one.next for one in told)} - {last.next}
    assert last in told


async def test_keys_of_the_settings_hold_until_they_are_rotated_and_again_when_they_change(settings: Settings) -> None:
    """What was rotated belongs to the settings of then."""

    def given(current: str, following: str) -> Settings:
        keys = WebhooksSettings(current_signing_key=current * 32, next_signing_key=following * 32)
        return msgspec.structs.replace(settings, webhooks=keys)

    async with open_stage(given("a", "b")) as stage:
        assert tuple(await signing_keys.get(stage.store)) == ("a" * 32, "b" * 32)
        assert await webhook_fields.read(stage.store, signing_keys.FIELD) == b""
        rotated = await signing_keys.rotate(stage.store)
        assert rotated.current == "b" * 32
        assert await signing_keys.get(stage.store) == rotated
    async with open_stage(given("c", "d")) as stage:
        assert tuple(await signing_keys.get(stage.store)) == ("c" * 32, "d" * 32)
    async with open_stage(given("a", "b")) as stage:
        assert await signing_keys.get(stage.store) == rotated


async def test_a_worker_knows_what_changed_and_asks_for_no_more(store: Store) -> None:
    """It reads all again only where something did."""
    directory = Directory(store)
    assert await directory.run_once()
    assert directory.signing == await signing_keys.get(store)
    assert await directory.run_once()
    assert not await directory.run_once()

    made = await url_groups.put(store, "g", [ONE])
    assert await directory.run_once()
    assert (directory.group("g"), directory.group("other")) == (made, None)
    rotated = await signing_keys.rotate(store)
    await url_groups.delete(store, "g")
    assert await directory.run_once()
    assert (directory.signing, directory.group("g")) == (rotated, None)
    assert not await directory.run_once()


def test_a_group_is_kept_as_readable_json() -> None:
    """Whoever looks with redis-cli can read it."""
    assert msgspec.json.encode(UrlGroup("g", 1, 2, (ONE, TWO))) == (
        b'{"name":"g","created_ms":1,"updated_ms":2,"endpoints":[{"url":"https://one.example/","name":"one"},'
        b'{"url":"https://two.example/"}]}'
    )
