"""API keys: who may what, and what a stranger learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV30SpecValidator
from redis.asyncio import Redis

from producer.app import make_app
from producer.openapi import scope_of
from producer.routes import ROUTES, path_of
from shared.logs import logger
from shared.settings import AuthSettings, Settings
from tests.producer.api import PROBLEM, Answer, Api, assert_problem, serve, stored
from tests.producer.conftest import OpenApi
from tests.producer.keys import Keyring
from tests.support.waiting import eventually
from tests.system.service import Service

NONE = "work-0-" + "0" * 21
CALLS: dict[str, tuple[tuple[str, str, Any], ...]] = {
    "schedule": (
        ("POST", "/echoAtTime", {"time": 0}),
        ("POST", "/messages", {}),
        ("POST", "/messages/batch", {}),
        ("PATCH", f"/messages/{NONE}", {"delay": 1}),
        ("DELETE", f"/messages/{NONE}", None),
        ("POST", f"/messages/{NONE}/deliver", None),
        ("POST", "/schedules", {}),
        ("PUT", f"/schedules/{NONE}", {}),
        ("PATCH", f"/schedules/{NONE}", {"max_runs": 1}),
        ("DELETE", f"/schedules/{NONE}", None),
        ("POST", f"/schedules/{NONE}/pause", None),
        ("POST", f"/schedules/{NONE}/resume", None),
        ("POST", f"/schedules/{NONE}/run", None),
        ("POST", "/v2/publish/nobody", None),
        ("POST", "/v2/enqueue/none/nobody", None),
        ("POST", "/v2/batch", []),
        ("DELETE", f"/v2/messages/{NONE}", None),
        ("POST", f"/v2/schedules/{NONE}", None),
        ("DELETE", f"/v2/schedules/{NONE}", None),
        ("PATCH", f"/v2/schedules/{NONE}/pause", None),
        ("POST", f"/v2/schedules/{NONE}/pause", None),
        ("PATCH", f"/v2/schedules/{NONE}/resume", None),
        ("POST", f"/v2/schedules/{NONE}/resume", None),
    ),
    "read": (
        ("GET", f"/messages/{NONE}", None),
        ("HEAD", f"/messages/{NONE}", None),
        ("GET", "/dead-letters", None),
        ("POST", "/messages/preview", {}),
        ("GET", "/messages", None),
        ("GET", f"/dead-letters/{NONE}", None),
        ("GET", "/topics", None),
        ("GET", "/topics/nobody", None),
        ("GET", "/topics/nobody/flow-keys", None),
        ("GET", "/topics/nobody/flow-keys/a", None),
        ("GET", "/events?state=none", None),
        ("GET", "/log", None),
        ("GET", "/schedules", None),
        ("GET", f"/schedules/{NONE}", None),
        ("POST", "/schedules/preview", {}),
        ("GET", f"/v2/messages/{NONE}", None),
        ("GET", "/v2/schedules", None),
        ("GET", f"/v2/schedules/{NONE}", None),
        ("GET", "/v2/topics", None),
        ("GET", "/v2/topics/no~group", None),
        ("GET", "/v2/queues", None),
        ("GET", "/v2/queues/no~queue", None),
        ("GET", "/v2/dlq", None),
        ("GET", f"/v2/dlq/{NONE}", None),
        ("GET", "/v2/logs", None),
        ("GET", "/v2/events", None),
        ("GET", "/v2/flowControl", None),
        ("GET", "/v2/flowControl/queue:none", None),
        ("GET", "/v2/globalParallelism", None),
    ),
    "admin": (
        ("POST", f"/dead-letters/{NONE}/replay", None),
        ("DELETE", f"/dead-letters/{NONE}", None),
        ("POST", "/topics/nobody/pause", None),
        ("POST", "/topics/nobody/resume", None),
        ("PUT", "/topics/nobody/flow-keys/a", {"rate": 1}),
        ("DELETE", "/topics/nobody/flow-keys/a", None),
        ("POST", "/topics/nobody/flow-keys/a/pause", None),
        ("POST", "/topics/nobody/flow-keys/a/resume", None),
        ("POST", "/dead-letters/replay", {}),
        ("POST", "/dead-letters/delete", {}),
        ("POST", "/messages/cancel", {}),
        ("POST", "/messages/deliver", {}),
        ("DELETE", "/v2/messages?label=none", None),
        ("DELETE", "/v2/topics/no~group", None),
        ("POST", "/v2/topics/no~group/endpoints", {}),
        ("DELETE", "/v2/topics/no~group/endpoints", {}),
        ("POST", "/v2/queues", {}),
        ("DELETE", "/v2/queues/no~queue", None),
        ("POST", "/v2/queues/no~queue/pause", None),
        ("POST", "/v2/queues/no~queue/resume", None),
        ("DELETE", "/v2/dlq", None),
        ("DELETE", f"/v2/dlq/{NONE}", None),
        ("POST", "/v2/dlq/retry", None),
        ("POST", f"/v2/dlq/retry/{NONE}", None),
        ("POST", "/v2/flowControl/queue:none/pause", None),
        ("POST", "/v2/flowControl/queue:none/resume", None),
        ("POST", "/v2/flowControl/queue:none/pin", None),
        ("POST", "/v2/flowControl/queue:none/unpin", None),
        ("POST", "/v2/flowControl/queue:none/resetRate", None),
        ("GET", "/v2/keys", None),
        ("POST", "/v2/keys/rotate", None),
    ),
}
"""Calls that need each scope, none of which changes anything but the signing keys."""
NAMES = {
    "/publish/nobody": "/publish/{destination}",
    "/enqueue/none/nobody": "/enqueue/{queue}/{destination}",
    NONE: "{id}",
    "nobody": "{topic}",
    "/flow-keys/a": "/flow-keys/{flow_key}",
    "no~group": "{group}",
    "no~queue": "{queue}",
    "queue:none": "{key}",
}
"""What stands in those paths for what."""


def _described(path: str) -> str:
    """A path of those above as the description has it."""
    path = path.partition("?")[0]
    for name, described in NAMES.items():
        path = path.replace(name, described)
    return path


@pytest.fixture
def ring() -> Keyring:
    """A key of each scope alone."""
    ring = Keyring()
    ring.make("writer", "schedule")
    ring.make("reader", "read")
    ring.make("boss", "admin")
    return ring


@pytest.fixture
async def keyed(open_api: OpenApi, settings: Settings, ring: Keyring) -> Api:
    """A producer that asks for those keys."""
    return await open_api(ring.asked_for(settings))


def test_every_route_but_health_needs_a_scope_that_is_tried_here() -> None:
    """A route that is added without saying who may call it fails here."""
    tried = {(method, _described(path)): scope for scope, calls in CALLS.items() for method, path, _ in calls}

    for route in ROUTES:
        expected = "none" if route.path.startswith("/health") else tried[route.method, path_of(route)]
        assert scope_of(route.handler) == expected, route.path


async def test_every_route_that_is_served_refuses_a_stranger(settings: Settings, ring: Keyring, keyed: Api) -> None:
    """What the application really routes to, whoever added it: health is open, and the description is while it is public."""
    server = await serve(ring.asked_for(settings, public_docs=False))
    app = make_app(ring.asked_for(settings))
    tried = set()
    try:
        for route in app.router.routes():
            assert route.resource is not None
            path = route.resource.canonical.replace("{id}", NONE)
            path += "/index.html" if isinstance(route.resource, web.StaticResource) else ""
            for url, docs in ((keyed.url, 200), (str(server.make_url("")), 401)):
                async with keyed.http.request(route.method, f"{url.rstrip('/')}{path}") as answer:
                    health, described = path.startswith("/health"), path.startswith(("/docs", "/openapi.json"))
                    assert answer.status in ({200, 503} if health else {docs} if described else {401}), (route.method, path)
            tried.add((route.method, path))
    finally:
        await server.close()
    assert {("HEAD", "/health"), ("GET", "/openapi.json"), ("DELETE", f"/messages/{NONE}")} <= tried
    assert len(tried) > len(ROUTES)


@pytest.mark.parametrize(
    ("name", "scopes"), [("writer", {"schedule"}), ("reader", {"read"}), ("boss", {"schedule", "read", "admin"})]
)
async def test_a_key_opens_what_its_scopes_say(keyed: Api, ring: Keyring, name: str, scopes: set[str]) -> None:
    """403 names the scope that is missing; ``admin`` includes the others."""
    for scope, calls in CALLS.items():
        for method, path, content in calls:
            if method == "HEAD":  # the same without a body
                async with keyed.http.head(f"{keyed.url}{path}", headers=ring.header(name)) as head:
                    assert head.status == (404 if scope in scopes else 403)
                continue
            answer = await keyed.call(method, path, content, headers=ring.header(name))
            if scope in scopes:
                assert answer.status in {200, 202, 400, 404, 422}, (method, path, answer.content)
            else:
                _assert_refused(answer, path, 403, says=f"scope {scope}")
                assert answer.headers["www-authenticate"] == f'Bearer error="insufficient_scope", scope="{scope}"'


def _assert_refused(answer: Answer, path: str, status: int, *, says: str) -> None:
    """Paths of QStash's API answer in its form."""
    if path.startswith("/v2/"):
        assert answer.status == status
        assert says in answer.json["error"]
    else:
        assert_problem(answer, status, "Authorization", says=says)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Basic {key}",
        "{key}",
        "Bearer {key}x",
        "Bearer {lower}",
        "Bearer \xff\xfe",
        "Bearer {long}",
    ],
)
async def test_a_stranger_is_refused(keyed: Api, ring: Keyring, redis: Redis, prefix: str, header: str | None) -> None:
    """401 tells how a key is sent; nothing is stored and nothing told, also not whether a path or a message is there."""
    key = ring.header("boss")["Authorization"].removeprefix("Bearer ")
    headers = {} if header is None else {"Authorization": header.format(key=key, lower=key.lower(), long="x" * 8000)}
    paths = [call for calls in CALLS.values() for call in calls if call[0] != "HEAD"]

    for method, path, content in [*paths, ("GET", "/nothing-here", None), ("PUT", "/messages", None)]:
        answer = await keyed.call(method, path, content, headers=headers)
        _assert_refused(answer, path, 401, says="Bearer")
        assert answer.headers["www-authenticate"] == "Bearer"
        assert key not in answer.content.decode()
    assert await stored(redis, prefix) == {}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
