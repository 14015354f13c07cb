"""The calls of ``/topics``; see ``client.message_calls``."""

from __future__ import annotations

from client.answers import Topic, Topics
from client.call import Call, changes, looks, path


def list_topics() -> Call[Topics]:
    """What waits, is late and runs in each topic, and who works on it. Repeated freely."""
    return looks("GET", "/topics", Topics)


def get_topic(topic: str) -> Call[Topic]:
    """One of them. Repeated freely."""
    return looks("GET", path("topics", topic), Topic)


def pause_topic(topic: str) -> Call[Topic]:
    """Within two seconds nothing new of it is delivered. Needs the scope ``admin``. Repeated after any failure."""
    return changes("POST", path("topics", topic, "pause"), Topic, repeatable=True, durability=None)


def resume_topic(topic: str) -> Call[Topic]:
    """Within two seconds it goes on. Needs the scope ``admin``. Repeated after any failure."""
    return changes("POST", path("topics", topic, "resume"), Topic, repeatable=True, durability=None)
