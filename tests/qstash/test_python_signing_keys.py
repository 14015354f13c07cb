"""The signing keys with QStash's Python client, and their rotation."""

from __future__ import annotations

import pytest
from qstash.errors import SignatureError

from tests.qstash.python_client import Python
from tests.qstash.signed import believed, check, check_jwt
from tests.qstash.whole import CURRENT_KEY, NEXT_KEY, Served
from tests.support.receiver import Receiver, running_receiver
from tests.support.waiting import eventually


async def test_the_keys_are_those_of_the_settings(client: Python) -> None:
    keys = await client.signing_key.get()

    assert (keys.current, keys.next) == (CURRENT_KEY, NEXT_KEY)


async def test_a_signature_is_of_its_key_its_body_and_its_url(client: Python, receiver: Receiver) -> None:
    """Also a receiver that knows the key as its next one believes it; with other keys nobody does."""
    await client.message.publish(url=receiver.url("/a"), body="x")
    arrival = await receiver.first("/a")

    check(arrival)
    with pytest.raises(SignatureError):
        check(arrival, "another-key-of-24-letters", "yet-another-of-24-letters")


@pytest.mark.leaves("")
async def test_keys_are_rotated(own_service: Served) -> None:
    """The next one becomes the current one, a new one follows, and what is sent from then on is signed with it."""
    client = Python("sync", own_service)
    with running_receiver() as receiver:
        before = await client.signing_key.get()
        after = await client.signing_key.rotate()

        assert (after.current, before.current != before.next) == (before.next, True)
        assert after.next not in {before.current, before.next}
        assert await client.signing_key.get() == after

        async def signed_anew() -> bool:
            """A worker that knew the old keys may sign with them for a moment; a receiver of before believes both."""
            sent = len(receiver.at("/a"))
            await client.message.publish(url=receiver.url("/a"), body="x")
            arrival = (await receiver.wait_for(sent + 1, "/a"))[-1]
            check_jwt(arrival, before.current, before.next)
            return believed(arrival, after.current)

        await eventually(signed_anew, within_s=15, what="what is sent is signed with the new key")
    await client.close()
