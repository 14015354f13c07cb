"""Settings: what is read, what wins, and what is refused with which words."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from shared.errors import SettingsError
from shared.settings import Settings
from shared.settings_file import explicit, load_settings

ROOT = Path(__file__).parents[2]
SECRET = "hunter2"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "appsettings.json"


def load(file: Path, content: Any = None, **environment: str) -> Settings:
    file.write_text(content if isinstance(content, str) else json.dumps(content or {}), encoding="utf-8")
    return load_settings(environment, file)


def test_the_smallest_file_is_complete(file: Path) -> None:
    """One connection string is all that anybody has to write; everything else has its documented default."""
    settings = load(file, '{"Redis": {"ConnectionString": "localhost"}}')

    assert settings == Settings()
    assert (settings.producer.host, settings.producer.port, settings.dispatcher.port, settings.consumers.port) == (
        "127.0.0.1", 3000, 3001, 3002,
    )  # fmt: skip
    assert (settings.dispatcher.batch_size, settings.consumers.batch_size, settings.consumers.threads) == (100, 100, 10)
    assert (settings.consumers.lease_ms, settings.consumers.grace_ms, settings.consumers.claim_max_ms) == (10_000, 8_000, 60_000)
    limits = settings.producer
    assert (limits.max_body_bytes, limits.max_request_bytes, limits.max_batch, limits.horizon_days) == (
        2**20, 32 * 2**20, 10_000, 3_650,
    )  # fmt: skip
    retry = settings.retry
    assert (retry.max_attempts, retry.initial_ms, retry.max_ms, retry.factor, retry.jitter) == (5, 1_000, 300_000, 2, 0.2)
    assert list(settings.all_topics()) == ["echo", "webhook"]


def test_the_file_of_the_repository_loads() -> None:
    """What a newcomer finds is right."""
    assert load_settings({}, ROOT / "appsettings.json").redis.connection_string == "localhost"


def test_without_a_file_all_defaults_hold(tmp_path: Path) -> None:
    """A missing default file is no mistake; a file that was named and is missing is one."""
    assert load_settings({}, tmp_path / "none.json") == Settings()
    with pytest.raises(SettingsError, match=r"APPSETTINGS = .*none\.json.*no such file"):
        load_settings({"APPSETTINGS": str(tmp_path / "none.json")})


def test_a_file_that_is_named_in_the_environment_is_read(file: Path) -> None:
    """``APPSETTINGS`` chooses the file."""
    file.write_text('{"Producer": {"Port": 4000}}')

    assert load_settings({"APPSETTINGS": str(file)}).producer.port == 4000


def test_settings_are_frozen(file: Path) -> None:
    """Read once, then nobody changes them."""
    with pytest.raises(AttributeError):
        load(file).producer.port = 1  # type: ignore[misc]


def test_the_environment_wins_over_the_file_key_by_key(file: Path) -> None:
    """An override replaces its key and leaves its neighbours."""
    content = {"Producer": {"Port": 4000, "MaxBatch": 7}, "Retry": {"Factor": 3}}

    settings = load(file, content, Producer__Port="5000", Retry__Jitter="0.5", Consumers__Threads="3", Partitions="4")

    assert (settings.producer.port, settings.producer.max_batch) == (5000, 7)
    assert (settings.retry.factor, settings.retry.jitter) == (3, 0.5)
    assert (settings.consumers.threads, settings.partitions) == (3, 4)


@pytest.mark.parametrize("text", ["true", "True", "1"])
def test_a_flag_is_written_as_people_write_it(file: Path, text: str) -> None:
    """All of these switch it on."""
    assert load(file, Auth__Disabled=text).auth.disabled is True


@pytest.mark.parametrize("text", ["[::1]:6379", "{weird}", "user[1]", "1"])
def test_a_text_from_the_environment_stays_text(file: Path, text: str) -> None:
    """An IPv6 address is no JSON, and a number is a text where a text is expected."""
    assert load(file, Redis__ConnectionString=text).redis.connection_string == text


def test_topics_come_from_the_environment_as_json(file: Path) -> None:
    """The whole list, in place of the file's."""
    topics = '[{"Name": "mail", "Handler": "my.mail", "Retry": {"MaxAttempts": 3}, "DeadlineMs": 500}]'

    settings = load(file, {"Topics": [{"Name": "old", "Handler": "my.old"}]}, Topics=topics)

    assert list(settings.all_topics()) == ["echo", "webhook", "mail"]
    mail = settings.topics[0]
    assert (mail.handler, mail.retry.max_attempts, mail.retry.factor, mail.deadline_ms) == ("my.mail", 3, None, 500)


