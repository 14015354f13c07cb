"""Nothing that a caller sends is part of a Redis key, ends a log line, or is sent back as a header of its own making."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from redis.asyncio import Redis

from shared.log_lines import text_line
from shared.logs import logger
from shared.record import decode_record
from shared.settings import Settings
from shared.store.keys import Keys
from tests.producer.api import Api
from tests.producer.conftest import OpenApi
from tests.producer.keys import Keyring
from tests.producer.raw import RawConnection, head
from tests.producer.stages import Stages
from tests.support.keys import FORMS
from tests.support.waiting import eventually

HOSTILE = (
    "{0}",
    "{{x}}",
    "<red>",
    "</red>",
    "%s%n",
    "$(id)",
    "'\"`",
    "*?[a-z]",
    "}:{1}:due:echo",
    "-1",
    "nil",
    "KEYS[1]",
    "~" * 200,
)
"""Visible ASCII that would mean something to a formatter, a shell, a pattern of keys, a hash tag or a script."""
TEXT = "\0 \x1b[2J\r\nx v1 1 json {}\n\u2028\U0010ffff"


async def names(redis: Redis, prefix: str) -> list[str]:
    """Every key of the test, without what they have in common."""
    found = [key.decode() async for key in redis.scan_iter(match=f"*{prefix}*", count=1000)]
    assert all(name.startswith(f"{prefix}:{{0}}:") for name in found)
    return [name.removeprefix(f"{prefix}:{{0}}:") for name in found]


@pytest.mark.leaves("due", "dead", "index", "idempotency")
@pytest.mark.parametrize("word", HOSTILE)
async def test_no_word_of_a_caller_names_a_key(api: Api, stages: Stages, redis: Redis, prefix: str, word: str) -> None:
    """Through the whole life of a message, keys are of a closed set of forms, and what was sent comes back as it was."""
    flow_key = re.sub(r'["\\]', "'", word)[:128]  # these two are refused there
    sent: dict[str, Any] = {"flow_key": flow_key, "labels": [word[:64]], "headers": {"X-Word": word}, "body": TEXT + word}
    told = await api.accepted("/messages", {"topic": "work", **sent}, headers={"Idempotency-Key": word, "X-Request-Id": "r"})
    entry = await stages.run("work")
    record = decode_record(entry.record)
    assert (record.id, record.body.decode()) == (told["id"], sent["body"])
    await stages.fail(entry, word, delay_ms=0)

    failed = await names(redis, prefix)
    await stages.bury(await stages.run("work"), word, word)
    dead = await names(redis, prefix)
    assert (await api.post(f"/dead-letters/{told['id']}/replay", {"delay": "1h"})).status == 202
    replayed = await names(redis, prefix)

    assert [name for name in failed + dead + replayed if not FORMS.fullmatch(name)] == []
    shown = await api.message(told["id"])
    assert {name: shown[name] for name in sent} == sent
    assert (await api.call("DELETE", f"/messages/{told['id']}")).status == 200


@pytest.mark.leaves("due", "labels")
@pytest.mark.parametrize("word", [*HOSTILE, "x" * 255])
async def test_a_wake_up_says_topic_and_time_and_nothing_else(api: Api, redis: Redis, prefix: str, word: str) -> None:
    """What dispatchers listen to has one form, whatever was sent."""
    async with redis.pubsub() as subscription:
        await subscription.subscribe(f"{prefix}:{{0}}:wake")
        await api.accepted("/messages", {"topic": "work", "body": word, "labels": [word[:64]]}, headers={"Idempotency-Key": word})

        async def heard() -> Any:
            message = await subscription.get_message(ignore_subscribe_messages=True, timeout=0.1)
            return message and message["data"]  # an empty one is the trial of whether the user may publish

        data = await eventually(heard)

    assert re.fullmatch(rb"work [0-9]{13}", data)


@pytest.fixture
def log() -> Iterator[StringIO]:
    """The log as a process writes it, from WARNING on."""
    written = StringIO()

    def named(record: Any) -> bool:
        record["extra"].update(service="producer", pid=1)
        return True

    sink = logger.add(written, level="WARNING", format=text_line, filter=named, colorize=False, diagnose=False, backtrace=False)
    yield written
    logger.remove(sink)


@pytest.mark.leaves("due")
@pytest.mark.parametrize("given", [*HOSTILE, "a\tb", "\udcff\udcfe", "a" * 129, "ok-17\x85x", ""])
async def test_a_request_id_is_taken_only_in_its_form(api: Api, redis: Redis, prefix: str, log: StringIO, given: str) -> None:
    """Another is replaced, in the answer and in the log, of which each line keeps its form also where all goes wrong."""
    await redis.set(f"{prefix}:{{0}}:due:work", "a stranger's key of another type")
    sent = head(content_length=17, x_request_id="@", user_agent="@", idempotency_key="{0}<red>", traceparent="@")
    async with RawConnection(api.url) as connection:
        await connection.send(sent.replace(b"@", given.encode("utf-8", "surrogateescape")) + b'{"topic": "work"}')
        answer = await connection.answer()

    request_id = answer.headers["x-request-id"]
    assert answer.status == 500
    assert request_id == answer.json["request_id"]
    assert request_id == given if re.fullmatch(r"[A-Za-z0-9._~+/=:-]{1,128}", given) else re.fullmatch("[0-9a-f]{16}", request_id)
    first, *traceback = log.getvalue().splitlines()
    assert first.endswith(f"POST /messages failed request_id={request_id}")
    assert all(line.startswith("  ") for line in traceback)
    assert "<red>" not in log.getvalue()


@pytest.mark.leaves("due")
async def test_a_trace_is_kept_only_in_its_form(api: Api, redis: Redis, prefix: str) -> None:
    """W3C's own form; anything else is ignored, as its specification asks."""
    good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    for trace in (good, good.upper(), good + "-x", good + "{0}", "x" * 8000):
        await api.accepted("/messages", {"topic": "work", "delay": "1h"}, headers={"traceparent": trace})

    members: list[Any] = await redis.zrange(f"{prefix}:{{0}}:due:work", 0, -1)
    assert sorted(decode_record(member).options.trace or "" for member in members) == ["", "", "", "", good]


async def test_a_stranger_s_look_at_health_costs_redis_nothing(
    open_api: OpenApi, settings: Settings, redis: Redis, prefix: str
) -> None:
    """Without a key ``/health`` is answered from what is known: nobody unknown can keep Redis busy through it."""
    ring = Keyring()
    ring.make("reader", "read")
    api = await open_api(ring.asked_for(settings))
    async with redis.monitor() as monitor:
        for _ in range(50):
            assert (await api.get("/health")).status == 200
        await api.get("/health", headers=ring.header("reader"))
        await redis.echo(f"the end of {prefix}")
        asked = 0
        async for command in monitor.listen():
            if command["command"] == f"ECHO the end of {prefix}":
                break
            asked += command["command"].startswith(f"ZCARD {prefix}:")

    assert asked == len(Keys(prefix, 0).dues("echo")) * len(settings.all_topics())
