"""What breaks a caller is found, what only adds is let through, and nothing of /v1 was broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from serving.api.contract.changes import breaking_changes, published
from serving.api.schema.openapi import openapi_document

PUBLISHED = Path(__file__).parents[4] / "docs" / "contract-v1.json"
NOW = openapi_document(1000, "1")


def changed(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What a change of the schemas breaks."""
    newer = copy.deepcopy(NOW)
    change(newer["components"]["schemas"])
    return breaking_changes(NOW, newer)


def test_nothing_of_the_published_contract_is_broken() -> None:
    assert breaking_changes(json.loads(PUBLISHED.read_text("utf-8")), NOW) == []


def test_what_is_published_breaks_as_the_document_does_and_holds_no_texts() -> None:
    old = published(NOW)
    assert breaking_changes(old, NOW) == breaking_changes(NOW, old) == []
    assert "title" in old["components"]["schemas"]["Problem"]["properties"]
    assert "Calibrated probability" not in json.dumps(old)


FIELD = {"type": "string", "maxLength": 9}
BREAKING: dict[str, Callable[[dict[str, Any]], object]] = {
    "answer/churn/band: is gone": lambda s: s["ChurnPart"]["properties"].pop("band"),
    "answer/alias: is gone": lambda s: s["Answer"]["properties"].pop("alias"),
    "answer/churn: churn is required": lambda s: s["ModelPart"].update(required=[]),
    "answer/churn/band: 'severe' is not taken": lambda s: s["ChurnPart"]["properties"]["band"]["enum"].append("severe"),
    "answer/action/code: null is not taken": lambda s: s["ActionPart"]["properties"]["code"].update(
        type=["string", "null"]
    ),
    "answer/reasons/*/text: maxLength is 10000": lambda s: s["Reason"]["properties"]["text"].update(maxLength=20_000),
    "request/colour: is required": lambda s: s["OneCustomer"].update(required=["customer_id", "colour"]),
    "request/explain: 'full' is not taken": lambda s: s["OneCustomer"]["properties"]["explain"].update(
        enum=["none", "top", None]
    ),
    "request/customer_ids: maxItems is 10": lambda s: s["ManyCustomers"]["properties"]["customer_ids"].update(
        maxItems=10
    ),
    "request/top_reasons: is not a known field": lambda s: s["OneCustomer"]["properties"].pop("top_reasons"),
    "request/event_id: pattern is another": lambda s: s["OrderEvent"]["properties"]["event_id"].update(pattern="^e"),
}


@pytest.mark.parametrize("told", BREAKING)
def test_a_change_that_breaks_is_found(told: str) -> None:
    lines = changed(BREAKING[told])
    wanted = told.replace("answer/churn: churn", "answer/model: churn").replace("request/colour", "request")
    assert any(wanted.replace("request: is required", "request: colour is required") in line for line in lines), lines


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["Answer"]["properties"].update(colour=FIELD),
        lambda s: s["Answer"].update(required=[*s["Answer"]["required"], "alias"]),
        lambda s: s["OneCustomer"]["properties"].update(colour=FIELD),
        lambda s: s["OneCustomer"]["properties"]["explain"]["enum"].append("more"),
        lambda s: s["ManyCustomers"]["properties"]["customer_ids"].update(maxItems=5000),
        lambda s: s["Reason"]["properties"]["text"].update(maxLength=5000),
        lambda s: s["ChurnPart"]["properties"]["band"].update(enum=["low", "high"]),
        lambda s: s["ChurnPart"].update(description="Other words."),
        lambda s: s.update(New={"type": "object"}),
    ],
)
def test_a_change_that_only_adds_or_asks_for_less_breaks_nobody(change: Callable[[dict[str, Any]], object]) -> None:
    assert changed(change) == []


def test_operations_may_come_and_not_go_nor_ask_for_more() -> None:
    newer = copy.deepcopy(NOW)
    newer["paths"]["/v1/new"] = newer["paths"]["/v1/models"]
    assert breaking_changes(NOW, newer) == []
    del newer["paths"]["/v1/events"]
    models = newer["paths"]["/v1/models"]["get"]
    models["operationId"] = "all_models"
    models["parameters"] = [{"name": "n", "in": "query", "required": True, "schema": {"type": "integer"}}]
    models["responses"] = {k: v for k, v in models["responses"].items() if k != "200"}
    assert breaking_changes(NOW, newer) == [
        "POST /v1/events: is gone",
        "GET /v1/models: has another operationId",
        "GET /v1/models parameter n: is asked for now",
        "GET /v1/models: no longer answers 200",
    ]