def test_a_worker_runs_the_topics_that_it_is_told_or_all(file: Path) -> None:
    """From the file, or from the environment as JSON."""
    topics = [{"Name": name, "Handler": f"my.{name}"} for name in ("mail", "reports")]

    every = load(file, {"Topics": topics})
    some = load(file, {"Topics": topics, "Consumers": {"Topics": ["reports"]}})
    others = load(file, {"Topics": topics, "Consumers": {"Topics": ["reports"]}}, Consumers__Topics='["mail", "echo"]')

    assert list(every.run_topics()) == ["echo", "webhook", "mail", "reports"]
    assert list(some.run_topics()) == ["reports"]
    assert list(others.run_topics()) == ["mail", "echo"]
    assert list(some.all_topics()) == ["echo", "webhook", "mail", "reports"]


def test_what_is_not_ours_in_the_environment_is_left_alone(file: Path) -> None:
    """Other programs' variables are no settings of ours."""
    assert (
        load(file, PATH="/bin", Other__Key="x", __="x", Redis="x", LANG="C__x", Auth0__Domain="x", Log__Level="x") == Settings()
    )


@pytest.mark.parametrize(
    ("content", "key", "value", "expected"),
    [
        ({"Foo": 1}, "Foo", "1", "there is no such setting"),
        ({"redis": {}}, "redis", "an object", "there is no such setting; did you mean Redis?"),
        ({"Producer": {"port": 1}}, "Producer.port", "1", "there is no such setting; did you mean Port?"),
        ({"Consumers": {"Thread": 1}}, "Consumers.Thread", "1", "did you mean Threads?"),
        ({"Topics": [{"Name": "a", "Handlr": "m"}]}, "Topics[0].Handlr", "'m'", "did you mean Handler?"),
        ({"Topics": [{"Name": "a", "Retry": {"Maxms": 1}}]}, "Topics[0].Retry.Maxms", "1", "did you mean MaxMs?"),
        ({"Redis": {"Foo": "x"}}, "Redis.Foo", "'x'", "there is no such setting"),
        ({"Redis": "localhost"}, "Redis", "'localhost'", "expected an object, got a text"),
        ({"Redis": None}, "Redis", "None", "expected an object, got null"),
        ({"Redis": {"ConnectionString": ""}}, "Redis.ConnectionString", "'***'", "length >= 1"),
        ({"Redis": {"KeyPrefix": "a:b"}}, "Redis.KeyPrefix", "'a:b'", "1 to 64 letters, digits"),
        ({"Redis": {"KeyPrefix": "ab\n"}}, "Redis.KeyPrefix", r"'ab\n'", "1 to 64 letters, digits"),
        ({"Producer": {"Port": "3000"}}, "Producer.Port", "'3000'", "expected a whole number, got a text"),
        ({"Producer": {"Port": True}}, "Producer.Port", "True", "expected a whole number, got true or false"),
        ({"Producer": {"Port": 65536}}, "Producer.Port", "65536", "expected a whole number <= 65535"),
        ({"Producer": {"Port": -1}}, "Producer.Port", "-1", "expected a whole number >= 0"),
        ({"Producer": {"MaxInFlightBytes": 2**20}}, "Producer.MaxRequestBytes", str(2**25), "most Producer.MaxInFlightBytes"),
        ({"Producer": {"MaxBodyBytes": 2**26}}, "Producer.MaxBodyBytes", str(2**26), "at most Producer.MaxRequestBytes"),
        ({"Retry": {"Factor": 0.5}}, "Retry.Factor", "0.5", "expected a number >= 1.0"),
        ('{"Retry": {"Factor": NaN}}', "Retry.Factor", "nan", "expected a number >= 1.0"),
        ({"Consumers": {"LeaseMs": 10}}, "Consumers.LeaseMs", "10", "expected a whole number >= 200"),
        ({"Logging": {"Level": "info"}}, "Logging.Level", "'info'", "TRACE, DEBUG, INFO, WARNING, ERROR, CRITICAL"),
        ({"Logging": {"Format": "xml"}}, "Logging.Format", "'xml'", "expected one of text, json"),
        ({"Durability": "disk"}, "Durability", "'disk'", "expected one of memory, fsync, replica"),
        ({"Partitions": 0}, "Partitions", "0", "expected a whole number >= 1"),
        ({"Topics": {}}, "Topics", "an object", "expected a list, got an object"),
        ({"Topics": [{"Handler": "m"}]}, "Topics[0].Name", "None", "this setting is required"),
        ({"Topics": [{"Name": "a", "Handler": "m"}, {"Name": "b"}]}, "Topics[1].Handler", "None", "this setting is required"),
        ({"Topics": [{"Name": "a b", "Handler": "m"}]}, "Topics[0].Name", "'a b'", "a letter and then"),
        ({"Topics": [{"Name": "a\n", "Handler": "m"}]}, "Topics[0].Name", r"'a\n'", "a letter and then"),
        ({"Topics": [{"Name": "a", "Handler": "m", "Retry": {"Max": 1}}]}, "Topics[0].Retry.Max", "1", "no such setting"),
        ({"Topics": [{"Name": "echo", "Handler": "m"}]}, "Topics", "echo", "built in"),
        ({"Consumers": {"Topics": ["echo", "mail"]}}, "Consumers.Topics[1]", "mail", "expected one of echo"),
        ({"Consumers": {"Topics": ["a b"]}}, "Consumers.Topics[0]", "'a b'", "a letter and then"),
        ({"Consumers": {"Topics": "echo"}}, "Consumers.Topics", "'echo'", "expected a list, got a text"),
        ({"Topics": [{"Name": "a", "Handler": "m"}] * 2}, "Topics", "a", "each topic once"),
        ({"Topics": [{"Name": "a", "Handler": "m", "Priority": "x"}]}, "Topics[0].Priority", "'x'", "of high, normal, low"),
        ({"Topics": [{"Name": "webhook", "Handler": "m"}]}, "Topics", "webhook", "expected Handler consumers.webhooks"),
        ({"Webhooks": {"AllowedNetworks": ["10.0.0.1/8"]}}, "Webhooks.AllowedNetworks", "'10.0.0.1/8'", "host bits set"),
        ({"Webhooks": {"AllowedNetworks": "10.0.0.0/8"}}, "Webhooks.AllowedNetworks", "'10.0.0.0/8'", "expected a list"),
        ({"Webhooks": {"AllowedPorts": ["80", "9-8"]}}, "Webhooks.AllowedPorts", "'9-8'", "the lower end of a range first"),
        ({"Webhooks": {"AllowedPorts": [80]}}, "Webhooks.AllowedPorts[0]", "80", "expected a text, got a whole number"),
        ({"Webhooks": {"AllowedPorts": ["all"]}}, "Webhooks.AllowedPorts[0]", "'all'", "a range such as 8000-8999"),
        ({"Webhooks": {"AllowedSchemes": ["ftp"]}}, "Webhooks.AllowedSchemes[0]", "'ftp'", "expected one of http, https"),
        ({"Producer": {"Host": "0.0.0.0"}}, "Producer.Host", "0.0.0.0", "Auth.Disabled"),
        ({"Producer": {"Host": "::"}}, "Producer.Host", "::", "Auth.Disabled"),
    ],
)
def test_a_wrong_file_is_refused_with_key_value_and_expectation(
    file: Path, content: Any, key: str, value: str, expected: str
) -> None:
    """Who reads the error knows what to write instead."""
    with pytest.raises(SettingsError) as refused:
        load(file, content)

    text = str(refused.value)
    assert text.startswith(f"{key} = ")
    assert value in text
    assert expected in text
    assert "`" not in text