@pytest.mark.leaves("due")
async def test_the_scheme_is_written_as_one_likes(keyed: Api, ring: Keyring, scheme: str) -> None:
    """RFC 9110: its case does not matter."""
    key = ring.header("writer")["Authorization"].removeprefix("Bearer ")

    await keyed.accepted("/messages", {"topic": "work"}, headers={"Authorization": f"{scheme}  {key}"})


@pytest.mark.leaves("due")
async def test_several_keys_are_valid_at_once_and_one_that_is_removed_is_not(
    open_api: OpenApi, settings: Settings, ring: Keyring
) -> None:
    """So a key is rotated: the new one is added, the callers move, the old one goes."""
    old, new = Keyring(), Keyring()
    old.make("writer-1", "schedule")
    new.make("writer-2", "schedule")
    both = Keyring()
    both.settings = [*old.settings, *new.settings]
    during, after = await open_api(both.asked_for(settings)), await open_api(new.asked_for(settings))

    for ring_of_one, name in ((old, "writer-1"), (new, "writer-2")):
        await during.accepted("/messages", {"topic": "work"}, headers=ring_of_one.header(name))
    await after.accepted("/messages", {"topic": "work"}, headers=new.header("writer-2"))

    assert_problem(await after.post("/messages", {"topic": "work"}, headers=old.header("writer-1")), 401, "Authorization")


