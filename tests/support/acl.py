"""The Redis user of SECURITY.md, as its page says to make it, on a server where nobody else may do anything."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from redis import Redis

from tests.docs.blocks import blocks_of
from tests.docs.make_run import ROOT

ADMIN = ("admin", "an-administrator")
PASSWORD = "PASSWORD"
"""What stands for it on the page."""


class User(NamedTuple):
    """What ``ACL SETUSER`` is given: a name and rules."""

    name: str
    rules: tuple[str, ...]

    def without(self, *rules: str) -> User:
        assert set(rules) <= set(self.rules)
        return User(self.name, tuple(rule for rule in self.rules if rule not in rules))

    @property
    def commands(self) -> set[str]:
        return {rule[1:] for rule in self.rules if rule.startswith("+")}


def documented() -> list[User]:
    """Every ``ACL SETUSER`` line of the page, in its order."""
    lines = [line.split() for block in blocks_of(ROOT / "SECURITY.md") for line in block.text.splitlines()]
    return [User(words[2], tuple(words[3:])) for words in lines if words[:2] == ["ACL", "SETUSER"]]


def line_with(command: str) -> User:
    """The one line of the page that gives that command."""
    (found,) = [user for user in documented() if command in user.commands]
    return found


MAIN, SINCE_7_2 = "evalsha", "waitaof"
"""A command that only the user's first line gives, and one that only the line for newer servers gives."""


class Guarded:
    """A server on which the user of the page is the only one beside the test's own administrator."""

    def __init__(self, port: int) -> None:
        self.port = port
        with Redis(port=port) as client:
            client.execute_command("ACL", "SETUSER", ADMIN[0], "reset", "on", f">{ADMIN[1]}", "~*", "&*", "+@all")
            self.version = tuple(int(part) for part in _version(client).split(".")[:2])
            client.execute_command("ACL", "SETUSER", "default", "off", "resetkeys", "-@all")
        self._admin = Redis(port=port, username=ADMIN[0], password=ADMIN[1], decode_responses=True, single_connection_client=True)
        self._own_looks = 0

    def command(self, *words: str | int) -> Any:
        """One command of the administrator."""
        return self._admin.execute_command(*words)  # type: ignore[no-untyped-call] # the library leaves it so

    def allow(self, user: User) -> None:
        self.command("ACL", "SETUSER", user.name, *user.rules)

    def allow_service(self, *without: str) -> str:
        """Makes the page's user, but for some of its rules; gives its connection string."""
        wanted = [line_with(MAIN)]
        if self.version >= (7, 2):
            wanted.append(line_with(SINCE_7_2))
        for user in wanted:
            self.allow(user.without(*(set(without) & set(user.rules))))
        return f"redis://mss:{PASSWORD}@127.0.0.1:{self.port}/0"

    def forget_usage(self) -> None:
        self.command("CONFIG", "RESETSTAT")
        self.command("ACL", "LOG", "RESET")
        self._own_looks = 0

    def used(self) -> set[str]:
        """The commands that were run since, by others than this object: ``xgroup|create``; before Redis 7 just ``xgroup``."""
        found = {name.removeprefix("cmdstat_"): row["calls"] for name, row in self.command("INFO", "commandstats").items()}
        found["info"] = found.get("info", 0) - self._own_looks
        self._own_looks += 1
        own = re.compile(r"acl\b.*|config\|resetstat|auth")
        return {name for name, calls in found.items() if calls > 0 and not own.fullmatch(name)}

    def refused(self) -> set[str]:
        """The commands, keys and channels that somebody was refused since."""
        return {str(row["object"]) for row in self.command("ACL", "LOG")}

    def close(self) -> None:
        self._admin.close()


def _version(client: Redis) -> str:
    info = client.info("server")
    return str(info.get("valkey_version") or info["redis_version"])
