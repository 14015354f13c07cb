"""Loads the Lua scripts beside this file and runs them by their digest.

A line ``--@include name`` stands for the text of ``lua/include/name.lua``: the steps that several scripts share.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any

from redis.exceptions import NoScriptError

from shared.store.connect import Client
from shared.store.outage import outages

FOLDER = Path(__file__).parent / "lua"
_INCLUDE = re.compile(r"^--@include (\w+)$", re.MULTILINE)

Argument = str | bytes | int | float


class Script:
    """One script. ``name`` is that of its file, without ``.lua``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = _INCLUDE.sub(
            lambda match: (FOLDER / "include" / f"{match[1]}.lua").read_text(encoding="utf-8"),
            (FOLDER / f"{name}.lua").read_text(encoding="utf-8"),
        )
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def command(self, keys: Sequence[str], arguments: Sequence[Argument]) -> tuple[Argument, ...]:
        return ("EVALSHA", self.sha, len(keys), *keys, *arguments)

    async def run(self, client: Client, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """Its answer, as the client library gives it. Raises ``Outage``; loads the script where Redis has forgotten it."""
        command = self.command(keys, arguments)
        with outages():
            try:
                return await client.execute_command(*command)
            except NoScriptError:  # a restarted server, or SCRIPT FLUSH: nothing was run
                await client.execute_command("SCRIPT LOAD", self.text)
                return await client.execute_command(*command)

    async def run_each(self, client: Client, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[Any]:
        """Its answers to calls that only read, in one round trip. Raises ``Outage``."""
        with outages():
            answers = await self._run_each(client, calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                await client.execute_command("SCRIPT LOAD", self.text)
                answers = await self._run_each(client, calls)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _run_each(self, client: Client, calls: Sequence[tuple[Sequence[str], Sequence[Argument]]]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.execute_command(*self.command(keys, arguments))
        return list(await pipeline.execute(raise_on_error=False))


SCHEDULE = Script("schedule")
DISPATCH = Script("dispatch")
SETTLE = Script("settle")
RENEW = Script("renew")
CLAIM = Script("claim")
HAND_BACK = Script("hand_back")
LEAVE = Script("leave")
GET = Script("get")
CANCEL = Script("cancel")
CHANGE = Script("change")
REPLAY = Script("replay")
DELETE_DEAD = Script("delete_dead")
ADMIT = Script("admit")
LIMIT = Script("limit")
RESET_RATE = Script("reset_rate")
FLOW_KEYS = Script("flow_keys")
TIDY = Script("tidy")
TRIM = Script("trim")
RATE = Script("rate")
PUT_SCHEDULE = Script("put_schedule")
DELETE_SCHEDULE = Script("delete_schedule")
FIRE = Script("fire")
TALLY = Script("tally")
PUT_WEBHOOK = Script("put_webhook")
ALL = (
    SCHEDULE, DISPATCH, SETTLE, RENEW, CLAIM, HAND_BACK, LEAVE, GET, CANCEL, CHANGE, REPLAY, TRIM, RATE,
    PUT_SCHEDULE, DELETE_SCHEDULE, FIRE, DELETE_DEAD, ADMIT, LIMIT, RESET_RATE, FLOW_KEYS, TIDY, TALLY, PUT_WEBHOOK,
)  # fmt: skip
