"""The client for code that awaits. Used in one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Generic, ParamSpec, Self, TypeVar

import httpx2

from client import dead_letter_calls, event_calls, flow_calls, health_calls, message_calls, schedule_calls, topic_calls
from client.answers import Page
from client.call import Answered, Call, after
from client.event_answers import Event
from client.event_stream import SILENCE_S, Stream
from client.exchange import FAILURES, Exchange, Outcome
from client.fields import Durability
from client.retry import Retry
from client.target import RETRY, TIMEOUT_S, Target

Arguments = ParamSpec("Arguments")
Item = TypeVar("Item")


class _Sent(Generic[Arguments, Answered]):
    """A call as a method: it takes the call's arguments and gives its answer."""

    def __init__(self, describe: Callable[Arguments, Call[Answered]]) -> None:
        self._describe = describe

    def __get__(self, client: AsyncClient, _: type[AsyncClient]) -> Callable[Arguments, Coroutine[Any, Any, Answered]]:
        @wraps(self._describe)
        async def send(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answered:
            return await client.send(self._describe(*args, **kwargs))

        return send


class _Listed(Generic[Arguments, Item]):
    """A list as a method: it gives the items of all pages, and asks for a page when the one before is used up."""

    def __init__(self, describe: Callable[Arguments, Call[Page[Item]]]) -> None:
        self._describe = describe

    def __get__(self, client: AsyncClient, _: type[AsyncClient]) -> Callable[Arguments, AsyncIterator[Item]]:
        @wraps(self._describe)
        async def items(*args: Arguments.args, **kwargs: Arguments.kwargs) -> AsyncIterator[Item]:
            call: Call[Page[Item]] | None = self._describe(*args, **kwargs)
            while call is not None:
                page = await client.send(call)
                for item in page.items:
                    yield item
                call = after(call, page)

        return items


class _Streamed(Generic[Arguments]):
    """A stream as a method: it gives what comes, for ever."""

    def __init__(self, describe: Callable[Arguments, Call[Event]]) -> None:
        self._describe = describe

    def __get__(self, client: AsyncClient, _: type[AsyncClient]) -> Callable[Arguments, AsyncIterator[Event]]:
        @wraps(self._describe)
        async def events(*args: Arguments.args, **kwargs: Arguments.kwargs) -> AsyncIterator[Event]:
            async for event in client.stream(self._describe(*args, **kwargs)):
                yield event

        return events


class AsyncClient:
    """The service at ``url``; options as those of ``client.Client``. Every call raises ``client.Error``."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        durability: Durability | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = RETRY,
        http: httpx2.AsyncClient | None = None,
    ) -> None:
        self._target = Target(url, api_key, durability, timeout_s, retry)
        self._http = httpx2.AsyncClient() if http is None else http
        self._owns_http = http is None

    schedule = _Sent(message_calls.schedule)
    schedule_many = _Sent(message_calls.schedule_many)
    echo_at = _Sent(message_calls.echo_at)
    preview = _Sent(message_calls.preview)
    get = _Sent(message_calls.get)
    change = _Sent(message_calls.change)
    cancel = _Sent(message_calls.cancel)
    deliver_now = _Sent(message_calls.deliver_now)
    list_messages = _Listed(message_calls.list_messages)
    cancel_many = _Sent(message_calls.cancel_many)
    deliver_many_now = _Sent(message_calls.deliver_many_now)
    list_dead_letters = _Listed(dead_letter_calls.list_dead_letters)
    get_dead_letter = _Sent(dead_letter_calls.get_dead_letter)
    replay = _Sent(dead_letter_calls.replay)
    delete_dead_letter = _Sent(dead_letter_calls.delete_dead_letter)
    replay_many = _Sent(dead_letter_calls.replay_many)
    delete_many = _Sent(dead_letter_calls.delete_many)
    create_schedule = _Sent(schedule_calls.create_schedule)
    put_schedule = _Sent(schedule_calls.put_schedule)
    change_schedule = _Sent(schedule_calls.change_schedule)
    pause_schedule = _Sent(schedule_calls.pause_schedule)
    resume_schedule = _Sent(schedule_calls.resume_schedule)
    run_schedule = _Sent(schedule_calls.run_schedule)
    delete_schedule = _Sent(schedule_calls.delete_schedule)
    get_schedule = _Sent(schedule_calls.get_schedule)
    list_schedules = _Listed(schedule_calls.list_schedules)
    preview_schedule = _Sent(schedule_calls.preview_schedule)
    list_topics = _Sent(topic_calls.list_topics)
    get_topic = _Sent(topic_calls.get_topic)
    pause_topic = _Sent(topic_calls.pause_topic)
    resume_topic = _Sent(topic_calls.resume_topic)
    list_flow_keys = _Listed(flow_calls.list_flow_keys)
    get_flow_key = _Sent(flow_calls.get_flow_key)
    set_flow_limit = _Sent(flow_calls.set_flow_limit)
    unset_flow_limit = _Sent(flow_calls.unset_flow_limit)
    pause_flow_key = _Sent(flow_calls.pause_flow_key)
    resume_flow_key = _Sent(flow_calls.resume_flow_key)
    events = _Streamed(event_calls.events)
    list_log = _Listed(event_calls.list_log)
    health = _Sent(health_calls.health)
    live = _Sent(health_calls.live)
    ready = _Sent(health_calls.ready)

    async def send(self, call: Call[Answered]) -> Answered:
        """Sends a call until it is answered, or must not or cannot be repeated."""
        exchange, request = Exchange(call, self._target.retry), self._target.request(call)
        while True:
            try:
                outcome: Outcome = await self._http.request(**request)
            except FAILURES as failure:
                outcome = failure
            wait_s = exchange.wait_s(outcome)
            if wait_s is None:
                return exchange.answer
            await asyncio.sleep(wait_s)

    async def stream(self, call: Call[Event]) -> AsyncIterator[Event]:
        """Connects as often as it takes, until that fails too often."""
        stream, request = Stream(call, self._target.retry), self._target.request(call, SILENCE_S)
        while True:
            outcome: Outcome | None = None
            try:
                async with self._http.stream(**request) as response:
                    if response.is_success:
                        for event in stream.opened(response):
                            yield event
                        async for data in response.aiter_bytes():
                            for event in stream.read(data):
                                yield event
                    else:
                        await response.aread()
                        outcome = response
            except FAILURES as failure:
                outcome = failure
            await asyncio.sleep(stream.wait_s(outcome))

    async def close(self) -> None:
        """Closes its connections."""
        if self._owns_http:
            await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
