"""``make run``: the whole service on one machine, on its own server."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from cli.run import read_procfile
from shared.lifecycle import BAD_SETTINGS
from tests.docs.make_run import MakeRun, taken_port
from tests.support.waiting import eventually

Make = Callable[..., MakeRun]
FAR_AHEAD = 86_400
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends processes with their parent")


@pytest.fixture
def make_run(tmp_path: Path) -> Iterator[Make]:
    """Makes working copies in which ``make run`` can be started; what still runs is ended after the test."""
    made: list[MakeRun] = []

    def make(**environment: str) -> MakeRun:
        made.append(MakeRun(tmp_path / "copy", **environment))
        return made[-1]

    yield make
    for one in made:
        one.clean_up()


async def test_an_echo_is_printed_on_time_and_what_waits_survives_a_stop(make_run: Make) -> None:
    """An echo is printed with its lateness, Ctrl-C ends everything within seconds, and a waiting message is there again after."""
    run = make_run()
    await run.start(make=True, consumers=2)
    due_ms = int(time.time() * 1000) + 600
    _, echo = await run.call("POST", "/echoAtTime", {"time": due_ms, "message": "hello"})
    _, later = await run.call("POST", "/messages", {"topic": "echo", "body": "later", "delay": FAR_AHEAD})

    await run.printed(r"consumers\.[12] +\| hello")
    log = await run.printed(rf"echo: hello id={echo['id']} lateness_ms=(\d+)")
    assert 0 <= int(log[1]) < 1000
    run.interrupt()
    await run.ended(within_s=10)
    assert not run.server_answers()

    await run.start()
    status, message = await run.call("GET", f"/messages/{later['id']}")
    assert (status, message["status"], message["body"]) == (200, "scheduled", "later")
    run.interrupt()
    assert await run.ended(within_s=10) == 0


async def test_what_dies_is_started_again(make_run: Make) -> None:
    """A killed dispatcher, a killed worker and the killed server are replaced, and nothing accepted is lost."""
    run = make_run()
    await run.start()
    _, later = await run.call("POST", "/messages", {"topic": "echo", "body": "later", "delay": FAR_AHEAD})
    port = run.server_port

    for service in ("dispatcher", "consumers"):
        os.kill(run.pids(service)[0], signal.SIGKILL)
        await run.printed(f"{service} ended with -9; starting it again")
        await eventually(lambda name=service: len(run.pids(name)) == 2, what=f"{service} runs again")  # type: ignore[misc]
    os.kill(run.server_pid(), signal.SIGKILL)
    await run.printed("the bundled server has ended; starting it again")
    await eventually(run.server_answers, what="the server answers")

    assert run.server_port == port
    await eventually(run._is_ready, what="the producer is ready")
    assert (await run.call("GET", f"/messages/{later['id']}"))[1]["status"] == "scheduled"
    assert (await run.call("POST", f"/messages/{later['id']}/deliver"))[0] == 202
    await run.printed(r"consumers +\| later")


async def test_a_given_server_is_used_and_none_started(make_run: Make, server_url: str, prefix: str, redis: Redis) -> None:
    """With Redis__ConnectionString the keys lie there, and no server and no data folder of our own appear."""
    run = make_run(Redis__ConnectionString=server_url, Redis__KeyPrefix=prefix)
    await run.start()

    _, message = await run.call("POST", "/messages", {"topic": "echo", "body": "there", "delay": FAR_AHEAD})

    members = list(await redis.zrange(f"{prefix}:{{0}}:due:echo", 0, -1))
    assert len(members) == 1
    assert str(members[0]).startswith(f"b'{message['id']} ")
    assert "the bundled server is not started" in run.output
    assert not (run.folder / "data").exists()
    assert (await run.call("DELETE", f"/messages/{message['id']}"))[0] == 200
    run.interrupt()
    assert await run.ended(within_s=10) == 0


async def test_a_second_run_in_the_same_folder_is_refused(make_run: Make) -> None:
    """Two runs never share a data folder: the second says who has it and ends; the first is not disturbed."""
    first, second = make_run(), make_run()
    await first.start()
    server = first.server_pid()

    second._runs = 10
    second.spawn()

    assert await second.ended() == 1
    assert "is in use by process" in second.output
    assert "bundled server stopped" not in second.output
    assert first.server_pid() == server
    assert (await first.call("GET", "/health/ready"))[0] == 200


@linux
async def test_a_run_that_was_killed_leaves_no_process_and_its_server_is_taken_over(make_run: Make) -> None:
    """After SIGKILL of the run itself its processes end, and the next run goes on with the server and the data it left."""
    run = make_run()
    await run.start()
    _, later = await run.call("POST", "/messages", {"topic": "echo", "body": "later", "delay": FAR_AHEAD})
    worker, server = run.pids("consumers")[0], run.server_pid()
    assert run.process is not None
    run.process.kill()
    await run.ended()

    await eventually(lambda: not _lives(worker), what="the worker ends with its parent")
    await run.start()

    assert run.server_pid() == server
    assert "taken over from a run that was killed" in run.output
    assert (await run.call("GET", f"/messages/{later['id']}"))[1]["status"] == "scheduled"
    run.interrupt()
    assert await run.ended(within_s=10) == 0
    assert not run.server_answers()


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_a_second_ctrl_c_does_not_wait_for_handlers(make_run: Make) -> None:
    """While a handler uses up its grace time, a second Ctrl-C ends everything at once; the server still stops cleanly."""
    topics = json.dumps([{"Name": "reports", "Handler": "examples.reports"}])
    run = make_run(Topics=topics, Consumers__GraceMs="60000")
    await run.start()
    _, report = await run.call("POST", "/messages", {"topic": "reports", "body": {"name": "long", "seconds": 60}})

    async def running() -> bool:
        return bool((await run.call("GET", f"/messages/{report['id']}"))[1]["status"] == "running")

    await eventually(running, what="the handler runs")
    run.interrupt()
    await run.printed("dispatcher has stopped")
    run.interrupt()

    assert await run.ended(within_s=10) == 130
    assert "consumers does not stop; killing it" in run.output
    assert not run.server_answers()


async def test_a_port_that_is_taken_ends_the_run_with_its_reason(make_run: Make) -> None:
    """A process that refuses its settings is not started again and again: the run ends with its code and says why."""
    with taken_port() as taken:
        port = taken.getsockname()[1]
        run = make_run(Producer__Port=str(port))
        run.spawn()

        assert await run.ended() == BAD_SETTINGS

    assert f"Producer.Port = {port}: expected a free port" in run.output
    assert "set Producer__Port to another" in run.output
    assert f"producer refuses its settings; stopping (Producer.Port = {port}: expected a free port" in run.output
    assert not run.server_answers()


async def test_a_bad_setting_starts_nothing(make_run: Make) -> None:
    """A wrong value is named, and neither the server nor any process is started."""
    run = make_run(Consumers__Threads="many")
    run.spawn()

    assert await run.ended() == BAD_SETTINGS

    assert "Consumers.Threads" in run.output
    assert "'many'" in run.output
    assert not (run.folder / "data").exists()


async def test_a_log_folder_that_cannot_be_written_starts_nothing(make_run: Make) -> None:
    """The setting is named in one line, no traceback, and nothing is said to be stopped that never ran."""
    run = make_run(Logging__Directory="/dev/null/logs")
    run.spawn()

    assert await run.ended() == BAD_SETTINGS

    (line,) = run.output.splitlines()
    assert line.startswith("bad settings: Logging.Directory = '/dev/null/logs': expected a folder that can be written")
    assert not (run.folder / "data").exists()


async def test_a_data_folder_that_cannot_be_written_starts_nothing(make_run: Make) -> None:
    """The folder and the way out are named in one line."""
    run = make_run()
    (run.folder / "data").touch()
    run.spawn()

    assert await run.ended() == 1

    (line,) = run.output.splitlines()
    assert "data cannot be written" in line
    assert "Redis__ConnectionString" in line


async def test_the_bundled_server_takes_another_port_where_its_own_is_taken(make_run: Make) -> None:
    """With its port in other hands the service runs all the same, and data/redis.port says where."""
    run = make_run()
    with taken_port() as taken:
        await run.start(server_port=taken.getsockname()[1])

        assert run.server_port != taken.getsockname()[1]
        assert run.server_answers()


async def test_a_server_that_lost_its_port_to_a_stranger_ends_the_run(make_run: Make) -> None:
    """The services are never left talking to another program on the port of a server that died."""
    run = make_run()
    await run.start()

    assert run.process is not None
    run.process.send_signal(signal.SIGSTOP)  # so that it does not look before the port is taken
    os.kill(run.server_pid(), signal.SIGKILL)

    def stranger() -> socket.socket | None:
        try:
            return taken_port(run.server_port)
        except OSError:
            return None

    with await eventually(stranger, what="the port is taken"):
        run.process.send_signal(signal.SIGCONT)
        assert await run.ended(within_s=30) == 1
    assert f"port {run.server_port} is taken by another program" in run.output


def test_the_procfile_says_what_runs_and_scale_how_often() -> None:
    """Order is that of the file; a kind that is scaled is numbered, one scaled to none is left out; comments are no processes."""
    text = "# no process: a comment\nproducer: python -m producer\ndispatcher: python -m dispatcher\nconsumers: echo\n"

    children = read_procfile(text, {"consumers": 2, "dispatcher": 0})

    assert [(child.name, child.kind) for child in children] == [
        ("producer", "producer"),
        ("consumers.1", "consumers"),
        ("consumers.2", "consumers"),
    ]
    assert children[0].command == [sys.executable, "-m", "producer"]
