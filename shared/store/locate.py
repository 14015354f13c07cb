"""Who holds a slot now: asked of the sentinels or of the cluster's nodes, and asked again when an answer shows a doubt.

Every one of them may be down, cut off or behind, so several are asked at once and the one with the newest epoch is believed;
one that is behind what was known before, only where none is silent that could know better. Every wait has a bound. Where
nobody can be asked, what was known last is tried: sentinels that are gone stop no master.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from shared.store.address import Node
from shared.waiting import end

SLOTS = 16_384
ASK_S = 1.0
"""How long an answer may take."""
BEHIND_S = 0.1
"""How long the first to answer waits for the others: it may be the one that was cut off."""
DOUBT_AGAIN_S = 0.05
"""Answers younger than this are not doubted: whoever fails has a backoff of its own."""
RECHECK_S = 0.5
"""How old an answer in use may become: so long a master that was replaced and does not know it is written to."""
MOST_ASKED = 12
_EPOCH = re.compile(rb"cluster_current_epoch:(\d+)")


class View(NamedTuple):
    """Who holds what, as one of them sees it."""

    epoch: int
    """Grows with each change."""
    ranges: tuple[tuple[int, int, Node], ...] = ()
    """First and last slot, and the master that holds them."""

    def holder(self, slot: int) -> Node | None:
        return next((node for first, last, node in self.ranges if first <= slot <= last), None)

    def nodes(self) -> list[Node]:
        return [node for _, _, node in self.ranges]


Ask = Callable[[Node], Coroutine[Any, Any, View]]


class Locator:
    """Shared by all connections of a process, so that a change is asked for once."""

    def __init__(self, seeds: tuple[Node, ...], ask: Ask, *, learns: bool) -> None:
        """``learns``: whether the nodes that were found can be asked as well."""
        self._seeds, self._ask, self._learns = seeds, ask, learns
        self._view: View | None = None
        self._doubted: set[Node] = set()
        self._tried_s = 0.0
        self._asking: asyncio.Task[None] | None = None

    async def node(self, slot: int) -> Node:
        """The master of a slot. Raises the library's ``ConnectionError`` where nobody knows one."""
        known = self._view and self._view.holder(slot)
        if known is None or known in self._doubted:
            await asyncio.shield(self._asked())
            known = self._view and self._view.holder(slot)
        elif (age_s := time.monotonic() - self._tried_s) > RECHECK_S:
            asked = self._asked()
            if age_s > 2 * RECHECK_S:  # this process was idle or asleep, and the master may have been replaced meanwhile
                await asyncio.shield(asked)
                known = self._view and self._view.holder(slot)
        if known is None:
            raise RedisConnectionError(f"no node holds slot {slot}")
        return known

    def doubt(self, node: Node) -> None:
        """Something speaks against that node: the next who wants it waits until it was asked for again."""
        if time.monotonic() - self._tried_s > DOUBT_AGAIN_S:
            self._doubted.add(node)

    async def close(self) -> None:
        if self._asking is not None:
            await end(self._asking)

    def _asked(self) -> asyncio.Task[None]:
        """The asking under way, else a new one."""
        if self._asking is None or self._asking.done():
            self._tried_s = time.monotonic()
            self._asking = asyncio.create_task(self._ask_all())
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())  # often nobody waits for it
        return self._asking

    async def _ask_all(self) -> None:
        learned = self._view.nodes() if self._view and self._learns else []
        nodes = list(dict.fromkeys([*learned, *self._seeds]))[:MOST_ASKED]
        asked = {asyncio.create_task(self._ask(node)): node for node in nodes}
        views, failures = list[View](), list[str]()
        pending, until_s = set(asked), time.monotonic() + ASK_S
        try:
            while pending and (left_s := until_s - time.monotonic()) > 0:
                done, pending = await asyncio.wait(pending, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    error = one.exception()
                    if error is None:
                        views.append(one.result())
                        until_s = min(until_s, time.monotonic() + BEHIND_S)
                    else:
                        failures.append(_told(asked[one], error))
        finally:
            await end(*pending)
        self._doubted.clear()
        newest = max(views, key=lambda view: view.epoch, default=None)
        if newest is not None and (self._view is None or newest.epoch >= self._view.epoch or len(views) == len(nodes)):
            self._view = newest
        elif self._view is None:
            raise RedisConnectionError("; ".join([*failures, *(_told(asked[one], "silent") for one in pending)]))


def _told(node: Node, error: object) -> str:
    if isinstance(error, BaseException) and not isinstance(error, (RedisError, OSError, TimeoutError)):
        raise error  # ours
    return f"{node[0]}:{node[1]}: {error}"


async def ask_sentinel(client: Any, master: str) -> View:
    """What a sentinel knows. Its epoch grows with each fail-over; the address is the new one from the promotion on."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master)
    pipeline.execute_command("SENTINEL", "MASTER", master)
    found, flat = await pipeline.execute(raise_on_error=False)
    if found is None:  # then the other answer is an error that does not say which name it does not know
        raise RedisConnectionError(f"it knows no master {master!r}")
    for answer in (found, flat):
        if isinstance(answer, Exception):
            raise answer
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return View(int(fields[b"config-epoch"]), ((0, SLOTS - 1, (found[0].decode(), int(found[1]))),))


async def ask_cluster_node(client: Any, asked: Node) -> View:
    """What a node of a cluster knows."""
    pipeline = client.pipeline(transaction=False)
    pipeline.execute_command("CLUSTER", "INFO")
    pipeline.execute_command("CLUSTER", "SLOTS")
    info, rows = await pipeline.execute()
    epoch = _EPOCH.search(info)
    return View(
        int(epoch[1]) if epoch else 0,
        tuple((first, last, (_host(asked, *master), int(master[1]))) for first, last, master, *_ in rows),
    )


def _host(asked: Node, host: bytes | None, _port: int, _id: bytes = b"", more: list[bytes] | None = None) -> str:
    """A host that is not named is the one that was asked; one whose name is not known (``?``) has its address in what follows."""
    if host == b"?" and more:
        host = dict(zip(more[::2], more[1::2], strict=True)).get(b"ip", host)
    return (host or b"").decode() or asked[0]
