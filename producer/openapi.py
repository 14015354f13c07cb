"""The API's description, made from the routes and from the classes that validate: nothing is described twice.

aiohttp-apispec 3.0.0b2 collects the routes and serves the description and Swagger UI. That version, because the stable
2.2.3 reaches into names that apispec 6 no longer has and pins marshmallow 3; 3.0.0b2 works with the maintained releases of
both. Its validation middleware is not used: it would validate with marshmallow, in Python, what msgspec validates in C.
It writes Swagger 2.0, which cannot say "a string or a number", so ``Description`` gives it an OpenAPI 3.0 document instead.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from aiohttp_apispec import AiohttpApiSpec, docs
from apispec import APISpec

from producer import flow_schemas, schedule_schemas, schemas
from producer.schemas import Problem, QstashError
from shared.settings import TEXT_END
from shared.version import VERSION

Schema = dict[str, Any]
Handler = TypeVar("Handler", bound=Callable[..., Any])
_REFERENCE = "#/components/schemas/{name}"
_described: list[Any] = [Problem, QstashError]
QSTASH_TAG = "QStash "
"""What the tags of QStash's own API begin with: its errors have another form."""

EVENT_STREAM = "text/event-stream"
DOCS_PATHS = frozenset({"/docs", "/docs/static", "/openapi.json"})
_SCOPE = "x-scope"

_WHY = {
    400: "No JSON.",
    401: "No API key, or one that is not known.",
    403: "The API key does not have the scope.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    409: "Too late, or there already, or the idempotency key was used for something else.",
    412: "It has changed since the `ETag` of `If-Match` was given out.",
    413: "Larger than a limit of the settings.",
    415: "Another media type than the one expected.",
    421: "Asked by another name than localhost, or from a page of another: without API keys only this machine is served.",
    422: "A field is missing, unknown or wrong.",
    429: "The API key's limit on messages and other requests a second.",
    503: (
        "Redis is out, or too much is being worked on. The text says whether something may have been stored all the same, "
        "and what to do then."
    ),
}


def describe(
    summary: str,
    *,
    tag: str,
    scope: str = "any",
    answers: dict[int, Any],
    problems: tuple[int, ...] = (),
    request: Any = None,
    example: Any = None,
    optional: bool = False,
    lines: bool = False,
    idempotent: bool = False,
    durable: bool = False,
    tagged: bool = False,
    conditional: bool = False,
    query: dict[str, tuple[Schema, str]] | None = None,
    media_type: str = "application/json",
    raw: bool = False,
    headers: dict[str, tuple[Schema, str]] | None = None,
) -> Callable[[Handler], Handler]:
    """Describes a handler by the classes of its request and its answers, and by the problems it may answer.

    ``scope``: what an API key needs for it; ``any`` key, or ``none`` at all.
    ``media_type``: of the answers; of ``EVENT_STREAM`` each event is of their class.
    ``tagged``: the answer carries an ``ETag``; ``conditional``: the request may carry ``If-Match``.
    ``raw``: the request's body is taken byte for byte, whatever it is; ``headers``: what it says in headers.
    ``example`` is a whole request that is accepted as it stands: Swagger UI would otherwise fill in every field at once.
    """
    _described.extend(kind for kind in (request, *answers.values()) if kind is not None)
    operation: dict[str, Any] = {"summary": summary, "tags": [tag], "parameters": [], "responses": {}, _SCOPE: scope}
    body = _BYTES if raw else _body(request, example, optional=optional, lines=lines)
    if body:
        operation["requestBody"] = body
    for place, named in (("query", query), ("header", headers)):
        for name, (schema, text) in (named or {}).items():
            operation["parameters"].append({"in": place, "name": name, "schema": schema, "description": text})
    if idempotent:
        operation["parameters"].append(_IDEMPOTENCY_KEY)
    if durable:
        operation["parameters"].append(_DURABILITY)
    if conditional:
        operation["parameters"].append(_IF_MATCH)
        problems = (*problems, 412)
    for status, kind in answers.items():
        made_one = status == HTTPStatus.CREATED or (idempotent and not lines)  # many messages have no one location
        beside = _LOCATION if made_one else {}
        beside = beside | _ETAG if tagged else beside
        operation["responses"][str(status)] = _answer(HTTPStatus(status).phrase, media_type, kind, beside)
    for status in problems:
        told = 400 if status == 422 and tag.startswith(QSTASH_TAG) else status
        operation["responses"][str(told)] = _problem(told, tag)

    def mark(handler: Handler) -> Handler:
        marked: Handler = docs(**operation, operationId=handler.__name__)(handler)
        return marked

    return mark