@pytest.mark.parametrize(
    ("name", "text", "key", "expected"),
    [
        ("Redis__Foo", "1", "Redis.Foo", "there is no such setting"),
        ("Producer__port", "1", "Producer.port", "there is no such setting; did you mean Port?"),
        ("Prodcer__Port", "1", "Prodcer__Port", "did you mean Producer__Port?"),
        ("Consumer__Thread", "1", "Consumer__Thread", "did you mean Consumers__Threads?"),
        ("REDDIS__CONNECTIONSTRING", "x", "REDDIS__CONNECTIONSTRING", "did you mean Redis__ConnectionString?"),
        ("Producer__Port__X", "1", "Producer.Port__X", "there is no such setting"),
        ("Producer__Port", "abc", "Producer.Port", "a whole number"),
        ("Producer__Port", "", "Producer.Port", "a whole number"),
        ("Consumers__Threads", "1.5", "Consumers.Threads", "a whole number"),
        ("Retry__Factor", "nan", "Retry.Factor", "a number"),
        ("Auth__Disabled", "perhaps", "Auth.Disabled", "true or false"),
        ("Topics", "mail", "Topics", "JSON"),
        ("Topics", "{}", "Topics", "expected a list"),
        ("Consumers__Topics", "echo", "Consumers__Topics", "JSON"),
        ("Consumers__Topics", '["mail"]', "Consumers.Topics[0]", "expected one of echo"),
        ("Topics__0__Name", "mail", "Topics__0__Name", "given whole, as JSON"),
        ("Redis__", "x", "Redis__", "Redis__…"),
        ("Topics__", "[]", "Topics__", "given whole"),
        ("Partitions__0", "1", "Partitions__0", "given whole"),
        ("REDIS__CONNECTIONSTRING", "elsewhere", "REDIS__CONNECTIONSTRING", "such as Redis__"),
        ("producer__Port", "1", "producer__Port", "such as Producer__"),
    ],
)
def test_a_wrong_override_is_refused(file: Path, name: str, text: str, key: str, expected: str) -> None:
    """A misspelt override is not overlooked: the process would run with other settings than its owner believes."""
    with pytest.raises(SettingsError) as refused:
        load(file, {"Topics": []}, **{name: text})

    assert str(refused.value).startswith(f"{key} = ")
    assert expected in str(refused.value)
    assert "got a text" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "{", "[]", '"text"', "{'Redis': {}}"])
