"""Which function handles which topic. Modules named in the settings register themselves by the decorator."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from consumers.message import Message
from shared.errors import SettingsError
from shared.settings import TopicSettings
from shared.store.entries import Follow, Settlement

if TYPE_CHECKING:
    from consumers.delivery import Delivery

Follows = Callable[["Delivery", Settlement, int], tuple[Follow, ...]]
"""The new messages that the end of a delivery makes; the number is when it ended (ms)."""
Function = Callable[[Message], object] | Callable[[Message], Awaitable[object]]
Registered = TypeVar("Registered", bound=Function)
ERROR_BYTES = 1024
FEWEST_ERROR_BYTES = 16


@dataclass(frozen=True, slots=True)
class Handler:
    function: Callable[[Message], object]
    asynchronous: bool
    error_bytes: int
    """How much of an attempt's error is kept with the message."""
    slots: int | None = None
    """How many of it run at once in a pool of its own; ``None``: it shares one with all others of its kind."""
    follows: Follows | None = None
    close: Callable[[], Awaitable[None]] | None = None
    """Called in the event loop of its own pool before that ends."""


_handlers: dict[str, Handler] = {}
_NONE: Mapping[str, Handler] = MappingProxyType({})


def handler(topic: str, *, error_bytes: int = ERROR_BYTES) -> Callable[[Registered], Registered]:
    """Registers a ``def`` or ``async def`` function of one message as the handler of a topic.

    Raises ``ValueError`` where the topic has another one.
    """
    if error_bytes < FEWEST_ERROR_BYTES:
        raise ValueError(f"error_bytes: expected {FEWEST_ERROR_BYTES} or more, got {error_bytes}")

    def register(function: Registered) -> Registered:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise ValueError(f"{_name(function)} has a yield: nothing of it would run; return instead")
        known = _handlers.get(topic)
        if known is not None and known.function is not function and _name(known.function) != _name(function):
            raise ValueError(f"topic {topic!r} has a handler already: {_name(known.function)}")
        _handlers[topic] = Handler(function, inspect.iscoroutinefunction(function), error_bytes)
        return function

    return register


def _name(function: object) -> str:
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', function)}"


def load_handlers(topics: dict[str, TopicSettings], ready: Mapping[str, Handler] = _NONE) -> dict[str, Handler]:
    """Imports the module of every topic and gives its handler. ``ready``: by module, those that need no import.

    Raises ``SettingsError``.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    found = {}
    for name, topic in topics.items():
        if topic.handler in ready:
            found[name] = ready[topic.handler]
            continue
        key = f"Topics[{name}].Handler"
        try:
            importlib.import_module(topic.handler)
        except Exception as error:  # whatever a user's module raises while it is imported
            reason = f"{type(error).__name__}: {error}"
            raise SettingsError(key, topic.handler, f"expected a module that can be imported: {reason}") from error
        if name not in _handlers:
            raise SettingsError(key, topic.handler, f'expected a module with a function decorated @handler("{name}")')
        found[name] = _handlers[name]
    return found
