"""Which entries of the log are wanted. Pure."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from shared.about import About
from shared.events import Event, Kind

_NOTHING = About()


class LogFilter(NamedTuple):
    """Each is met by an event with one of its values; an empty one by any."""

    kinds: frozenset[Kind] = frozenset()
    topics: frozenset[str] = frozenset()
    message_ids: frozenset[str] = frozenset()
    urls: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    schedules: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    hosts: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    callers: frozenset[str] = frozenset()
    """Addresses of those who sent them here."""
    flow_keys: frozenset[str] = frozenset()
    from_ms: int | None = None
    until_ms: int | None = None

    def takes(self, event: Event) -> bool:
        if (self.kinds and event.event not in self.kinds) or (self.labels and self.labels.isdisjoint(event.labels)):
            return False
        if event.at_ms < (self.from_ms or 0) or (self.until_ms is not None and event.at_ms > self.until_ms):
            return False
        about = event.about or _NOTHING
        return self._takes_place(about.url) and not any(
            values and value not in values
            for values, value in (
                (self.topics, event.topic),
                (self.message_ids, event.message_id),
                (self.urls, about.url),
                (self.groups, about.group),
                (self.queues, about.queue),
                (self.schedules, about.schedule),
                (self.callers, about.caller_ip),
                (self.flow_keys, about.flow_key),
            )
        )

    def _takes_place(self, url: str) -> bool:
        if not self.hosts and not self.paths:
            return True
        try:
            place = urlsplit(url)
            hosts = (place.netloc, place.hostname or "")
        except ValueError:  # what a stranger wrote there
            return False
        return (not self.paths or place.path in self.paths) and (not self.hosts or not self.hosts.isdisjoint(hosts))
