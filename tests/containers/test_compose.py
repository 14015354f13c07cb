"""The service in containers, as the README has a user run it: started, scaled, looked into, changed, hurt, tested."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from shared.store.keys import GROUP, Keys
from shared.version import VERSION
from tests.containers.api import call, ended, schedule, schedule_echo
from tests.containers.compose import Compose
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

SERVICES = {"redis": 1, "producer": 1, "dispatcher": 1, "consumers": 2}
OURS = ("producer", "dispatcher", "consumers")
KEYS = Keys("mss", 0)
LATER_MS = 3_600_000
KILLED = 137
"""Exit code of a container that did not stop within its time."""


def test_up_starts_everything_and_all_is_healthy(compose: Compose) -> None:
    """Each service runs as often as it should, in health, under its restart policy; the test service does not."""
    running = {service: compose.containers(service) for service in (*SERVICES, "test")}

    assert {service: len(found) for service, found in running.items()} == SERVICES | {"test": 0}
    assert {one["Health"] for found in running.values() for one in found} == {"healthy"}
    policies = {
        compose.inspect(one["Name"])["HostConfig"]["RestartPolicy"]["Name"] for found in running.values() for one in found
    }
    assert policies == {"unless-stopped"}


def test_only_the_producer_is_published_and_only_on_loopback(compose: Compose) -> None:
    """Nobody on another machine reaches anything, since nobody is asked for a key."""
    ports = {service: compose.inspect(compose.containers(service)[0]["Name"])["NetworkSettings"]["Ports"] for service in SERVICES}

    assert [binding["HostIp"] for binding in ports.pop("producer")["3000/tcp"]] == ["127.0.0.1"]
    assert [published for found in ports.values() for published in found.values() if published] == []


@pytest.mark.parametrize("service", OURS)
def test_a_service_is_an_ordinary_user_without_test_tools(compose: Compose, service: str) -> None:
    """What runs is not root, can write nothing but its logs, and carries no tool that only tests need."""
    inside = ("exec", "--no-TTY", service, "python", "-c")

    assert compose(*inside, "import os; print(os.getuid())").strip() not in {"", "0"}
    assert compose(*inside, "import os; print(os.access('/app', os.W_OK), os.access('logs', os.W_OK))").split() == [
        "False",
        "True",
    ]
    assert compose(*inside, "import importlib.util as u; print(u.find_spec('pytest'), u.find_spec('mypy'))").split() == [
        "None",
        "None",
    ]


async def test_an_echo_is_delivered_and_seen_in_the_logs(compose: Compose) -> None:
    """The line is on a worker's standard output, and in a file of ``logs/`` that a user of the host can read."""
    text = f"hello-{time.time_ns()}"
    assert text not in _printed(compose)

    message_id = await schedule_echo(compose.url, text, 1000)

    message = await ended(compose.url, message_id)
    assert message["status"] == "delivered"
    await eventually(lambda: text in _printed(compose), what="the line on standard output")
    assert len([file for file in _logs(compose, "consumers") if f"echo: {text} " in file.read_text()]) == 1


def test_every_container_has_a_log_file_of_its_own(compose: Compose) -> None:
    """``cd logs`` on the host shows one for each, readable by everybody, in a folder that is still its owner's."""
    wanted = {service: count for service, count in SERVICES.items() if service in OURS}

    assert {service: min(len(_logs(compose, service)), count) for service, count in wanted.items()} == wanted
    assert all(file.stat().st_mode & 0o004 for service in OURS for file in _logs(compose, service))
    assert (compose.folder / "logs").stat().st_uid == compose.folder.stat().st_uid


async def test_redis_cli_shows_readable_messages(compose: Compose) -> None:
    """A waiting message is text in the due set, and one that is due is text in the stream."""
    waiting = await schedule(compose.url, topic="echo", body="water the plants", delay=LATER_MS)
    compose("pause", "consumers")
    try:
        due = await schedule(compose.url, topic="echo", body="feed the cat", delay=0)

        shown = compose.redis("ZRANGE", KEYS.due("echo"), "0", "-1", "WITHSCORES")
        assert f"{waiting} " in shown
        assert "water the plants" in shown
        await eventually(lambda: "feed the cat" in _streamed(compose), what="the message is in the stream")
        assert f"{due} " in _streamed(compose)
    finally:
        compose("unpause", "consumers")

    assert (await ended(compose.url, due))["status"] == "delivered"
    status, _ = await call("DELETE", f"{compose.url}/messages/{waiting}")
    assert status == 200
    assert compose.redis("ZRANGE", KEYS.due("echo"), "0", "-1").strip() == ""


async def test_workers_are_scaled_up_and_down(compose: Compose) -> None:
    """Four asked for are four at work in the group; those that are too many afterwards leave it and lose nothing."""
    await schedule_some(compose, 40, seconds=0.05)
    await eventually(lambda: _consumers(compose) == 2, what="two consumers")

    compose.up("--scale", "consumers=4")

    assert [one["Health"] for one in compose.containers("consumers")] == ["healthy"] * 4
    await schedule_some(compose, 40, seconds=0.05)
    await eventually(lambda: _consumers(compose) == 4, what="four consumers")
    ids = await schedule_some(compose, 400, seconds=0.05)

    compose.up("--scale", "consumers=2")

    url = compose.url
    assert [(await ended(url, one))["attempts"] for one in ids] == [1] * len(ids)
    await eventually(lambda: _consumers(compose) == 2, what="two consumers again")