def test_a_file_that_is_no_json_object_is_refused(file: Path, content: str) -> None:
    """The error names the file."""
    with pytest.raises(SettingsError, match=file.name):
        load(file, content)


def test_a_byte_order_mark_is_no_mistake(file: Path) -> None:
    """Some editors write one."""
    assert load(file, '\ufeff{"Partitions": 2}').partitions == 2


HASH = "sha256:" + "0" * 64
KEY = {"Name": "a", "Hash": HASH, "Scopes": ["read"]}


def test_api_keys_come_from_the_file_or_as_json_from_the_environment(file: Path) -> None:
    """The whole list, with what a key may do and how often."""
    keys = [KEY, {"Name": "b-1.2", "Hash": HASH[:-1] + "f", "Scopes": ["schedule", "admin"], "RatePerS": 0.5, "Burst": 7}]

    in_file = load(file, {"Auth": {"Keys": keys, "PublicDocs": False}}).auth
    in_environment = load(file, {"Auth": {"Keys": [KEY], "PublicDocs": False}}, Auth__Keys=json.dumps(keys)).auth

    assert in_file == in_environment
    assert [(key.name, key.scopes, key.rate_per_s, key.burst) for key in in_file.keys] == [
        ("a", ("read",), None, None),
        ("b-1.2", ("schedule", "admin"), 0.5, 7),
    ]
    assert not in_file.public_docs


@pytest.mark.parametrize(
    ("keys", "where", "expected"),
    [
        ([KEY, {**KEY, "Name": "b c"}], "Auth.Keys[1].Name", "1 to 32 letters, digits"),
        ([KEY, {**KEY, "Name": "b:c"}], "Auth.Keys[1].Name", "1 to 32 letters, digits"),
        ([{**KEY, "Hash": SECRET}], "Auth.Keys[0].Hash", "sha256: and 64 digits"),
        ([{**KEY, "Hash": HASH + SECRET}], "Auth.Keys[0].Hash", "sha256: and 64 digits"),
        ([{**KEY, "Scopes": ["read", "write"]}], "Auth.Keys[0].Scopes[1]", "expected one of schedule, read, admin"),
        ([{**KEY, "Scopes": []}], "Auth.Keys[0].Scopes", "length >= 1"),
        ([{"Name": "a", "Hash": HASH}], "Auth.Keys[0].Scopes", "this setting is required"),
        ([{**KEY, "Key": SECRET}], "Auth.Keys[0].Key", "there is no such setting"),
        ([{**KEY, "Scope": "read"}], "Auth.Keys[0].Scope", "did you mean Scopes?"),
        ([{**KEY, "RatePerS": 0}], "Auth.Keys[0].RatePerS", "expected a number >= 0.001"),
        ([{**KEY, "RatePerS": 1, "Burst": 0}], "Auth.Keys[0].Burst", "expected a whole number >= 1"),
        ([{**KEY, "Burst": 5}], "Auth.Keys[0].Burst", "expected RatePerS beside it"),
        ([KEY, {**KEY, "Hash": HASH[:-1] + "1"}], "Auth.Keys[1].Name", "each name once"),
        ([KEY, {**KEY, "Name": "b"}], "Auth.Keys[1].Hash", "each key once"),
        ([SECRET], "Auth.Keys[0]", "expected an object"),
        (SECRET, "Auth.Keys", "expected a list"),
    ],
)
def test_an_api_key_that_cannot_be_is_refused_by_its_position(file: Path, keys: Any, where: str, expected: str) -> None:
    """Who reads the error finds the entry, and never a key that was written in the wrong place."""
    for content, environment in (({"Auth": {"Keys": keys}}, {}), ({}, {"Auth__Keys": json.dumps(keys)})):
        with pytest.raises(SettingsError) as refused:
            load(file, content, **environment)

        assert str(refused.value).startswith(f"{where} = ")
        assert expected in str(refused.value)
        assert SECRET not in f"{refused.value!r}"


