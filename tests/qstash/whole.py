"""The whole service as QStash's clients meet it: a URL and a token. Also how it is emptied between tests, over HTTP alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from qstash import QStash

from shared.api_keys import make_key
from tests.support.waiting import eventually
from tests.system.service import Service

CURRENT_KEY, NEXT_KEY = "sig_the_current_key_of_all_the_tests", "sig_the_next_key_of_all_the_tests"
WEBHOOKS: dict[str, object] = {"AllowedNetworks": ["127.0.0.0/8", "::1/128"], "AllowedPorts": ["1-65535"]}
SIGNED: dict[str, object] = {"CurrentSigningKey": CURRENT_KEY, "NextSigningKey": NEXT_KEY}
RETRY = {"InitialMs": 50, "MaxMs": 100}
SELDOM = "0 3 29 2 *"
"""The cron of schedules that do not run by themselves while a test looks."""
_FLOW_KEYS = "/topics/webhook/flow-keys"
_AT_WORK = ("scheduled", "ready", "running", "waiting")


@dataclass(frozen=True)
class Served:
    """Where the service is and who may use it: what a caller has to change, coming from QStash."""

    url: str
    token: str


@asynccontextmanager
async def whole_service(redis_url: str, prefix: str, folder: Path, **webhooks: object) -> AsyncIterator[Served]:
    """Producer, dispatcher and worker as processes, ready. ``webhooks``: more settings of that section."""
    token, digest = make_key("tests")
    keys = [{"Name": "tests", "Hash": digest, "Scopes": ["admin"]}]
    file = folder / "appsettings.json"
    file.write_text(json.dumps({"Webhooks": {**WEBHOOKS, **webhooks}, "Retry": RETRY, "Auth": {"Keys": keys}}))
    service = Service(redis_url, prefix, folder, APPSETTINGS=file, Topics="[]", Consumers__GraceMs=500)
    try:
        await service.start()
        yield Served(service.producer_url, token)
    finally:
        await service.stop()


async def run_now(served: Served, schedule_id: str) -> None:
    """A run of a schedule, by the service's own call: QStash has this in its console alone."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {served.token}"}) as http:
        answer = await http.post(f"{served.url}/schedules/{schedule_id}/run")
        assert answer.status_code == 202, answer.text


async def empty(served: Served) -> None:
    """Cancels and deletes all that a test has left. What was under way has to be over first: no receiver waits any more."""
    client = QStash(served.token, base_url=served.url, retry=False)
    with client.http._client as http:
        http.headers["Authorization"] = f"Bearer {served.token}"
        for schedule in client.schedule.list():
            client.schedule.delete(schedule.schedule_id)
        for group in client.url_group.list():
            client.url_group.delete(group.name)
        for queue in client.queue.list():
            client.queue.resume(queue.name)
        _forget_limits(http, served.url)
        await eventually(lambda: client.message.cancel_all() == 0 and _is_idle(http, served.url), what="nothing is under way")
        while letters := client.dlq.list().messages:
            client.dlq.delete_many([one.dlq_id for one in letters])
        _forget_limits(http, served.url)


def _forget_limits(http: httpx.Client, url: str) -> None:
    """Also those of queues, which are flow keys."""
    cursor = ""
    while True:
        page: dict[str, Any] = http.get(f"{url}{_FLOW_KEYS}", params={"cursor": cursor} if cursor else {}).json()
        for one in page["items"]:
            key = f"{url}{_FLOW_KEYS}/{quote(one['flow_key'], safe='')}"
            http.post(f"{key}/resume")
            http.delete(key)
        cursor = page.get("next_cursor", "")
        if not cursor:
            return


def _is_idle(http: httpx.Client, url: str) -> bool:
    topics = http.get(f"{url}/health").json()["topics"]
    return not any(topic.get(state) for topic in topics for state in _AT_WORK)
