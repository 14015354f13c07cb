"""The calls of ``/health``. None needs an API key; with one, ``health`` tells more."""

from __future__ import annotations

from dataclasses import replace

from client.answers import Health, Ready
from client.call import Call, looks


def health() -> Call[Health]:
    """How the service is, for people. Repeated freely."""
    return looks("GET", "/health", Health)


def live() -> Call[Ready]:
    """Whether the process is alive. Repeated freely."""
    return looks("GET", "/health/live", Ready)


def ready() -> Call[Ready]:
    """Whether requests can be accepted. Where they cannot, that is the answer, with the reasons: it is not waited for."""
    return replace(looks("GET", "/health/ready", Ready), also=503)
