"""The fenced blocks of a Markdown page, the commands in them, and whether real output is what the page shows.

Ids, times, worker names and the like differ from run to run. An id that the page shows stands for the id that was really
given: it is learnt where it first appears in an answer and put into every later command and expectation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEEDS_DOCKER = "<!-- needs docker -->"
FIXED_YEAR = "2035"
"""Times of this year are asked for in the page and come back as they are."""
REDIS_PROMPT = "127.0.0.1:6390> "
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CHANGES = re.compile(
    r"(?P<id>(?<!\\)[A-Za-z][\w.-]*?-\d+-[0-9a-v]{21})(?![0-9a-v])"
    r"|(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))"
    r"|(?P<digits>(?<=\\t)[0-9a-v]{21}(?=\\t))"
    r"|(?P<worker>\b[\w.]+-\d+-[0-9a-f]{4}\b)"
    r"|(?P<entry>\b\d{13}-\d+)"
    r"|(?P<ms>\b\d{13}(?:\.\d+)?)"
    r"|(?P<integer>\(integer\) \d{2,})"
    r"|(?P<process>consumers\[\d+\]|consumers\.\d)"
    r"|(?P<late>lateness_ms=\d+)"
    r"|(?P<delay>delay_ms\\?\":\d+)"
    r"|(?P<hex>\b(?:[0-9a-f]{32}|[0-9a-f]{16})\b)"
)
_SHAPES = {
    "time": r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)",
    "digits": r"[0-9a-v]{21}",
    "worker": r"[\w.-]+-\d+-[0-9a-f]{4}",
    "entry": r"\d{13}-\d+",
    "ms": r"\d{13}(?:\.\d+)?",
    "integer": r"\(integer\) \d+",
    "process": r"consumers(?:\[\d+\]|\.\d)",
    "late": r"lateness_ms=\d+",
    "delay": r"delay_ms\\?\":\d+",
    "hex": r"[0-9a-f]{16,32}",
}
_ANY_NUMBER = {"lateness_ms"}
_ANY_TEXT = {"server"}
_MAY_BE_ABSENT = {"clock_difference_ms"}


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    line: int
    needs_docker: bool


@dataclass(frozen=True)
class Step:
    """A command, without its prompt, and what the page shows as its output."""

    command: str
    shown: str
    redis: bool


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        found.append(Block(match[1], match[2], before.count("\n") + 1, before.rstrip().endswith(NEEDS_DOCKER)))
    assert text.count("```") == 2 * len(found), "a fence is not closed, or not at the start of its line"
    return found


def steps_of(console: Block) -> list[Step]:
    """The commands of a console block. One that ends in a backslash or a pipe goes on in the next line."""
    steps: list[Step] = []
    goes_on = False
    for line in console.text.splitlines():
        if goes_on:
            last = steps[-1]
            steps[-1] = Step(f"{last.command}\n{line}", last.shown, last.redis)
        elif line.startswith("$ "):
            steps.append(Step(line[2:], "", redis=False))
        elif line.startswith(REDIS_PROMPT):
            steps.append(Step(line.removeprefix(REDIS_PROMPT), "", redis=True))
        else:
            last = steps[-1]
            steps[-1] = Step(last.command, f"{last.shown}{line}\n", last.redis)
            continue
        goes_on = line.endswith(("\\", "|"))
    return steps


@dataclass
class Known:
    """What ids of the page stand for."""

    ids: dict[str, str] = field(default_factory=dict)

    def put_into(self, command: str) -> str:
        for shown, real in self.ids.items():
            command = command.replace(shown, real)
        return command

    def differences(self, shown: str, real: str) -> str:
        """What is other than shown; '' where nothing is. Learns new ids where nothing is."""
        fresh = dict(self.ids)
        try:
            expected = json.loads(shown)
        except ValueError:
            said = _compare_text(shown.strip("\n"), real.strip("\n"), fresh)
        else:
            said = _compare_json(expected, real, fresh)
        if not said:
            self.ids = fresh
        return said


def _compare_json(expected: Any, real: str, ids: dict[str, str]) -> str:
    try:
        return _compare("$", expected, json.loads(real), ids)
    except ValueError:
        return f"no JSON: {real!r}"


def _compare(path: str, shown: Any, real: Any, ids: dict[str, str]) -> str:
    if isinstance(shown, dict) and isinstance(real, dict):
        if shown.keys() - _MAY_BE_ABSENT != real.keys() - _MAY_BE_ABSENT:
            return f"{path}: shown {sorted(shown)}, real {sorted(real)}"
        parts = [
            _compare(f"{path}.{key}", value, real[key], ids)
            for key, value in shown.items()
            if key not in _ANY_NUMBER | _ANY_TEXT | _MAY_BE_ABSENT
        ]
        return next(filter(None, parts), "")
    if isinstance(shown, list) and isinstance(real, list) and len(shown) == len(real):
        parts = [_compare(f"{path}[{number}]", *pair, ids) for number, pair in enumerate(zip(shown, real, strict=True))]
        return next(filter(None, parts), "")
    if isinstance(shown, str) and isinstance(real, str):
        said = _compare_text(shown, real, ids)
        return f"{path}: {said}" if said else ""
    return "" if shown == real else f"{path}: shown {shown!r}, real {real!r}"


def _compare_text(shown: str, real: str, ids: dict[str, str]) -> str:
    pattern, names = _pattern(shown, ids)
    match = re.fullmatch(pattern, real)
    if match is None:
        return f"shown {shown!r}, real {real!r}"
    ids.update({name: match[group] for group, name in names.items()})
    return ""


def _pattern(shown: str, ids: dict[str, str]) -> tuple[str, dict[str, str]]:
    """What matches the shown text in any run; and which group is which new id."""
    parts, names, end = list[str](), dict[str, str](), 0
    for change in _CHANGES.finditer(shown):
        parts.append(re.escape(shown[end : change.start()]))
        parts.append(_one(change, ids, names))
        end = change.end()
    parts.append(re.escape(shown[end:]))
    return "".join(parts), names


def _one(change: re.Match[str], ids: dict[str, str], names: dict[str, str]) -> str:
    kind, text = str(change.lastgroup), change[0]
    if kind == "time" and text.startswith(FIXED_YEAR):
        return re.escape(text)
    if kind != "id":
        return _SHAPES[kind]
    if text in ids:
        return re.escape(ids[text])
    known = next((group for group, name in names.items() if name == text), "")
    if known:
        return f"(?P={known})"
    group = f"id{len(names)}"
    names[group] = text
    return rf"(?P<{group}>{re.escape(text[:-21])}[0-9a-v]{{21}})"


def lines_as_patterns(block: Block, known: Known) -> list[str]:
    """A pattern for each line of what a terminal shows."""
    return [_pattern(line, known.ids)[0] for line in block.text.splitlines()]
