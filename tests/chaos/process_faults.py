"""Faults of the service's processes, of their links to Redis and of their clocks."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from tests.chaos.fault_types import LEASE_S, Break, Hit, Kind
from tests.chaos.stage import SERVICES, Member, Stage
from tests.support.waiting import eventually


async def _pick(stage: Stage, choice: float, services: tuple[str, ...] = SERVICES) -> Member:
    """One that is up, and that no other fault is at work on. Waits for one: others may just be starting."""

    def usable() -> list[Member]:
        return [one for service in services for one in stage.of(service) if one.url and not one.busy]

    found: list[Member] = await eventually(usable, within_s=30, what=f"one of {services} is up")
    return found[int(choice * len(found))]


def _ended(service: str, number: signal.Signals) -> Break:
    """Killed, or told to end, and replaced at once, as in a rolling update."""

    async def run(stage: Stage, choice: float, _: float) -> Hit:
        member = await _pick(stage, choice, (service,))
        member.expected_end = True
        member.process.send(number)
        await stage.replace(member)
        return (member.name,)

    return run


def _frozen(service: str) -> Break:
    """For a tenth of a lease to three leases: both what a lease outlasts and what it does not."""

    async def run(stage: Stage, choice: float, amount: float) -> Hit:
        member = await _pick(stage, choice, (service,))
        member.busy = True
        member.process.send(signal.SIGSTOP)
        await asyncio.sleep(LEASE_S * (0.1 + 2.9 * amount))
        member.process.send(signal.SIGCONT)
        member.busy = False
        return (member.name,)

    return run


async def _link_cut(stage: Stage, choice: float, _: float) -> Hit:
    member = await _pick(stage, choice)
    member.link.cut()
    return (member.name,)


async def _link_reset(stage: Stage, choice: float, _: float) -> Hit:
    """The next message is cut in half. Waits until it was: a link that carries nothing has nothing to cut."""
    member = await _pick(stage, choice)
    passed_bytes = member.link.passed_bytes
    member.link.reset_halfway()
    with suppress(AssertionError):
        await eventually(lambda: member.link.passed_bytes > passed_bytes, within_s=2)
    return (member.name,)


async def _link_delayed(stage: Stage, choice: float, amount: float) -> Hit:
    member = await _pick(stage, choice)
    member.link.delay_s = 0.02 + 0.4 * amount
    await asyncio.sleep(1 + amount)
    member.link.delay_s = 0.0
    return (member.name,)


async def _link_black_hole(stage: Stage, choice: float, amount: float) -> Hit:
    member = await _pick(stage, choice)
    member.link.hold()
    await asyncio.sleep(LEASE_S * (0.3 + 3 * amount))
    member.link.release()
    return (member.name,)


async def _clock_stepped(stage: Stage, choice: float, amount: float) -> Hit:
    """By up to five hours, forwards or backwards, for two seconds; then back."""
    member = await _pick(stage, choice)
    member.step_clock((amount - 0.5) * 36_000)
    await asyncio.sleep(2)
    member.step_clock(0.0)
    return (member.name,)


PROCESSES: dict[str, Kind] = {
    "worker killed": Kind("died", _ended("consumers", signal.SIGKILL)),
    "worker frozen": Kind("frozen", _frozen("consumers")),
    "worker stopped": Kind("none", _ended("consumers", signal.SIGTERM)),
    "dispatcher killed": Kind("died", _ended("dispatcher", signal.SIGKILL)),
    "dispatcher frozen": Kind("frozen", _frozen("dispatcher")),
    "dispatcher stopped": Kind("none", _ended("dispatcher", signal.SIGTERM)),
    "producer killed": Kind("died", _ended("producer", signal.SIGKILL)),
    "producer frozen": Kind("frozen", _frozen("producer")),
    "producer stopped": Kind("none", _ended("producer", signal.SIGTERM)),
    "clock stepped": Kind("stepped", _clock_stepped),
}
LINKS: dict[str, Kind] = {
    "link cut": Kind("cut", _link_cut),
    "link reset halfway": Kind("cut", _link_reset),
    "link delayed": Kind("cut", _link_delayed),
    "link black hole": Kind("cut", _link_black_hole),
}
