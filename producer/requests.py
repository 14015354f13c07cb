"""Reading a request: its media type, its JSON, its headers. Every complaint names the field and what was expected."""

from __future__ import annotations

import ast
import re
from typing import TypeVar, get_args

import msgspec
from aiohttp import web

from producer import schedule_schemas, schemas
from producer.context import SETTINGS, STORE, TARGETS, TOPICS
from producer.drafts import Rules
from producer.load import read_body
from producer.schemas import HeaderValue
from shared.errors import InvalidField
from shared.ids import LATEST_DUE_MS
from shared.settings import Durability
from shared.store.messages import Tags
from shared.times import DELAY_EXPECTED, TIME_EXPECTED

JSON_TYPES = frozenset({"application/json"})
NDJSON_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
IDEMPOTENCY_KEY = "Idempotency-Key"
DURABILITY = "Durability"
IF_MATCH = "If-Match"
DAY_MS = 86_400_000
_LEVELS: dict[str, Durability] = {level: level for level in get_args(Durability)}
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_TAGS = re.compile(r'\s*(?:W/)?"[\x21\x23-\x7e]*"\s*(?:,\s*(?:W/)?"[\x21\x23-\x7e]*"\s*)*')
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_PATH = re.compile(r" - at (?:`key` in )?`\$(?P<path>[^`]*)`$")
_NAMED = re.compile(r"(?:unknown|missing required) field `(?P<name>[^`]*)`")
_PATTERN = re.compile(r"`str` matching regex (?P<pattern>.*)", re.DOTALL)
_GOT = re.compile(r"^Expected `int \| float \| str`, got `(\w+)`$")
_WANTED = {
    **dict.fromkeys(("time", "deliver_at", "expires_at", "start", "end", "after"), TIME_EXPECTED),
    **dict.fromkeys(("delay", "expires_after", "spread", "every", "catch_up_within"), DELAY_EXPECTED),
}
_HEADER = re.compile(r"(?P<of>.*\bheaders)\[\.\.\.\]")
_STEP = re.compile(r"\[(?P<number>\d+)\]|(?P<name>\w+)")
_ESCAPE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\.")
"""One escape of a JSON text, read from its start; a whole surrogate pair is one."""
_PATTERNS = schemas.PATTERNS | schedule_schemas.PATTERNS
_any = msgspec.json.Decoder(msgspec.Raw)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_header_value = msgspec.json.Decoder(HeaderValue)

Struct = TypeVar("Struct")


async def read_json(request: web.Request, decoder: msgspec.json.Decoder[Struct]) -> Struct:
    """The request's JSON, validated. Raises ``InvalidField`` (400 no JSON, 415 media type, 422 another shape)."""
    if request.content_type not in JSON_TYPES:
        _refuse_media_type(request, "application/json")
    return decode(await read_body(request), decoder)


async def read_optional_json(request: web.Request, decoder: msgspec.json.Decoder[Struct], empty: Struct) -> Struct:
    """The same, or ``empty`` where the request has no body."""
    return await read_json(request, decoder) if request.can_read_body else empty


async def read_lines(request: web.Request, decoder: msgspec.json.Decoder[Struct]) -> list[Struct]:
    """One JSON value a line (NDJSON). A complaint names its element by its position among the lines that are not empty."""
    if request.content_type not in NDJSON_TYPES:
        _refuse_media_type(request, "application/json or application/x-ndjson")
    lines = [line for line in (await read_body(request)).split(b"\n") if line.strip()]
    found = []
    for number, line in enumerate(lines):
        try:
            found.append(decode(line, decoder))
        except InvalidField as error:
            raise error.inside(f"[{number}]") from None
    return found


def _refuse_media_type(request: web.Request, expected: str) -> None:
    raise InvalidField("Content-Type", f"expected {expected}; got {request.headers.get('Content-Type', 'none')!r}", status=415)


def decode(data: bytes, decoder: msgspec.json.Decoder[Struct]) -> Struct:
    if not data.strip():
        raise InvalidField("", "expected JSON; the body is empty", status=400)
    try:
        data.decode()
        return _validated(data, decoder)
    except msgspec.ValidationError as error:
        raise _header_named(explained(str(error)), data) from None
    except msgspec.DecodeError as error:
        raise InvalidField("", f"expected JSON: {_syntax(data, error)}", status=400) from None
    except UnicodeDecodeError as error:
        raise InvalidField("", f"expected JSON in UTF-8: {error}", status=400) from None
    except RecursionError:
        raise InvalidField("", "expected JSON that is nested less deeply", status=400) from None