def _body(request: Any, example: Any, *, optional: bool, lines: bool) -> Schema:
    if request is None:
        return {}
    content = {"application/json": {"schema": _schema(request), "example": example}}
    if lines:
        text = "\n".join(msgspec.json.encode(one).decode() for one in example)
        content["application/x-ndjson"] = {"schema": _LINES, "example": text}
    return {"required": not optional, "content": content}


def scope_of(handler: Any) -> str:
    """What an API key needs for that handler; ``any`` where it is not described, such as that of a path that is not there."""
    return str(getattr(handler, "__apispec__", {}).get(_SCOPE, "any"))


_IDEMPOTENCY_KEY = {
    "in": "header",
    "name": "Idempotency-Key",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": (
        "A repeat of the request with the same key stores nothing and gives the first answer again, with its ids, status and "
        "times, whatever became of the messages since, and `deduplicated`. GET /messages/{id} tells where a message is now."
    ),
}
_DURABILITY = {
    "in": "header",
    "name": "Durability",
    "schema": {"type": "string", "enum": ["memory", "fsync", "replica"]},
    "description": (
        "How safe it has to be before the answer: `memory`, Redis has it; `fsync`, it is on Redis's disk; `replica`, Redis's "
        "replicas have it. Without the header, as the setting Durability says. Where less is reached in time the answer is "
        "503, and it may have been done."
    ),
}
_IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "schema": {"type": "string", "minLength": 1, "example": "*"},
    "description": (
        "The `ETag` of an earlier answer: done only where nobody has changed it since, else the answer is 412. `*` matches any."
    ),
}
_BYTES = {"required": False, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_LINES = {
    "type": "string",
    "description": (
        "One message a line; empty lines are skipped. A field at fault is named by its message's position among the lines "
        "that are not empty, from 0: `[3].topic`."
    ),
}
_REQUEST_ID = {
    "X-Request-Id": {
        "schema": {"type": "string"},
        "description": (
            "The request's own, where it has one of at most 128 letters, digits and `._~+/=:-`; else made here. "
            "Log lines about an error name it."
        ),
    }
}
_LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where it can be looked at."}}
_ETAG = {"ETag": {"schema": {"type": "string"}, "description": "Changes with it: give it as `If-Match` to change just this."}}
_CHALLENGE = {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "`Bearer`, and which scope is missing."}}
_RETRY_AFTER = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds after which another try makes sense."}}


def _answer(description: str, media_type: str, kind: Any, headers: Schema) -> Schema:
    always = {name: {**header, "required": True} for name, header in (_REQUEST_ID | headers).items()}
    schema = _stream(kind) if media_type == EVENT_STREAM else _schema(kind)
    return {"description": description, "headers": always, "content": {media_type: {"schema": schema}}}


def _stream(kind: Any) -> Schema:
    """OpenAPI 3.0 has no word for a stream: it is a text, and what its lines hold is among the components."""
    text = f"Events as in WHATWG HTML: lines `event:`, `id:` and `data:`, which is a JSON object ({kind.__name__}) in one line."
    return {"type": "string", "description": text}


def _problem(status: int, tag: str) -> Schema:
    headers = _RETRY_AFTER if status in {429, 503} else _CHALLENGE if status in {401, 403} else {}
    if tag.startswith(QSTASH_TAG):
        return _answer(_WHY[status], "application/json", QstashError, headers)
    return _answer(_WHY[status], "application/problem+json", Problem, headers)


