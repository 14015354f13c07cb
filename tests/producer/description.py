"""Holds real answers against ``/openapi.json``: status, media type and every field must be described."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from openapi_schema_validator import OAS30Validator

METHODS = frozenset({"get", "post", "patch", "delete", "put", "head", "options"})


class Description:
    """The service's description of itself."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._strict = _closed(document["components"])
        self._paths = [(re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), path) for path in document["paths"]]

    def operations(self) -> set[tuple[str, str]]:
        """Method and path of everything that is described."""
        return {(method.upper(), path) for path, item in self.document["paths"].items() for method in item if method in METHODS}

    def check(self, method: str, path: str, status: int, media_type: str, body: bytes) -> None:
        """Fails where an answer of a described operation is not what the description says."""
        operation = self._operation(method, path)
        if operation is None:
            return
        told = operation["responses"].get(str(status))
        assert told is not None, f"{method} {path} answered {status}, which is not described"
        assert media_type in told["content"], f"{method} {path} {status} answered {media_type}, which is not described"
        complaints = self.complaints(told["content"][media_type]["schema"], json.loads(body))
        assert complaints == [], f"{method} {path} {status} is not as described"

    def complaints(self, schema: dict[str, Any], value: object) -> list[str]:
        """In what ways a value is not of that schema; a field that is not described is one of them."""
        validator = OAS30Validator({"allOf": [_closed(schema)], "components": self._strict})
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        exact = self.document["paths"].get(path)
        templates = [template for pattern, template in self._paths if pattern.fullmatch(path)]
        item = exact or (self.document["paths"][templates[0]] if templates else {})
        found: dict[str, Any] | None = item.get(method.lower())
        return found


def _closed(schema: Any) -> Any:
    """The same schema, where an object may have the described fields only."""
    schema = copy.deepcopy(schema)
    _close(schema)
    return schema


def _close(schema: Any) -> None:
    if isinstance(schema, list):
        for part in schema:
            _close(part)
    if isinstance(schema, dict):
        for part in schema.values():
            _close(part)
        if schema.get("type") == "object" and "properties" in schema:
            schema["additionalProperties"] = False
