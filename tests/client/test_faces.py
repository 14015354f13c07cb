"""The two clients beside each other and beside the API."""

from __future__ import annotations

import re

import httpx2
import pytest
from aiohttp import web

from client import AsyncClient, Client, Message
from client.call import Call
from client.health_calls import health
from producer.middleware import QSTASH
from producer.routes import ROUTES, path_of
from tests.client.faces import open_face
from tests.client.misbehaving import Misbehaving
from tests.producer.api import Api

NO_CALLS = {"send", "stream", "close"}


def calls_of(kind: type[Client | AsyncClient]) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")} - NO_CALLS


def test_both_have_the_same_calls() -> None:
    """Who moves from one to the other finds everything again, with the same arguments and words."""
    assert calls_of(Client) == calls_of(AsyncClient)
    for name in calls_of(Client):
        assert getattr(Client, name).__doc__ == getattr(AsyncClient, name).__doc__ is not None


def test_every_route_of_the_api_has_a_call() -> None:
    """Who adds a route to producer/routes.py hears of the client here. QStash's API has clients of its own."""
    from client import dead_letter_calls, event_calls, flow_calls, health_calls, message_calls, schedule_calls, topic_calls

    described: set[tuple[str, str]] = set()
    for name in calls_of(Client):
        modules = (dead_letter_calls, event_calls, flow_calls, health_calls, message_calls, schedule_calls, topic_calls)
        (module,) = [one for one in modules if name in vars(one)]
        described.add(_sent(getattr(module, name)))

    assert described == {(route.method, path_of(route)) for route in ROUTES if not route.path.startswith(QSTASH)}


def _sent(describe: object) -> tuple[str, str]:
    """Method and path, with ``{id}`` where an id stands."""
    assert callable(describe)
    code = describe.__code__  # type: ignore[attr-defined] # a function
    required = code.co_varnames[: code.co_argcount - len(describe.__defaults__ or ())]  # type: ignore[attr-defined] # the same
    values = {"messages": [], "time": 0, "message": "m", "topic": "{topic}", "flow_key": "{flow_key}"}
    call = describe(*(values.get(name, "{id}") for name in required))
    assert isinstance(call, Call)
    return call.method, re.sub(
        re.escape("%7Bid%7D"), "{id}", call.path.replace("%7Btopic%7D", "{topic}").replace("%7Bflow_key%7D", "{flow_key}")
    )


async def test_whether_it_is_ready_is_an_answer(kind: str, misbehaving: Misbehaving, api: Api) -> None:
    """Also where it is not: who asks wants to know it at once, with the reasons."""
    busy = web.json_response({"status": "unready", "reasons": ["Redis does not answer"]}, status=503)
    async with open_face(kind, misbehaving.url) as face:
        misbehaving.faults = [busy]
        unready = await face.call("ready")
        told = [await face.call(name) for name in ("ready", "live", "health")]

    assert (unready.status, unready.reasons) == ("unready", ("Redis does not answer",))
    assert told[1].status == "ok"
    assert {one.status for one in told} <= {"ok", "unready"}
    assert told[2].version
    assert len(misbehaving.seen) == 4


@pytest.mark.leaves("due", "idempotency")
async def test_durability_is_of_the_client_or_of_a_call(kind: str, misbehaving: Misbehaving) -> None:
    """The client's holds for all that changes something, a call's own goes before it, and what only looks has none."""
    async with open_face(kind, misbehaving.url, durability="memory") as face:
        made = await face.call("schedule", "work", delay="1d")
        await face.call("change", made.id, body="x", durability="fsync")
        await face.call("get", made.id)

    assert [one.headers.get("Durability") for one in misbehaving.seen] == ["memory", "fsync", None]


async def test_a_url_may_have_a_path(kind: str, misbehaving: Misbehaving) -> None:
    """Where the service stands below a path of a proxy."""
    misbehaving.faults = [web.json_response({"status": "ok"})]
    async with open_face(kind, f"{misbehaving.url}/scheduler/") as face:
        await face.call("live")

    assert misbehaving.seen[0].path == "/scheduler/health/live"


async def test_a_connection_of_the_caller_stays_open() -> None:
    """A client of httpx2 with settings of its own is used and left to whoever made it."""
    answer = httpx2.MockTransport(lambda _: httpx2.Response(200, json={"status": "ok", "version": "9"}))
    with httpx2.Client(transport=answer) as http:
        with Client("http://localhost", http=http) as client:
            assert client.health().version == "9"
        assert http.is_closed is False
    async with httpx2.AsyncClient(transport=answer) as also:
        async with AsyncClient("http://localhost", http=also) as asynchronous:
            assert (await asynchronous.send(health())).version == "9"
        assert also.is_closed is False


def test_each_step_of_a_try_has_a_bound() -> None:
    """To connect, to send, to wait for what comes next, and to get a connection at all."""
    seen = list[object]()

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"])
        return httpx2.Response(200, json={"status": "ok"})

    with httpx2.Client(transport=httpx2.MockTransport(answer), timeout=None) as http:
        Client("http://localhost", http=http, timeout_s=3).live()

    assert seen == [dict.fromkeys(("connect", "read", "write", "pool"), 3)]


async def test_an_etag_is_taken_only_where_the_answer_has_a_place_for_it(kind: str, misbehaving: Misbehaving) -> None:
    """What stands before the service may add one to any answer."""
    shown = {"id": "a", "topic": "work", "status": "x", "deliver_at": "2035-01-31T09:00:00Z", "attempts": 0}
    tag = {"ETag": '"t"'}
    misbehaving.faults = [web.json_response(shown, headers=tag), web.json_response({"status": "ok"}, headers=tag)]
    async with open_face(kind, misbehaving.url) as face:
        message, live = await face.call("get", "a"), await face.call("live")

    assert isinstance(message, Message)
    assert message.etag == '"t"'
    assert live.status == "ok"
