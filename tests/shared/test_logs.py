"""Logs: a file for each process, days apart, readable by people and by machines."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from shared import logs
from shared.errors import SettingsError
from shared.logs import logger, one_line, set_up_logging
from shared.settings import LoggingSettings

ROOT = Path(__file__).parents[2]
DAY_S = 86_400
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:?\d\d")


@pytest.fixture(autouse=True)
def own_logger() -> Iterator[None]:
    """Each test sets the log up anew; afterwards its files are closed and its slots free."""
    yield
    logger.remove()
    logger.configure(extra={})
    for lock in logs._held:
        lock.close()
    logs._held.clear()


def fail() -> None:
    raise ValueError("no such address")


def test_lines_carry_an_iso_time_with_offset_level_process_and_context(tmp_path: Path) -> None:
    """Who reads a line knows when, how bad, which process, and which message."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")

    logger.warning("the handler failed", id="echo-0-1", topic="echo", attempt=2)

    (line,) = file.read_text().splitlines()
    stamp, level, process, rest = line.split(maxsplit=3)
    assert _STAMP.fullmatch(stamp)
    assert abs(datetime.fromisoformat(stamp).timestamp() - time.time()) < 60
    assert (level, process) == ("WARNING", f"worker[{os.getpid()}]")
    assert rest == "the handler failed id=echo-0-1 topic=echo attempt=2"


def test_a_level_below_the_settings_is_not_written(tmp_path: Path) -> None:
    """``Logging.Level`` decides."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path), level="WARNING"), "worker")

    logger.info("too little")
    logger.error("enough")

    assert "too little" not in file.read_text()
    assert "enough" in file.read_text()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_is_logged_with_its_whole_traceback_and_no_values(tmp_path: Path, form: str) -> None:
    """Every frame is there; variables, which may hold bodies and secrets, are not."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path), format=form), "worker")  # type: ignore[arg-type] # both are allowed
    secret_body = "hunter2"

    try:
        fail()
    except ValueError:
        logger.exception("the handler failed", id="echo-0-1")

    text = file.read_text()
    told = json.loads(text)["exception"] if form == "json" else text
    assert "Traceback (most recent call last)" in told
    assert "in fail" in told
    assert "ValueError: no such address" in told
    assert secret_body not in text.replace('secret_body = "hunter2"', "")


def test_json_lines_parse_one_by_one_whatever_they_hold(tmp_path: Path) -> None:
    """A machine reads them: one object a line, the context as fields, also with braces, quotes and line ends in them."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path), format="json"), "worker")

    logger.info("plain {}", "{braces}", id="echo-0-1", attempt=2)
    logger.info("{}", 'line\nend "quoted" {not} a <red>format</red>', path=tmp_path)

    first, second = [json.loads(line) for line in file.read_text().splitlines()]
    assert _STAMP.fullmatch(first["time"])
    assert (first["level"], first["message"], first["id"], first["attempt"]) == ("INFO", "plain {braces}", "echo-0-1", 2)
    assert (first["service"], first["pid"]) == ("worker", os.getpid())
    assert second["message"] == 'line\nend "quoted" {not} a <red>format</red>'
    assert second["path"] == str(tmp_path)


def test_control_characters_reach_neither_terminal_nor_file(tmp_path: Path) -> None:
    """What a handler raises may be a caller's words: they move no cursor and make no line of their own."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")

    try:
        raise ValueError("red \x1b[31m and\rback")
    except ValueError:
        logger.exception("failed: {}", "a\nforged line", id="x\ny")

    text = file.read_text()
    assert "\x1b" not in text
    assert "\r" not in text
    assert "failed: a\\nforged line id=x\\ny" in text
    assert "ValueError: red \\x1b[31m and" in text


def test_a_traceback_makes_no_line_of_the_log(tmp_path: Path) -> None:
    """An exception's text of several lines cannot pass for lines of ours: each is indented."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")
    forged = "2030-01-01T00:00:00.000+00:00 INFO     worker[1] all is well"

    try:
        raise ValueError(f"no\n{forged}\u2028{forged}")
    except ValueError:
        logger.exception("failed")

    lines = file.read_text().splitlines()
    assert sum(forged in line for line in lines) == 2
    assert [line for line in lines if line.startswith("20") and "all is well" in line] == []


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_line_is_bounded_and_holds_nothing_that_cannot_be_written(tmp_path: Path, form: str) -> None:
    """Whatever a caller's words are: they fill no disk, and half a character costs no line."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path), format=form), "worker")  # type: ignore[arg-type] # both are allowed

    try:
        raise ValueError("t" * 1_000_000)
    except ValueError:
        logger.exception("m" * 1_000_000, value="v" * 1_000_000)
    logger.info("half {}", "\ud83d \x9b2J \x7f")

    text = file.read_text()
    assert 50_000 < len(text) < 100_000
    assert "1000000 characters" in text
    last = text.splitlines()[-1]
    assert "half" in last
    assert last.isprintable()
    if form == "json":
        assert json.loads(last)["message"] == "half \ud83d \x9b2J \x7f"


