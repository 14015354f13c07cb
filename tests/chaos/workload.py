"""Callers of the service: they schedule, cancel, change, hasten and replay over HTTP, and note every call with its answer."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import aiohttp
from msgspec import json, to_builtins

from shared.store.keys import LEVELS
from tests.chaos.history import AnyEvent, Call, Operation, Order
from tests.chaos.process import true_us
from tests.chaos.stage import FLOW_KEYS, TOPICS, Stage

CALL_S = 8.0
"""A caller gives up on an answer after this long."""
REPEAT_FOR_S = 60.0
ORDERS: tuple[tuple[float, Order], ...] = (
    (0.49, Order()),
    (0.15, Order(sleep_ms=20)),
    (0.10, Order(sleep_ms=120)),
    (0.05, Order(sleep_ms=700)),
    (0.07, Order(fail_attempts=1)),
    (0.02, Order(fail_attempts=2, sleep_ms=30)),
    (0.06, Order(fail_attempts=2, sleep_ms=900)),
    (0.02, Order(fail_attempts=99)),
    (0.02, Order(dead=True)),
    (0.01, Order(hang_attempts=1)),
    (0.01, Order(kill_runs=1)),
)
"""What handlers are told, and how often."""
AHEAD_S = (0.0, 0.0, 0.05, 0.3, 1.0, 3.0)
SIZES = (1, 1, 1, 2, 5, 20, 60)


class Caller:
    """One caller: one call after the other."""

    _numbers = itertools.count(1)

    def __init__(self, stage: Stage, random: Random, note: Callable[[AnyEvent], None], pause_s: float) -> None:
        self._stage, self._random, self._note, self._pause_s = stage, random, note, pause_s
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_S))
        self._name = next(self._numbers)
        self._refs = itertools.count(1)
        self._waiting: list[tuple[str, str]] = []
        """(ref, id) of messages that may still be waiting."""
        self.refs: dict[str, str] = {}
        """ref → id of what was accepted."""

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._schedule()
            for operation, odds in ((self._cancel, 0.15), (self._change, 0.15), (self._deliver_now, 0.1), (self._replay, 0.08)):
                if self._random.random() < odds:
                    await operation()
            await asyncio.sleep(self._random.uniform(0, 2 * self._pause_s))

    async def close(self) -> None:
        await self._http.close()

    async def _schedule(self) -> None:
        size = self._random.choice(SIZES)
        refs = tuple(f"{self._name}-{next(self._refs)}{self._flow_key()}" for _ in range(size))
        (order,) = self._random.choices([order for _, order in ORDERS], [share for share, _ in ORDERS])
        if size > 5 and order.kill_runs + order.hang_attempts > 0:  # a herd of those would leave no worker alive
            order = Order()
        ahead_s = self._random.choice(AHEAD_S)
        due_us = true_us() // 1000 * 1000 + int(ahead_s * 1e6)
        expires_us = due_us + 30_000_000 if self._random.random() < 0.1 else 0
        items = [self._item(ref, order, due_us, expires_us) for ref in refs]
        keyed = size > 1 or self._random.random() < 0.5
        headers = {"Idempotency-Key": f"k-{refs[0]}"} if keyed else {}
        give_up_us = true_us() + int(REPEAT_FOR_S * 1e6)
        while True:
            at_us, status, answer = await self._send(
                "POST", "/messages/batch" if size > 1 else "/messages", items if size > 1 else items[0], headers
            )
            ids = tuple(answer.get("ids") or ([answer["id"]] if "id" in answer else []))
            earliest_us = (max(due_us, at_us // 1000 * 1000),) * size
            self._noted(
                at_us, "schedule", refs, status, answer, ids=ids, earliest_us=earliest_us, order=order, expires_us=expires_us
            )
            if status == 202:
                self.refs |= dict(zip(refs, ids, strict=True))
                self._waiting = [*self._waiting, *zip(refs, ids, strict=True)][-50:]
            if status not in {0, 503} or not keyed or true_us() > give_up_us:
                return
            await asyncio.sleep(self._random.uniform(0.1, 0.4))

    def _flow_key(self) -> str:
        """Of one in three messages: what stands behind its name, ``@<topic>.<flow key>``."""
        return f"@{self._random.choice(TOPICS)}.{self._random.choice(FLOW_KEYS)}" if self._random.random() < 0.3 else ""

    def _item(self, ref: str, order: Order, due_us: int, expires_us: int) -> dict[str, Any]:
        _, _, flow_key = ref.partition("@")
        topic, _, name = flow_key.partition(".")
        item: dict[str, Any] = {
            "topic": topic or self._random.choice(TOPICS),
            "body": {"ref": ref, "order": to_builtins(order)},
            "deliver_at": due_us // 1000,
        }
        if self._random.random() < 0.4:
            item["priority"] = self._random.choice(LEVELS)
        if name:
            item["flow_key"] = name
        return item | ({"expires_at": expires_us // 1000} if expires_us else {})

    async def _cancel(self) -> None:
        if self._waiting:
            ref, message_id = self._waiting.pop(self._random.randrange(len(self._waiting)))
            at_us, status, answer = await self._send("DELETE", f"/messages/{message_id}")
            self._noted(at_us, "cancel", (ref,), status, answer, ids=(message_id,))

    async def _change(self) -> None:
        if self._waiting:
            ref, message_id = self._random.choice(self._waiting)
            due_us = true_us() // 1000 * 1000 + self._random.choice((0, 200_000, 1_500_000))
            at_us, status, answer = await self._send("PATCH", f"/messages/{message_id}", {"deliver_at": due_us // 1000})
            earliest_us = (max(due_us, at_us // 1000 * 1000),)
            self._noted(at_us, "change", (ref,), status, answer, ids=(message_id,), earliest_us=earliest_us)

    async def _deliver_now(self) -> None:
        if self._waiting:
            ref, message_id = self._random.choice(self._waiting)
            at_us, status, answer = await self._send("POST", f"/messages/{message_id}/deliver")
            self._noted(at_us, "deliver_now", (ref,), status, answer, ids=(message_id,))

    async def _replay(self) -> None:
        _, status, page = await self._send("GET", "/dead-letters?limit=50")
        letters = [one for one in page.get("items", []) if "schedule" not in one] if status == 200 else []
        if letters:
            letter = self._random.choice(letters)
            ref = letter["body"]["ref"]
            at_us, status, answer = await self._send("POST", f"/dead-letters/{letter['id']}/replay")
            self._noted(at_us, "replay", (ref,), status, answer, ids=(letter["id"],), earliest_us=(at_us // 1000 * 1000,))

    async def _send(
        self, method: str, path: str, content: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, int, Any]:
        """When it was sent, the status, the JSON; 0 and nothing where no answer came."""
        producers = self._stage.of("producer") or self._stage.members
        url = self._random.choice(producers).url
        at_us = true_us()
        try:
            async with self._http.request(method, f"{url}{path}", json=content, headers=headers) as answer:
                return at_us, answer.status, json.decode(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return at_us, 0, {}

    def _noted(
        self, at_us: int, operation: Operation, refs: Sequence[str], status: int, answer: dict[str, Any], **more: Any
    ) -> None:
        reached = answer.get("durability", "memory")
        self._note(
            Call(at_us=at_us, until_us=true_us(), operation=operation, refs=tuple(refs), status=status, reached=reached, **more)
        )
