"""The examples that people copy from. Their way through the service is run with the README."""

from __future__ import annotations

import asyncio
import json

import pytest

from consumers import Dead, Message, Retry
from examples.reminders import remind
from examples.reports import being_made, make_report
from tests.support.waiting import eventually


def message(body: object) -> Message:
    content = json.dumps(body).encode()
    return Message("reports-0-38gbfdi1lcb8bb5002emg", "reports", content, "application/json", 1, 0, 0, 0, {}, (), None)


def test_a_reminder_is_printed_with_its_message_id(capsys: pytest.CaptureFixture[str]) -> None:
    """Who is reminded of what, which attempt it is, and the id to recognise a repeat by."""
    remind(message({"to": "Ada", "text": "tea"}))

    assert capsys.readouterr().out == "Ada: tea (attempt 1, message reports-0-38gbfdi1lcb8bb5002emg)\n"


def test_a_reminder_to_nobody_is_dead_at_once() -> None:
    """What no other attempt would mend is not retried."""
    with pytest.raises(Dead, match="somebody to remind"):
        remind(message({"text": "tea"}))


async def test_a_report_waits_for_the_one_of_its_name_at_no_attempt() -> None:
    """One of a name at a time: the second asks for another time without counting, another name runs beside it."""
    assert being_made == set()
    first = asyncio.create_task(make_report(message({"name": "sales", "seconds": 60})))
    await eventually(lambda: being_made == {"sales"})

    with pytest.raises(Retry) as asked:
        await make_report(message({"name": "sales", "seconds": 0}))
    await make_report(message({"name": "stock", "seconds": 0}))

    assert (asked.value.after_ms, asked.value.counts) == (1000, False)
    assert being_made == {"sales"}
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert being_made == set()
