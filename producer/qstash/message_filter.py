"""Which messages or dead letters a call means: the words of QStash, as a filter of the store and what no filter of it can say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from producer.qstash.query import LATEST_MS, values, whole
from producer.qstash.views import answer_to, flow_control_key, queue_of, webhook_of
from shared.settings import WEBHOOK
from shared.store.listing.filter import Filter, State
from shared.store.messages import View

_WORDS: dict[str, Callable[[View], frozenset[str]]] = {
    "messageId": lambda view: frozenset({view.id}),
    "url": lambda view: frozenset({webhook_of(view).url}),
    "host": lambda view: frozenset({urlsplit(webhook_of(view).url).hostname or "", urlsplit(webhook_of(view).url).netloc}),
    "path": lambda view: frozenset({urlsplit(webhook_of(view).url).path}),
    "topicName": lambda view: frozenset({webhook_of(view).group or ""}),
    "scheduleId": lambda view: frozenset({(view.record and view.record.options.schedule) or ""}),
    "queueName": lambda view: frozenset({queue_of(view)}),
    "callerIp": lambda view: frozenset({webhook_of(view).caller_ip or ""}),
    "label": lambda view: frozenset(view.record.options.labels if view.record else ()),
    "flowControlKey": lambda view: frozenset({flow_control_key(view)}),
    "responseStatus": lambda view: frozenset({str(answer.status if (answer := answer_to(view)) else 0)}),
}
"""What a dead letter has of each."""
_OLDER = {"callerIp": "callerIP"}
_MANY: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
_TIME: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": LATEST_MS}
FILTER_QUERY: dict[str, tuple[dict[str, Any], str]] = {
    **dict.fromkeys(_WORDS, (_MANY, "Only with one of these; several are given again, or with commas between.")),
    "callerIP": (_MANY, "An older name of `callerIp`."),
    "fromDate": (
        _TIME,
        "Only those that died, or of messages were made, at this time, in milliseconds since the epoch, or later.",
    ),
    "toDate": (
        _TIME,
        "Only those that died, or of messages were made, at this time, in milliseconds since the epoch, or earlier.",
    ),
    "api": ({"type": "string"}, "Is ignored."),
}


@dataclass(frozen=True)
class MessageFilter:
    """Values of one name are alternatives; all names have to fit."""

    words: Mapping[str, frozenset[str]]
    from_ms: int | None
    until_ms: int | None

    def fits(self, view: View) -> bool:
        return all(wanted & _WORDS[name](view) for name, wanted in self.words.items())

    @property
    def any(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self.words) or self.from_ms is not None or self.until_ms is not None

    @property
    def died(self) -> Filter:
        """Of dead letters: the times are those of their death."""
        return Filter(state="dead", topic=WEBHOOK.name, died_from=self.from_ms, died_until=self.until_ms)

    def in_state(self, state: State) -> Filter:
        """Of others: the times are those at which they were made. An index finds those of a label, where it is one alone."""
        labels = self.words.get("label", frozenset())
        label = min(labels) if len(labels) == 1 else None
        return Filter(state=state, topic=WEBHOOK.name, label=label, created_from=self.from_ms, created_until=self.until_ms)


def message_filter(request: web.Request) -> MessageFilter:
    """Of a query. Raises ``InvalidField``."""
    asked = {name: values(request, name, *({_OLDER[name]} if name in _OLDER else ())) for name in _WORDS}
    return MessageFilter(
        {name: found for name, found in asked.items() if found},
        whole(request, "fromDate", 0, LATEST_MS),
        whole(request, "toDate", 0, LATEST_MS),
    )
