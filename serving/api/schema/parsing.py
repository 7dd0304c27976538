"""Bodies as JSON objects, and what is wrong with them, field by field. No fault quotes a value that was sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from serving.api.problems import FieldError, InvalidRequestError

MAX_NAME_LENGTH = 64
MAX_FAULTS_IN_DETAIL = 3
DETAILS = {
    "string_type": 'must be a string in quotes, such as "1038"',
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "list_type": "must be a list of strings",
    "string_pattern_mismatch": "is not of the form that the contract says",
}
FieldPath = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")


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


def validated(model: type[Model], content: Any, path: FieldPath = (), strict: bool | None = None) -> Model:
    """The object at `path` as a model; `strict` as of pydantic.

    Raises
    ------
    InvalidRequestError
        It is not what the model says.
    """
    try:
        return model.model_validate(content, strict=strict)
    except ValidationError as error:
        raise invalid_request(field_errors(error, path)) from None


def one_or_several(
    content: dict[str, Any], name: str, most: int, read: Callable[[Any, FieldPath], Item]
) -> tuple[tuple[Item, ...], bool]:
    """What an object brings, which is one item or a list of them under `name`; and whether it is a list.

    Parameters
    ----------
    content
        The object.
    name
        Of the list; nothing may stand beside it.
    most
        How many a list may hold.
    read
        Reads the item at a place.

    Raises
    ------
    InvalidRequestError
        It is neither; with the faults of all items.
    """
    if name not in content:
        return (read(content, ()),), False
    others = [other for other in content if other != name]
    if others:
        raise invalid_request(FieldError(json_pointer((o,)), f"is not a known field beside {name}") for o in others)
    items = content[name]
    if not isinstance(items, list) or not 0 < len(items) <= most:
        raise invalid_request([FieldError(f"/{name}", f"must be a list of 1 to {most} {name}")])
    found, faults = list[Item](), list[FieldError]()
    for position, item in enumerate(items):
        try:
            found.append(read(item, (name, position)))
        except InvalidRequestError as error:
            faults += error.errors
    if faults:
        raise invalid_request(faults)
    return tuple(found), True


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
            json_pointer((*path, *d["loc"])),
            DETAILS.get(d["type"]) or d["msg"].removeprefix("Value error, ").replace("Input should", "should"),
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
