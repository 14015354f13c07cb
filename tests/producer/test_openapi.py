"""The description of the API, and the page that shows it."""

from __future__ import annotations

import json
import re
from urllib.parse import urljoin

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from producer.routes import ROUTES, path_of
from producer.schemas import NewMessage
from tests.producer.api import JSON, NDJSON, Api
from tests.producer.stages import Stages


async def test_the_description_is_valid_openapi_3_0(api: Api) -> None:
    """Any tool that reads OpenAPI 3.0 can read it."""
    document = api.description.document

    assert document["openapi"].startswith("3.0.")
    assert [error.message for error in OpenAPIV30SpecValidator(document).iter_errors()] == []


async def test_every_route_is_described_and_nothing_else(api: Api) -> None:
    """A route that is added without a description, or described without being there, fails here."""
    assert api.description.operations() == {(route.method, path_of(route)) for route in ROUTES}


async def test_every_operation_says_what_it_does_and_what_it_may_answer(api: Api) -> None:
    """Nobody has to guess: a summary, an id of its own, an answer of success, and a text for each answer."""
    operations = [item[method] for item in api.description.document["paths"].values() for method in item]

    assert len({operation["operationId"] for operation in operations}) == len(operations)
    for operation in operations:
        assert operation["summary"]
        assert any(status.startswith("2") for status in operation["responses"])
        assert all(answer["description"] for answer in operation["responses"].values())


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        ({"topic": "echo"}, True),
        ({"topic": "echo", "body": {"any": ["json", 1, None]}, "deliver_at": "2030-01-01T00:00:00Z"}, True),
        ({"topic": "echo", "deliver_at": 1900000000.5, "retry": {"max_attempts": 3}}, True),
        ({"body": "no topic"}, False),
        ({"topic": 7}, False),
        ({"topic": "echo", "deliver_at": True}, False),
        ({"topic": "echo", "surprise": 1}, False),
        ({"topic": "echo", "retry": {"max_attempts": 0}}, False),
        ({"topic": "echo", "headers": {"X": 1}}, False),
        ({"topic": "echo", "labels": ["x"] * 21}, False),
        ({"topic": "echo", "ordered": True, "flow_key": "a"}, True),
        ({"topic": "echo", "ordered": False}, True),
        ({"topic": "echo", "ordered": True}, False),
        ({"topic": "echo", "deliver_at": "2030-W05-4T09:00:00.1234567+01:00"}, True),
        ({"topic": "echo", "deliver_at": "tomorrow"}, False),
        ({"topic": "echo", "deliver_at": -1}, False),
        ({"topic": "echo", "deliver_at": 1, "delay": 1}, False),
        ({"topic": "echo", "deliver_at_local": "2030-01-01T00:00:00", "timezone": "Europe/Berlin"}, True),
        ({"topic": "echo", "deliver_at_local": "2030-01-01T00:00:00"}, False),
        ({"topic": "echo", "timezone": "Europe/Berlin"}, False),
        ({"topic": "echo", "deliver_at_local": "2030-01-01T00:00:00Z", "timezone": "UTC"}, False),
        ({"topic": "echo", "spread": "1h", "expires_after": "2h"}, True),
        ({"topic": "echo", "expires_at": 9999999999, "expires_after": "2h"}, False),
        ({"topic": "echo", "retry": {"delays_ms": [1, 2], "jitter": 0}}, True),
        ({"topic": "echo", "retry": {"delays_ms": [1, 2], "factor": 2}}, False),
        ({"topic": "echo", "delay": "1h30m"}, True),
        ({"topic": "echo", "delay": ""}, False),
        ({"topic": "echo", "body": 1, "body_base64": "AA=="}, False),
    ],
)
@pytest.mark.leaves("due")
async def test_a_request_is_described_as_it_is_validated(api: Api, value: object, *, valid: bool) -> None:
    """What the description allows is accepted, and what it forbids is refused."""
    schema = {"$ref": f"#/components/schemas/{NewMessage.__name__}"}

    described = api.description.complaints(schema, value) == []
    answer = await api.post("/messages", value)

    assert described is valid
    assert answer.status == (202 if valid else 422), answer.content