@pytest.mark.leaves("due")
@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "mss.localhost", "127.0.0.1", "127.0.0.2:3000", "[::1]:3000"])
async def test_without_keys_this_machine_is_served_by_its_own_name(api: Api, host: str) -> None:
    """Whatever it calls itself, on whatever port: a tunnel has another."""
    await api.accepted("/messages", {"topic": "work"}, headers={"Host": host})


@pytest.mark.parametrize(
    "host",
    ["evil.example.com", "evil.example.com:3000", "127.0.0.1.example.com", "localhost.example.com", "192.0.2.1", "[", "a@b"],
)
async def test_without_keys_no_page_of_another_name_is_served(api: Api, redis: Redis, prefix: str, host: str) -> None:
    """A site that lets its name point to this machine gets nothing out of a browser here, and changes nothing."""
    for method, path, content in (
        ("POST", "/messages", {"topic": "work"}),
        ("GET", f"/messages/{NONE}", None),
        ("GET", "/health", None),
    ):
        answer = await api.call(method, path, content, headers={"Host": host})
        assert_problem(answer, 421, "Host", says="without API keys only this machine is served")
    assert await stored(redis, prefix) == {}


@pytest.mark.parametrize("origin", ["https://evil.example.com", "http://localhost.example.com:3000", "null", ""])
async def test_without_keys_no_page_of_another_origin_changes_anything(api: Api, redis: Redis, prefix: str, origin: str) -> None:
    """Also with what a browser sends without asking first, such as a POST without a body."""
    for path in (f"/messages/{NONE}/deliver", f"/dead-letters/{NONE}/replay"):
        assert_problem(await api.post(path, headers={"Origin": origin}), 421, "Origin", says="only this machine is served")

    own = await api.post(f"/messages/{NONE}/deliver", headers={"Origin": "http://localhost:3000"})
    assert own.status == 404, "Swagger UI sends its own origin"


