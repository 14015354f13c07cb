"""What webhooks need besides messages, in one hash of the first partition: read as a whole, and changed one by one."""

from __future__ import annotations

from secrets import token_hex

from shared.store.outage import outages
from shared.store.partition import Store
from shared.store.scripts import PUT_WEBHOOK

REVISION = "*"
"""The field that every change gives another value."""


async def read(store: Store, name: str) -> bytes:
    """Empty where there is none. Raises ``Outage``."""
    partition = store.partitions[0]
    with outages():
        found: bytes | None = await partition.client.hget(partition.keys.webhooks, name)
    return found or b""


async def put(store: Store, name: str, seen: bytes, wanted: bytes) -> bytes | None:
    """Sets it, or removes it where ``wanted`` is empty. Gives ``None``, or what it is in place of ``seen``. Raises ``Outage``."""
    partition = store.partitions[0]
    answer = await PUT_WEBHOOK.run(partition.client, [partition.keys.webhooks], [name, seen, wanted, token_hex(8)])
    return None if answer[0] == b"put" else bytes(answer[1])