@pytest.mark.leaves("due", "index", "errors", "schedule", "flow:work:limits", "flow:webhook:limits")
async def test_every_example_works_as_it_stands(api: Api, stages: Stages) -> None:
    """ "Try it out" succeeds: each described request body is answered with success, and carries the headers described with it."""
    waiting = await api.accepted("/messages", {"topic": "echo", "delay": "1h"})
    dead = await api.accepted("/messages", {"topic": "work"})
    await stages.bury(await stages.run("work"), "of no use", "an error")
    ids = {"/dead-letters/{id}/replay": dead["id"], "/messages/{id}": waiting["id"], "/schedules/{id}": "of-an-example"}

    tried = set()
    for path, item in api.description.document["paths"].items():
        for method, operation in item.items():
            for media_type, content in operation.get("requestBody", {"content": {}})["content"].items():
                if media_type == "application/octet-stream":  # taken byte for byte: there is nothing that would have to fit
                    continue
                example = content["example"]
                data = (example if isinstance(example, str) else json.dumps(example)).encode()
                url = path.replace("{id}", ids.get(path, "")).replace("{topic}", "work").replace("{flow_key}", "customer-7")
                url = url.replace("{group}", "everybody")
                answer = await api.call(method.upper(), url, data=data, headers={"Content-Type": media_type})
                assert answer.status in {200, 201, 202}, (path, answer.content)
                described = operation["responses"][str(answer.status)]["headers"]
                assert {name.lower() for name in described} <= set(answer.headers)
                tried.add((method, path, media_type))
    assert tried == {
        ("post", "/echoAtTime", JSON),
        ("post", "/messages", JSON),
        ("post", "/messages/batch", JSON),
        ("post", "/messages/batch", NDJSON),
        ("post", "/messages/preview", JSON),
        ("patch", "/messages/{id}", JSON),
        ("post", "/dead-letters/{id}/replay", JSON),
        ("post", "/dead-letters/replay", JSON),
        ("post", "/dead-letters/delete", JSON),
        ("post", "/messages/cancel", JSON),
        ("post", "/messages/deliver", JSON),
        ("post", "/schedules", JSON),
        ("post", "/schedules/preview", JSON),
        ("put", "/schedules/{id}", JSON),
        ("patch", "/schedules/{id}", JSON),
        ("put", "/topics/{topic}/flow-keys/{flow_key}", JSON),
        ("post", "/v2/batch", JSON),
        ("delete", "/v2/messages", JSON),
        ("post", "/v2/topics/{group}/endpoints", JSON),
        ("delete", "/v2/topics/{group}/endpoints", JSON),
        ("post", "/v2/queues", JSON),
        ("delete", "/v2/dlq", JSON),
        ("post", "/v2/dlq/retry", JSON),
    }


async def test_the_headers_of_answers_are_described(api: Api) -> None:
    """``X-Request-Id`` on all, ``Location`` where one message is made, ``Retry-After`` while Redis is out."""
    found: dict[str, set[str]] = {}
    for path, item in api.description.document["paths"].items():
        for method, operation in item.items():
            for status, answer in operation["responses"].items():
                for name in answer["headers"]:
                    found.setdefault(name, set()).add(f"{method} {path} {status}")

    answers = {
        f"{method} {path} {status}"
        for path, item in api.description.document["paths"].items()
        for method, operation in item.items()
        for status in operation["responses"]
    }
    assert found["X-Request-Id"] == answers
    assert found["Location"] == {
        "post /echoAtTime 202", "post /messages 202", "post /schedules 201", "put /schedules/{id} 201",
        "post /v2/publish/{destination} 201", "post /v2/enqueue/{queue}/{destination} 201",
        "post /v2/schedules/{id} 201",
    }  # fmt: skip
    assert found["Retry-After"] == {one for one in answers if one.endswith(" 503") and "/health" not in one}


async def test_swagger_ui_and_everything_it_loads_come_from_the_service(api: Api) -> None:
    """``/docs`` works without the internet: each script, style and the description itself are served here."""
    page = await api.get("/docs")

    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    text = page.content.decode()
    assets = [found for found in re.findall(r"""(?:src|href)=["']([^"'#]+)["']""", text) if not found.startswith("data:")]
    described = re.findall(r"""url: ?["']([^"']+)["']""", text)
    assert len(assets) >= 3
    assert len(described) == 1
    for asset in assets + described:
        url = urljoin(f"{api.url}/docs", asset)
        assert url.startswith(api.url), f"{asset} comes from elsewhere"
        answer = await api.get(url.removeprefix(api.url))
        assert (answer.status, bool(answer.content)) == (200, True), asset


async def test_answers_are_held_against_the_description_strictly(api: Api) -> None:
    """The check behind every test of this folder notices a status, a media type, a field and a type that are not described."""
    body = (await api.get("/health/live")).content

    for status, media_type, content in (
        (418, "application/json", body),
        (200, "text/plain", body),
        (200, "application/json", b'{"status": "ok", "surprise": 1}'),
        (200, "application/json", b'{"status": 1}'),
        (200, "application/json", b"{}"),
    ):
        with pytest.raises(AssertionError, match="described"):
            api.description.check("GET", "/health/live", status, media_type, content)