@pytest.mark.leaves("due")
async def test_with_keys_or_something_else_that_protects_it_any_name_will_do(
    open_api: OpenApi, keyed: Api, settings: Settings, ring: Keyring
) -> None:
    """A proxy hands on the name that the caller used; in containers the service has one of its own."""
    protected = await open_api(msgspec.structs.replace(settings, auth=AuthSettings(disabled=True)))

    await keyed.accepted("/messages", {"topic": "work"}, headers={"Host": "scheduler.example.com", **ring.header("writer")})
    await protected.accepted("/messages", {"topic": "work"}, headers={"Host": "producer:3000"})


async def test_a_producer_without_keys_does_not_start_on_another_address(settings: Settings, tmp_path: Path) -> None:
    """It ends with the code of bad settings and says what would do; with ``Auth.Disabled`` it starts, and its log warns."""
    closed_folder, open_folder = tmp_path / "closed", tmp_path / "open"
    closed_folder.mkdir()
    open_folder.mkdir()
    open_to_all = {"Producer__Host": "0.0.0.0"}
    closed = Service(settings.redis.connection_string, settings.redis.key_prefix, closed_folder, **open_to_all)
    told = Service(settings.redis.connection_string, settings.redis.key_prefix, open_folder, **open_to_all, Auth__Disabled="true")
    try:
        refused, started = closed.spawn("producer"), told.spawn("producer")

        assert await refused.ended() == 78
        assert "Make a key with 'python -m cli key', or set Auth.Disabled" in refused.err.read_text()
        await started.url()
        assert "Auth.Disabled: whoever reaches 0.0.0.0 may do everything" in started.err.read_text()
    finally:
        await closed.stop()
        await told.stop()


async def test_health_needs_no_key_and_tells_strangers_the_status_alone(keyed: Api, ring: Keyring) -> None:
    """Probes have no keys. Topics, their depths and where Redis is are for those who have one; a wrong key is none."""

    async def ready() -> bool:
        return (await keyed.get("/health/ready")).status == 200

    await eventually(ready)
    for path in ("/health", "/health/live"):
        assert (await keyed.get(path)).status == 200

    assert set((await keyed.get("/health")).json) == {"status", "version"}
    assert set((await keyed.get("/health", headers={"Authorization": "Bearer x"})).json) == {"status", "version"}
    assert {topic["topic"] for topic in (await keyed.get("/health", headers=ring.header("reader"))).json["topics"]} == {
        "echo",
        "webhook",
        "work",
    }


