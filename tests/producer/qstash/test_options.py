"""``Upstash-*`` options: what each becomes, where they may stand, and what is refused. Pure."""

from __future__ import annotations

from typing import Any

import pytest

from producer.qstash.options import options_of
from shared.errors import InvalidField
from shared.record import Callback, RetryOptions
from shared.retry_delays import default_delays_ms
from shared.store.flow import Limit

URL = "https://example.com/told"


def asked(**headers: str) -> Any:
    """Of headers; ``_`` stands for the hyphen."""
    return options_of([(f"Upstash-{name.replace('_', '-')}", value) for name, value in headers.items()])


def usual(retries: int) -> RetryOptions:
    return RetryOptions(max_attempts=retries + 1, delays_ms=default_delays_ms(retries), jitter=0.0)


def test_without_a_word_it_is_as_with_qstash() -> None:
    """POST, three retries, at once, with nothing else."""
    found = options_of([])

    assert (found.method, found.retry, found.headers, found.content_type) == ("POST", usual(3), {}, None)
    assert (found.delay_ms, found.not_before_ms, found.timeout_ms, found.labels, found.redact) == (None, None, None, (), ())
    assert [found.callback, found.failure_callback, found.flow_key, found.limit, found.queue, found.cron] == [None] * 6


@pytest.mark.parametrize(
    ("text", "expected_ms"),
    [("10s", 10_000), ("1d2h", 93_600_000), ("5m", 300_000), ("10", 10_000), ("0", 0), ("250ms", 250), ("1H", 3_600_000)],
)
def test_a_duration_has_units_or_is_seconds(text: str, expected_ms: int) -> None:
    """Of a delay as of a callback's."""
    assert asked(Delay=text).delay_ms == expected_ms
    assert asked(Callback=URL, Callback_Delay=text).callback.delay_ms == expected_ms


@pytest.mark.parametrize(("text", "expected_ms"), [("1900000000", 1_900_000_000_000), ("1900000000.25", 1_900_000_000_250)])
def test_a_time_is_unix_seconds(text: str, expected_ms: int) -> None:
    """As the clients send them."""
    assert asked(Not_Before=text).not_before_ms == expected_ms


def test_names_are_written_as_one_likes_and_what_is_not_known_is_ignored() -> None:
    """Such as what clients tell of themselves. An empty value is none."""
    headers = [("UPSTASH-METHOD", "put"), ("upstash-telemetry-sdk", "js"), ("Upstash-Whatever", "x"), ("Upstash-Delay", "")]

    found = options_of([*headers, ("Upstash-Deduplication-Id", " ")])

    assert (found.method, found.delay_ms, found.deduplication_id, found.headers) == ("PUT", None, None, {})


def test_an_option_may_be_a_query_parameter() -> None:
    """Also one that is sent on, and one of a callback. A header of the same name comes first; all else is the destination's."""
    query = [
        ("upstash-delay", "1m"), ("Upstash-Retries", "7"), ("upstash-forward-X-Two", "2"), ("upstash-callback", URL),
        ("content-type", "text/csv"), ("delay", "9s"),
    ]  # fmt: skip

    found = options_of([("Upstash-Retries", "1"), ("Upstash-Forward-X-One", "1")], query)

    assert (found.delay_ms, found.retry, found.content_type) == (60_000, usual(1), None)
    assert found.headers == {"X-One": "1", "X-Two": "2"}
    assert found.callback == Callback(URL, retry=usual(1))


def test_headers_are_sent_on_without_their_prefix() -> None:
    """Several of one name with commas between; not those that the request has of its own. The media type goes with the body."""
    found = options_of(
        [
            ("Upstash-Forward-X-Own", "1"), ("upstash-forward-x-own", "2"), ("Upstash-Forward-Authorization", "Bearer there"),
            ("Upstash-Forward-Host", "elsewhere"), ("Upstash-Forward-Content-Length", "7"), ("Upstash-Forward-Empty", ""),
            ("Upstash-Forward-Upstash-Signature", "forged"), ("Authorization", "Bearer here"), ("Cookie", "x"),
            ("Content-Type", "application/json"),
        ]
    )  # fmt: skip

    assert found.headers == {"X-Own": "1, 2", "Authorization": "Bearer there", "Empty": ""}
    assert found.content_type == "application/json"
    assert options_of([("Content-Type", "text/a"), ("Upstash-Forward-Content-Type", "text/b")]).content_type == "text/b"


@pytest.mark.parametrize("sent", ["grüße".encode(), "grüße".encode("latin-1")])
def test_header_values_are_utf_8_or_else_iso_8859_1(sent: bytes) -> None:
    """The server reads bytes that are no UTF-8 as half characters, which nothing could store."""
    value = sent.decode("utf-8", "surrogateescape")

    found = options_of([("Upstash-Forward-X", value), ("Upstash-Label", value), ("Upstash-Deduplication-Id", value)])

    assert (found.headers, found.labels, found.deduplication_id) == ({"X": "grüße"}, ("grüße",), "grüße")


def test_retries_are_as_many_waits_by_the_expression() -> None:
    """One attempt more than retries."""
    found = asked(Retries="3", Retry_Delay="pow(2, retried) * 1000")

    assert found.retry == RetryOptions(max_attempts=4, delays_ms=(1_000, 2_000, 4_000), jitter=0.0)
    assert found.retry_delay == "pow(2, retried) * 1000"
    assert asked(Retries="0").retry.max_attempts == 1


