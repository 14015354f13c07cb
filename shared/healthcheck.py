"""``python -m shared.healthcheck``: whether the service in this container is ready, as the container's exit code.

Asks the ports of the settings in turn; the first that somebody listens on is the service of this container, and its answer
decides. It starts nothing, writes no log and never talks to Redis itself.
"""

from __future__ import annotations

import http.client
import sys

from shared.settings import Settings
from shared.settings_file import load_settings

TIMEOUT_S = 3.0


def addresses(settings: Settings) -> list[tuple[str, int]]:
    """Where a service of these settings can be asked from its own machine."""
    return [(_reachable(one.host), one.port) for one in (settings.producer, settings.dispatcher, settings.consumers)]


def _reachable(host: str) -> str:
    """A service that listens on every address is asked on loopback."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound


def ask(host: str, port: int) -> tuple[bool, str]:
    """Whether the service there is ready, and its answer. Raises ``OSError`` where nobody listens or answers."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/health/ready")
        answer = connection.getresponse()
        return answer.status == http.HTTPStatus.OK, answer.read(4096).decode("utf-8", "replace")
    finally:
        connection.close()


def main() -> int:
    for host, port in addresses(load_settings()):
        try:
            ready, text = ask(host, port)
        except ConnectionRefusedError:
            continue
        except (OSError, http.client.HTTPException) as error:
            ready, text = False, f"{host}:{port}: {error!r}"
        print(text)
        return 0 if ready else 1
    print("no service listens")
    return 1


if __name__ == "__main__":
    sys.exit(main())