def test_what_libraries_log_is_in_the_log(tmp_path: Path) -> None:
    """Warnings and errors of aiohttp, APScheduler and asyncio are escaped and kept like ours, once."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")
    file = set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")

    try:
        raise ValueError("why")
    except ValueError:
        logging.getLogger("asyncio").exception("a task\nfailed {}")
    logging.getLogger("aiohttp.server").info("of no interest")

    text = file.read_text()
    assert text.count("ERROR    worker") == 1
    assert "asyncio: a task\\nfailed {}" in text
    assert "ValueError: why" in text
    assert "of no interest" not in text


def test_text_with_braces_and_tags_is_written_as_it_is(tmp_path: Path) -> None:
    """A message's words are no format: nothing is looked up, coloured or lost."""
    file = set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")

    logger.info("{} <red>x</red>", "{pid}", note="{extra} </dim>")

    assert "{pid} <red>x</red> note={extra} </dim>" in file.read_text()


def test_a_new_day_begins_a_new_file_and_packs_the_old_one(tmp_path: Path) -> None:
    """Daily rotation with ZIP compression: yesterday's lines are in the archive, today's in the file."""
    file = tmp_path / "worker-1.log"
    file.write_text("yesterday\n")
    _age(file, 1)
    set_up_logging(LoggingSettings(directory=str(tmp_path)), "worker")

    logger.info("today")

    assert "today" in file.read_text()
    assert "yesterday" not in file.read_text()
    (archive,) = tmp_path.glob("worker-1.*.zip")
    with zipfile.ZipFile(archive) as packed:
        (name,) = packed.namelist()
        assert packed.read(name) == b"yesterday\n"


def test_archives_are_kept_as_long_as_the_settings_say(tmp_path: Path) -> None:
    """Older ones go when the day changes; younger ones and those of other processes stay."""
    kept, gone, others = (
        tmp_path / f"{name}.2026-01-01_00-00-00_000000.log.zip" for name in ("worker-1", "worker-1.x", "worker-2")
    )
    for archive, days in ((kept, 2), (gone, 4), (others, 4)):
        archive.write_bytes(b"x")
        _age(archive, days)
    file = tmp_path / "worker-1.log"
    file.write_text("yesterday\n")
    _age(file, 1)
    set_up_logging(LoggingSettings(directory=str(tmp_path), retention_days=3), "worker")

    logger.info("today")

    assert (kept.exists(), gone.exists(), others.exists()) == (True, False, True)


def _age(file: Path, days: int) -> None:
    then = time.time() - days * DAY_S
    os.utime(file, (then, then))


PROCESS = """
import sys
from shared.logs import logger, set_up_logging
from shared.settings import LoggingSettings
print(set_up_logging(LoggingSettings(directory=sys.argv[1]), "worker").name, flush=True)
sys.stdin.readline()
"""


def _start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_each_process_has_a_file_of_its_own_and_a_free_one_is_used_again(tmp_path: Path) -> None:
    """Two at once never share a file; the slot of one that was killed is taken by the next."""
    processes = [_start(tmp_path), _start(tmp_path)]
    try:
        names = [_name(one) for one in processes]
        assert sorted(names) == ["worker-1.log", "worker-2.log"]

        processes[0].kill()
        processes[0].wait()
        processes.append(_start(tmp_path))
        assert _name(processes[2]) == names[0]
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _name(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_folder_that_cannot_be_written_is_refused_by_its_name(tmp_path: Path) -> None:
    """The process says which setting it is, and does not start without its log."""
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match=r"Logging\.Directory = '.*file/logs'"):
        set_up_logging(LoggingSettings(directory=str(tmp_path / "file" / "logs")), "worker")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ä 😀", "plain ä 😀"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\x00b\x07c\x7f", "a\\x00b\\x07c\\x7f"),
        ("tab\there", "tab\\there"),
        ("next\x85line\u2028para\u2029", "next\\x85line\\u2028para\\u2029"),
        ("right\u202eto left", "right\\u202eto left"),
        ("half \ud800", "half \\ud800"),
        ("", ""),
    ],
)
def test_one_line_escapes_what_moves_the_cursor(text: str, expected: str) -> None:
    """A message stays on its line and cannot command a terminal."""
    assert one_line(text) == expected
    assert len(one_line(text).splitlines()) <= 1