def _schema(kind: Any) -> Schema:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=_REFERENCE)
    converted: Schema = _as_openapi_3_0(schema)
    return converted


def _as_openapi_3_0(schema: Any) -> Any:
    """msgspec writes JSON Schema 2020-12; OpenAPI 3.0 has ``nullable`` and ``example`` for what differs here."""
    if isinstance(schema, list):
        return [_as_openapi_3_0(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _as_openapi_3_0(part) for key, part in schema.items() if key not in {"examples", "propertyNames"}}
    if isinstance(found.get("pattern"), str):
        found["pattern"] = found["pattern"].replace(TEXT_END, "$")  # which in the patterns of JSON Schema is the very end
    if found.get("required") == []:  # 2020-12 allows an empty list, 3.0 does not
        del found["required"]
    if "examples" in schema and not isinstance(schema["examples"], dict):
        found["example"] = schema["examples"][0]
    kinds = [part for part in found.get("anyOf", []) if part != {"type": "null"}]
    if "anyOf" in found and len(kinds) < len(found["anyOf"]):
        rest = {key: part for key, part in found.items() if key != "anyOf"}
        found = {**rest, **(kinds[0] if len(kinds) == 1 else {"anyOf": kinds}), "nullable": True}
        if found.get("default", ...) is None:
            del found["default"]
    return found


_SECURITY = "apiKey"
_KEYS = "An API key, as `Authorization: Bearer <key>`. The scope `admin` includes the others."


class Description(AiohttpApiSpec):  # type: ignore[misc] # the library is untyped
    """aiohttp-apispec with an OpenAPI 3.0 document in place of Swagger 2.0. For ``keyed`` and ``local`` see below."""

    def __init__(self, *, keyed: bool, local: bool, **info: Any) -> None:
        self._keyed, self._local = keyed, local
        super().__init__(url="/openapi.json", swagger_path="/docs", static_path="/docs/static", **info)
        self.spec = APISpec(openapi_version="3.0.3", plugins=(), **info)
        _, components = msgspec.json.schema_components(_described, ref_template=_REFERENCE)
        rules = schemas.RULES | schedule_schemas.RULES | flow_schemas.RULES
        for name, schema in components.items():
            self.spec.components.schema(name, _as_openapi_3_0(schema) | rules.get(name, {}))
        if keyed:
            self.spec.components.security_scheme(_SECURITY, {"type": "http", "scheme": "bearer", "description": _KEYS})

    def _update_paths(self, data: dict[str, Any], method: str, url_path: str) -> None:
        operation = {key: part for key, part in data.items() if key not in {"schemas", "produces", _SCOPE}}
        names = [part[1:-1] for part in url_path.split("/") if part.startswith("{")]
        in_path = [{"in": "path", "name": name, "required": True, "schema": {"type": "string"}} for name in names]
        operation["parameters"] = in_path + operation["parameters"]
        if self._keyed:
            operation |= _secured(operation, data[_SCOPE])
        if self._local:
            operation["responses"]["421"] = _problem(421, operation["tags"][0])
        if method != "head":
            self.spec.path(path=url_path, operations={method: operation})


def _secured(operation: Schema, scope: str) -> Schema:
    """What differs of an operation where a key is asked for."""
    if scope == "none":
        return {}
    answers = {**operation["responses"], **{str(status): _problem(status, operation["tags"][0]) for status in (401, 403, 429)}}
    return {"security": [{_SECURITY: []}], "description": f"Needs an API key with the scope `{scope}`.", "responses": answers}


def add_description(app: web.Application, *, keyed: bool, local: bool) -> None:
    """Adds ``/openapi.json`` and ``/docs``. Called after all routes are added.

    ``keyed``: whether there are API keys. ``local``: whether this machine alone is served.
    """
    description = Description(
        keyed=keyed,
        local=local,
        title="Message Scheduling Service",
        version=VERSION,
        info={"description": "Deliver this message at that time.", "license": {"name": "MIT"}},
    )
    description.register(app, in_place=True)
