"""Requests by the thousand, made by schemathesis from the service's own description; every answer is held against it.

What a description cannot say (a time within the horizon, an expiry after the due time) may be refused, and only that.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.core.failures import Failure
from schemathesis.engine import Status, events, from_schema

from producer.requests import IDEMPOTENCY_KEY
from tests.producer.api import NDJSON
from tests.producer.description import Description

Case = schemathesis.Case[Any]
TIMEOUT_S = 20
_CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection", "positive_data_acceptance", "missing_required_header",
    "unsupported_method", "allow_header_conformance",
)  # fmt: skip
_BEYOND_DESCRIPTION = re.compile(
    r"expected one of echo, webhook, work; got"  # topics are no stranger's business, and the description is public
    r"|Producer\.HorizonDays|expected an ISO 8601 date|expected a time after|expected at least initial_ms"
    r"|expected header names of|expected a body beside it|expected the next_cursor of an earlier page"
    r"|expected the name of an IANA time zone|expected a local date|expected a cron expression|expected at least a millisecond"
    r"|expected at least 100 ms|expected a rule that has a run to come|expected a time not before start"
    r"|expected a millisecond to a day|expected topic webhook beside it|of topic webhook|no public address|expected a URL"
    r"|expected the name or the address of a host|may be reached|the request has one of its own|an HTTP method such as"
    r"|does not match If-Match|before the message's expires_at|the same in all zones|expected the ETag of an earlier answer"
)
_REJECTED = ["400", "401", "403", "404", "405", "406", "408", "409", "412", "413", "415", "421", "422", "428", "429", "5xx"]
"""421 is what a made-up ``Origin`` gets, whatever else is wrong."""
_KEY = re.compile("[!-~]{1,240}")
_OF_MANY = {"/messages/cancel", "/messages/deliver", "/dead-letters/replay", "/dead-letters/delete"}
QSTASH = "^/v2/"
"""Its rules are QStash's own, and most of them no description says; ``tests/qstash`` tries it with its own clients."""
ENDLESS = "/events"
"""A stream, which would never be answered to its end. ``tests/producer/test_events.py`` tries what may be asked of it."""
_REJECTED_POSITIVE = "ST202"
_line = st.fixed_dictionaries(
    {"topic": st.sampled_from(["echo", "work"])},
    optional={
        "body": st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)),
        "delay": st.integers(0, 86_400),
    },
)
_lines = st.lists(_line, min_size=1, max_size=3).map(lambda lines: "\n".join(json.dumps(one) for one in lines).encode())


@dataclass
class Found:
    """What a run came to."""

    answers: Counter[int] = field(default_factory=Counter)
    """How many of each status."""
    statuses: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    """By operation, such as ``POST /messages``."""
    complaints: list[str] = field(default_factory=list)


def fuzz(url: str, ids: Sequence[str], letters: Sequence[str], *, examples: int, seed: int | None = None) -> Found:
    """Tries every operation with about so many requests; without a seed always with the same. Blocks.

    ``ids``: of messages that exist, and of schedules; most requests about one are about one of these. ``letters``: those of them
    that are dead, for requests about a dead letter.
    """
    config = schemathesis.Config.from_dict(_settings(ids, examples, seed))
    schemathesis.openapi.media_type(NDJSON, _lines)
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config, timeout=TIMEOUT_S)
    found, description = Found(), Description(dict(schema.raw_schema))

    @schema.hook
    def map_case(_: Any, case: Case) -> Case:
        """A key of its own for most requests: those made up are few, and nearly all would be conflicts."""
        key, calls = case.headers.get(IDEMPOTENCY_KEY), found.answers.total()
        if isinstance(key, str) and _KEY.fullmatch(key) and calls % 4:
            case.headers[IDEMPOTENCY_KEY] = f"{key}-{calls}"
        if case.path.startswith("/dead-letters/{id}") and case.path_parameters.get("id") in ids:
            case.path_parameters["id"] = letters[calls % len(letters)]
        if case.path in _OF_MANY and isinstance(case.body, dict) and isinstance(case.body.get("dry_run", True), bool):
            case.body["dry_run"] = True  # else the first of them would leave nothing to try the others on
        return case

    @schema.hook
    def after_call(_: Any, case: Case, response: schemathesis.Response) -> None:
        found.answers[response.status_code] += 1
        found.statuses[case.operation.label].add(response.status_code)
        try:
            media_type = response.headers.get("content-type", [""])[0]
            description.check(case.method, case.operation.path, response.status_code, media_type, response.content)
        except AssertionError as error:
            found.complaints.append(f"{error}: {response.content[:500]!r}")

    @schema.hook
    def filter_failure(_: Any, failure: Failure, __: Any, response: schemathesis.Response) -> bool:
        return not (failure.code == _REJECTED_POSITIVE and _BEYOND_DESCRIPTION.search(response.json().get("detail", "")))

    for event in from_schema(schema.exclude(path=ENDLESS).exclude(path_regex=QSTASH)).execute():
        found.complaints += _complaints(event)
    return found


def _settings(ids: Sequence[str], examples: int, seed: int | None) -> dict[str, Any]:
    generation = {"max-examples": examples, **({"deterministic": True} if seed is None else {"database": "none"})}
    return {
        **({} if seed is None else {"seed": seed}),
        "generation": generation,
        "request-timeout": TIMEOUT_S,
        "continue-on-failure": True,
        "dictionaries": {
            "ids": {"values": list(ids)},
            "topics": {"values": ["echo", "work"]},
            "crons": {"values": ["@daily", "*/5 * * * *", "0 30 2 * * MON-FRI"]},
            "zones": {"values": ["UTC", "Europe/Berlin", "America/St_Johns"]},
            "tags": {"values": ["*", '"0123456789abcdef"']},
        },
        "parameters": {
            "path.id": {"dictionary": "ids", "probability": 0.8},
            "path.topic": {"dictionary": "topics", "probability": 0.8},
            "body.topic": {"dictionary": "topics", "probability": 0.9},
            "body.[*].topic": {"dictionary": "topics", "probability": 0.9},
            "body.message.topic": {"dictionary": "topics", "probability": 0.9},
            "body.cron": {"dictionary": "crons", "probability": 0.9},
            "body.timezone": {"dictionary": "zones", "probability": 0.9},
            "header.If-Match": {"dictionary": "tags", "probability": 0.9},
        },
        "phases": {"examples": {"enabled": False}},  # tests/producer/test_openapi.py tries every example
        "checks": {
            "enabled": False,
            **{name: {"enabled": True} for name in _CHECKS},
            "negative_data_rejection": {"enabled": True, "expected-statuses": _REJECTED},
        },
    }


def _complaints(event: events.EngineEvent) -> list[str]:
    if isinstance(event, events.NonFatalError):
        return [f"{event.label}: {event.info}"]
    if isinstance(event, events.FatalError):
        return [repr(event.exception)]
    if not isinstance(event, events.ScenarioFinished):
        return []
    failed = [node.failure_info for nodes in event.recorder.checks.values() for node in nodes if node.status is Status.FAILURE]
    return [f"{one.failure}\n{one.code_sample}" for one in failed if one is not None]
