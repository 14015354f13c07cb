"""Trees with a bug planted in them: what a chaos run has to catch, or it proves nothing.

``plant`` copies the service and changes a few exact pieces of text in the copy. A piece that is not there any more is an
error, so that the table follows the code.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FOLDERS = ("shared", "producer", "dispatcher", "consumers", "cli", "tests")
_LUA, _STORE = "shared/store/lua", "shared/store"


class Change(NamedTuple):
    file: str
    old: str
    new: str


_FENCE = "local ours = owner == ARGV[2] and deliveries == tonumber(ARGV[i + 2])"
BUGS: dict[str, tuple[Change, ...]] = {
    "two-calls": (  # the hand-over is XADD in one call and ZREM in another: a second dispatcher, or a kill, comes between
        Change(f"{_LUA}/dispatch.lua", "local moved = 0\n", "local moved = 0\nlocal given = {}\n"),
        Change(
            f"{_LUA}/dispatch.lua",
            "redis.call('ZREMRANGEBYRANK', KEYS[1], 0, moved - 1)",
            "for i = 1, moved do given[i] = found[2 * i - 1] end",
        ),
        Change(f"{_LUA}/dispatch.lua", "limit < 1 and 1 or 0}", "limit < 1 and 1 or 0, given}"),
        Change(f"{_STORE}/due.py", "moved, next_due_ms, now_ms, full = await", "moved, next_due_ms, now_ms, full, given = await"),
        Change(
            f"{_STORE}/due.py",
            "    return Dispatched(moved,",
            "    if given:\n"
            "        with outages():\n"
            "            await partition.client.zrem(keys.due(lane), *given)\n"
            "    return Dispatched(moved,",
        ),
    ),
    "remove-first": (  # the same in the other order: what was removed is in a process's memory only, and dies with it
        Change(f"{_LUA}/dispatch.lua", "local moved = 0\n", "local moved = 0\nlocal given = {}\n"),
        Change(
            f"{_LUA}/dispatch.lua",
            "for i = 1, moved do\n      local due",
            "for i = 1, moved do given[i] = found[2 * i - 1] end\n    for i = 1, 0 do\n      local due",
        ),
        Change(f"{_LUA}/dispatch.lua", "redis.call('HSET', KEYS[2], unpack(index))", ""),
        Change(f"{_LUA}/dispatch.lua", "limit < 1 and 1 or 0}", "limit < 1 and 1 or 0, given}"),
        Change(f"{_STORE}/due.py", "moved, next_due_ms, now_ms, full = await", "moved, next_due_ms, now_ms, full, given = await"),
        Change(
            f"{_STORE}/due.py",
            "    return Dispatched(moved,",
            "    with outages():\n"
            "        for record in given:\n"
            "            stream = keys.stream(*parse_lane(lane))\n"
            '            await partition.client.xadd(stream, {"due": now_ms, "attempts": 0, "message": record})\n'
            "    return Dispatched(moved,",
        ),
    ),
    "unfenced": (  # whoever held a delivery once may renew, settle and hand it back, whoever holds it now
        Change(
            f"{_LUA}/settle.lua",
            "local ours = owner == consumer and deliveries == tonumber(ARGV[i + 2]) and found[entry] ~= false",
            "local ours = owner ~= nil and found[entry] ~= false",
        ),
        Change(f"{_LUA}/settle.lua", "first, last, most, consumer)", "first, last, most)"),
        Change(f"{_LUA}/settle.lua", "found[row[1]] = row[4] == 1 or nil end", "found[row[1]] = true end"),
        Change(f"{_LUA}/settle.lua", "ours = owner == consumer and deliveries == 1\n", "ours = owner ~= nil\n"),
        Change(f"{_LUA}/renew.lua", _FENCE, "local ours = owner ~= nil"),
        Change(f"{_LUA}/hand_back.lua", _FENCE, "local ours = owner ~= nil"),
    ),
    "fired-again": (  # whoever saw an occurrence may make it, also when another has made it meanwhile
        Change(f"{_LUA}/fire.lua", "if by_rule and tonumber(planned) ~= tonumber(ARGV[5]) then return {'stale'} end\n", ""),
    ),
    "crowded": (  # a flow key has as many places as it asks for
        Change(f"{_LUA}/include/flow.lua", "if limits.concurrency > 0 and", "if false and"),
    ),
    "early": (  # dispatched up to 40 ms before its time
        Change(f"{_LUA}/dispatch.lua", "string.format('%d', now + 1)", "string.format('%d', now + 41)"),
    ),
    "forgotten": (  # a group that is gone is made again from the end of its stream: what waited there is never read
        Change(f"{_STORE}/delivery.py", 'GROUP, id="0", mkstream', 'GROUP, id="$", mkstream'),
        Change(f"{_LUA}/dispatch.lua", "ARGV[3], '0', 'MKSTREAM'", "ARGV[3], '$', 'MKSTREAM'"),
    ),
}


def plant(bug: str, folder: Path, source: Path = ROOT) -> None:
    """Copies the service from ``source`` into ``folder`` with that bug. Raises ``ValueError`` where its place has changed."""
    for name in FOLDERS:
        shutil.copytree(source / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(source / "appsettings.json", folder)
    for change in BUGS[bug]:
        file = folder / change.file
        text = file.read_text(encoding="utf-8")
        if text.count(change.old) != 1:
            raise ValueError(f"{change.file} holds {change.old!r} {text.count(change.old)} times; expected once")
        file.write_text(text.replace(change.old, change.new), encoding="utf-8")
