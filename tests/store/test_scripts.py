"""Loading and running scripts, and the rules that every script keeps."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.store import scripts
from shared.store.connect import Client
from shared.store.scripts import FOLDER, Script
from tests.store.scenes import PLAYS
from tests.store.stage import Stage

every_script = pytest.mark.parametrize("script", scripts.ALL, ids=lambda script: script.name)
FILES = sorted(FOLDER.glob("*.lua"))
INCLUDES = sorted((FOLDER / "include").glob("*.lua"))


def code_of(text: str) -> str:
    """A script without its comments."""
    return re.sub(r"--.*", "", text)


def test_every_file_is_a_script_and_has_its_tests() -> None:
    """No script is left out of ``ALL``, and each has a test file of its name."""
    names = [file.stem for file in FILES]

    assert sorted(script.name for script in scripts.ALL) == names
    assert [name for name in names if not (Path(__file__).parent / f"test_{name}.py").exists()] == []


@every_script
def test_an_include_stands_for_the_text_of_its_file(script: Script) -> None:
    """What runs is the script with each shared step in its place, once, and no line left to replace."""
    wanted = re.findall(r"^--@include (\w+)$", (FOLDER / f"{script.name}.lua").read_text(), re.MULTILINE)

    assert "--@include" not in script.text
    assert len(set(wanted)) == len(wanted)
    for name in wanted:
        assert script.text.count((FOLDER / "include" / f"{name}.lua").read_text()) == 1


@pytest.mark.parametrize("file", INCLUDES, ids=lambda file: file.stem)
def test_every_shared_step_is_shared(file: Path) -> None:
    """An include that one script alone needs belongs into that script; ``locate``'s needs stand before it."""
    users = [script for script in scripts.ALL if file.read_text() in script.text]

    assert len(users) >= 2
    assert all(
        script.text.index("function score_text") < script.text.index("function locate")
        for script in scripts.ALL
        if "function locate" in script.text
    )


@every_script
def test_a_script_is_plain_lua_that_redis_6_2_runs(script: Script) -> None:
    """No engine header, no functions library, no decoding of records, no server version asked for."""
    code = code_of(script.text)

    assert not script.text.startswith("#!")
    for forbidden in (
        "cjson",
        "cmsgpack",
        "register_function",
        "setresp",
        "REDIS_VERSION",
        "SERVER_VERSION",
        "server.call",
        "math.random",
    ):
        assert forbidden not in code
    assert re.findall(r"tostring\(", code) == [], "scores are written with all their digits, by score_text"


@every_script
async def test_a_script_uses_no_command_newer_than_redis_6_2(script: Script, redis: Client) -> None:
    """Each command stands as a plain name in the text, and the server says since when it has been there."""
    code = code_of(script.text)
    names = sorted(set(re.findall(r"redis\.p?call\('([A-Z]+)'", code)))
    assert len(re.findall(r"redis\.p?call\(", code)) == len(re.findall(r"redis\.p?call\('[A-Z]+'", code))

    if int((await redis.info("server"))["redis_version"].split(".")[0]) < 7:  # it cannot tell, and knows nothing newer
        assert None not in (await redis.execute_command("COMMAND", "INFO", *names)).values()
        return
    flat = await redis.execute_command("COMMAND DOCS", *names)

    assert len(flat) == 2 * len(names)
    for name, row in zip(flat[::2], flat[1::2], strict=True):
        since = row[row.index(b"since") + 1]
        assert tuple(int(number) for number in since.split(b".")) < (6, 3), name


@every_script
def test_the_header_tells_keys_arguments_and_answers(script: Script) -> None:
    """Who calls a script needs to read its first lines only."""
    header = script.text.split("\n\n")[0]

    assert header.startswith(f"-- {script.name}: ")
    assert "-- KEYS[1" in header
    assert "ARGV[1]" in header
    assert re.search(r"^-- Returns ", header, re.MULTILINE)


@pytest.mark.leaves("due:", "index", "stream:", "errors:", "dead", "schedule", "finished", "flow:", "labels", "webhooks")
@pytest.mark.parametrize("name", PLAYS)
async def test_all_keys_of_a_call_lie_under_one_hash_tag(stage: Stage, name: str) -> None:
    """A Redis Cluster runs each script on one node."""
    scene = await PLAYS[name].build(stage)

    tags = {re.findall(r"\{(.*?)\}", key)[0] for key in scene.keys}

    assert tags == {"0"}
    assert all(isinstance(key, str) for key in scene.keys)


@pytest.fixture
async def narrow(server_url: str, redis: Client, prefix: str) -> AsyncIterator[Redis]:
    """A client of a user who may touch no key; ``prefix`` is its name."""
    await redis.acl_setuser(prefix, enabled=True, passwords=["+p"], categories=["+@all"], channels=["*"], reset=True)
    client = Redis.from_url(server_url, protocol=2, username=prefix, password="p")
    yield client
    await client.aclose()
    await redis.acl_deluser(prefix)


@pytest.mark.leaves(
    "due:", "index", "stream:", "errors:", "dead", "idempotency:", "schedule", "finished", "flow:", "labels", "webhooks"
)
@pytest.mark.parametrize("name", PLAYS)
async def test_a_script_touches_no_key_that_it_does_not_declare(
    stage: Stage, redis: Client, narrow: Client, prefix: str, name: str
) -> None:
    """For a user who may use the keys of the call and no others, the script works; with any other user it would not."""
    play = PLAYS[name]
    scene = await play.build(stage)
    with pytest.raises(ResponseError, match=r"(?i)permission|NOPERM|key"):
        await narrow.eval(play.script.text, len(scene.keys), *scene.keys, *scene.arguments)
    await redis.acl_setuser(prefix, keys=scene.keys)

    answer = await narrow.eval(play.script.text, len(scene.keys), *scene.keys, *scene.arguments)

    assert play.summary(answer) == scene.first


async def test_a_forgotten_script_is_loaded_again(stage: Stage, redis: Client) -> None:
    """After SCRIPT FLUSH, as after a restart, the next call works and loads what it needs."""
    assert await stage.dispatch() == 0
    assert await redis.script_exists(scripts.DISPATCH.sha) == [True]
    await redis.script_flush()
    assert await redis.script_exists(scripts.DISPATCH.sha) == [False]

    assert await stage.dispatch() == 0

    assert await redis.script_exists(scripts.DISPATCH.sha) == [True]


async def test_an_error_of_ours_is_not_taken_for_an_outage(stage: Stage) -> None:
    """A call with wrong arguments crashes loudly; waiting would not heal it."""
    with pytest.raises(ResponseError):
        await scripts.DISPATCH.run(stage.client, [stage.keys.due("alpha")], ["x"])
