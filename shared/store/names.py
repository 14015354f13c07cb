"""Whether the name of a server can be looked up, asked once at a time for each name.

A look-up takes a thread of the event loop, and one that nobody answers keeps it for many seconds: the name of a container that
is gone, asked of a server for names that is gone as well. Whoever tries again and again to connect would soon have all
threads wait for that name, and no other name would be looked up any more. So nobody connects by a name before a look-up of it
has ended well, and all who wait for the same name wait for the same one.
"""

from __future__ import annotations

import asyncio
import socket

from shared.waiting import end


class Names:
    """Shared by all connections of a process."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Task[object]] = {}

    async def found(self, host: str) -> None:
        """Returns once the name was found. Raises ``OSError`` where there is none. The caller bounds the wait."""
        asked = self._asked.get(host)
        if asked is None or asked.done():
            asked = self._asked[host] = asyncio.create_task(_look_up(host))
            asked.add_done_callback(lambda task: task.cancelled() or task.exception())  # perhaps nobody waits any more
        try:
            await asyncio.shield(asked)
        except OSError as error:  # one of its own for each: an exception that is raised twice collects two tracebacks
            raise type(error)(*error.args) from None

    async def close(self) -> None:
        await end(*self._asked.values())


async def _look_up(host: str) -> object:
    return await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
