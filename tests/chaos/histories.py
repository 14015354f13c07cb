"""Small histories made by hand, for the tests of the judge. Times are seconds; one message, ``m``, unless said otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from tests.chaos.checker import judge
from tests.chaos.history import (
    AnyEvent,
    Call,
    Effect,
    End,
    Ending,
    Fault,
    Final,
    History,
    Leftover,
    Operation,
    Reached,
    Rules,
    Start,
    State,
)
from tests.chaos.verdict import Kind, Verdict

RULES = Rules(
    durability="memory",
    appendfsync="always",
    max_attempts=4,
    retry_us=(160_000, 320_000, 640_000),
    deadline_us=1_500_000,
    lease_us=1_000_000,
)
ACCEPTED_S = 1.0
END_S = 60.0
Told = AnyEvent | tuple[AnyEvent, ...]


def us(seconds: float) -> int:
    return round(seconds * 1_000_000)


def schedule(
    at: float = ACCEPTED_S,
    due: float | None = None,
    *,
    status: int = 202,
    until: float | None = None,
    refs: tuple[str, ...] = ("m",),
    ids: tuple[str, ...] | None = None,
    expires: float = 0,
    reached: Reached = "memory",
) -> Call:
    """Answered a millisecond later with the ids ``id-<ref>``, unless said otherwise. ``due``: ``at`` if absent."""
    named = tuple(f"id-{ref}" for ref in refs) if ids is None and 200 <= status < 300 else ids or ()
    due_us = us(at if due is None else due)
    return Call(
        at_us=us(at),
        until_us=us(at + 0.001 if until is None else until),
        operation="schedule",
        refs=refs,
        status=status,
        ids=named,
        earliest_us=(due_us,) * len(refs),
        expires_us=us(expires),
        reached=reached,
    )


def call(
    operation: Operation,
    at: float,
    status: int,
    *,
    until: float | None = None,
    due: float | None = None,
    ref: str = "m",
    reached: Reached = "memory",
) -> Call:
    return Call(
        at_us=us(at),
        until_us=us(at + 0.001 if until is None else until),
        operation=operation,
        refs=(ref,),
        status=status,
        ids=(f"id-{ref}",),
        earliest_us=() if operation in {"cancel", "deliver_now"} else (us(at if due is None else due),),
        reached=reached,
    )


def run(
    at: float,
    lasts: float = 0.01,
    ending: Ending | None = "returned",
    *,
    worker: str = "w1",
    attempt: int = 1,
    ref: str = "m",
    name: str | None = None,
) -> tuple[AnyEvent, ...]:
    """A start and its end; ``None``: it did not end. ``name``: the message's id."""
    key = f"{ref}-{worker}-{at}"
    start = Start(at_us=us(at), run=key, ref=ref, id=name or f"id-{ref}", attempt=attempt, worker=worker)
    return (start,) if ending is None else (start, End(at_us=us(at + lasts), run=key, ending=ending))


def fault(effect: Effect, at: float, until: float | None = None, *targets: str, kind: str = "") -> Fault:
    return Fault(at_us=us(at), until_us=us(at if until is None else until), kind=kind or effect, effect=effect, targets=targets)


def final(state: State, ref: str = "m") -> Final:
    return Final(at_us=us(END_S), ref=ref, id=f"id-{ref}", state=state)


def leftover(key: str) -> Leftover:
    return Leftover(at_us=us(END_S), key=key)


def history(told: Iterable[Told], **rules: Any) -> History:
    events = [event for one in told for event in (one if isinstance(one, tuple) else (one,))]
    return History(replace(RULES, **rules), tuple(sorted(events, key=lambda event: event.at_us)))


def judged(*told: Told, **rules: Any) -> Verdict:
    return judge(history(told, **rules))


def kinds(*told: Told, **rules: Any) -> list[Kind]:
    """The violations that are found, by their kinds."""
    return [violation.kind for violation in judged(*told, **rules).violations]
