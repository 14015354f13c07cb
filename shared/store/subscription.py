"""A subscription to Pub/Sub channels of one server. Nothing may rely on a message arriving."""

from __future__ import annotations

from redis.asyncio.client import PubSub

from shared.errors import Outage
from shared.store.connect import Client
from shared.store.outage import outages
from shared.store.partition import SILENCE_S


class Subscription:
    """Made anew by the call after one that failed."""

    def __init__(self, client: Client, *channels: str) -> None:
        self._client, self._channels = client, channels
        self._subscription: PubSub | None = None
        self._asked = False

    async def next(self) -> bytes | None:
        """What was published next; ``None`` after a silence, and when the subscription begins. Raises ``Outage``."""
        try:
            with outages():
                return await self._next()
        except Outage:
            await self.close()
            raise

    async def _next(self) -> bytes | None:
        if self._subscription is None:
            self._subscription = self._client.pubsub()
            await self._subscription.subscribe(*self._channels)
            self._asked = False
        message = await self._subscription.get_message(timeout=SILENCE_S)
        if message is None:
            if self._asked:
                raise Outage("timeout", "a subscription gives no sign of life")
            self._asked = True
            await self._subscription.ping()
            return None
        self._asked = False
        return message["data"] if message["type"] == "message" else None

    async def close(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            await subscription.aclose()  # type: ignore[no-untyped-call] # the library leaves it untyped
