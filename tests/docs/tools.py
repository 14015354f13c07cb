"""``redis-cli`` and ``curl`` for machines that have none: as much of each as the documentation uses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from redis.connection import Connection

CURL = """
import signal, sys, urllib.request, urllib.error
words, method, headers, data, url, out, form = sys.argv[1:], None, {}, None, "", None, ""
while words:
    word = words.pop(0)
    if word in ("-s", "-N", "-sN"): continue
    if word == "-X": method = words.pop(0)
    elif word == "-H": name, _, value = words.pop(0).partition(":"); headers[name] = value.strip()
    elif word in ("-d", "--data-binary"):
        data = words.pop(0); data = sys.stdin.buffer.read() if data == "@-" else data.encode()
    elif word == "-o": out = words.pop(0)
    elif word == "-w": form = words.pop(0)
    elif word == "--max-time": signal.signal(signal.SIGALRM, lambda *_: sys.exit(28)); signal.alarm(int(words.pop(0)))
    elif word.startswith("-"): sys.exit("curl: unknown option " + word)
    else: url = word
request = urllib.request.Request("http://" + url.removeprefix("http://"), data, headers, method=method)
try: answer = urllib.request.urlopen(request)
except urllib.error.HTTPError as error: answer = error
with open(out or 1, "wb", closefd=bool(out)) as target:
    while part := answer.read1(65536): target.write(part); target.flush()
print(form.replace("%{http_code}", str(answer.status)).replace("\\\\n", "\\n"), end="")
"""


def curl_for_bash(folder: Path) -> str:
    """Lines of bash that make ``curl`` work on a machine that has none; '' where there is one."""
    if shutil.which("curl"):
        return ""
    script = folder / "curl.py"
    script.write_text(CURL)
    return f'curl() {{ {sys.executable} {script} "$@"; }}\n'


def redis_cli(port: int, words: list[str]) -> str:
    """What ``redis-cli`` shows in a terminal."""
    connection: Any = Connection(host="127.0.0.1", port=port, protocol=2)  # type: ignore[no-untyped-call] # the library leaves it so
    try:
        connection.send_command(*words)
        return _shown(connection.read_response(), "")
    finally:
        connection.disconnect()


def real_redis_cli(port: int, words: list[str]) -> str | None:
    """The same from the real one; ``None`` where the machine has none."""
    program = shutil.which("redis-cli")
    if program is None:
        return None
    command = [program, "--no-raw", "-p", str(port), *words]
    return subprocess.run(command, capture_output=True, check=True, text=True, timeout=20).stdout


def _shown(answer: Any, indent: str) -> str:
    if isinstance(answer, list):
        return _list_shown(answer, indent)
    if isinstance(answer, int):
        return f"(integer) {answer}\n"
    return "(nil)\n" if answer is None else f"{_quoted(answer)}\n"


def _list_shown(answer: list[Any], indent: str) -> str:
    if not answer:
        return "(empty array)\n"
    width, text = len(str(len(answer))), ""
    for number, part in enumerate(answer, 1):
        mark = f"{number:>{width}}) "
        text += (indent if number > 1 else "") + mark + _shown(part, indent + " " * len(mark))
    return text


def _quoted(text: bytes) -> str:
    return json.dumps(text.decode("ascii"))
