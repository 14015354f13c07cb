"""``python -m cli key``."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from shared.api_keys import hash_of
from shared.settings_file import load_settings
from tests.system.service import ROOT


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cli", "key", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_a_key_is_shown_once_and_its_entry_can_be_copied() -> None:
    """The key alone goes to standard output, so that a script can take it; the entry is one that the settings accept."""
    done = run("--name", "billing", "--scopes", "schedule,read", "--rate", "100", "--burst", "200")

    assert done.returncode == 0, done.stderr
    key = done.stdout.removesuffix("\n")
    assert key.startswith("mss_billing_")
    assert key not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("{")]
    (made,) = load_settings({"Auth__Keys": f"[{line}]"}, ROOT / "appsettings.json").auth.keys
    assert (made.name, made.scopes, made.rate_per_s, made.burst) == ("billing", ("schedule", "read"), 100, 200)
    assert made.hash == hash_of(key)
    assert "RatePerS" in json.loads(line)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--name", "bil ling", "--scopes", "read"), "1 to 32 letters"),
        (("--name", "billing", "--scopes", "write"), "expected one of schedule, read, admin"),
        (("--name", "billing", "--scopes", "read", "--burst", "5"), "expected RatePerS beside it"),
    ],
)
def test_what_the_settings_would_refuse_is_not_made(words: tuple[str, ...], says: str) -> None:
    """Better here than at the producer's next start."""
    done = run(*words)

    assert (done.returncode, done.stdout) == (78, "")
    assert says in done.stderr
