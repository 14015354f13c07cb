"""A real master with replicas, watched by three sentinels, all from the bundled server's binary."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.nodes import Node, needs_a_binary

MASTER = "mymaster"
SENTINELS = 3
READY_WITHIN_S = 30.0
DOWN_AFTER_MS = 1500
"""More than the second between a sentinel's pings: with less a master that has just taken over is taken for dead in its turn."""
OPTIONS = (
    "appendonly yes", "save ''", "maxmemory-policy noeviction", "repl-diskless-sync-delay 0",
    "repl-ping-replica-period 1",
)  # fmt: skip


class Sentinels:
    """The group. ``servers[0]`` is the master at the start."""

    def __init__(self, folder: Path, replicas: int = 1, appendfsync: str = "everysec") -> None:
        options = (*OPTIONS, f"appendfsync {appendfsync}")
        master = Node(folder / "server-0", *options)
        follow = (*options, f"replicaof 127.0.0.1 {master.port}")
        self.servers = [master, *(Node(folder / f"server-{number + 1}", *follow) for number in range(replicas))]
        watch = (
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} {SENTINELS // 2 + 1}",
            f"sentinel down-after-milliseconds {MASTER} {DOWN_AFTER_MS}",
            f"sentinel failover-timeout {MASTER} 5000",
        )
        self.sentinels = [Node(folder / f"sentinel-{number}", *watch, sentinel=True) for number in range(SENTINELS)]

    @property
    def url(self) -> str:
        """The connection string that names all sentinels."""
        return f"redis+sentinel://{','.join(one.address for one in self.sentinels)}/{MASTER}"

    def start(self) -> None:
        """Returns when a fail-over could begin: replicas in step, and every sentinel knows them and its fellows."""
        for group, is_ready in ((self.servers, self._replicas_follow), (self.sentinels, self._all_is_known)):
            for node in group:  # sentinels last: they look for replicas at once, and then every ten seconds
                node.start()
            for node in group:
                node.answers()
            until = time.monotonic() + READY_WITHIN_S
            while not is_ready():
                assert time.monotonic() < until, group[0].log()
                time.sleep(0.02)

    def _replicas_follow(self) -> bool:
        return all(one.command("ROLE")[3] == "connected" for one in self.servers[1:])

    def _all_is_known(self) -> bool:
        for sentinel in self.sentinels:
            state = sentinel.command("SENTINEL", "MASTER", MASTER)
            fellows = int(state["num-other-sentinels"])
            if state["flags"] != "master" or int(state["num-slaves"]) != len(self.servers) - 1 or fellows != SENTINELS - 1:
                return False
            if any(row["flags"] != "slave" for row in sentinel.command("SENTINEL", "SLAVES", MASTER)):
                return False
        return True

    def is_whole(self) -> bool:
        """Whether every server but the master follows it in step, and every sentinel knows them all."""
        master = self.master()
        for server in self.servers:
            role = server.command("ROLE")
            if (role[0] == "master") is not (server is master):
                return False
            if server is not master and (int(role[2]) != master.port or role[3] != "connected"):
                return False
        return len(master.command("ROLE")[2]) == len(self.servers) - 1 and self._all_is_known()

    def master(self) -> Node:
        """The master, as the first sentinel that runs names it."""
        return next(self.named())

    def named(self) -> Iterator[Node]:
        """The master, as each sentinel that runs names it."""
        for sentinel in self.sentinels:
            if sentinel.running:
                _, port = sentinel.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
                yield next(one for one in self.servers if one.port == int(port))

    def epoch(self) -> int:
        """Grows with each fail-over that a sentinel has heard of."""
        running = [sentinel for sentinel in self.sentinels if sentinel.running]
        return max(int(sentinel.command("SENTINEL", "MASTER", MASTER)["config-epoch"]) for sentinel in running)

    def stop(self) -> None:
        for node in (*self.sentinels, *self.servers):
            node.kill()


@contextmanager
def private_sentinels(folder: Path, replicas: int = 1, appendfsync: str = "everysec") -> Iterator[Sentinels]:
    needs_a_binary()
    group = Sentinels(folder, replicas, appendfsync)
    try:
        group.start()
        yield group
    finally:
        group.stop()
