"""Tells an outage (wait and go on) from an error of ours (crash loudly).

Every way in which Redis can refuse for a while is in one table. Inside a script the same refusal arrives as part of a
longer text (Redis 6.2: ``ERR Error running script …: @user_script:3: -OOM command not allowed``), so the text is searched.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from redis import exceptions

from shared.errors import Outage

KINDS = {
    "LOADING": "loading",
    "READONLY": "readonly",
    "MISCONF": "misconf",
    "OOM": "oom",
    "NOREPLICAS": "noreplicas",
    "CLUSTERDOWN": "clusterdown",
    "MASTERDOWN": "masterdown",
    "TRYAGAIN": "tryagain",
    "MOVED": "moved",
    "ASK": "moved",
    "BUSY": "busy",
    "UNBLOCKED": "unblocked",
    "NOAUTH": "noauth",
    "WRONGPASS": "noauth",
    "NOPERM": "noauth",
    "ACL failure in script": "noauth",
    "The user executing the script can't": "noauth",
    "max number of clients reached": "clients",
    "DB index is out of range": "database",
    "invalid DB index": "database",
    "SELECT is not allowed": "database",
}
HINTS = {
    "noauth": "look at the user and the password in Redis.ConnectionString, and at what that user may do",
    "database": "look at the database in Redis.ConnectionString",
    "tls": "look at the host, the port and the ssl_ options in Redis.ConnectionString, and at the server's certificate",
    "protocol": "what answers there is no Redis: look at host and port in Redis.ConnectionString",
}
"""What to do where waiting alone will hardly help."""
_REFUSAL = re.compile(
    r"(?:^|[\s-])(LOADING|READONLY|MISCONF|OOM|NOREPLICAS|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|MOVED|ASK|BUSY|UNBLOCKED|NOAUTH|WRONGPASS|NOPERM)\b"
    r"|(ACL failure in script|The user executing the script can't"
    r"|max number of clients reached|DB index is out of range|invalid DB index|SELECT is not allowed)"
)
_CLASSES: tuple[tuple[type[Exception], str], ...] = (
    (exceptions.BusyLoadingError, "loading"),
    (exceptions.ReadOnlyError, "readonly"),
    (exceptions.OutOfMemoryError, "oom"),
    (exceptions.MasterDownError, "masterdown"),
    (exceptions.ClusterDownError, "clusterdown"),
    (exceptions.AskError, "moved"),
    (exceptions.TryAgainError, "tryagain"),
    (exceptions.AuthenticationError, "noauth"),
    (exceptions.AuthorizationError, "noauth"),
    (exceptions.NoPermissionError, "noauth"),
    (exceptions.NoScriptError, "noscript"),  # forgotten again between loading and running: a fail-over
    (exceptions.InvalidResponse, "protocol"),
    (exceptions.TimeoutError, "timeout"),
    (exceptions.ConnectionError, "connection"),
)


def outage_of(error: BaseException) -> Outage | None:
    """The outage that an error of the client library stands for; ``None`` where it is none."""
    if isinstance(error, ssl.SSLError) or (isinstance(error, exceptions.ConnectionError) and "[SSL" in str(error)):
        return _outage("tls", str(error))
    if isinstance(error, (OSError, TimeoutError)):
        return Outage("timeout" if isinstance(error, TimeoutError) else "connection", str(error) or type(error).__name__)
    if not isinstance(error, exceptions.RedisError):
        return None
    refusal = _REFUSAL.search(str(error))
    if refusal is None or refusal[1]:  # "max number of clients reached" comes as a plain ConnectionError
        for kind_of_error, kind in _CLASSES:
            if isinstance(error, kind_of_error):
                return _outage(kind, str(error))
    return _outage(KINDS[refusal[1] or refusal[2]], str(error)) if refusal else None


def _outage(kind: str, text: str) -> Outage:
    return Outage(kind, f"{text}; {HINTS[kind]}" if kind in HINTS else text)


@contextmanager
def outages() -> Iterator[None]:
    """Turns every refusal by Redis into ``Outage``; lets every other error through as it is."""
    try:
        yield
    except (exceptions.RedisError, OSError, TimeoutError) as error:
        outage = outage_of(error)
        if outage is None:
            raise
        raise outage from error
