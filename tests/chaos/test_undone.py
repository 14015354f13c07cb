"""The judge counts apart what the store forgot, by how safe it was, and lets nothing else pass for it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.chaos.histories import Told, call, fault, final, judged, kinds, run, schedule

DELIVERED = final("delivered")
FORGETS = [
    ("store_died", "everysec", "memory", True),
    ("store_died", "everysec", "fsync", False),
    ("store_died", "everysec", "replica", False),
    ("store_died", "always", "memory", False),
    ("store_died", "always", "fsync", False),
    ("store_died", "always", "replica", False),
    ("failed_over", "everysec", "memory", True),
    ("failed_over", "everysec", "fsync", True),
    ("failed_over", "everysec", "replica", False),
    ("failed_over", "always", "memory", True),
    ("failed_over", "always", "fsync", True),
    ("failed_over", "always", "replica", False),
    ("store_refused", "everysec", "memory", False),
    ("group_destroyed", "everysec", "memory", False),
]


@pytest.mark.parametrize(("effect", "appendfsync", "reached", "may"), FORGETS)
def test_an_accept_is_lost_where_nothing_kept_it(effect: Any, appendfsync: str, reached: Any, may: bool) -> None:
    """The disk keeps it when the store dies, a replica also when another takes over; memory neither."""
    told = (schedule(1, reached=reached), final("unknown"), fault(effect, 3, 3.1))

    verdict = judged(*told, appendfsync=appendfsync)

    assert [one.kind for one in verdict.violations] == ([] if may else ["lost"])
    assert verdict.undone == ({"an accept lost": 1} if may else {})


@pytest.mark.parametrize(("effect", "appendfsync", "reached", "may"), FORGETS)
def test_a_cancelling_is_undone_where_nothing_kept_it(effect: Any, appendfsync: str, reached: Any, may: bool) -> None:
    """By the same rule: then it runs after all."""
    told = (schedule(1, 5), call("cancel", 2, 200, reached=reached), run(5), DELIVERED, fault(effect, 3, 3.1))

    verdict = judged(*told, appendfsync=appendfsync)

    assert [one.kind for one in verdict.violations] == ([] if may else ["ran though cancelled"])
    assert verdict.undone == ({"a cancelling undone": 1} if may else {})


def test_a_write_is_forgotten_that_was_answered_shortly_before() -> None:
    """Less than three seconds before the store died; what was answered after it had come back is safe."""

    def lost(at: float, until: float) -> bool:
        told = (schedule(at, until=until), final("unknown"), fault("store_died", 10, 11))
        return kinds(*told, appendfsync="everysec") == ["lost"]

    assert lost(6, 7)
    assert not lost(6, 7.000001)
    assert not lost(9, 12)
    assert not lost(11, 12)
    assert lost(11.000001, 12)


def test_a_server_that_is_being_left_forgets_what_it_still_answers() -> None:
    """While another takes over, and until all have gone over to that one."""

    def lost(at: float) -> bool:
        return kinds(schedule(at), final("unknown"), fault("failed_over", 10, 11)) == ["lost"]

    assert lost(6.999)
    assert not lost(6.999001)
    assert not lost(10.5)
    assert not lost(13.5)
    assert lost(13.500001)


def test_what_was_seen_before_the_store_died_it_had_not_forgotten() -> None:
    """A death excuses nothing that came before it."""
    died = fault("store_died", 5, 5.2)

    def kept(*told: Told) -> list[Any]:
        return kinds(*told, died, appendfsync="everysec")

    assert kept(schedule(4, 4.5), call("cancel", 4.2, 200), run(4.5), DELIVERED) == ["ran though cancelled"]
    assert kept(schedule(4, 4.5), call("cancel", 4.2, 200), run(5), DELIVERED) == []
    assert kept(schedule(4, 9), call("change", 4.2, 404, due=9), run(9), DELIVERED) == ["contradiction"]
    assert kept(schedule(4, 9), call("change", 5.2, 404, due=9), run(9), DELIVERED) == []
    assert kept(schedule(4), run(4), run(4.9, worker="w2"), DELIVERED) == ["duplicate"]
    assert kept(schedule(4), run(4), run(5, worker="w2"), DELIVERED) == []


def repeated(at: float, until: float, *, effect: Any = "store_died", appendfsync: str = "everysec") -> dict[str, int]:
    """What is counted as undone of a run at 5 to 5.5 that is repeated at 20; the violations where nothing is."""
    told = (schedule(1), run(5, 0.5), run(20, worker="w2"), DELIVERED, fault(effect, at, until))
    verdict = judged(*told, appendfsync=appendfsync)
    return dict(verdict.undone) or {one.kind: 1 for one in verdict.violations}


def test_a_settlement_is_repeated_that_the_store_forgot() -> None:
    """It was settled within a second, and forgotten within three; no durability is asked for where deliveries are settled."""
    assert repeated(5.5, 5.6) == {"a settlement repeated": 1}
    assert repeated(9.499999, 9.6) == {"a settlement repeated": 1}
    assert repeated(9.5, 9.6) == {"repeated": 1}
    assert repeated(5.5, 5.6, appendfsync="always") == {"repeated": 1}
    assert repeated(5.5, 5.6, effect="failed_over", appendfsync="always") == {"a settlement repeated": 1}
    assert repeated(5.5, 5.6, effect="store_refused") == {"repeated": 1}


def test_a_hand_over_is_repeated_that_the_store_forgot() -> None:
    """What had been given to a worker lies where it was before, and is given to another; also what was read a lease ago."""
    assert repeated(5.499999, 5.6) == {"a hand-over repeated": 1}
    assert repeated(3.9, 4) == {"a hand-over repeated": 1}
    assert repeated(3.9, 3.999999) == {"repeated": 1}


def test_an_attempt_is_forgotten_with_its_settlement() -> None:
    """It counts again from where the store remembers."""
    told = (schedule(4), run(4, ending="failed"), run(4.5, attempt=2), run(6, worker="w2"), DELIVERED)

    verdict = judged(*told, fault("failed_over", 4.8, 5))
    assert (verdict.ok, verdict.undone) == (True, {"attempts forgotten": 1, "a settlement repeated": 1})
    assert kinds(*told) == ["attempts", "repeated"]


def test_a_backoff_is_forgotten_with_its_settlement() -> None:
    """The retry was undone and the delivery given anew, as another attempt."""
    told = (schedule(4), run(4, ending="failed"), run(4.1, attempt=2, worker="w2"), DELIVERED)

    verdict = judged(*told, fault("store_died", 4.05, 4.06), appendfsync="everysec")
    assert (verdict.ok, verdict.undone) == (True, {"a settlement repeated": 1})
    assert kinds(*told, fault("store_died", 4.05, 4.06), appendfsync="always") == ["early"]


def test_a_retry_that_was_put_off_may_come_at_its_old_time() -> None:
    """Where the store forgot that it was put off, its backoff stands."""
    told = (schedule(4), run(4, ending="failed"), call("change", 4.1, 200, due=9), run(4.5, attempt=2), DELIVERED)

    assert judged(*told, fault("failed_over", 4.3, 4.4)).undone == {"a change undone": 1}
    assert kinds(*told, fault("failed_over", 4.3, 4.4)) == []
    assert kinds(*told) == ["early"]


def test_a_request_that_the_store_forgot_is_stored_anew() -> None:
    """Its repeat gets another id, and the first may have run: where it was forgotten before that, and not answered."""
    first, again = schedule(1, status=503), schedule(5, ids=("other",))
    runs = (run(1), run(5, worker="w2", name="other"))

    verdict = judged(first, again, *runs, DELIVERED, fault("failed_over", 2, 2.4))
    assert verdict.violations == []
    assert verdict.undone == {"a request stored anew": 1, "a settlement repeated": 1}
    assert "strange" in kinds(first, again, *runs, DELIVERED)
    assert "strange" in kinds(first, again, *runs, DELIVERED, fault("failed_over", 5.000001, 5.4))
    assert "strange" in kinds(again, *runs, DELIVERED, fault("failed_over", 2, 2.4))
    safe = replace(first, reached="replica")
    assert "strange" in kinds(safe, again, *runs, DELIVERED, fault("failed_over", 2, 2.4))


def test_a_delivery_that_the_store_forgot_may_be_cancelled() -> None:
    """Its settlement was undone before the cancelling, so nobody held it."""
    told = (schedule(4), run(4), call("cancel", 6, 200), final("cancelled"))

    assert kinds(*told, fault("failed_over", 5, 5.1)) == []
    assert kinds(*told) == ["contradiction", "contradiction"]
    assert kinds(*told, fault("failed_over", 6.5, 6.6)) == ["contradiction"]
