"""Scripts whose effect has to be safe before anybody is told: run in groups, with one wait for a whole group.

``WAITAOF`` (Redis 7.2, Valkey) and ``WAIT`` hold their connection until what was written on it before is on the disk, or has
reached so many replicas; inside a script they do not wait at all. So a group has a connection to itself: the scripts, a
write of the group's own, and then the wait, in one round trip. The own write is there because a repeat may write nothing,
and a connection that has written nothing waits for nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import NoScriptError, RedisError

from shared.errors import Outage
from shared.settings import Durability, RedisSettings
from shared.store.connect import Client
from shared.store.groups import Groups
from shared.store.outage import outage_of, outages
from shared.store.scripts import Argument, Script

GROUPS = 4
"""Groups that wait at the same time: one is on its way while the one before is being written."""
MOST = 100
"""Scripts in a group."""
MARK_MS = 1


class NotSafe(Outage):
    """It was done, but did not become as safe as was asked, in the time there is: it may be undone where Redis fails now."""

    def __init__(self, asked: Durability, detail: str, answer: Any) -> None:
        """``answer``: that of the script, which tells what was done."""
        super().__init__("unsafe", f"{asked} was not reached: {detail}")
        self.answer = answer


class _Call(NamedTuple):
    script: Script
    command: tuple[Argument, ...]


class Commits:
    """Groups of one partition for one kind of safety."""

    def __init__(self, client: Client, mark: str, asked: Durability, settings: RedisSettings) -> None:
        """``client``: for ``GROUPS`` connections that wait. ``mark``: the key of the group's own write."""
        self._client, self._mark, self._asked = client, mark, asked
        self._replicas, self._wait_ms = settings.replicas, settings.confirm_timeout_ms
        self._groups = Groups(self._commit, at_once=GROUPS, most=MOST)

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument]) -> Any:
        """The script's answer, once what it wrote is safe. Raises ``NotSafe``, ``Outage``, and what the script raises."""
        return await self._groups.run(_Call(script, script.command(keys, arguments)))

    async def _commit(self, group: list[_Call]) -> list[Any]:
        """An answer or an error for each."""
        with outages():
            answers, failure = await self._send(group)
            again = [position for position, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            if again:  # a restarted server, or SCRIPT FLUSH: nothing of these was run
                for script in {group[position].script for position in again}:
                    await self._client.execute_command("SCRIPT", "LOAD", script.text)
                repeated, failed = await self._send([group[position] for position in again])
                failure = failure or failed
                for position, answer in zip(again, repeated, strict=True):
                    answers[position] = answer
        return [self._told(answer, failure) for answer in answers]

    def _told(self, answer: Any, failure: str) -> Any:
        if isinstance(answer, RedisError):
            return outage_of(answer) or answer
        return NotSafe(self._asked, failure, answer) if failure else answer

    async def _send(self, group: list[_Call]) -> tuple[list[Any], str]:
        """The answers of the scripts, and why the wait failed; '' where it did not."""
        pipeline = self._client.pipeline(transaction=False)
        for one in group:
            pipeline.execute_command(*one.command)
        pipeline.execute_command("SET", self._mark, "", "PX", MARK_MS)
        if self._asked == "fsync":
            pipeline.execute_command("WAITAOF", 1, 0, self._wait_ms)
        else:
            pipeline.execute_command("WAIT", self._replicas, self._wait_ms)
        *answers, marked, waited = await pipeline.execute(raise_on_error=False)
        return answers, self._failure(marked, waited)

    def _failure(self, marked: Any, waited: Any) -> str:
        for answer in (marked, waited):
            if isinstance(answer, RedisError):
                return str(answer)
        if self._asked == "fsync":
            return "" if waited[0] >= 1 else f"not on the disk within {self._wait_ms} ms"
        return "" if waited >= self._replicas else f"{waited} of {self._replicas} replicas have it after {self._wait_ms} ms"
