"""What the client says of answers is what the contract of the service says."""

from __future__ import annotations

import types
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

import pytest
from staycast_client import types as told

from serving.api.schema.openapi import openapi_document

SCHEMAS = openapi_document(1000, "1")["components"]["schemas"]
TOLD = {name: kind for name, kind in vars(told).items() if hasattr(kind, "__required_keys__")}
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def shape(kind: Any) -> Any:
    """A type of the client, as a plain value to compare."""
    if get_origin(kind) is NotRequired:
        return shape(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return frozenset().union(*(shape(part) for part in get_args(kind)))
    if get_origin(kind) is Literal:
        return frozenset(get_args(kind))
    if get_origin(kind) in (list, dict):
        return frozenset({(get_origin(kind).__name__, shape(get_args(kind)[-1]))})
    return frozenset({PLAIN.get(kind, kind.__name__)})


def schema_shape(schema: dict[str, Any]) -> Any:
    """A schema of the contract, as the same plain value."""
    if "$ref" in schema:
        return frozenset({schema["$ref"].rpartition("/")[2]})
    if "anyOf" in schema:
        return frozenset().union(*(schema_shape(part) for part in schema["anyOf"]))
    if "enum" in schema:
        return frozenset("null" if value is None else value for value in schema["enum"])
    kinds = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    found = set()
    for kind in kinds:
        if kind == "array":
            found.add(("list", schema_shape(schema["items"])))
        elif kind == "object":
            found.add(("dict", schema_shape(schema["additionalProperties"])))
        else:
            found.add(kind)
    return frozenset(found)


@pytest.mark.parametrize("name", TOLD)
def test_a_typed_answer_has_the_fields_of_its_schema(name: str) -> None:
    schema = SCHEMAS[name]
    assert TOLD[name].__required_keys__ == set(schema["required"])
    fields = get_type_hints(TOLD[name], include_extras=True)
    assert {field: shape(kind) for field, kind in fields.items()} == {
        field: schema_shape(part) for field, part in schema["properties"].items()
    }
