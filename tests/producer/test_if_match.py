"""``ETag`` and ``If-Match``: callers who must not overwrite each other."""

from __future__ import annotations

import asyncio

import pytest

from tests.producer.api import Answer, Api, assert_problem
from tests.producer.stages import Stages

pytestmark = pytest.mark.leaves("due", "index", "finished", "stream", "errors")

WAYS = {"PATCH": "", "DELETE": "", "POST": "/deliver"}


async def made(api: Api, **more: object) -> tuple[str, str]:
    """A message's path and its entity tag."""
    path = f"/messages/{(await api.accepted('/messages', {'topic': 'work', 'delay': '1h', **more}))['id']}"
    return path, (await api.get(path)).headers["etag"]


async def ask(api: Api, method: str, path: str, tag: str) -> Answer:
    content = {"delay": "2h"} if method == "PATCH" else None
    return await api.call(method, f"{path}{WAYS[method]}", content, headers={"If-Match": tag})


@pytest.mark.parametrize("method", WAYS)
async def test_with_the_present_tag_it_is_done(api: Api, method: str) -> None:
    """Also where the tag is one of several, and for any message with ``*``."""
    path, tag = await made(api)
    assert (await ask(api, method, path, f'"other", {tag}')).status in {200, 202}

    path, _ = await made(api)
    assert (await ask(api, method, path, "*")).status in {200, 202}


@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("change", [{"delay": "3h"}, {"body": "other"}])
async def test_with_an_old_tag_nothing_is_done(api: Api, method: str, change: dict[str, object]) -> None:
    """After another caller's change of the time or of the body: 412, and the message is as that caller left it."""
    path, tag = await made(api)
    theirs = await api.call("PATCH", path, change)
    assert theirs.headers["etag"] != tag

    refused = await ask(api, method, path, tag)

    assert_problem(refused, 412, "If-Match", says="has changed since")
    now = await api.get(path)
    assert (now.json["status"], now.headers["etag"]) == ("scheduled", theirs.headers["etag"])


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "POST"])
async def test_a_weak_tag_matches_nothing(api: Api, method: str) -> None:
    """RFC 9110 asks for a strong comparison."""
    path, tag = await made(api)

    assert (await ask(api, method, path, f"W/{tag}")).status == 412


@pytest.mark.parametrize("given", ["", "abc", '"abc', "*, *", '"a" "b"'])
async def test_what_is_no_tag_is_refused(api: Api, given: str) -> None:
    """It is named, and nothing is changed."""
    path, tag = await made(api)

    assert_problem(await ask(api, "DELETE", path, given), 422, "If-Match", says="in its quotes")
    assert (await api.get(path)).headers["etag"] == tag


async def test_what_is_due_meanwhile_keeps_its_tag_and_can_be_cancelled(api: Api, stages: Stages) -> None:
    """Moving on is nobody's change: the same tag cancels a message that waits in its stream."""
    path, tag = await made(api, delay=0)
    assert await stages.dispatch("work") == 1
    assert (await api.get(path)).headers["etag"] == tag

    assert (await ask(api, "DELETE", path, '"other"')).status == 412
    assert (await ask(api, "DELETE", path, tag)).status == 200
    assert (await ask(api, "DELETE", path, tag)).status == 200, "a repeat"


async def test_an_attempt_is_a_change(api: Api, stages: Stages) -> None:
    """Whoever saw the message before its failure does not cancel its retry."""
    path, tag = await made(api, delay=0)
    await stages.fail(await stages.run("work"), "no", 3_600_000)

    assert (await ask(api, "DELETE", path, tag)).status == 412
    assert (await ask(api, "DELETE", path, (await api.get(path)).headers["etag"])).status == 200


async def test_of_many_who_saw_the_same_one_changes_it(api: Api) -> None:
    """Twenty callers with one tag and a body each: one 200, nineteen 412, and the body is that of the one."""
    path, tag = await made(api)

    answers = await asyncio.gather(
        *(api.call("PATCH", path, {"body": f"mine {number}"}, headers={"If-Match": tag}) for number in range(20))
    )

    assert sorted(answer.status for answer in answers) == [200] + [412] * 19
    (won,) = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert (await api.get(path)).json["body"] == f"mine {won}"
