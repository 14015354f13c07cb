"""A history is written by many processes, and read whole."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.chaos.histories import call, fault, final, leftover, run, schedule
from tests.chaos.history import AnyEvent, Order, append, read

EVENTS: tuple[AnyEvent, ...] = (
    msgspec.structs.replace(schedule(1, 2, refs=("a", "b"), expires=9, reached="fsync"), order=Order(sleep_ms=5, dead=True)),
    call("change", 2, 503, due=5),
    *run(3, worker="w2", attempt=3),
    msgspec.structs.replace(fault("cut", 4, 5, "w1", kind="link cut"), recovered_us=6),
    final("dead"),
    msgspec.structs.replace(leftover("chaos:{0}:errors:x"), at_us=61_000_000, content="list"),
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every kind of event comes back as it was, from all files, in the order of time."""
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    for number, event in enumerate(reversed(EVENTS)):
        append(second if number % 2 else first, event)

    assert tuple(read([first, second])) == tuple(sorted(EVENTS, key=lambda event: event.at_us))


def test_a_writer_that_is_killed_spoils_its_own_line_only(tmp_path: Path) -> None:
    """Wherever its line is cut off: what others wrote before and after it is read."""
    whole = msgspec.json.encode(EVENTS[0])
    for length in range(len(whole)):
        file = tmp_path / f"{length}.jsonl"
        append(file, EVENTS[-2])
        with file.open("ab") as torn:
            torn.write(b"\n" + whole[:length])
        append(file, EVENTS[-1])

        assert read([file]) == list(EVENTS[-2:]), whole[:length]


def test_a_whole_line_that_means_nothing_is_an_error(tmp_path: Path) -> None:
    """It is no history of this release: to skip it would be to judge another run."""
    file = tmp_path / "a.jsonl"
    file.write_bytes(b'{"event":"start","at_us":"soon"}\n')

    with pytest.raises(msgspec.ValidationError):
        read([file])
