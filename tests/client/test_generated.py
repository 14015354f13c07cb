"""A client that a generator makes from ``/openapi.json`` works: nobody needs this repository's own.

The generator is openapi-python-client, the one of PyPI that makes typed clients for Python; what it makes uses httpx and attrs.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.producer.api import Api

PACKAGE = "generated_scheduling_client"
pytestmark = pytest.mark.leaves("due", "schedule", "index", "finished")


class Generated:
    """The package that was made, and a client of the test's producer."""

    def __init__(self, url: str) -> None:
        self.client = self._module("").Client(base_url=url)

    def _module(self, name: str) -> ModuleType:
        return import_module(f"{PACKAGE}.{name}" if name else PACKAGE)

    def model(self, name: str, content: dict[str, Any]) -> Any:
        """A model from what would be sent, so that a field that it does not know is lost."""
        made = getattr(self._module("models"), name).from_dict(content)
        assert made.to_dict() == content
        return made

    async def call(self, operation: str, *path: str, **options: Any) -> Any:
        """The answer of an operation, such as ``messages.post_message``, as a model."""
        answer = await self._module(f"api.{operation}").asyncio_detailed(*path, client=self.client, **options)
        assert answer.status_code < 300, answer.content
        assert type(answer.parsed).__name__ != "Problem"
        return answer.parsed


@pytest.fixture
async def generated(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Generated]:
    """Made anew from what the producer says of itself. A warning of the generator fails it."""
    description, config = tmp_path / "openapi.json", tmp_path / "config.json"
    description.write_text(json.dumps(api.description.document))
    config.write_text(json.dumps({"post_hooks": [], "package_name_override": PACKAGE}))
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--path", str(description), "--config", str(config)]
    done = await asyncio.to_thread(
        subprocess.run, [*command, "--meta", "none", "--output-path", str(tmp_path / PACKAGE)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    warned = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("WARNING", "ERROR"))]
    assert warned == ["WARNING parsing POST /messages/batch within messages."], "it takes JSON alone, not one message a line"
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Generated(api.url)
    async with made.client:
        yield made


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """The package is another one in the next test."""
    yield
    for name in [one for one in sys.modules if one.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


async def test_a_message_is_scheduled_looked_at_changed_listed_and_cancelled(generated: Generated) -> None:
    """With fields of every kind: text, number, object, list, one of several types."""
    asked = {
        "topic": "work", "body": {"a": [1]}, "deliver_at": "2035-01-31T09:00:00+01:00", "expires_after": 60, "labels": ["june"],
        "headers": {"X": "y"}, "retry": {"max_attempts": 2, "delays_ms": [1, 2]},
    }  # fmt: skip

    made = await generated.call("messages.post_message", body=generated.model("NewMessage", asked), idempotency_key="k")

    shown = await generated.call("messages.get_message", made.id)
    assert (shown.status, shown.deliver_at, shown.labels) == ("scheduled", "2035-01-31T08:00:00.000Z", ["june"])
    assert (shown.retry.delays_ms, [one.event for one in shown.timeline]) == ([1, 2], ["created", "due"])
    change = generated.model("MessageChange", {"delay": "1h", "body": "other"})
    changed = await generated.call("messages.patch_message", made.id, body=change, if_match="*")
    assert changed.body == "other"
    page = await generated.call("messages.list_some", label="june", limit=1)
    assert [one.id for one in page.items] == [made.id]
    assert (await generated.call("messages.delete_message", made.id)).status == "cancelled"


async def test_many_and_schedules_and_topics(generated: Generated) -> None:
    """A batch, a recurring schedule, its preview, health."""
    batch = [generated.model("NewMessage", {"topic": "work", "delay": "1h", "body": number}) for number in range(3)]
    assert (await generated.call("messages.post_batch", body=batch)).count == 3
    rule = {"cron": "0 9 * * MON-FRI", "timezone": "Europe/Berlin", "message": {"topic": "work"}}
    made = await generated.call("schedules.put_schedule", "standup", body=generated.model("ScheduleReplacement", rule))
    assert (made.id, made.status, made.message.topic) == ("standup", "active", "work")
    asked = {"every": "1h", "count": 2, "after": "2035-01-01T00:00:00Z"}
    preview = await generated.call("schedules.preview_schedule", body=generated.model("SchedulePreview", asked))
    assert len(preview.runs) == 2
    assert (await generated.call("topics.get_topic", "work")).scheduled == 3
    assert (await generated.call("health.live")).status == "ok"


async def test_a_refusal_is_a_problem(generated: Generated) -> None:
    """With its field, as the description says."""
    operation = import_module(f"{PACKAGE}.api.messages.post_message")
    body = generated.model("NewMessage", {"topic": "nobody"})

    answer = await operation.asyncio_detailed(client=generated.client, body=body)

    assert (answer.status_code, type(answer.parsed).__name__, answer.parsed.field) == (422, "Problem", "topic")
