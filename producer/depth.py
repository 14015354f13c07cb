"""How deep a JSON text is nested, told without a recursion that the text itself would drive.

A handler's ``message.json()``, and whatever a body is handed on to, recurse a level for each bracket: what they would break
at must not be accepted.
"""

from __future__ import annotations

MAX_DEPTH = 100
_TO_BITS = bytes.maketrans(b"[{]}", b"1100")
_NOT_STRUCTURE = bytes(sorted(set(range(256)) - set(b'"[]{}')))
"""Every byte that says nothing about depth."""


def _rises(eight: int) -> list[int]:
    """The depth after each of eight brackets, relative to that before them. A bit that is set opens."""
    depth, found = 0, []
    for bit in range(7, -1, -1):
        depth += 1 if eight >> bit & 1 else -1
        found.append(depth)
    return found


_HIGHEST = [max(_rises(eight)) for eight in range(256)]
_RISE = [_rises(eight)[-1] for eight in range(256)]


def is_too_deep(text: bytes) -> bool:
    """Whether valid JSON is nested more than ``MAX_DEPTH`` levels deep. Linear, a few milliseconds a mebibyte."""
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return False
    without_escapes = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(without_escapes.translate(_TO_BITS, _NOT_STRUCTURE).split(b'"')[::2])
    bits = outside_strings + b"0" * (-len(outside_strings) % 8)
    depth = 0
    for eight in int(bits, 2).to_bytes(len(bits) // 8, "big"):
        if depth + _HIGHEST[eight] > MAX_DEPTH:
            return True
        depth += _RISE[eight]
    return False
