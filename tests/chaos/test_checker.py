"""The judge finds each kind of broken promise, and lets pass what differs from it by one fact that makes it right."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import pytest

from tests.chaos.histories import Told, call, fault, final, judged, kinds, leftover, run, schedule
from tests.chaos.verdict import Kind


class Planted(NamedTuple):
    broken: tuple[Told, ...]
    right: tuple[Told, ...]
    """The same with the one fact changed that makes it right."""
    rules: dict[str, Any] = {}  # noqa: RUF012 - never changed


DELIVERED = final("delivered")
PLANTED: dict[Kind, Planted] = {
    "lost": Planted((schedule(), final("unknown")), (schedule(status=0), final("unknown"))),
    "early": Planted((schedule(due=5), run(4.999999), DELIVERED), (schedule(due=5), run(5), DELIVERED)),
    "overlap": Planted(
        (schedule(), run(1, 1), run(1.5, worker="w2"), DELIVERED),
        (schedule(), run(1, 1), fault("frozen", 1.2, 2.2, "w1"), run(1.5, worker="w2"), DELIVERED),
    ),
    "repeated": Planted(
        (schedule(), run(1), run(5, worker="w2"), DELIVERED),
        (schedule(), run(1), fault("died", 1.005, 1.1, "w1"), run(5, worker="w2"), DELIVERED),
    ),
    "duplicate": Planted(
        (schedule(), run(1), run(1.5, worker="w2"), DELIVERED),
        (schedule(), run(1), fault("died", 1.005, 1.1, "w1"), run(1.5, worker="w2"), DELIVERED),
    ),
    "attempts": Planted((schedule(), run(1, attempt=2), DELIVERED), (schedule(), run(1, attempt=1), DELIVERED)),
    "ran though cancelled": Planted(
        (schedule(due=5), call("cancel", 2, 200), run(5), DELIVERED),
        (schedule(due=5), call("cancel", 2, 409), run(5), DELIVERED),
    ),
    "strange": Planted((run(1), DELIVERED), (schedule(), run(1), DELIVERED)),
    "contradiction": Planted((schedule(), DELIVERED), (schedule(), run(1), DELIVERED)),
    "unsafe": Planted(
        (schedule(reached="memory"), run(1), DELIVERED),
        (schedule(reached="fsync"), run(1), DELIVERED),
        {"durability": "fsync"},
    ),
    "wrongly dead": Planted(
        (schedule(), run(1, ending="failed"), final("dead")),
        (schedule(), run(1, ending="dead"), final("dead")),
    ),
    "unsettled": Planted((schedule(), run(1), final("running")), (schedule(), run(1), DELIVERED)),
    "refused": Planted((schedule(status=500), DELIVERED, run(1)), (schedule(status=503), DELIVERED, run(1))),
    "crowded": Planted(
        (
            schedule(refs=("m@a", "n@a")),
            run(1, 1, ref="m@a"),
            run(1.5, 1, ref="n@a"),
            final("delivered", "m@a"),
            final("delivered", "n@a"),
        ),
        (
            schedule(refs=("m@a", "n@b")),
            run(1, 1, ref="m@a"),
            run(1.5, 1, ref="n@b"),
            final("delivered", "m@a"),
            final("delivered", "n@b"),
        ),
        {"flow_concurrency": 1},
    ),
    "leftover": Planted((schedule(), run(1), DELIVERED, leftover("chaos:{0}:errors:x")), (schedule(), run(1), DELIVERED)),
}


def test_every_kind_is_planted() -> None:
    """No kind of violation is without a history that shows it."""
    assert set(PLANTED) == set(get_args(Kind))


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_violation_is_found_as_what_it_is(kind: Kind) -> None:
    """Each kind is found, once, and nothing else with it, save what it cannot be without."""
    with_it = {"refused": ["strange"]}  # who runs what was refused runs what nobody scheduled

    found = kinds(*PLANTED[kind].broken, **PLANTED[kind].rules)

    assert found == [kind, *with_it.get(kind, [])]


@pytest.mark.parametrize("kind", PLANTED)
def test_its_neighbour_passes(kind: Kind) -> None:
    """With the one fact changed that makes it right, nothing is accused."""
    assert kinds(*PLANTED[kind].right, **PLANTED[kind].rules) == []


@pytest.mark.parametrize(
    ("operation", "right", "wrong"),
    [
        ("cancel", (200, 409, 503, 0), (202, 400, 422, 429, 500)),
        ("change", (200, 409, 503, 0), (202, 400, 422, 429, 500)),
        ("deliver_now", (202, 409, 503, 0), (200, 400, 422, 429, 500)),
        ("replay", (202, 409, 503, 0), (200, 400, 422, 429, 500)),
    ],
)
def test_an_answer_that_no_call_should_get_is_found(operation: Any, right: tuple[int, ...], wrong: tuple[int, ...]) -> None:
    """A call is answered with what its operation may answer, or not at all; anything else is a refusal of a right request."""
    late = (schedule(), run(1, ending="dead"), final("dead"))  # which nobody can hinder

    def found(status: int) -> list[Kind]:
        return [kind for kind in kinds(*late, call(operation, 3, status)) if kind == "refused"]

    assert [status for status in right if found(status)] == []
    assert [status for status in wrong if not found(status)] == []


def test_a_batch_is_judged_once() -> None:
    """A refused call of many messages is one violation, and each of its messages is judged by its own runs."""
    batch = schedule(refs=("a", "b"), status=500)
    stored = schedule(refs=("a", "b"), due=5)
    ends = (final("delivered", "a"), final("delivered", "b"))

    assert kinds(batch) == ["refused"]
    assert kinds(stored, run(5, ref="a"), run(4, ref="b"), *ends) == ["early"]
    assert judged(stored, run(5, ref="a"), run(5, ref="b"), *ends).accepted == 2


def test_an_accepted_message_is_found_by_its_id() -> None:
    """A 404 for a message that was accepted denies it; for one that may not have been, it says that it was not."""
    end = (run(5), final("delivered"))

    assert kinds(schedule(due=5), call("change", 2, 404), *end) == ["contradiction"]
    for operation in ("cancel", "change", "deliver_now", "replay"):
        assert kinds(schedule(due=5, status=0), call(operation, 2, 404), *end) == []


def test_a_message_that_was_only_refused_must_not_run() -> None:
    """What no call scheduled, or only calls that were refused, neither runs nor is known."""
    assert kinds(schedule(status=422), run(1)) == ["refused", "strange"]
    assert kinds(schedule(status=422), final("scheduled")) == ["refused", "strange"]
    assert kinds(schedule(status=422)) == ["refused"]
    assert kinds(schedule(status=0), run(1)) == []


def test_a_message_has_one_id_and_an_id_one_message() -> None:
    """A request repeated gets the id it had; what runs has that id; no other message has it."""
    again = schedule(2, ids=("id-m",))
    end = final("delivered")

    assert kinds(schedule(), again, run(2), end) == []
    assert kinds(schedule(), schedule(2, ids=("other",)), run(2), end) == ["strange"]
    assert kinds(schedule(), run(1, name="other"), end) == ["strange"]
    assert kinds(schedule(status=503, ids=("other",)), schedule(2), run(2), end) == []
    assert kinds(schedule(ids=()), run(1), end) == ["strange"]
    assert kinds(schedule(), schedule(2, ids=()), run(2), end) == ["strange"]
    two = (run(1, ref="a", name="x"), run(1.1, ref="b", name="x"), final("delivered", "a"), final("delivered", "b"))
    assert kinds(schedule(refs=("a", "b"), ids=("x", "x")), *two) == ["strange"]
    assert kinds(schedule(refs=("a", "b"), status=0), *two) == ["strange"]


@pytest.mark.parametrize("operation", ["cancel", "change", "deliver_now", "replay"])
def test_every_change_is_as_safe_as_was_asked(operation: Any) -> None:
    """With more than memory asked for, a 2xx says that it was reached; any other answer need not."""
    status = 202 if operation in {"deliver_now", "replay"} else 200
    safe = schedule(due=5, reached="fsync")

    def found(status: int, reached: Any, durability: str) -> int:
        return kinds(safe, call(operation, 2, status, reached=reached), durability=durability).count("unsafe")

    assert found(status, "memory", "fsync") == 1
    assert found(status, "fsync", "fsync") == 0
    assert found(409, "memory", "fsync") == 0
    assert found(status, "memory", "memory") == 0
    assert found(status, "fsync", "memory") == 0


def test_what_is_right_is_counted() -> None:
    """Messages, runs, retries and ends are counted for the report, and a message that nobody answered for is not accepted."""
    verdict = judged(
        schedule(refs=("a",)), run(1, ref="a", ending="failed"), run(1.2, ref="a", attempt=2), final("delivered", "a"),
        schedule(refs=("b",), status=0), run(1, ref="b"),
        schedule(refs=("c",)), run(1, ref="c", ending="dead"), final("dead", "c"),
    )  # fmt: skip

    assert verdict.ok
    assert (verdict.accepted, verdict.runs, verdict.retries) == (2, 4, 1)
    assert verdict.ends == {"delivered": 2, "dead": 1}
    assert not verdict.explained + verdict.allowed + verdict.undone


def test_a_violation_names_its_message() -> None:
    """A person reads which message it was, which worker, and by how much."""
    (violation,) = judged(schedule(due=5, refs=("x",)), run(4.5, ref="x", worker="w7"), final("delivered", "x")).violations

    assert violation.ref == "x"
    assert violation.text == "id-x by w7 500.000 ms before its time"
    (violation,) = judged(schedule(due=5), call("cancel", 2, 200), run(5), final("delivered")).violations
    assert violation.text == "id-m by w1 2999.0 ms after the answer"
