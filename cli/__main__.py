"""``python -m cli run [--scale consumers=2]``, ``python -m cli key --name billing --scopes schedule,read``."""

from __future__ import annotations

import argparse
import sys

from cli.key import key
from cli.run import SERVER_PORT, run
from cli.server import ServerFailed
from cli.supervisor import KILLED
from shared.errors import SettingsError
from shared.lifecycle import BAD_SETTINGS


def _scale(text: str) -> tuple[str, int]:
    name, _, count = text.partition("=")
    if not name or not count.isdigit() or not 0 <= int(count) <= 100:
        raise argparse.ArgumentTypeError(f"expected name=count such as consumers=2; got {text!r}")
    return name, int(count)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m cli", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run the whole service on this machine")
    running.add_argument("--scale", type=_scale, action="append", default=[], metavar="NAME=COUNT")
    running.add_argument("--server-port", type=int, default=SERVER_PORT, metavar="PORT", help="for the bundled server; 0: any")
    making = commands.add_parser("key", help="make an API key")
    making.add_argument("--name", required=True, help="for people; each name once")
    making.add_argument("--scopes", required=True, metavar="SCOPE,...", help="of schedule, read, admin")
    making.add_argument("--rate", type=float, metavar="N", help="messages and other requests a second; without: no limit")
    making.add_argument("--burst", type=int, metavar="N", help="how many may come at once; without: a second's worth")
    asked = parser.parse_args()
    try:
        if asked.command == "key":
            return key(asked.name, asked.scopes, asked.rate, asked.burst)
        return run(dict(asked.scale), asked.server_port)
    except SettingsError as error:
        sys.stderr.write(f"bad settings: {error}\n")
        return BAD_SETTINGS
    except ServerFailed as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:  # before the processes were started
        return KILLED


if __name__ == "__main__":
    sys.exit(main())
