"""How what is asked for of a topic is shared among its priority levels: by weights, so that no level starves another.

A level that has a backlog gets its weight's share (smooth weighted round robin, as nginx does it for upstream servers); one
that had nothing the last time is asked for one delivery, so that its next message does not wait for the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from shared.store.keys import LEVELS, USUAL

WEIGHTS = {"high": 6, "normal": 3, "low": 1}
"""Of ten deliveries while all three levels have a backlog."""


class Shares:
    """The streams of one topic, that of the highest level first, and which of them lately had more than was asked for."""

    def __init__(self, streams: Sequence[str]) -> None:
        self._weights = {stream: WEIGHTS[level] for stream, level in zip(streams, LEVELS, strict=True)}
        self._usual = streams[LEVELS.index(USUAL)]
        self._owed = dict.fromkeys(streams, 0.0)
        """What a level was short of its share until now; together they are nothing."""
        self._behind = {self._usual}
        """Those with a backlog, as far as is known."""

    @property
    def contended(self) -> bool:
        """Whether several levels have a backlog, as far as is known."""
        return len(self._behind) > 1

    def split(self, count: int) -> dict[str, int]:
        """How many to ask each stream for: ``count`` of those with a backlog, and one of each of the others."""
        behind = [stream for stream in self._weights if stream in self._behind] or [self._usual]
        asked = dict.fromkeys(self._weights, 1)
        if len(behind) == 1:
            asked[behind[0]] = count
            return asked
        total = sum(self._weights[stream] for stream in behind)
        for stream in behind:
            self._owed[stream] += count * self._weights[stream] / total
            asked[stream] = max(0, int(self._owed[stream]))
        while (missing := count - sum(asked[stream] for stream in behind)) != 0:
            unit = 1 if missing > 0 else -1
            first = max(behind, key=lambda stream: unit * (self._owed[stream] - asked[stream]))
            asked[first] += unit
        for stream in behind:
            self._owed[stream] -= asked[stream]
        return asked

    def saw(self, asked: Mapping[str, int], came: Mapping[str, int]) -> None:
        """What became of a read: ``came`` has no entry for a stream that had nothing."""
        for stream, count in asked.items():
            if count and came.get(stream, 0) >= count:
                self._behind.add(stream)
            elif count and stream in self._behind:
                self._behind.discard(stream)
                self._owed = dict.fromkeys(self._owed, 0.0)  # a share that nobody wanted is not saved up
