"""What was broken when, and how far its effects reach: what it may have lost, held up, or made the store forget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from tests.chaos.history import Effect, Fault

SETTLE_US = 1_000_000
"""By so long after its handler ended, with a healthy worker and a store that answers, a delivery is settled for sure."""
RECONNECT_US = 2_500_000
"""So long after a store or a link is back, everybody talks to it again: a time-out and a pause."""
WAKE_US = 500_000
"""So long after a process that was frozen goes on, all its threads have had their turn."""
UNDONE_US = 3_000_000
"""What was answered less than this before the store died may be forgotten, unless it promised more."""
FOR_EVER_US = 2**62
_OUT: frozenset[Effect] = frozenset({"store_refused", "store_died", "failed_over"})
_HINDRANCES: frozenset[Effect] = frozenset({"cut", "frozen"})
_HARMLESS: frozenset[Effect] = frozenset({"none", "stepped"})


class Faults:
    def __init__(self, faults: Iterable[Fault], workers: Collection[str] = ()) -> None:
        """``workers``: the processes that ever ran a handler. Only those hold deliveries that can be lost with them."""
        everything = sorted(faults, key=lambda one: one.at_us)
        self.of_store = [one for one in everything if not one.targets]
        self._of_process: dict[str, list[Fault]] = defaultdict(list)
        for fault in everything:
            for target in fault.targets:
                self._of_process[target].append(fault)
        self._losing = [
            one
            for one in everything
            if one.effect not in _HARMLESS and (not one.targets or not set(workers).isdisjoint(one.targets))
        ]

    def of(self, process: str, effect: Effect, from_us: int, until_us: int) -> bool:
        """Whether that had hit the process at some time of that span."""
        return any(
            one.effect == effect and one.at_us <= until_us and _felt_us(one) >= from_us for one in self._of_process[process]
        )

    def held_off(self, process: str, at_us: int, until_us: int) -> bool:
        """Whether the process was frozen or cut off by ``at_us``, and ``until_us`` comes before it has got over that."""
        return any(
            one.effect in _HINDRANCES and one.at_us <= at_us and until_us <= _felt_us(one) for one in self._of_process[process]
        )

    def destroyed(self, from_us: int, until_us: int) -> bool:
        """Whether a group was destroyed in that span."""
        return any(one.effect == "group_destroyed" and one.at_us <= until_us and one.until_us >= from_us for one in self.of_store)

    def outage_us(self, from_us: int, until_us: int, apart_us: int) -> int:
        """The longest outage of the store that was felt in that span. Those less than ``apart_us`` apart count as one."""
        longest_us = began_us = 0
        ended_us = -FOR_EVER_US
        for one in self.of_store:
            if one.effect not in _OUT or one.at_us > until_us:
                continue
            if one.at_us >= ended_us + apart_us:
                began_us = one.at_us
            ended_us = max(ended_us, one.until_us)
            if ended_us + RECONNECT_US >= from_us:
                longest_us = max(longest_us, ended_us - began_us)
        return longest_us

    def losses(self, from_us: int, until_us: int, lease_us: int) -> int:
        """How many times a delivery may have been lost in that span: once a fault, and once for each lease that it lasted."""
        return sum(
            1 + (0 if one.effect == "died" else (one.until_us - one.at_us) // lease_us)
            for one in self._losing
            if one.at_us <= until_us and (one.until_us if one.effect == "died" else _felt_us(one)) >= from_us
        )

    def settled_by(self, process: str, over_us: int) -> int:
        """By when what that process wanted to settle then was settled, had it lived: later where it could not get through."""
        settled_us = over_us + SETTLE_US
        hindrances = [one for one in self._of_process[process] if one.effect in _HINDRANCES]
        hindrances += [one for one in self.of_store if one.effect not in _HARMLESS]
        for one in sorted(hindrances, key=lambda fault: fault.at_us):
            if one.at_us <= settled_us:
                settled_us = max(settled_us, one.until_us + RECONNECT_US)
        return settled_us

    def forgets(self, effects: frozenset[Effect], from_us: int, until_us: int, seen_us: int) -> int:
        """When a store with such an effect may have forgotten what it wrote in that span; 0: not, or not until ``seen_us``.

        While it is failed over, also the server that is being left answers some, until all have left it: that is forgotten too.
        """
        return next(
            (
                one.at_us
                for one in self.of_store
                if one.effect in effects
                and one.at_us < until_us + UNDONE_US
                and one.at_us <= seen_us
                and _left_us(one) >= from_us
            ),
            0,
        )


def _left_us(fault: Fault) -> int:
    """When the last had left the server that was broken."""
    return fault.until_us + (RECONNECT_US if fault.effect == "failed_over" else 0)


def _felt_us(fault: Fault) -> int:
    """Until when it is felt. A process that died stays dead; any other fault has an end, and a time to get over it."""
    if fault.effect == "died":
        return FOR_EVER_US
    return fault.until_us + (WAKE_US if fault.effect == "frozen" else RECONNECT_US)
