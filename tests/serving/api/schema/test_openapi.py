from __future__ import annotations

from typing import Any

from serving.api.schema.answers import Problem
from serving.api.schema.openapi import openapi_document


def references(node: Any) -> set[str]:
    if isinstance(node, dict):
        own = {node["$ref"]} if "$ref" in node else set()
        return own.union(*(references(v) for v in node.values()), set())
    return set().union(*(references(v) for v in node)) if isinstance(node, list) else set()


def test_the_openapi_document_names_only_what_it_holds() -> None:
    document = openapi_document(1000, "1")
    held = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references(document) <= held
    assert held - references(document) == set()


def test_the_openapi_document_tells_the_limits_of_a_request() -> None:
    schemas = openapi_document(17, "1")["components"]["schemas"]
    several = schemas["ManyCustomers"]
    assert several["additionalProperties"] is False
    assert several["properties"]["customer_ids"]["maxItems"] == 17
    assert Problem.model_json_schema()["required"] == ["type", "title", "status", "detail"]
