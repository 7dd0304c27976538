"""Bodies as JSON objects, and what is wrong with them, field by field. No fault quotes a value that was sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import ValidationError

from serving.api.problems import FieldError, InvalidRequestError

MAX_NAME_LENGTH = 64
MAX_FAULTS_IN_DETAIL = 3
DETAILS = {
    "string_type": 'must be a string in quotes, such as "1038"',
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "list_type": "must be a list of strings",
    "string_pattern_mismatch": "must be a time such as 2024-11-05T10:15:00Z",  # no other text that is sent has a form
}
FieldPath = tuple[str | int, ...]


def parse_object(body: bytes, example: str) -> dict[str, Any]:
    """Read a body that must be a JSON object; `example` is one, for the message.

    Raises
    ------
    InvalidRequestError
        It is not JSON, not an object, or a name stands twice in it.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequestError(f"the body is not valid JSON at {where}; NaN and Infinity are not JSON") from None
    if not isinstance(content, dict):
        raise InvalidRequestError(f"the body must be a JSON object such as {example}")
    json.loads(body, object_pairs_hook=_require_single_names)
    return content


def _require_single_names(pairs: list[tuple[str, Any]]) -> None:
    """InvalidRequestError if a name stands twice in an object: which one counts, readers of JSON do not agree on."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise invalid_request([FieldError(json_pointer((name,)), "stands there twice: give it once")])
        seen.add(name)


def invalid_request(faults: Iterable[FieldError]) -> InvalidRequestError:
    """The error that names these faults; the first few also in its message."""
    errors = tuple(faults)
    return InvalidRequestError("; ".join(f"{e.pointer} {e.detail}" for e in errors[:MAX_FAULTS_IN_DETAIL]), errors)


def field_errors(error: ValidationError, path: FieldPath = ()) -> list[FieldError]:
    """What pydantic found wrong with the object at `path`, without the values that were sent."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        FieldError(
            json_pointer((*path, *d["loc"])), DETAILS.get(d["type"]) or d["msg"].replace("Input should", "should")
        )
        for d in details
    ]


def json_pointer(path: FieldPath) -> str:
    """A JSON pointer (RFC 6901); long names are cut.

    >>> json_pointer(("events", 3, "a/b"))
    '/events/3/a~1b'
    """
    names = (str(part)[:MAX_NAME_LENGTH].replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{name}" for name in names)
