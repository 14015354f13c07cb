"""Connections that pack a command in C. The library's asyncio connection does it argument by argument in Python, and starts a
task for each write: a command of 300 arguments costs 370 microseconds so, and 130 packed here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError


class _Packing(AbstractConnection):
    def pack_command(self, *words: Any) -> list[bytes]:
        """One piece. A command of several words may come as one text."""
        name: str | bytes = words[0]
        return [pack_command((*name.split(), *words[1:]))]

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's signature
        """Writes what was packed. Raises the library's errors; the connection is closed then."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        if check_health:
            await self.check_health()  # type: ignore[no-untyped-call] # the library leaves it untyped
        written = False
        try:
            async with asyncio.timeout(self.socket_timeout):
                await self._write(command)
            written = True
        except TimeoutError:
            raise RedisTimeoutError("Timeout writing to socket") from None
        except OSError as error:
            raise RedisConnectionError(f"Error {error.errno} while writing to socket. {error}.") from error
        finally:
            if not written:  # a part of it may have gone: nothing can follow on this connection
                await self.disconnect(nowait=True)

    async def _write(self, command: bytes | str | Iterable[bytes]) -> None:
        if isinstance(command, str):
            command = command.encode()
        writer = self._writer
        assert writer is not None  # noqa: S101 - connected just now
        writer.writelines([command] if isinstance(command, bytes) else command)
        await writer.drain()


class Packed(_Packing, Connection):
    """To a server by TCP."""


class PackedOverTLS(_Packing, SSLConnection):
    """The same, encrypted."""


class PackedOverUnix(_Packing, UnixDomainSocketConnection):
    """To a server by a socket of its machine."""


_PACKED: dict[type, type[AbstractConnection]] = {
    Connection: Packed,
    SSLConnection: PackedOverTLS,
    UnixDomainSocketConnection: PackedOverUnix,
}


def packed(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """The connection of that kind that packs in C."""
    return _PACKED[kind]
