"""One entry of the table says all there is to say of an operation."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from serving.access.roles import OPERATIONS
from serving.api import problems
from serving.api.contract.operation import HEADERS, STATUSES, Operation
from serving.api.contract.schemas import schemas_of


class Found(BaseModel):
    name: str


class Asked(BaseModel):
    customer_id: Annotated[str, Field(max_length=9, description="Of the customer.", examples=["1038"])]
    limit: Annotated[int, Field(ge=1, le=50, json_schema_extra={"format": "int32"})] = 20


LIST = Operation("GET", "/v1/c/{customer_id}", "c", "cs", "One", "All of it.", (Found,), (), ("404",), Asked)


def test_parameters_are_of_the_path_where_it_names_them_and_else_of_the_query() -> None:
    shown = LIST.rendered(schemas_of([Found], [], 1), ("key",))["parameters"]
    assert [(p["name"], p["in"], p["required"], p["example"]) for p in shown] == [
        ("customer_id", "path", True, "1038"),
        ("limit", "query", False, 20),
    ]
    assert shown[0]["description"] == "Of the customer." and shown[1]["schema"]["maximum"] == 50


def test_failures_follow_from_what_an_operation_takes_and_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIST.failures == ["400", "401", "403", "404", "422", "429", "500"]
    monkeypatch.setitem(OPERATIONS, ("GET", LIST.path), frozenset({"admin", "crm"}))
    assert LIST.rendered(schemas_of([Found], [], 1), ())["description"] == "All of it. Roles that may: crm, admin."


def test_every_kind_of_problem_has_a_status_that_is_told() -> None:
    kinds = [kind for kind in vars(problems).values() if isinstance(kind, type) and hasattr(kind, "status")]
    assert {str(kind.status) for kind in kinds} <= STATUSES.keys()
    assert {slug for _, slug in STATUSES.values()} >= {"unauthorized", "forbidden", "invalid-request", "rate-limit"}


def test_examples_of_headers_are_as_their_schemas_ask() -> None:
    import re

    for _, schema in HEADERS.values():
        example = schema["example"]
        assert isinstance(example, int if schema["type"] == "integer" else str)
        assert re.search(schema.get("pattern", ""), str(example)) and example in schema.get("enum", [example])
