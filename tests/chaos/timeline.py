"""A history put in order: what is known of each message, and what had hit each worker when."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from tests.chaos.history import Call, Effect, End, Fault, Final, History, Leftover, Order, Rules, Start

SETTLE_US = 1_000_000
"""By so long after its handler ended, with a healthy worker and a store that answers, a delivery is settled for sure."""
RECONNECT_US = 2_500_000
"""So long after a store or a link is back, everybody talks to it again: a time-out and a pause."""
FOR_EVER_US = 2**62


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a handler, with what its end tells."""

    start: Start
    end: End | None
    deadline_us: int
    """When its deadline was."""

    @property
    def hung(self) -> bool:
        """Whether it ran past its deadline: what it did after that counts no more."""
        return self.end is None or self.end.at_us > self.deadline_us

    @property
    def ending(self) -> str:
        """``returned``, ``failed``, ``dead``; ``none`` where it did not end by itself in time."""
        return "none" if self.end is None or self.hung else self.end.ending

    @property
    def over_us(self) -> int:
        """When it was over, as its worker saw it."""
        return self.deadline_us if self.end is None or self.hung else self.end.at_us


@dataclass(slots=True)
class Message:
    ref: str
    calls: list[Call] = field(default_factory=list)
    runs: list[Ran] = field(default_factory=list)
    finals: list[Final] = field(default_factory=list)

    def of(self, *operations: str) -> list[Call]:
        return [call for call in self.calls if call.operation in operations]

    @property
    def order(self) -> Order:
        return next((call.order for call in self.calls if call.operation == "schedule"), Order())

    @property
    def accepted(self) -> Call | None:
        """The first call that was told that the message is stored."""
        return next((call for call in self.calls if call.operation == "schedule" and answered(call)), None)

    def position(self, call: Call) -> int:
        """Which of a call's messages this is."""
        return call.refs.index(self.ref)


def answered(call: Call) -> bool:
    return 200 <= call.status < 300


def unsure(call: Call) -> bool:
    """No answer, or one that cannot tell: it may have taken effect, or do so later."""
    return call.status in {0, 503}


class Faults:
    """What was broken when."""

    def __init__(self, faults: list[Fault]) -> None:
        self.of_store = sorted((one for one in faults if not one.targets), key=lambda one: one.at_us)
        self._of_process: dict[str, list[Fault]] = defaultdict(list)
        for fault in faults:
            for target in fault.targets:
                self._of_process[target].append(fault)
        self._deaths_us = [one.at_us for one in self.of_store if one.effect in {"store_died", "failed_over"}]

    def of(self, process: str, effect: Effect, from_us: int, until_us: int) -> bool:
        """Whether that had hit the process at some time of that span."""
        return any(one.effect == effect and _meets(one, from_us, until_us) for one in self._of_process[process])

    def in_store(self, effects: frozenset[Effect], from_us: int, until_us: int, shortest_us: int = 0) -> bool:
        """Whether the store had one of the effects, for at least so long, at some time of that span."""
        return any(
            one.effect in effects and one.until_us - one.at_us >= shortest_us and _meets(one, from_us, until_us)
            for one in self.of_store
        )

    def any_loss(self, from_us: int, until_us: int) -> bool:
        """Whether anything at all may have lost a delivery in that span."""
        everything = (one for faults in (*self._of_process.values(), self.of_store) for one in faults)
        return any(one.effect not in {"none", "stepped"} and _meets(one, from_us, until_us) for one in everything)

    def settled_by(self, process: str, over_us: int) -> int:
        """By when what that process wanted to settle then was settled, had it lived: later where it could not get through."""
        settled_us = over_us + SETTLE_US
        hindrances = [one for one in self._of_process[process] if one.effect in {"cut", "frozen"}]
        hindrances += [one for one in self.of_store if one.effect != "none"]
        for one in sorted(hindrances, key=lambda fault: fault.at_us):
            if over_us <= one.until_us + RECONNECT_US and one.at_us <= settled_us:
                settled_us = max(settled_us, one.until_us + RECONNECT_US)
        return settled_us

    def store_died_within(self, from_us: int, span_us: int) -> bool:
        """Whether the store died, or was failed over, in the time after that."""
        return any(from_us <= at_us <= from_us + span_us for at_us in self._deaths_us)


def _meets(fault: Fault, from_us: int, until_us: int) -> bool:
    """A process that died stays dead; any other fault has an end, and a time to get over it."""
    until = FOR_EVER_US if fault.effect == "died" else fault.until_us + (RECONNECT_US if fault.effect != "frozen" else 0)
    return fault.at_us <= until_us and until >= from_us


@dataclass(slots=True)
class Timeline:
    rules: Rules
    messages: dict[str, Message]
    faults: Faults
    leftovers: list[Leftover]
    runs: list[Ran]


def timeline(history: History) -> Timeline:
    """Puts every event where it belongs."""
    messages: dict[str, Message] = {}
    ends = {event.run: event for event in history.events if isinstance(event, End)}
    faults, leftovers, runs = list[Fault](), list[Leftover](), list[Ran]()

    def message(ref: str) -> Message:
        return messages.setdefault(ref, Message(ref))

    for event in history.events:
        if isinstance(event, Call):
            for ref in event.refs:
                message(ref).calls.append(event)
        elif isinstance(event, Start):
            run = Ran(event, ends.get(event.run), event.at_us + history.rules.deadline_us)
            runs.append(run)
            message(event.ref).runs.append(run)
        elif isinstance(event, Final):
            message(event.ref).finals.append(event)
        elif isinstance(event, Fault):
            faults.append(event)
        elif isinstance(event, Leftover):
            leftovers.append(event)
    return Timeline(history.rules, messages, Faults(faults), leftovers, runs)
