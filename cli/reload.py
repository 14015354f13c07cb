"""``python -m cli.reload producer``: runs a service and starts it again when its code or the settings change. For development.

A service that ends by itself is started again too, after a pause: whoever watches this process sees one that stays.
SIGTERM and SIGINT go on to the service, which gets all the time that its own grace allows.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from watchfiles import Change, DefaultFilter, awatch

SERVICES = ("producer", "dispatcher", "consumers")
SUFFIXES = (".py", ".lua", ".json")
RESTART_S = 1.0
DEBOUNCE_MS = 200
"""Files that are saved within this time of each other are one change."""


class _Code(DefaultFilter):
    """What a running service was made of; the default filter leaves out caches and editors' leavings."""

    def __call__(self, change: Change, path: str) -> bool:
        return path.endswith(SUFFIXES) and super().__call__(change, path)


def watched(service: str, root: Path) -> list[Path]:
    """Every package but the other services and the tests (a handler may lie in any), and the settings."""
    foreign = {*SERVICES, "tests"} - {service}
    packages = [file.parent for file in sorted(root.glob("*/__init__.py")) if file.parent.name not in foreign]
    return [*packages, *root.glob("appsettings.json")]


class Reloader:
    def __init__(self, service: str, root: Path) -> None:
        self._command = (sys.executable, "-m", service)
        self._service = service
        self._paths = watched(service, root)
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Until it is told to stop; returns the exit code that the service then ended with."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        watching = asyncio.create_task(self._watch())
        code = 0
        while not self._stop.is_set():
            self._changed.clear()
            code = await self._run_once()
        await watching
        return code

    async def _run_once(self) -> int:
        """One life of the service; returns its exit code."""
        process = await asyncio.create_subprocess_exec(*self._command, start_new_session=True)
        ended = asyncio.create_task(process.wait())
        await self._either(ended)
        if not ended.done():
            process.terminate()
            return await ended
        _say(f"{self._service} ended with {process.returncode}; starting it again")
        await self._either(asyncio.create_task(asyncio.sleep(RESTART_S)))
        return ended.result()

    async def _either(self, task: asyncio.Task[object] | asyncio.Task[int] | asyncio.Task[None]) -> None:
        """Waits for the task, a change or the order to stop, whichever comes first."""
        others = [asyncio.create_task(event.wait()) for event in (self._changed, self._stop)]
        await asyncio.wait([task, *others], return_when=asyncio.FIRST_COMPLETED)
        for one in others:
            one.cancel()

    async def _watch(self) -> None:
        async for changes in awatch(*self._paths, watch_filter=_Code(), debounce=DEBOUNCE_MS, stop_event=self._stop):
            _say(f"{self._service} starts again: {', '.join(sorted(path for _, path in changes))} changed")
            self._changed.set()


def _say(text: str) -> None:
    print(f"reload | {text}", file=sys.stderr, flush=True)


def main() -> int:
    service = sys.argv[1] if len(sys.argv) == 2 else ""
    if service not in SERVICES:
        sys.stderr.write(f"usage: python -m cli.reload {'|'.join(SERVICES)}\n")
        return 2

    async def run() -> int:
        return await Reloader(service, Path()).run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
