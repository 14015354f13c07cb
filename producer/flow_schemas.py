"""Bodies and answers of ``/topics/{topic}/flow-keys``."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from producer.schemas import FLOW_KEY_TEXT, DelayIn, In, Out


class FlowLimit(In, frozen=True):
    """What a flow key may do: a rate, a concurrency, or both."""

    rate: Annotated[int, Meta(ge=1, le=100_000, description="Messages in any time of `period`.", examples=[10])] | UnsetType = (
        UNSET
    )
    period: Annotated[DelayIn, Meta(description="Of `rate`; a second where it is absent, a day at most.")] | UnsetType = UNSET
    concurrency: (
        Annotated[int, Meta(ge=1, le=1_000_000, description="Deliveries at once, of all workers.", examples=[2])] | UnsetType
    ) = UNSET


RULES = {"FlowLimit": {"minProperties": 1, "not": {"required": ["period"], "not": {"required": ["rate"]}}}}
"""For the description: which fields go together."""


class FlowKeyOut(Out, frozen=True, kw_only=True):
    """A flow key as it is at the moment of the answer."""

    topic: str
    flow_key: Annotated[str, Meta(extra_json_schema={"pattern": FLOW_KEY_TEXT})]
    rate: Annotated[int | UnsetType, Meta(description="Absent where there is no such limit.")] = UNSET
    period: str | UnsetType = UNSET
    concurrency: Annotated[int | UnsetType, Meta(description="Absent where there is no such limit.")] = UNSET
    own_limit: Annotated[bool, Meta(description="Whether the limit was set here; else it is that of the settings.")]
    paused: bool
    running: Annotated[
        int,
        Meta(
            description="Let through and not over: ready for a worker, run by one, or ordered and waiting for the next attempt. "
            "Where it has a limit."
        ),
    ]
    waiting: Annotated[int, Meta(description="Due, and waiting for a place.")]
    recent: Annotated[int, Meta(description="Let through within the last `period`. Where it has a rate.")]


class FlowKeys(Out, frozen=True):
    items: Annotated[
        tuple[FlowKeyOut, ...],
        Meta(description="Those with a limit of their own, or of which something runs or waits; in the order of their bytes."),
    ]
    next_cursor: Annotated[str, Meta(description="Give it as `cursor` for the next page; absent on the last.")] = ""
