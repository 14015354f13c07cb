"""Every delivery whose lease this process holds: waiting for a slot, running, or not settled yet."""

from __future__ import annotations

from consumers.delivery import Delivery

Place = tuple[str, str]
"""Stream and entry id."""


class Held:
    """Used only in the process's own event loop."""

    def __init__(self) -> None:
        self._by_place: dict[Place, Delivery] = {}
        self._by_id: dict[str, Delivery] = {}

    def add(self, delivery: Delivery) -> bool:
        """False where a delivery of the same message is held already: a worker never starts an id it is still running."""
        if delivery.record.id in self._by_id:
            return False
        self._by_place[place_of(delivery)] = delivery
        self._by_id[delivery.record.id] = delivery
        return True

    def remove(self, delivery: Delivery) -> None:
        if self._by_place.pop(place_of(delivery), None) is not None:
            self._by_id.pop(delivery.record.id, None)

    def of(self, message_id: str) -> Delivery | None:
        return self._by_id.get(message_id)

    def at(self, stream: str, entry_id: str) -> Delivery | None:
        return self._by_place.get((stream, entry_id))

    def all(self) -> list[Delivery]:
        return list(self._by_place.values())

    def __len__(self) -> int:
        return len(self._by_place)


def place_of(delivery: Delivery) -> Place:
    return delivery.lease.stream, delivery.lease.entry_id
