"""Who may import whom, and who may do what: read from the source, so that no one slips in."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVICES = ("producer", "dispatcher", "consumers")
PACKAGES = (*SERVICES, "shared", "client", "cli", "examples")


def sources(*packages: str) -> list[Path]:
    return sorted(file for package in packages for file in (ROOT / package).rglob("*.py"))


def imported(file: Path) -> Iterator[str]:
    """Full names of all modules and names that a file imports, anywhere in it."""
    package = file.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def attributes(file: Path) -> set[str]:
    """Dotted names that a file uses, such as ``os.environ``."""
    return {
        ast.unparse(node) for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, ast.Attribute)
    }


def importers(files: list[Path], *roots: str) -> set[str]:
    """The files of those that import any of the roots or what is below them."""
    return {
        str(file.relative_to(ROOT))
        for file in files
        if any(name == root or name.startswith(f"{root}.") for name in imported(file) for root in roots)
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_there_is_something_to_look_at(package: str) -> None:
    """A rule about files that are not found would hold for ever."""
    assert sources(package)


@pytest.mark.parametrize("service", SERVICES)
def test_services_import_no_other_service(service: str) -> None:
    """What they share lies in ``shared``; each can be changed, started and replaced alone."""
    others = [one for one in (*PACKAGES, "tests") if one not in {service, "shared"}]

    assert importers(sources(service), *others) == set()
    assert importers(sources(service), "shared") != set()


def test_shared_imports_none_of_those_that_share_it() -> None:
    """Dependencies point one way."""
    assert importers(sources("shared"), *SERVICES, "client", "cli", "examples", "tests") == set()


def test_the_client_imports_nothing_of_the_service() -> None:
    """A caller's machine has that folder and two packages, and nothing else of this repository."""
    roots = {name.partition(".")[0] for file in sources("client") for name in imported(file)}

    assert roots - sys.stdlib_module_names == {"client", "httpx2", "msgspec"}


def installed_with(names: set[str]) -> set[str]:
    """These packages and what they bring along, by the metadata of what is installed; without their extras."""
    found, left = set[str](), {_plain(name) for name in names}
    while left:
        name = left.pop()
        found.add(name)
        required = [one for one in metadata.requires(name) or [] if "extra ==" not in one]
        wanted = {_plain(re.split(r"[^\w.-]", one)[0]) for one in required}
        left |= {one for one in wanted - found if any(metadata.Distribution.discover(name=one))}
    return found


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_image_has_every_package_that_the_services_import() -> None:
    """It is made of the first part of requirements.txt: a package that only the tests install is missing there."""
    service, marker, _ = (ROOT / "requirements.txt").read_text(encoding="utf-8").partition("# Tests and checks")
    assert marker
    pinned = installed_with(set(re.findall(r"^([\w.-]+)==", service, re.MULTILINE)))
    roots = {name.partition(".")[0] for file in sources(*SERVICES, "shared", "cli") for name in imported(file)}
    of_module = metadata.packages_distributions()

    outside = roots - sys.stdlib_module_names - set(PACKAGES) - {"client"}
    assert "aiohttp" in outside
    assert {root for root in outside if not {_plain(one) for one in of_module.get(root, [])} & pinned} == set()


def test_only_the_store_imports_redis() -> None:
    """Redis is known in one place; everything else speaks of messages, deliveries and outages."""
    found = importers(sources(*PACKAGES), "redis", "valkey", "hiredis")

    assert found != set()
    assert {name for name in found if not name.startswith("shared/store/")} == set()


def test_only_the_pool_starts_threads() -> None:
    """One place knows how many threads there are and what becomes of them."""
    starting = {"threading.Thread", "threading.Timer", "asyncio.to_thread"}
    pools = ("concurrent.futures", "multiprocessing", "_thread")
    starters = {
        str(file.relative_to(ROOT))
        for file in sources(*SERVICES, "shared")
        if starting & (attributes(file) | set(imported(file)))
        or any(used.endswith(".run_in_executor") for used in attributes(file))
    }

    assert starters == {"consumers/pool.py"}
    assert importers(sources(*SERVICES, "shared"), *pools) == set()


def test_only_the_settings_file_reads_the_environment() -> None:
    """A process does what its settings say: no module has a variable of its own."""
    reading = {"os.environ", "os.environb", "os.getenv", "os.getenvb"}

    readers = {
        str(file.relative_to(ROOT)) for file in sources(*SERVICES, "shared") if reading & (attributes(file) | set(imported(file)))
    }

    assert readers == {"shared/settings_file.py"}


def test_the_producer_knows_no_stream_and_the_dispatcher_no_handler() -> None:
    """Each knows its own stretch of the way: no producer dispatches or delivers, no dispatcher accepts or delivers."""
    assert importers(sources("producer"), "shared.store.delivery", "shared.store.due", "shared.store.scripts") == set()
    assert importers(sources("dispatcher"), "shared.store.accept", "shared.store.scripts") == set()
    assert importers(sources("consumers"), "shared.store.accept", "shared.store.scripts") == set()
