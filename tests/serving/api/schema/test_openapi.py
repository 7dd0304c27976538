"""The document holds what it names, says all that a caller must know, and says it of every operation."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from serving.access.roles import OPERATIONS as GUARDED
from serving.access.roles import PUBLIC
from serving.api.contract.examples import example_of
from serving.api.contract.schemas import PREFIX, reachable, references
from serving.api.schema.answers import Problem
from serving.api.schema.openapi import OPERATIONS, TAGS, openapi_document

DOCUMENT = openapi_document(1000, "1")
SCHEMAS = DOCUMENT["components"]["schemas"]


def parts(node: Any) -> list[dict[str, Any]]:
    """All objects of a document."""
    if isinstance(node, dict):
        return [node, *(part for value in node.values() for part in parts(value))]
    return [part for value in node for part in parts(value)] if isinstance(node, list) else []


def test_the_openapi_document_names_only_what_it_holds() -> None:
    named = {part["$ref"] for part in parts(DOCUMENT) if isinstance(part.get("$ref"), str)}
    components = DOCUMENT["components"]
    held = {f"#/components/{kind}/{name}" for kind in ("schemas", "headers", "responses") for name in components[kind]}
    assert named == held


def test_the_openapi_document_tells_the_limits_of_a_request() -> None:
    schemas = openapi_document(17, "1")["components"]["schemas"]
    several = schemas["ManyCustomers"]
    assert several["additionalProperties"] is False
    assert (
        several["properties"]["customer_ids"]["maxItems"] == schemas["ManyEvents"]["properties"]["events"]["maxItems"]
    )
    assert several["properties"]["customer_ids"]["maxItems"] == 17
    assert Problem.model_json_schema()["required"] == ["type", "title", "status", "detail"]


def test_each_route_is_in_the_document_and_in_the_table_of_roles(app: Starlette) -> None:
    routes = {(m, r.path) for r in app.routes if isinstance(r, Route) for m in r.methods or () if m != "HEAD"}
    described = {(m.upper(), path) for path, item in DOCUMENT["paths"].items() for m in item}
    assert described == routes == {*GUARDED, *PUBLIC}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_every_operation_says_what_it_is_and_what_may_come_back(operation: Any) -> None:
    shown = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert shown["summary"] and shown["description"] and shown["tags"] == [operation.tag] and operation.tag in TAGS
    public = (operation.method, operation.path) in PUBLIC
    assert (
        ({} in shown["security"]) == public and {"key": []} in shown["security"] and {"bearer": []} in shown["security"]
    )
    assert {"400", "401", "429", "500"} < set(shown["responses"])
    assert ("403" in shown["responses"]) != public
    assert {"413", "415", "422"} <= set(shown["responses"]) or not operation.asks
    for status, response in shown["responses"].items():
        whole = DOCUMENT["components"]["responses"][f"Problem{status}"] if "$ref" in response else response
        assert ("Retry-After" in whole["headers"]) == (status in ("429", "503"))
        assert "RateLimit" in whole["headers"] and whole["content"]


def test_operations_have_names_of_their_own() -> None:
    names = [operation.name for operation in OPERATIONS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    "model", {m.__name__: m for o in OPERATIONS for m in o.models}.values(), ids=lambda model: model.__name__
)
def test_the_example_of_every_model_is_valid(model: Any) -> None:
    model.model_validate(example_of({"$ref": PREFIX + model.__name__}, SCHEMAS))


def test_all_that_a_text_a_list_or_a_whole_number_may_be_is_bounded() -> None:
    for part in (p for p in parts(SCHEMAS) if isinstance(p.get("type"), str | list)):
        types = [part["type"]] if isinstance(part["type"], str) else part["type"]
        if "string" in types and not {"enum", "const"} & part.keys():
            assert "maxLength" in part and {"pattern", "format"} & part.keys(), part
        if "integer" in types:
            assert {"minimum", "exclusiveMinimum"} & part.keys() and "maximum" in part and "format" in part, part
        if "array" in types:
            assert isinstance(part["maxItems"], int), part


def test_requests_are_closed_and_answers_are_open() -> None:
    asked = reachable((m.__name__ for o in OPERATIONS for m in o.asks), SCHEMAS)
    answered = reachable(("Problem", *(m.__name__ for o in OPERATIONS for m in o.answers)), SCHEMAS)
    assert not asked & answered
    assert asked | answered == set(SCHEMAS)
    assert {SCHEMAS[name]["additionalProperties"] for name in asked} == {False}
    assert [name for name in answered if "additionalProperties" in SCHEMAS[name]] == []


def test_where_callers_reach_it_and_get_tokens_is_told_as_it_is_set() -> None:
    there = openapi_document(1000, "1", "https://churn.acme.example", "https://id.acme.example/token")
    assert there["servers"][0]["url"] == "https://churn.acme.example"
    flow = there["components"]["securitySchemes"]["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "https://id.acme.example/token"
    assert {"oauth2": []} in there["paths"]["/v1/predictions"]["post"]["security"]
    assert "oauth2" not in str(DOCUMENT) and DOCUMENT["servers"][0]["url"] == "/"


def test_who_may_is_told_of_each_operation() -> None:
    for (method, path), roles in GUARDED.items():
        text = DOCUMENT["paths"][path][method.lower()]["description"]
        assert set(re.findall(r"\w+", text.rpartition("Roles that may:")[2])) == roles


def test_references_are_found_wherever_they_stand() -> None:
    assert references({"a": [{"$ref": PREFIX + "A"}, {"b": {"$ref": PREFIX + "B"}}]}) == {"A", "B"}
