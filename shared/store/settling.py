"""How the ends of deliveries are told to the ``settle`` script: those that are over at the first try in bundles, as most are."""

from __future__ import annotations

from collections.abc import Sequence

from shared.store.entries import Settlement, deferrals_text
from shared.store.keys import GROUP, Keys, lane_of, lane_of_stream, parse_lane
from shared.store.scripts import Argument

MOST_BUNDLES = 8
"""Each looks at what lies between its first and its last entry: with many, all would look at everything."""


class Settling:
    """The keys and arguments of one call."""

    def __init__(self, keys: Keys, consumer: str, max_finished: int, settlements: Sequence[Settlement]) -> None:
        self._keys = keys
        self._numbers: dict[str, int] = {}
        self.keys = [keys.index, keys.finished, keys.finished_expiry, keys.dead, keys.dead_records]
        bundles: dict[tuple[str, int], list[int]] = {}
        others: list[int] = []
        for position, one in enumerate(settlements):
            bundle = (one.lease.stream, one.number if one.text else 0)
            if _is_plain(one) and (bundle in bundles or len(bundles) < MOST_BUNDLES):
                bundles.setdefault(bundle, []).append(position)
            else:
                others.append(position)
        self._labelled = any(
            one.labels or any(follow.labels for follow in one.follows) for one in (settlements[p] for p in others)
        )
        self.arguments: list[Argument] = [GROUP, consumer, keys.wake_channel, max_finished, len(bundles)]
        self._follows([settlements[position] for position in others])
        self._order: list[int] = []
        """Positions of the settlements as the script is told of them."""
        for (stream, retention_ms), positions in bundles.items():
            self._bundle(stream, retention_ms, [settlements[position] for position in positions])
            self._order += positions
        for position in others:
            self._other(settlements[position])
        self._order += others
        if self._labelled:
            self.keys.append(keys.labels)

    def results(self, answer: Sequence[int]) -> list[bool]:
        """Which settlements took effect, in the order in which they were given."""
        results = [False] * len(self._order)
        for position, took_effect in zip(self._order, answer, strict=True):
            results[position] = took_effect == 1
        return results

    def _follows(self, others: Sequence[Settlement]) -> None:
        found = [(number, one) for number, settlement in enumerate(others, 1) for one in settlement.follows]
        self.arguments.append(len(found))
        for number, one in found:
            self.arguments += (number, self._number_of(self._keys.due(one.lane)), one.score, one.record)

    def _bundle(self, stream: str, retention_ms: int, settlements: list[Settlement]) -> None:
        entries = [one.lease.entry_id for one in settlements]
        self.arguments += (
            self._number_of(stream),
            len(entries),
            _millisecond(min(entries, key=_by_time)),
            _millisecond(max(entries, key=_by_time)),
            retention_ms,
        )
        self.arguments += entries
        self.arguments += [one.message_id for one in settlements]
        if retention_ms:
            self.arguments += [one.text for one in settlements]

    def _other(self, one: Settlement) -> None:
        with_errors = one.errors_exist or one.outcome != "finished"
        self.arguments += (
            self._number_of(one.lease.stream), one.lease.entry_id, one.lease.deliveries, one.message_id, one.outcome,
            self._number_of(self._keys.errors(one.message_id)) if with_errors else 0,
            one.text, one.number,
            self._number_of(self._keys.due(self._lane(one))) if one.outcome == "retry" else 0,
            one.header if one.outcome == "dead" else f"{one.attempts} {deferrals_text(one)}".rstrip(),
            0 if one.flow is None else self._number_of_places(one.topic), one.flow or "",
        )  # fmt: skip
        if self._labelled:
            self.arguments.append("\t".join(one.labels))

    def _lane(self, one: Settlement) -> str:
        return lane_of(one.topic, parse_lane(lane_of_stream(one.lease.stream))[1], one.flow_key)

    def _number_of_places(self, topic: str) -> int:
        held = self._keys.flow(topic, "held")
        if held not in self._numbers:
            self._number_of(held)
            self._number_of(self._keys.flow(topic, "next"))  # right after it
            self._number_of(self._keys.flow(topic, "kept"))
        return self._numbers[held]

    def _number_of(self, key: str) -> int:
        if key not in self._numbers:
            self.keys.append(key)
            self._numbers[key] = len(self.keys)
        return self._numbers[key]


def _is_plain(one: Settlement) -> bool:
    first_try = one.lease.deliveries == 1 and not one.errors_exist
    return one.outcome == "finished" and first_try and one.flow is None and not one.labels and not one.follows


def _by_time(entry_id: str) -> tuple[int, str]:
    """Orders entry ids by their milliseconds; those of one millisecond anyhow."""
    return entry_id.find("-"), entry_id


def _millisecond(entry_id: str) -> str:
    """As an end of a range it stands for all entries of that millisecond."""
    return entry_id.partition("-")[0]