def test_a_callback_has_its_own_options_and_else_the_retries_of_the_message() -> None:
    """Those of the failure callback are apart from them."""
    found = asked(
        Retries="2", Callback=URL, Callback_Method="put", Callback_Timeout="5s", Callback_Forward_X_Key="1", Callback_Delay="1s",
        Failure_Callback=URL, Failure_Callback_Retries="0", Failure_Callback_Retry_Delay="50",
    )  # fmt: skip

    assert found.callback == Callback(URL, "PUT", {"X-Key": "1"}, usual(2), 1_000, 5_000)
    assert found.failure_callback == Callback(URL, retry=RetryOptions(max_attempts=1, delays_ms=(50,), jitter=0.0))
    assert asked(Callback_Method="PUT", Failure_Callback_Retries="x").callback is None, "without a URL there is none"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("parallelism=5, rate=10, period=1m", Limit(10, 60_000, 5)),
        ("Rate=20,Parallelism=10", Limit(20, 1_000, 10)),
        ("rate=3, period=2", Limit(3, 2_000, 0)),
        ("parallelism=1", Limit(0, 1_000, 1)),
        ("", None),
    ],
)
def test_flow_control_is_a_key_and_perhaps_a_limit(text: str, limit: Limit | None) -> None:
    """Without a limit that of the key holds on."""
    found = asked(Flow_Control_Key="tenant", Flow_Control_Value=text)

    assert (found.flow_key, found.limit) == ("tenant", limit)


def test_labels_and_redacted_fields_are_lists() -> None:
    """With commas between, or the header sent again."""
    found = options_of([("Upstash-Label", "a, b"), ("Upstash-Label", "c,a"), ("Upstash-Redact-Fields", "body, headers")])

    assert (found.labels, found.redact) == (("a", "b", "c"), ("body", "header"))
    assert asked(Redact_Fields="header[Authorization],body").redact == ("header[Authorization]", "body")


@pytest.mark.parametrize(("text", "expected"), [("true", True), ("True", True), ("false", False)])
def test_a_switch_is_true_or_false(text: str, *, expected: bool) -> None:
    """The Python client begins it with a capital."""
    assert asked(Content_Based_Deduplication=text).content_based is expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Delay", "soon"), ("Delay", "-1s"), ("Delay", "1.5s"), ("Delay", "1s1d"), ("Delay", "9" * 50), ("Delay", "10s, 20s"),
        ("Delay", "\u0663"), ("Not-Before", "tomorrow"), ("Not-Before", "-1"), ("Not-Before", "nan"), ("Not-Before", "1e9"),
        ("Not-Before", "1_000"), ("Not-Before", "9" * 20), ("Retries", "-1"), ("Retries", "1000"), ("Retries", "2.5"),
        ("Retries", "three"), ("Retry-Delay", "__import__('os')"), ("Retry-Delay", "1 +"), ("Retry-Delay", "sqrt(0 - 1)"),
        ("Retry-Delay", "x" * 1000), ("Method", "CONNECT"), ("Method", "GET /"), ("Method", "P\u00d6ST"), ("Timeout", "0"),
        ("Timeout", "31d"), ("Timeout", "long"), ("Content-Based-Deduplication", "maybe"), ("Label", "x" * 65),
        ("Label", "a\u2028b"), ("Label", ",".join(map(str, range(21)))), ("Flow-Control-Key", "a b"),
        ("Flow-Control-Key", 'a"b'), ("Flow-Control-Key", "x" * 129), ("Flow-Control-Key", "queue:mail"),
        ("Queue-Name", "a b"), ("Queue-Name", 'a"b'), ("Queue-Name", "x" * 101),
        ("Redact-Fields", "all"), ("Redact-Fields", "header[a b]"), ("Forward-X", "a\x00b"), ("Forward-X Y", "1"),
        ("Forward-X", "v" * 4097), ("Forward-", "1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_the_name_of_the_header(name: str, value: str) -> None:
    """400, as QStash has it, as a header and as a query parameter."""
    for headers, query in (([(f"Upstash-{name}", value)], []), ([], [(f"upstash-{name}", value)])):
        with pytest.raises(InvalidField) as raised:
            options_of(headers, query)
        assert raised.value.field.lower() == f"upstash-{name}".lower()
        assert (raised.value.status, len(str(raised.value)) < 400) == (400, True)


@pytest.mark.parametrize(
    "value",
    [
        "rate=0", "rate=-1", "rate=100001", "parallelism=0", "parallelism=1000001", "rate=x", "burst=1", "rate=1,rate=2", "rate",
        "period=1m", "parallelism=1, period=1m", "rate=1, period=0", "rate=1, period=8d", "rate=1, period=soon", ",",
    ],
)  # fmt: skip
def test_a_limit_that_is_none_is_refused(value: str) -> None:
    """0 would be no limit, which nobody means who writes it."""
    with pytest.raises(InvalidField, match=r"Upstash-Flow-Control-Value: expected"):
        asked(Flow_Control_Key="tenant", Flow_Control_Value=value)


@pytest.mark.parametrize("name", ["Callback", "Failure-Callback"])
@pytest.mark.parametrize(
    ("option", "value"), [("Retries", "x"), ("Retry-Delay", "("), ("Method", "TRACE"), ("Delay", "x"), ("Timeout", "0s")]
)
def test_a_wrong_option_of_a_callback_is_named_with_the_callback(name: str, option: str, value: str) -> None:
    """Both have options of the same names."""
    with pytest.raises(InvalidField) as raised:
        options_of([(f"Upstash-{name}", URL), (f"Upstash-{name}-{option}", value)])

    assert raised.value.field == f"Upstash-{name}-{option}"


@pytest.mark.parametrize("value", ["nothing", "text/a\x00", "text/" + "a" * 200, "text/a; \u00e4"])
def test_a_media_type_is_one(value: str) -> None:
    """It is sent on as it stands."""
    with pytest.raises(InvalidField, match="Content-Type: expected a media type"):
        options_of([("Content-Type", value)])
