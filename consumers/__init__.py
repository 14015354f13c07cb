"""Work to effect: reads deliveries, runs handlers, settles. Knows no due set and no HTTP API.

For authors of handlers::

    from consumers import Message, handler


    @handler("reminders")
    def remind(message: Message) -> None:
        print(message.text)
"""

from consumers.message import Message
from consumers.outcomes import Dead, Retry
from consumers.registry import handler

__all__ = ["Dead", "Message", "Retry", "handler"]
