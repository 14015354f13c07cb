"""URL groups: a name for several endpoints, each of which gets what is sent to the group. QStash calls them topics as well."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping

import msgspec
from msgspec.structs import replace

from shared.errors import InvalidField, NotFound, Outage
from shared.store import webhook_fields
from shared.store.outage import outages
from shared.store.partition import Store

KIND = "URL group"
FIELD = "group "
"""What the name of a group's field begins with."""
MOST_ENDPOINTS = 100
NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
PUT_TRIES = 20


class Endpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    url: str
    name: str | None = None


class UrlGroup(msgspec.Struct, frozen=True):
    name: str
    created_ms: int
    updated_ms: int
    endpoints: tuple[Endpoint, ...]


Change = Callable[[tuple[Endpoint, ...]], tuple[Endpoint, ...]]
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(UrlGroup).decode


async def get(store: Store, name: str) -> UrlGroup:
    """Raises ``NotFound``, ``Outage``."""
    stored = await webhook_fields.read(store, FIELD + name)
    if not stored:
        raise NotFound(name, KIND)
    return _decode(stored)


async def list_groups(store: Store) -> list[UrlGroup]:
    """By name. Raises ``Outage``."""
    partition = store.partitions[0]
    with outages():
        fields: Mapping[bytes, bytes] = await partition.client.hgetall(partition.keys.webhooks)
    return sorted(groups_in(fields), key=lambda group: group.name)


def groups_in(fields: Mapping[bytes, bytes]) -> Iterable[UrlGroup]:
    """Of the whole hash."""
    return (_decode(stored) for name, stored in fields.items() if name.startswith(FIELD.encode()))


async def upsert_endpoints(store: Store, name: str, endpoints: Iterable[Endpoint]) -> UrlGroup:
    """Adds endpoints; one of the same URL or the same name takes the new one's place. The group is made where there is none.

    Raises ``InvalidField``, ``Outage``.
    """
    wanted = tuple(endpoints)
    changed = await _change(store, name, lambda before: _with(before, wanted))
    return changed or UrlGroup(name, 0, 0, ())


async def remove_endpoints(store: Store, name: str, endpoints: Iterable[Endpoint]) -> UrlGroup | None:
    """Those of that URL or that name. ``None``: no other is left, and the group is gone. Raises ``NotFound``, ``Outage``."""
    unwanted = tuple(endpoints)
    await get(store, name)
    return await _change(store, name, lambda before: tuple(one for one in before if not any(_same(one, two) for two in unwanted)))


async def put(store: Store, name: str, endpoints: Iterable[Endpoint]) -> UrlGroup:
    """These endpoints and no others. Raises ``InvalidField``, ``Outage``."""
    wanted = _with((), tuple(endpoints))
    if not wanted:
        raise InvalidField("endpoints", "expected at least one")
    return await _change(store, name, lambda _: wanted) or UrlGroup(name, 0, 0, ())


async def delete(store: Store, name: str) -> None:
    """Raises ``NotFound``, ``Outage``."""
    await get(store, name)
    await _change(store, name, lambda _: ())


def _same(one: Endpoint, other: Endpoint) -> bool:
    return one.url == other.url or (one.name is not None and one.name == other.name)


def _with(before: tuple[Endpoint, ...], wanted: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    found = list(before)
    for endpoint in wanted:
        at = next((number for number, one in enumerate(found) if _same(one, endpoint)), len(found))
        kept = found[at].name if at < len(found) and endpoint.name is None else endpoint.name
        found = [one for one in found[:at] if not _same(one, endpoint)] + [
            replace(endpoint, name=kept),
            *(one for one in found[at + 1 :] if not _same(one, endpoint)),
        ]
    if len(found) > MOST_ENDPOINTS:
        raise InvalidField("endpoints", f"expected at most {MOST_ENDPOINTS} of a group")
    return tuple(found)


async def _change(store: Store, name: str, change: Change) -> UrlGroup | None:
    if not NAME.fullmatch(name):
        raise InvalidField("name", "expected 1 to 128 letters, digits and _ . -")
    seen = await webhook_fields.read(store, FIELD + name)
    for number in range(PUT_TRIES):
        before = _decode(seen) if seen else UrlGroup(name, int(time.time() * 1000), 0, ())
        after = replace(before, endpoints=change(before.endpoints), updated_ms=int(time.time() * 1000))
        changed = await webhook_fields.put(store, FIELD + name, seen, _encode(after) if after.endpoints else b"")
        if changed is None:
            return after if after.endpoints else None
        seen = changed
        await asyncio.sleep(0.002 * number)
    raise Outage("busy", f"URL group {name!r} is being changed by others")