async def test_what_redis_says_is_not_told_to_strangers(open_api: OpenApi, settings: Settings, ring: Keyring) -> None:
    """While Redis is out, readiness says so; its address is for those with a key."""
    nowhere = Settings(
        redis=type(settings.redis)(connection_string="127.0.0.1:1", key_prefix=settings.redis.key_prefix),
        producer=settings.producer,
    )
    api = await open_api(ring.asked_for(nowhere))

    stranger, known = await api.get("/health/ready"), await api.get("/health/ready", headers=ring.header("reader"))

    assert stranger.status == known.status == 503
    assert "127.0.0.1" not in stranger.content.decode()
    assert set((await api.get("/health")).json) == {"status", "version"}


@pytest.mark.parametrize("public", [True, False])
async def test_the_documentation_follows_its_setting(keyed: Api, settings: Settings, ring: Keyring, public: bool) -> None:
    """Open by default, since it holds no data; with ``Auth.PublicDocs`` off, for any key."""
    server = await serve(ring.asked_for(settings, public_docs=public))
    try:
        for path in ("/docs", "/openapi.json", "/docs/static/index.html"):
            async with keyed.http.get(server.make_url(path)) as answer:
                assert answer.status == (200 if public else 401), path
            async with keyed.http.get(server.make_url(path), headers=ring.header("writer")) as answer:
                assert answer.status == 200, path
    finally:
        await server.close()


async def test_the_description_says_where_a_key_is_needed(api: Api, keyed: Api) -> None:
    """With keys: a bearer scheme, the scope, and 401, 403, 429 of every operation but health. Without: none of it."""
    document: dict[str, Any] = keyed.description.document
    assert [error.message for error in OpenAPIV30SpecValidator(document).iter_errors()] == []
    assert document["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    for path, item in document["paths"].items():
        for method, operation in item.items():
            open_to_all = path.startswith("/health")
            assert ("security" in operation) is not open_to_all
            assert ({"401", "403", "429"} <= set(operation["responses"])) is not open_to_all
            if not open_to_all:
                scope = next(
                    scope
                    for scope, calls in CALLS.items()
                    for one in calls
                    if (one[0].lower(), _described(one[1])) == (method, path)
                )
                assert f"`{scope}`" in operation["description"]
                assert "WWW-Authenticate" in operation["responses"]["401"]["headers"]
                assert "Retry-After" in operation["responses"]["429"]["headers"]

    without = api.description.document
    assert "securitySchemes" not in without["components"]
    assert not any(
        {"401", "403", "429"} & set(operation["responses"]) for item in without["paths"].values() for operation in item.values()
    )


async def test_no_key_is_in_the_log(keyed: Api, ring: Keyring, redis: Redis, prefix: str) -> None:
    """Also where a request fails for a reason of ours, with its traceback."""
    lines: list[str] = []
    sink = logger.add(lambda line: lines.append(str(line)), level=0, format="{message} {extra}\n{exception}", diagnose=False)
    await redis.set(f"{prefix}:{{0}}:due:work", "a stranger's key of another type")
    try:
        async with keyed.http.post(f"{keyed.url}/messages", json={"topic": "work"}, headers=ring.header("writer")) as answer:
            assert (answer.status, answer.content_type) == (500, PROBLEM)
        await keyed.get("/dead-letters", headers=ring.header("writer"))
        await keyed.get("/dead-letters", headers={"Authorization": "Bearer mss_wrong"})
    finally:
        logger.remove(sink)
        await redis.delete(f"{prefix}:{{0}}:due:work")

    assert "WRONGTYPE" in "".join(lines)
    assert "mss_" not in "".join(lines)
