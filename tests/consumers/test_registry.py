"""How functions become handlers, and what is said at start where they do not."""

from __future__ import annotations

import sys
from pathlib import Path
from secrets import token_hex

import pytest

from consumers import Dead, Message, handler
from consumers.handlers.echo import echo
from consumers.registry import ERROR_BYTES, load_handlers
from shared.errors import SettingsError
from shared.settings import ECHO, TopicSettings
from tests.consumers.making import make_delivery


@pytest.fixture
def name() -> str:
    """A topic and module that no other test knows."""
    return f"topic_{token_hex(6)}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of a user with modules of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


def _write(folder: Path, name: str, text: str) -> TopicSettings:
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return TopicSettings(name=name, handler=name)


def test_a_module_of_the_working_directory_is_found(folder: Path, name: str) -> None:
    """Named in the settings, it is imported, and its decorated function is the topic's handler."""
    text = f'from consumers import handler\n\n@handler("{name}", error_bytes=2048)\ndef work(message): return 42\n'
    topic = _write(folder, name, text)

    found = load_handlers({name: topic})

    assert list(found) == [name]
    assert (found[name].asynchronous, found[name].error_bytes) == (False, 2048)
    assert found[name].function(make_delivery().start()) == 42


def test_async_functions_are_known_as_such(folder: Path, name: str) -> None:
    """An ``async def`` goes to the event loop, and keeps the default size of errors."""
    topic = _write(folder, name, f'from consumers import handler\n\n@handler("{name}")\nasync def work(message): pass\n')

    found = load_handlers({name: topic})

    assert (found[name].asynchronous, found[name].error_bytes) == (True, ERROR_BYTES)


def test_the_decorator_gives_the_function_back(name: str) -> None:
    """It can still be called and tested as what it is."""

    def work(message: Message) -> None:
        """Does nothing."""

    assert handler(name)(work) is work


def test_a_module_that_is_missing_is_refused(name: str) -> None:
    """The error names the key, the module, and what was expected."""
    with pytest.raises(
        SettingsError, match=rf"Topics\[{name}\]\.Handler = '{name}': expected a module that can be imported"
    ) as told:
        load_handlers({name: TopicSettings(name=name, handler=name)})

    assert told.value.key == f"Topics[{name}].Handler"


def test_a_module_whose_own_import_is_missing_is_refused(folder: Path, name: str) -> None:
    """The error names what could not be imported."""
    topic = _write(folder, name, "import nothing_of_that_name\n")

    with pytest.raises(SettingsError, match="nothing_of_that_name"):
        load_handlers({name: topic})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def work(message:\n", "SyntaxError"),
        ("from consumers import Retyr\n", "ImportError"),
        ("raise RuntimeError('no key')\n", "RuntimeError: no key"),
        ("from consumers import handler\n\n@handler('generated')\ndef work(message):\n    yield\n", "has a yield"),
        ("from consumers import handler\n\n@handler('generated')\nasync def work(message):\n    yield\n", "has a yield"),
    ],
)
def test_a_module_that_fails_to_import_is_refused_with_why(folder: Path, name: str, text: str, told: str) -> None:
    """Whatever it raises: starting the process again would not help, so the setting is named."""
    topic = _write(folder, name, text)

    with pytest.raises(SettingsError, match=told) as refused:
        load_handlers({name: topic})

    assert refused.value.key == f"Topics[{name}].Handler"


def test_a_module_without_the_topic_is_refused(folder: Path, name: str) -> None:
    """A module that registers another topic says which decorator is missing."""
    text = f'from consumers import handler\n\n@handler("{name}_other")\ndef work(message): pass\n'
    topic = _write(folder, name, text)

    with pytest.raises(SettingsError, match=rf'expected a module with a function decorated @handler\("{name}"\)'):
        load_handlers({name: topic})


def test_two_handlers_for_one_topic_are_refused(name: str) -> None:
    """The second one fails where it is written, and the first one stays."""

    @handler(name)
    def first(message: Message) -> None:
        """Does nothing."""

    with pytest.raises(ValueError, match=rf"topic '{name}' has a handler already: .*first"):

        @handler(name)
        def second(message: Message) -> None:
            """Does nothing."""


def test_a_module_that_is_loaded_again_may_register_again(name: str) -> None:
    """The same function of the same module, after a reload, takes the place of the old one."""

    def make() -> object:
        @handler(name)
        def work(message: Message) -> None:
            """Does nothing."""

        return work

    assert make() is not make()


@pytest.mark.parametrize("size", [-1, 0, 15])
def test_a_size_of_errors_that_keeps_nothing_is_refused(name: str, size: int) -> None:
    """An error must have room for a word."""
    with pytest.raises(ValueError, match="error_bytes: expected 16 or more"):
        handler(name, error_bytes=size)


def test_the_example_works(capsys: pytest.CaptureFixture[str]) -> None:
    """The reminders of the README: one is printed, one without addressee is dead, one that is no JSON fails."""
    found = load_handlers({"reminders": TopicSettings(name="reminders", handler="examples.reminders")})
    remind = found["reminders"].function
    message = make_delivery(topic="reminders", body=b'{"to": "Ada", "text": "tea at five"}').start()

    remind(message)

    assert capsys.readouterr().out == f"Ada: tea at five (attempt 1, message {message.id})\n"
    with pytest.raises(Dead, match="a reminder needs somebody to remind"):
        remind(make_delivery(body=b'{"text": "tea"}').start())
    with pytest.raises(ValueError, match="no JSON"):
        remind(make_delivery(body=b"tea").start())


def test_echo_is_built_in_and_prints_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The topic that is always there writes its message with control characters escaped."""
    assert load_handlers({"echo": ECHO})["echo"].function is echo

    echo(make_delivery(topic="echo", body="first\nsecond \x1b[31m grün".encode()).start())

    assert capsys.readouterr().out == "first\\nsecond \\x1b[31m grün\n"
