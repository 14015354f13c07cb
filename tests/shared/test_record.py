"""The stored form of a message."""

from __future__ import annotations

import pytest

from shared.record import Kind, NewerRecord, Options, Record, RetryOptions, UnreadableRecord, decode_record, encode_record

ID = "echo-0-1a2b3c4d5e6f7g8h9i0jk"
FULL = Options(
    retry=RetryOptions(max_attempts=3, jitter=0.0),
    deadline_ms=1,
    expires_ms=2,
    retention_ms=0,
    priority="high",
    flow_key="tenant:1",
    labels=("a", "ä b"),
    headers={"X": 'quote " and \\ and \n'},
    content_type="text/csv; charset=utf-8",
    trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


@pytest.mark.parametrize("options", [Options(), FULL, Options(retention_ms=0), Options(labels=("x y",))])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text", b""),
        ("text", b"hello"),
        ("text", "zwei\nZeilen \u00e4 \U0001f600\r\n\n".encode()),
        ("json", b'{"a":  1.0, "b": 1e400}'),
        ("json", b"[\n]"),
        ("base64", b""),
        ("base64", bytes(range(256))),
        ("base64", b"\n\n v1 "),
    ],
)
def test_a_record_is_read_as_it_was_written(kind: Kind, body: bytes, options: Options) -> None:
    """Any body and any options come back the same, byte for byte."""
    record = Record(ID, 1_790_000_000_000, kind, body, options)

    assert decode_record(encode_record(record)) == record


def test_a_record_explains_itself_to_a_reader() -> None:
    """With ``redis-cli`` one sees id, version, time, kind, what differs from the defaults, and the body."""
    plain = encode_record(Record(ID, 1_790_000_000_000, "text", b"hello"))
    full = encode_record(Record(ID, 1_790_000_000_000, "json", b'{"a": 1}', Options(retry=RetryOptions(max_attempts=3))))

    assert plain == f"{ID} v2 1790000000000\nhello".encode()
    assert decode_record(f"{ID} v1 1790000000000 text\nhello".encode()) == decode_record(plain)
    assert full == f'{ID} v2 1790000000000 json {{"retry":{{"max_attempts":3}}}}\n{{"a": 1}}'.encode()


def test_other_bytes_are_printable_and_marked() -> None:
    """Bytes that are no text are stored as base64, and the header says so."""
    assert encode_record(Record(ID, 1, "base64", b"\x00\xff")) == f"{ID} v2 1 base64\nAP8=".encode()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("text", "text/plain; charset=utf-8"), ("json", "application/json"), ("base64", "application/octet-stream")],
)
def test_a_kind_has_its_content_type_and_the_caller_may_name_another(kind: Kind, expected: str) -> None:
    """A handler always knows what it gets."""
    assert Record(ID, 1, kind, b"").content_type == expected
    assert Record(ID, 1, kind, b"", Options(content_type="a/b")).content_type == "a/b"


def test_an_option_of_a_later_release_is_passed_over() -> None:
    """A field that is added later does not make old processes stumble."""
    assert decode_record(f'{ID} v1 1 text {{"later":1,"deadline_ms":5}}\nb'.encode()).options == Options(deadline_ms=5)


@pytest.mark.parametrize("version", ["v3", "v10"])
def test_a_newer_format_is_told_from_rubbish(version: str) -> None:
    """It waits for a newer worker, and is not buried."""
    with pytest.raises(NewerRecord, match=version):
        decode_record(f"{ID} {version} anything at all\n\x00".encode())


@pytest.mark.parametrize(
    "stored",
    [
        b"", b"\n", b"hello", b"hello\nworld", f"{ID} v1 1 text".encode(), f"{ID} v1\nb".encode(),
        f"{ID} v2 \nb".encode(), f"{ID} v2 1 \nb".encode(), f"{ID} v1 1\nb".encode(), f"{ID} v2\nb".encode(),
        f"{ID} v1 x text\nb".encode(), f"{ID} v1 1 xml\nb".encode(), f"{ID} v1 1 text {{\nb".encode(),
        f"{ID} v1 1 text []\nb".encode(), f'{ID} v1 1 text {{"deadline_ms":"x"}}\nb'.encode(),
        f"{ID} v1 1 base64\n***".encode(), f"{ID} vx 1 text\nb".encode(), b"\xff\xfe v1 1 text\nb",
        f"{ID} v1 1 \xff\nb".encode("latin-1"), f'{ID} v1 1 text {{"retry":{{"max_attempts":0}}}}\nb'.encode(),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused(stored: bytes) -> None:
    """A stranger's bytes raise one error, whatever they are."""
    with pytest.raises(UnreadableRecord):
        decode_record(stored)