def test_a_key_in_the_place_of_the_list_is_not_shown(file: Path) -> None:
    """What is no JSON may be the key itself."""
    with pytest.raises(SettingsError, match=r"Auth__Keys = '\*\*\*': expected JSON") as refused:
        load(file, Auth__Keys=SECRET)

    assert SECRET not in str(refused.value)


def test_keys_that_would_protect_nothing_are_refused(file: Path) -> None:
    """Keys and ``Auth.Disabled`` contradict each other: one of them is a mistake."""
    with pytest.raises(SettingsError, match=r"Auth\.Disabled = True: .*Auth\.Keys"):
        load(file, {"Auth": {"Keys": [KEY], "Disabled": True}})


@pytest.mark.parametrize(
    "content",
    [
        {"Redis": {"ConnectionString": [f"redis://:{SECRET}@host"]}},
        {"Redis": {"connectionString": f"redis://:{SECRET}@host"}},
        {"Redis": {"Url": f"redis://:{SECRET}@host"}},
        {"Redis": {"Password": SECRET}},
        {"Redis": f"redis://:{SECRET}@host"},
        {"Redis": [f"redis://:{SECRET}@host"]},
        {"redis": {"ConnectionString": f"redis://:{SECRET}@host"}},
        {"ConnectionStrings": {"Redis": f"redis://:{SECRET}@host"}},
    ],
)
def test_a_password_is_never_part_of_an_error(file: Path, content: Any) -> None:
    """Errors end in logs and tickets; also a misplaced connection string is not shown."""
    with pytest.raises(SettingsError) as refused:
        load(file, content)

    assert SECRET not in f"{refused.value!r} {refused.value} {refused.value.args}"


@pytest.mark.parametrize("name", ["Redis__Password", "Redis__connectionString", "REDIS__CONNECTIONSTRING"])
def test_a_password_in_the_environment_is_not_shown_either(file: Path, name: str) -> None:
    """The same for a misspelt override."""
    with pytest.raises(SettingsError) as refused:
        load(file, **{name: SECRET})

    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_no_permission(file: Path, host: str) -> None:
    """Only this machine can reach it."""
    assert load(file, Producer__Host=host).producer.host == host


def test_another_host_needs_the_word_that_something_else_protects_it(file: Path) -> None:
    """Listening for everybody is a decision, not an accident; API keys are the other way."""
    with pytest.raises(SettingsError, match=r"Producer\.Host = '0\.0\.0\.0': .*Auth\.Keys.*Auth\.Disabled"):
        load(file, Producer__Host="0.0.0.0")

    assert load(file, Producer__Host="0.0.0.0", Auth__Keys=json.dumps([KEY])).producer.host == "0.0.0.0"

    assert load(file, Producer__Host="0.0.0.0", Auth__Disabled="true").producer.host == "0.0.0.0"


def test_a_given_port_is_told_from_a_default(file: Path) -> None:
    """A default port that is taken may be replaced, a given one not: so it must be known which it was."""
    file.write_text('{"Dispatcher": {"Port": 3001}}')

    assert explicit({}, "Dispatcher", "Port", file)
    assert not explicit({}, "Consumers", "Port", file)
    assert explicit({"Consumers__Port": "3002"}, "Consumers", "Port", file)


def test_the_environment_of_the_process_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """What every process does at its start."""
    for name in [name for name in os.environ if "__" in name]:
        monkeypatch.delenv(name)
    file.write_text("{}")
    monkeypatch.setenv("Producer__Port", "4321")

    assert load_settings(file=file).producer.port == 4321
