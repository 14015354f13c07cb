"""Ports of this machine, and one command to a local server: for starting and stopping only."""

from __future__ import annotations

import socket


def ask(port: int, *words: str) -> str:
    """One command to a local server, as it answers. Raises ``OSError``."""
    command = f"*{len(words)}\r\n" + "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(command.encode())
        return connection.recv(4096).decode(errors="replace")


def answer_of(port: int, *words: str) -> str:
    """The same; '' where there is none."""
    try:
        return ask(port, *words)
    except OSError:
        return ""


def free_port(wanted: int) -> int:
    """``wanted`` where it is free, else any free port of loopback."""
    if wanted and is_free(wanted):
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
