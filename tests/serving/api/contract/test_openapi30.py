"""The contract in 3.0.3 is that of 3.1: it takes what that takes, without choices between schemas."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from serving.api.contract.openapi30 import openapi_30
from serving.api.schema.openapi import openapi_document
from tests.serving.api.contract.checker import faults

NEWEST = openapi_document(1000, "1")
OLDER = openapi_30(NEWEST)
NOT_OF_30 = {"oneOf", "anyOf", "const", "examples", "propertyNames", "$defs", "prefixItems"}


def parts(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, dict):
        return [node, *(part for value in node.values() for part in parts(value))]
    return [part for value in node for part in parts(value)] if isinstance(node, list) else []


def small(schemas: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    told = {"description": "", "headers": {}, "content": {"application/json": {"schema": answer}}}
    return {
        "info": {"license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": {"/a": {"get": {"operationId": "get_all", "responses": {"200": told}}}},
        "components": {"schemas": schemas},
    }


def test_no_keyword_is_newer_than_303_and_no_schema_is_a_choice() -> None:
    for part in parts(OLDER["components"]["schemas"]):
        is_schema = "type" in part or "description" in part
        assert not is_schema or not isinstance(part.get("type"), list)
        assert not is_schema or isinstance(part.get("properties"), dict) or not NOT_OF_30 & part.keys()


def test_every_reference_is_held_and_everything_held_is_referred_to() -> None:
    named = {part["$ref"] for part in parts(OLDER) if isinstance(part.get("$ref"), str)}
    kinds = ("schemas", "headers", "responses")
    assert named == {f"#/components/{kind}/{name}" for kind in kinds for name in OLDER["components"][kind]}


def test_the_document_it_is_made_from_is_not_changed() -> None:
    before = copy.deepcopy(NEWEST)
    openapi_30(NEWEST)
    assert before == NEWEST


def test_the_same_can_be_asked_and_the_same_comes_back() -> None:
    for path, item in NEWEST["paths"].items():
        for method, operation in item.items():
            older = OLDER["paths"][path][method]
            assert older["operationId"] == operation["operationId"]
            assert list(older["responses"]) == list(operation["responses"])


def test_one_of_two_objects_is_one_with_the_fields_of_both_that_requires_what_both_require() -> None:
    one = {"type": "object", "properties": {"kind": {"type": "string", "const": "a"}, "x": {"type": "integer"}}}
    two = {"type": "object", "properties": {"kind": {"type": "string", "const": "b"}, "y": {"type": "string"}}}
    schemas = {
        "One": one | {"required": ["kind", "x"]},
        "Two": two | {"required": ["kind"], "additionalProperties": False},
    }
    choice = {"oneOf": [{"$ref": "#/components/schemas/One"}, {"$ref": "#/components/schemas/Two"}]}
    written = openapi_30(small(schemas, choice))["components"]["schemas"]
    assert list(written) == ["GetAllAnswer"]
    assert written["GetAllAnswer"]["properties"] == {
        "kind": {"type": "string", "enum": ["a", "b"]},
        "x": {"type": "integer"},
        "y": {"type": "string"},
    }
    assert written["GetAllAnswer"]["required"] == ["kind"]
    assert "additionalProperties" not in written["GetAllAnswer"]


@pytest.mark.parametrize("elsewhere", [True, False])
def test_a_part_that_may_be_null_is_nullable_where_it_may_and_only_there(elsewhere: bool) -> None:
    part = {"$ref": "#/components/schemas/Part"}
    fields = {"maybe": {"anyOf": [part, {"type": "null"}]}, **({"always": part} if elsewhere else {})}
    schemas = {"Part": {"type": "object"}, "Whole": {"type": "object", "properties": fields}}
    document = openapi_30(small(schemas, {"$ref": "#/components/schemas/Whole"}))
    whole = document["components"]["schemas"]["Whole"]
    assert not faults({"maybe": None}, whole, document) and not faults({"maybe": {}}, whole, document)
    assert bool(faults({"always": None}, whole, document)) == elsewhere
    assert len(document["components"]["schemas"]) == (3 if elsewhere else 2)


def test_what_has_several_types_loses_their_limits_and_an_exclusive_bound_is_a_flag() -> None:
    fields = {
        "value": {"type": ["number", "string", "null"], "maxLength": 3, "description": "Any."},
        "kind": {"type": ["string", "null"], "enum": ["a", None]},
        "days": {"type": "integer", "exclusiveMinimum": 0, "maximum": 9},
        "map": {"type": "object", "additionalProperties": {"type": "number"}, "examples": [{"30": 0.1}]},
    }
    document = openapi_30(small({"A": {"type": "object", "properties": fields}}, {"$ref": "#/components/schemas/A"}))
    assert document["components"]["schemas"]["A"]["properties"] == {
        "value": {"description": "Any."},
        "kind": {"type": "string", "enum": ["a", None], "nullable": True},
        "days": {"type": "integer", "minimum": 0, "exclusiveMinimum": True, "maximum": 9},
        "map": {"type": "object", "properties": {"30": {"type": "number"}}, "example": {"30": 0.1}},
    }
