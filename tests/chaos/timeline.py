"""A history put in order: what is known of each message, and what had hit each worker when."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.chaos.broken import Faults
from tests.chaos.history import Call, End, Fault, Final, History, Leftover, Rules, Start


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
    workers = {run.start.worker for run in runs}
    return Timeline(history.rules, messages, Faults(faults, workers), leftovers, runs)
