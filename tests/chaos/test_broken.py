"""What was broken, by process and by time."""

from __future__ import annotations

from typing import Any

import pytest

from tests.chaos.broken import RECONNECT_US, SETTLE_US, WAKE_US, Faults
from tests.chaos.histories import fault, us

LEASE_US = us(1)


def test_a_fault_is_of_its_targets_or_of_the_store() -> None:
    """One without targets hit the store, and with it everybody, but no process by itself."""
    faults = Faults([fault("frozen", 5, 6, "a", "b"), fault("store_died", 7, 8)])

    assert faults.of("a", "frozen", us(5), us(6))
    assert faults.of("b", "frozen", us(5), us(6))
    assert not faults.of("c", "frozen", us(5), us(6))
    assert not faults.of("a", "cut", us(5), us(6))
    assert not faults.of("a", "store_died", us(7), us(8))
    assert [one.effect for one in faults.of_store] == ["store_died"]


@pytest.mark.parametrize(("effect", "felt_us"), [("frozen", WAKE_US), ("cut", RECONNECT_US)])
def test_a_fault_ends_and_is_felt_a_while(effect: Any, felt_us: int) -> None:
    """It meets a span that ends as it begins, and one that begins as it is over."""
    faults = Faults([fault(effect, 5, 6, "a")])

    assert faults.of("a", effect, us(1), us(5))
    assert not faults.of("a", effect, us(1), us(5) - 1)
    assert faults.of("a", effect, us(6) + felt_us, us(99))
    assert not faults.of("a", effect, us(6) + felt_us + 1, us(99))


def test_the_dead_stay_dead() -> None:
    """A death is felt for ever; as a loss it counts when it happens."""
    faults = Faults([fault("died", 5, 6, "a")], {"a"})

    assert faults.of("a", "died", us(1000), us(1001))
    assert not faults.of("a", "died", us(1), us(5) - 1)
    assert faults.losses(us(6), us(9), LEASE_US) == 1
    assert faults.losses(us(6) + 1, us(9), LEASE_US) == 0


def test_losses_are_of_the_store_and_of_workers() -> None:
    """A fault of a process that never ran a handler loses no delivery; nor does what is harmless."""
    faults = Faults(
        [
            fault("died", 1, 9, "worker"), fault("frozen", 1, 3.5, "other", "worker"), fault("store_refused", 2, 2.999999),
            fault("died", 1, 9, "producer"), fault("none", 1, 9, "worker"), fault("stepped", 1, 9, "worker"), fault("none", 1, 9),
        ],
        {"worker"},
    )  # fmt: skip

    assert faults.losses(us(1), us(9), LEASE_US) == 1 + 3 + 1
    assert faults.losses(us(1), us(2) - 1, LEASE_US) == 1 + 3
    assert Faults(faults.of_store).losses(us(1), us(9), LEASE_US) == 1
    assert Faults(faults.of_store).losses(us(2.999999) + RECONNECT_US, us(9), LEASE_US) == 1
    assert Faults(faults.of_store).losses(us(3) + RECONNECT_US, us(9), LEASE_US) == 0


def test_what_is_over_is_settled_within_a_second_or_when_it_gets_through() -> None:
    """Each hindrance that comes before it is settled puts it off, in the order of time; a death does not."""

    def settled_s(*faults: Any) -> float:
        return (Faults(faults).settled_by("a", us(5)) - us(5)) / 1e6

    assert settled_s() == SETTLE_US / 1e6
    assert settled_s(fault("cut", 6, 7, "a")) == 2 + 2.5
    assert settled_s(fault("frozen", 6, 7, "a")) == 2 + 2.5
    assert settled_s(fault("store_refused", 6, 7)) == 2 + 2.5
    assert settled_s(fault("cut", 6.000001, 7, "a")) == 1
    assert settled_s(fault("cut", 6, 7, "b")) == 1
    assert settled_s(fault("died", 6, 7, "a")) == 1
    assert settled_s(fault("stepped", 6, 7, "a"), fault("stepped", 6, 7), fault("none", 6, 7)) == 1
    assert settled_s(fault("cut", 1, 2.499999, "a")) == 1
    assert settled_s(fault("cut", 1, 4, "a")) == 1 + 0.5
    assert settled_s(fault("store_died", 9.5, 10), fault("cut", 6, 7, "a")) == 5 + 2.5
    assert settled_s(fault("store_died", 9.500001, 10), fault("cut", 6, 7, "a")) == 2 + 2.5
    assert settled_s(fault("cut", 5, 9, "a"), fault("store_died", 5.5, 6)) == 4 + 2.5


def test_the_longest_outage_of_a_span() -> None:
    """In microseconds; 0 where there was none, and for what no outage is."""
    faults = Faults([fault("store_refused", 1, 2), fault("failed_over", 20, 20.7), fault("group_destroyed", 30, 40)])

    assert faults.outage_us(us(1), us(99), us(0.5)) == us(1)
    assert faults.outage_us(us(4.5), us(99), us(0.5)) == us(1)
    assert faults.outage_us(us(4.500001), us(99), us(0.5)) == us(0.7)
    assert faults.outage_us(us(24), us(99), us(0.5)) == 0
    assert faults.outage_us(us(0), us(0.999999), us(0.5)) == 0
    assert faults.outage_us(us(0), us(1), us(0.5)) == us(1)
