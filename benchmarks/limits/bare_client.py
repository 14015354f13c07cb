"""aiohttp's client alone: sends so many requests with so many under way, and does nothing else. Prints how long it took."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Iterator

import aiohttp

from benchmarks.marks import body_of


async def send(url: str, count: int, under_way: int) -> None:
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=under_way)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as group:
        for _ in range(under_way):
            group.create_task(_send(session, url, numbers))


async def _send(session: aiohttp.ClientSession, url: str, numbers: Iterator[int]) -> None:
    for number in numbers:
        async with session.post(url, data=body_of(number).encode()) as response:
            await response.read()


def main() -> None:
    parser = argparse.ArgumentParser(description="The least that sends webhooks.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--under-way", type=int, required=True)
    options = parser.parse_args()
    started_s = time.monotonic()
    asyncio.run(send(options.url, options.count, options.under_way))
    print(json.dumps({"seconds": time.monotonic() - started_s}))


if __name__ == "__main__":
    main()
