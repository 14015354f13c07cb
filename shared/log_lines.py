"""How a log line is written. Whatever a caller sent may be part of one: it stays on its line, is no longer than a bound, and
moves no terminal's cursor.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loguru import Record

_TIME = "{time:YYYY-MM-DDTHH:mm:ss.SSSZ}"
LONGEST_TEXT = 10_000
LONGEST_TRACE = 50_000
"""Characters of a message or a value, and of a traceback, in one line: a caller's words may be part of either."""
_OWN = frozenset({"service", "pid", "text", "line", "trace", "json"})
"""What the formatters keep for themselves."""


def text_line(record: Record) -> str:
    extra = record["extra"]
    shown = {key: value for key, value in extra.items() if key not in _OWN}
    extra["text"] = one_line(_cut(record["message"]))
    extra["line"] = one_line("".join(f" {key}={_cut(str(value))}" for key, value in shown.items()))
    extra["trace"] = "" if record["exception"] is None else _lines(_traceback(record))
    level = "<level>{level: <8}</level>"
    return f"{_TIME} {level} {{extra[service]}}[{{extra[pid]}}] {{extra[text]}}<dim>{{extra[line]}}</dim>\n{{extra[trace]}}"


def json_line(record: Record) -> str:
    line = {
        "time": record["time"].isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": _cut(record["message"]),
        "logger": f"{record['name']}:{record['line']}",
        **{key: _plain(value) for key, value in record["extra"].items() if key not in _OWN - {"service", "pid"}},
    }
    if record["exception"] is not None:
        line["exception"] = _traceback(record)
    text = json.dumps(line, ensure_ascii=False)
    record["extra"]["json"] = text if text.isprintable() else "".join(map(_json_char, text))
    return "{extra[json]}\n"


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, bool, type(None))) else _cut(str(value))


def _json_char(char: str) -> str:
    """As JSON may also write it: half of a surrogate pair could not be written at all, and some controls move a cursor."""
    return char if char.isprintable() else json.dumps(char)[1:-1]


def _cut(text: str, most: int = LONGEST_TEXT) -> str:
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def _traceback(record: Record) -> str:
    import traceback  # noqa: PLC0415 - needed only when something went wrong

    exception = record["exception"]
    assert exception is not None  # noqa: S101 - the caller looked
    return _cut("".join(traceback.format_exception(exception.type, exception.value, exception.traceback)), LONGEST_TRACE)


def _lines(text: str) -> str:
    """The same lines, with every other control character escaped: an exception's text may be a caller's.

    Each is indented, so that none of them can pass for a line of the log.
    """
    return "".join(f"  {one_line(line)}\n" for line in text.splitlines())


def one_line(text: str) -> str:
    """The text with control characters escaped, so that it stays on one line and moves no terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in text)
