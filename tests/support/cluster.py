"""A real cluster of the bundled server: three masters, each with as many replicas as a test asks for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis.exceptions import ResponseError

from tests.support.nodes import Node, free_bus_ports, needs_a_binary

MASTERS = 3
SLOTS = 16_384
FORMS_WITHIN_S = 30.0
OPTIONS = (
    "cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-node-timeout 1500",
    "cluster-require-full-coverage no",  # a node that is out takes its own slots along, and no others
    "cluster-replica-validity-factor 0", "repl-diskless-sync-delay 0", "repl-ping-replica-period 1",
    "appendonly yes", "save ''", "maxmemory-policy noeviction",
)  # fmt: skip


class Cluster:
    def __init__(self, folder: Path, replicas: int = 0, appendfsync: str = "everysec") -> None:
        """``replicas``: how many each master has."""
        ports = free_bus_ports(MASTERS * (1 + replicas))
        self.nodes = [Node(folder / f"node-{port}", *OPTIONS, f"appendfsync {appendfsync}", port=port) for port in ports]
        self.masters = self.nodes[:MASTERS]
        """Those that were masters at the start."""
        self._replicas = replicas

    @property
    def url(self) -> str:
        """The connection string that names all nodes."""
        return f"redis+cluster://{','.join(node.address for node in self.nodes)}"

    def start(self) -> None:
        """Returns when every node knows every slot's master, and every replica follows."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.answers()
        first = self.nodes[0]
        for number, node in enumerate(self.masters):
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            start, end = SLOTS * number // MASTERS, SLOTS * (number + 1) // MASTERS - 1
            slots = [str(slot) for slot in range(start, end + 1)]  # ADDSLOTSRANGE came with 7.0
            node.command("CLUSTER", "ADDSLOTS", *slots)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", first.port)
        self._eventually(lambda: all(len(self._known(node)) == len(self.nodes) for node in self.nodes))
        for number, node in enumerate(self.nodes[MASTERS:]):
            node.command("CLUSTER", "REPLICATE", self.id_of(self.masters[number % MASTERS]))
        self._eventually(self.is_whole)

    def is_whole(self) -> bool:
        """Whether all nodes agree that every slot is served, and all replicas are in step."""
        for node in self.nodes:
            info = str(node.command("CLUSTER", "INFO"))
            if "cluster_state:ok" not in info or f"cluster_slots_ok:{SLOTS}" not in info:
                return False
            role = node.command("ROLE")
            if role[0] == "slave" and role[3] != "connected":
                return False
        masters = [node for node in self.nodes if node.command("ROLE")[0] == "master"]
        return sum(len(master.command("ROLE")[2]) for master in masters) == len(self.nodes) - len(masters)

    def id_of(self, node: Node) -> str:
        return str(node.command("CLUSTER", "MYID"))

    def holder(self, slot: int) -> Node:
        """The master of a slot, as the first node that runs sees it."""
        for node in self.nodes:
            if node.running:
                for first, last, (_, port, *_), *_ in node.command("CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        return next(one for one in self.nodes if one.port == port)
        raise AssertionError(f"nobody holds slot {slot}")

    def holders(self) -> list[Node]:
        """Every master that holds slots, as the first node that runs sees it, in the order of their slots."""
        for node in self.nodes:
            if node.running:
                rows = node.command("CLUSTER", "SLOTS")
                ports = dict.fromkeys(port for _, _, (_, port, *_), *_ in sorted(rows))
                return [next(one for one in self.nodes if one.port == port) for port in ports]
        raise AssertionError("no node runs")

    def migrate(self, slot: int, target: Node) -> bool:
        """Begins an atomic migration, as Valkey does from 9.0 on; false where the server has none. ``holder`` tells its end."""
        try:
            self.holder(slot).command("CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", self.id_of(target))
        except ResponseError as error:
            if "unknown subcommand" not in str(error).lower():
                raise
            return False
        return True

    def begin_by_key(self, slot: int, target: Node) -> None:
        """Begins a migration key by key. Until its end, commands about keys that have moved are refused with ``ASK``."""
        source = self.holder(slot)
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move_keys(self, slot: int, target: Node, limit: int = 1000) -> None:
        """Moves at most so many keys."""
        source = self.holder(slot)
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, limit)
        if keys:
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)

    def end_by_key(self, slot: int, target: Node) -> None:
        """Moves the rest and tells everybody."""
        while int(self.holder(slot).command("CLUSTER", "COUNTKEYSINSLOT", slot)):
            self.move_keys(slot, target)
        others = [node for node in self.holders() if node is not target]
        for node in (target, *others):
            node.command("CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))

    def _known(self, node: Node) -> list[str]:
        """The nodes that one is connected with, itself included."""
        rows = str(node.command("CLUSTER", "NODES")).splitlines()
        return [row for row in rows if "handshake" not in row and ("myself" in row or " connected" in row)]

    def _eventually(self, is_so: object) -> None:
        until = time.monotonic() + FORMS_WITHIN_S
        while not is_so():  # type: ignore[operator] # a function
            assert time.monotonic() < until, "\n".join(str(node.command("CLUSTER", "NODES")) for node in self.nodes)
            time.sleep(0.02)

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()


@contextmanager
def private_cluster(folder: Path, replicas: int = 0, appendfsync: str = "everysec") -> Iterator[Cluster]:
    needs_a_binary()
    cluster = Cluster(folder, replicas, appendfsync)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
