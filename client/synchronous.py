"""The client for code that waits. May be used by many threads at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import wraps
from types import TracebackType
from typing import Generic, ParamSpec, Self, TypeVar

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

    def __get__(self, client: Client, _: type[Client]) -> Callable[Arguments, Answered]:
        @wraps(self._describe)
        def send(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answered:
            return client.send(self._describe(*args, **kwargs))

        return send


class _Listed(Generic[Arguments, Item]):
    """A list as a method: it gives the items of all pages, and asks for a page when the one before is used up."""

    def __init__(self, describe: Callable[Arguments, Call[Page[Item]]]) -> None:
        self._describe = describe

    def __get__(self, client: Client, _: type[Client]) -> Callable[Arguments, Iterator[Item]]:
        @wraps(self._describe)
        def items(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Iterator[Item]:
            call: Call[Page[Item]] | None = self._describe(*args, **kwargs)
            while call is not None:
                page = client.send(call)
                yield from page.items
                call = after(call, page)

        return items


class _Streamed(Generic[Arguments]):
    """A stream as a method: it gives what comes, for ever."""

    def __init__(self, describe: Callable[Arguments, Call[Event]]) -> None:
        self._describe = describe

    def __get__(self, client: Client, _: type[Client]) -> Callable[Arguments, Iterator[Event]]:
        @wraps(self._describe)
        def events(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Iterator[Event]:
            yield from client.stream(self._describe(*args, **kwargs))

        return events


class Client:
    """The service at ``url``.

    ``timeout_s`` bounds each step of a try: to connect, to send, to wait for what comes next. ``durability`` holds for every
    change that does not ask for another. ``http``: a client of httpx2 with settings of its own (TLS, proxies, limits), which
    the caller closes. Every call raises ``client.Error``.
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        durability: Durability | None = None,
        timeout_s: float = TIMEOUT_S,
        retry: Retry = RETRY,
        http: httpx2.Client | None = None,
    ) -> None:
        self._target = Target(url, api_key, durability, timeout_s, retry)
        self._http = httpx2.Client() if http is None else http
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

    def send(self, call: Call[Answered]) -> Answered:
        """Sends a call until it is answered, or must not or cannot be repeated."""
        exchange, request = Exchange(call, self._target.retry), self._target.request(call)
        while True:
            try:
                outcome: Outcome = self._http.request(**request)
            except FAILURES as failure:
                outcome = failure
            wait_s = exchange.wait_s(outcome)
            if wait_s is None:
                return exchange.answer
            time.sleep(wait_s)

    def stream(self, call: Call[Event]) -> Iterator[Event]:
        """Connects as often as it takes, until that fails too often."""
        stream, request = Stream(call, self._target.retry), self._target.request(call, SILENCE_S)
        while True:
            outcome: Outcome | None = None
            try:
                with self._http.stream(**request) as response:
                    if response.is_success:
                        for event in stream.opened(response):
                            yield event
                        for data in response.iter_bytes():
                            for event in stream.read(data):
                                yield event
                    else:
                        response.read()
                        outcome = response
            except FAILURES as failure:
                outcome = failure
            time.sleep(stream.wait_s(outcome))

    def close(self) -> None:
        """Closes its connections."""
        if self._owns_http:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
