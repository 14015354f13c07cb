"""The calls of ``/topics/{topic}/flow-keys``; see ``client.message_calls``."""

from __future__ import annotations

from client.answers import FlowKey, Page
from client.call import Call, changes, lists, looks, path
from client.fields import Duration, as_json


def list_flow_keys(topic: str, *, page_size: int | None = None) -> Call[Page[FlowKey]]:
    """Those with a limit of their own, or of which something runs or waits, asked for in pages of ``page_size`` (50; 100 at
    most). Each page is repeated freely.
    """
    return lists(path("topics", topic, "flow-keys"), Page[FlowKey], limit=page_size)


def get_flow_key(topic: str, flow_key: str) -> Call[FlowKey]:
    """Its limit, and how much of it runs and waits. Repeated freely."""
    return looks("GET", path("topics", topic, "flow-keys", flow_key), FlowKey)


def set_flow_limit(
    topic: str, flow_key: str, *, rate: int | None = None, period: Duration | None = None, concurrency: int | None = None
) -> Call[FlowKey]:
    """``rate`` messages in any time of ``period`` (a second), ``concurrency`` deliveries at once; one of the two at least.

    Needs the scope ``admin``. Repeated after any failure.
    """
    content = as_json({"rate": rate, "period": period, "concurrency": concurrency})
    return changes("PUT", path("topics", topic, "flow-keys", flow_key), FlowKey, content, repeatable=True, durability=None)


def unset_flow_limit(topic: str, flow_key: str) -> Call[FlowKey]:
    """The limit of the settings holds again. Needs the scope ``admin``. Repeated after any failure."""
    return changes("DELETE", path("topics", topic, "flow-keys", flow_key), FlowKey, repeatable=True, durability=None)


def pause_flow_key(topic: str, flow_key: str) -> Call[FlowKey]:
    """Nothing more of it is let through. Needs the scope ``admin``. Repeated after any failure."""
    return changes("POST", path("topics", topic, "flow-keys", flow_key, "pause"), FlowKey, repeatable=True, durability=None)


def resume_flow_key(topic: str, flow_key: str) -> Call[FlowKey]:
    """It goes on. Needs the scope ``admin``. Repeated after any failure."""
    return changes("POST", path("topics", topic, "flow-keys", flow_key, "resume"), FlowKey, repeatable=True, durability=None)
