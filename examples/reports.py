"""An ``async def`` handler that asks for another time. Named as {"Name": "reports", "Handler": "examples.reports"}."""

import asyncio

from consumers import Message, Retry, handler

being_made: set[str] = set()
"""Names of reports; of this process only."""


@handler("reports")
async def make_report(message: Message) -> None:
    order = message.json()
    if order["name"] in being_made:
        raise Retry(after_ms=1_000, counts=False, reason="this report is being made")  # not now, and no fault of the message
    being_made.add(order["name"])
    try:
        await asyncio.sleep(order["seconds"])  # stands for the work
    finally:
        being_made.discard(order["name"])