def _validated(data: bytes, decoder: msgspec.json.Decoder[Struct]) -> Struct:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        _any.decode(data)  # what is no JSON further on is no JSON first of all
        raise


def _syntax(data: bytes, error: msgspec.DecodeError) -> str:
    """What is wrong with it: of half a surrogate pair msgspec says that the data ends too early."""
    half = next((found["half"] for found in _ESCAPE.finditer(data) if found["half"]), None)
    return f"{half.decode()} is half of a surrogate pair, which is no character" if half else str(error)


def _header_named(error: InvalidField, data: bytes) -> InvalidField:
    """msgspec does not say which key of an object it complains of; here the first header that it would refuse is named."""
    found = _HEADER.fullmatch(error.field)
    if found is None:
        return error
    inside = msgspec.Raw(data)
    for step in _STEP.finditer(found["of"]):
        inside = _list.decode(inside)[int(step["number"])] if step["number"] else _object.decode(inside)[step["name"]]
    for name, value in _object.decode(inside).items():
        try:
            _header_value.decode(value)
        except msgspec.DecodeError:
            return InvalidField(error.field.replace("[...]", f".{name}"), error.detail, error.status)
    return error


def explained(text: str) -> InvalidField:
    """msgspec's complaint, as field and expectation."""
    match = _PATH.search(text)
    path = match["path"].lstrip(".") if match else ""
    detail = text[: match.start()] if match else text
    named = _NAMED.search(detail)
    if named:
        path = f"{path}.{named['name']}" if path else named["name"]
        detail = "there is no such field" if "unknown" in detail else "this field is required"
    pattern = _PATTERN.search(detail)
    if pattern:
        detail = f"expected {_PATTERNS[ast.literal_eval(pattern['pattern'])]}"
    wanted, got = _WANTED.get(path.rpartition(".")[2]), _GOT.search(detail)
    if wanted and got:
        detail = f"{wanted}; got {got[1]}"
    return InvalidField(path, detail[:1].lower() + detail[1:])


def rules(request: web.Request) -> Rules:
    """What this request's messages are checked against."""
    app = request.app
    limits, now_ms = app[SETTINGS].producer, app[STORE].partitions[0].clock.now_ms()
    return Rules(
        app[TOPICS],
        limits,
        now_ms,
        min(LATEST_DUE_MS, now_ms + limits.horizon_days * DAY_MS),
        app[SETTINGS].priorities(),
        trace_context(request),
        repeatable=IDEMPOTENCY_KEY in request.headers,
        targets=app[TARGETS],
    )


def idempotency_key(request: web.Request) -> str | None:
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidField(IDEMPOTENCY_KEY, "expected 1 to 255 visible ASCII characters")
    return key


def if_match(request: web.Request) -> Tags:
    """The entity tags of ``If-Match`` (RFC 9110, section 13.1.1), of which one has to be the present one; ``None``: any.

    Weak ones match nothing. Raises ``InvalidField``.
    """
    given = request.headers.get(IF_MATCH)
    if given is None or given.strip() == "*":
        return None
    if not _TAGS.fullmatch(given):
        raise InvalidField(IF_MATCH, f"expected the ETag of an earlier answer, in its quotes; got {given[:80]!r}")
    return frozenset(tag for weak, tag in _TAG.findall(given) if not weak)


def durability(request: web.Request) -> Durability:
    """How safe what it asks for has to be before it is answered. Raises ``InvalidField``."""
    asked = request.headers.get(DURABILITY)
    if asked is None:
        return request.app[SETTINGS].durability
    if asked not in _LEVELS:
        raise InvalidField(DURABILITY, f"expected memory, fsync or replica; got {asked[:40]!r}")
    return _LEVELS[asked]


def trace_context(request: web.Request) -> str | None:
    """W3C ``traceparent``; one of another form is ignored, as its specification asks."""
    trace = request.headers.get("traceparent")
    return trace if trace and _TRACE.fullmatch(trace) else None


def page_limit(request: web.Request, default: int, largest: int) -> int:
    """How many a page may hold. Raises ``InvalidField``."""
    text = request.query.get("limit")
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not 1 <= int(text) <= largest:
        raise InvalidField("limit", f"expected 1 to {largest}; got {text[:40]!r}")
    return int(text)
