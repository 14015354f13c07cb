"""Every command and every answer of README.md, run in order against ``make run``."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from cli.loopback import ask
from tests.docs.blocks import NEEDS_DOCKER, Block, Known, Step, blocks_of, lines_as_patterns, steps_of
from tests.docs.make_run import ROOT, MakeRun
from tests.docs.tools import curl_for_bash, real_redis_cli, redis_cli
from tests.support.waiting import eventually

README = ROOT / "README.md"
EXAMPLES = {"examples/reminders.py", "examples/reports.py"}
STARTS = "make run\n"
"""The one bash block that is run by the fixture: it does not end."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[MakeRun]:
    """``make run`` with the README's own settings file."""
    (settings,) = [block for block in blocks_of(README) if block.language == "json"]
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "appsettings.json").write_text(settings.text)
    run = MakeRun(folder, Consumers__GraceMs="100")
    yield run
    run.clean_up()


async def test_every_command_of_the_readme_does_what_the_readme_shows(run: MakeRun, tmp_path: Path) -> None:
    """Each block is run, in order, and its output is the one shown but for ids, times and names; docker's are marked."""
    known, ran = Known(), 0
    curl = curl_for_bash(tmp_path)
    for block in blocks_of(README):
        if block.needs_docker:
            assert "docker" in block.text
        elif block.language == "bash":
            assert block.text == STARTS, f"README.md:{block.line}: not run by this test, and not marked {NEEDS_DOCKER}"
            await run.start(make=True, consumers=2)
        elif block.language == "console":
            for step in steps_of(block):
                await _do(step, block, known, run, curl)
                ran += 1
        elif block.language == "text":
            for pattern in lines_as_patterns(block, known):
                await run.printed(pattern)
        else:
            assert block.language in {"json", "python"}, f"README.md:{block.line}: what is this?"
    assert ran > 30


async def _do(step: Step, block: Block, known: Known, run: MakeRun, curl: str) -> None:
    """A command that only looks is repeated until it shows what the README shows: the service works meanwhile."""
    looks = step.redis or not re.search(r"-X|--data-binary", step.command)

    def differences() -> str:
        command = known.put_into(step.command)
        real = _redis(run, command) if step.redis else _bash(run, curl + command)
        return known.differences(step.shown, real)

    said = differences()
    if said and looks:

        def nothing() -> bool:
            nonlocal said
            said = differences()
            return not said

        with suppress(AssertionError):  # told below, with what differs
            await eventually(nothing, within_s=8)
    assert not said, f"README.md:{block.line}: {step.command}\n{said}"


def _bash(run: MakeRun, command: str) -> str:
    command = command.replace("localhost:3000", run.url.removeprefix("http://"))
    done = subprocess.run(["bash", "-c", command], cwd=run.folder, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout


def _redis(run: MakeRun, command: str) -> str:
    """By the real redis-cli where there is one."""
    words = shlex.split(command)
    return real_redis_cli(run.server_port, words) or redis_cli(run.server_port, words)


def test_the_handler_of_the_readme_is_the_example() -> None:
    """What the README tells people to write stands in the repository, word for word, and is a dozen lines at most."""
    (code,) = [block for block in blocks_of(README) if block.language == "python"]

    assert code.text in (ROOT / "examples" / "reminders.py").read_text()
    assert len([line for line in code.text.splitlines() if line.strip()]) <= 10


def test_the_settings_of_the_readme_name_every_example() -> None:
    """Each example can be tried by copying the README's settings."""
    (block,) = [block for block in blocks_of(README) if block.language == "json"]

    modules = {topic["Handler"] for topic in json.loads(block.text)["Topics"]}

    assert {f"{module.replace('.', '/')}.py" for module in modules} == EXAMPLES
    assert {str(file.relative_to(ROOT)) for file in (ROOT / "examples").glob("[!_]*.py")} == EXAMPLES


async def test_the_port_file_is_the_way_to_the_bundled_server(run: MakeRun) -> None:
    """`redis-cli -p $(cat data/redis.port)`, as the README says, reaches the server that holds the messages."""
    await run.start()

    port = _bash(run, "echo $(cat data/redis.port)")

    assert "redis-cli -p $(cat data/redis.port)" in README.read_text()
    assert "mss:{0}:topics" in ask(int(port), "KEYS", "mss:*")


def test_every_route_of_the_api_is_shown() -> None:
    """No endpoint is left out of the API by example. QStash's API is described by QStash."""
    from producer.middleware import QSTASH
    from producer.routes import ROUTES, path_of

    text = README.read_text()
    commands = [step.command for block in blocks_of(README) if block.language == "console" for step in steps_of(block)]
    shown = set()
    for command in commands:
        for path in re.findall(r"localhost:3000(/[^\s?']+)", command):
            method = re.search(r"-X (\w+)", command)
            plain = re.sub(r"[A-Za-z]+-0-[0-9a-v]{21}|(?<=/schedules/)(?!preview)[^/?]+", "{id}", path)
            plain = re.sub(r"(?<=/topics/)[^/?]+", "{topic}", plain)
            plain = re.sub(r"(?<=/flow-keys/)[^/?]+", "{flow_key}", plain)
            posts = "--data-binary" in command or " -d " in command
            shown.add((method[1] if method else "POST" if posts else "GET", plain))

    assert {(route.method, path_of(route)) for route in ROUTES if not route.path.startswith(QSTASH)} <= shown
    assert "/docs" in text
    assert "/openapi.json" in text