async def test_code_is_live_when_it_is_saved(compose: Compose) -> None:
    """A changed file is at work in the running container without anybody restarting it."""
    file = compose.folder / "shared" / "version.py"
    before = file.read_text()
    assert (await call("GET", f"{compose.url}/health"))[1]["version"] == VERSION

    _save(file, before.replace(VERSION, "9.9.9"))

    await eventually(_serves(compose, "9.9.9"), within_s=20, what="the changed code")
    _save(file, before)
    await eventually(_serves(compose, VERSION), within_s=20, what="the old code again")
    compose.up()


async def test_a_service_that_ends_is_started_again(compose: Compose) -> None:
    """A worker that ended by itself (too many stuck handlers, say) is replaced inside its container."""
    container = compose.containers("consumers")[0]["Name"]
    started = _starts(compose, container)
    compose("exec", "--no-TTY", "--index", _index(container), "consumers", "python", "-c", KILL_SERVICE)

    await eventually(lambda: _starts(compose, container) > started, within_s=20, what="it starts again")

    compose.up()
    assert len(compose.containers("consumers")) == 2


async def test_a_killed_worker_loses_nothing(compose: Compose) -> None:
    """SIGKILL of a worker's container in the middle of its work: all messages are delivered all the same."""
    ids = await schedule_some(compose, 200, seconds=0.1)
    await eventually(lambda: _pending(compose) > 0, what="the load is under way")

    victim = compose.containers("consumers")[0]["Name"]
    compose.kill(victim)

    url = compose.url
    assert {(await ended(url, one, within_s=60))["status"] for one in ids} == {"delivered"}
    compose.up()
    assert len(compose.containers("consumers")) == 2


async def test_stopping_is_clean_and_what_waits_stays(own_compose: Compose) -> None:
    """Under load every container stops by itself within its grace time; after down and up again the messages are there."""
    waiting = await schedule(own_compose.url, topic="echo", body="later", delay=LATER_MS)
    ids = await schedule_some(own_compose, 300, seconds=0.2)
    await eventually(lambda: _pending(own_compose) > 0, what="the load is under way")
    names = [one["Name"] for service in SERVICES for one in own_compose.containers(service)]

    own_compose("stop")

    states = {name: own_compose.inspect(name)["State"] for name in names}
    assert {name: state["ExitCode"] for name, state in states.items()} == dict.fromkeys(names, 0)
    assert not any(state["OOMKilled"] for state in states.values())
    own_compose("down")
    assert own_compose("ps", "--all", "--quiet") == ""
    own_compose.up()
    url = own_compose.url
    assert (await call("GET", f"{url}/messages/{waiting}"))[1]["status"] == "scheduled"
    assert [(await ended(url, one, within_s=60))["attempts"] for one in ids] == [1] * len(ids)


async def test_the_test_service_passes_and_leaves_what_users_stored(fresh_compose: Compose) -> None:
    """From a fresh clone ``up -d``, then ``run --rm test``, is green; Redis keeps what users stored and gets no key."""
    fresh_compose("up", "--detach")
    await eventually(_serves(fresh_compose, VERSION), within_s=60, what="the producer answers")
    waiting = await schedule(fresh_compose.url, topic="echo", body="keep me", delay=LATER_MS)
    before = fresh_compose("ps", "--quiet")

    printed = fresh_compose("run", "--rm", "--no-TTY", "test")

    assert " passed" in printed
    assert fresh_compose("ps", "--quiet") == before
    assert (await call("GET", f"{fresh_compose.url}/messages/{waiting}"))[1]["status"] == "scheduled"
    assert {key.split(":")[0] for key in fresh_compose.redis("--scan").split()} == {"mss"}


KILL_SERVICE = """
import os, signal
for pid in filter(str.isdigit, os.listdir("/proc")):
    words = open(f"/proc/{pid}/cmdline").read().split("\\0")
    if words[1:3] == ["-m", "consumers"]:
        os.kill(int(pid), signal.SIGKILL)
"""


async def schedule_some(compose: Compose, count: int, *, seconds: float) -> list[str]:
    """Messages that are due now and take a while each; their ids."""
    batch = [{"topic": "slow", "body": {"seconds": seconds}} for _ in range(count)]
    status, accepted = await call("POST", f"{compose.url}/messages/batch", batch)
    assert status == 202, accepted
    return [str(message_id) for message_id in accepted["ids"]]


def _logs(compose: Compose, service: str) -> list[Path]:
    return sorted((compose.folder / "logs").glob(f"{service}-*.log"))


def _printed(compose: Compose) -> list[str]:
    """The workers' standard output and log, line by line, without what Compose adds for terminals."""
    return [line.removeprefix("\x1b[2K") for line in compose("logs", "--no-log-prefix", "consumers").splitlines()]


def _streamed(compose: Compose) -> str:
    return compose.redis("XRANGE", KEYS.stream("echo"), "-", "+")


def _consumers(compose: Compose) -> int:
    return compose.redis("XINFO", "CONSUMERS", KEYS.stream("slow"), GROUP).split().count("pending")


def _pending(compose: Compose) -> int:
    first, *_ = compose.redis("XPENDING", KEYS.stream("slow"), GROUP).split()
    return int(first) if first.isdigit() else 0  # before the first message there is no group


def _index(container: str) -> str:
    return container.rsplit("-", 1)[1]


def _starts(compose: Compose, container: str) -> int:
    return compose("logs", "--no-log-prefix", "--index", _index(container), "consumers").count("consumers starts; log file")


def _save(file: Path, text: str) -> None:
    """As editors do: a new file takes the place of the old."""
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def _serves(compose: Compose, version: str) -> Callable[[], object]:
    async def serves() -> bool:
        try:
            return bool((await call("GET", f"{compose.url}/health"))[1].get("version") == version)
        except (OSError, aiohttp.ClientError):
            return False

    return serves
