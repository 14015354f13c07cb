"""``/v2/keys``: the signing keys over HTTP and by QStash's official client."""

from __future__ import annotations

from tests.producer.api import Api
from tests.producer.qstash.conftest import Client


async def test_a_rotation_makes_the_next_key_the_current_one(client: Client, api: Api) -> None:
    """And there is a new next one; until then they stay the same."""
    before = await client.call(lambda qstash: qstash.signing_key.get())
    assert (await api.get("/v2/keys")).json == {"current": before.current, "next": before.next}

    after = await client.call(lambda qstash: qstash.signing_key.rotate())

    assert after.current == before.next
    assert len({before.current, before.next, after.next}) == 3
    assert await client.call(lambda qstash: qstash.signing_key.get()) == after
