"""Each document of the contract is served, and what is answered is what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from tests.serving.api.contract.checker import faults

DOCUMENTS = ("/openapi.json", "/openapi-3.0.json", "/swagger.json")
ASKED: tuple[tuple[str, str, dict[str, Any] | None], ...] = (
    ("post", "/v1/predictions", {"customer_id": "c1"}),
    ("post", "/v1/predictions", {"customer_id": "c2", "top_reasons": 0}),
    ("post", "/v1/predictions", {"customer_ids": [*(f"c{i}" for i in range(60)), "c1", "nobody"]}),
    ("post", "/v1/predictions", {"customer_id": "nobody"}),
    ("post", "/v1/predictions", {"customer_id": 7, "colour": "red"}),
    ("post", "/v1/predictions", {"customer_id": "c1", "explain": "none"}),
    ("post", "/v1/events", {"event_id": "e1", "type": "order"}),
    ("post", "/v1/events", {"events": []}),
    ("get", "/v1/models", None),
    ("get", "/v2", None),
    ("get", "/v2/health/ready", None),
    ("get", "/healthz", None),
    ("get", "/readyz", None),
    *(("get", path, None) for path in DOCUMENTS),
)


@pytest.fixture
def client(app: Starlette, calling: Callable[[Starlette], Any]) -> Any:
    return calling(app)


def schema_of(document: dict[str, Any], response: dict[str, Any]) -> dict[str, Any]:
    """The schema of an answer, wherever the version of the document has it."""
    if "$ref" in response:
        *_, kind, name = response["$ref"].split("/")
        response = (document["components"][kind] if "components" in document else document[kind])[name]
    content = [body["schema"] for body in response.get("content", {}).values()]
    return content[0] if content else response["schema"]


@pytest.mark.parametrize("place", DOCUMENTS)
def test_real_answers_are_as_each_document_says(client: Any, place: str) -> None:
    document = client.get(place).json()
    assert (
        document.get("openapi", document.get("swagger"))
        == {
            "/openapi.json": "3.1.0",
            "/openapi-3.0.json": "3.0.3",
            "/swagger.json": "2.0",
        }[place]
    )
    statuses = set()
    for method, path, body in ASKED:
        answer = client.post(path, json=body) if body else client.get(path)
        told = document["paths"][path][method]["responses"][str(answer.status_code)]
        assert faults(answer.json(), schema_of(document, told), document) == [], (method, path, body)
        statuses.add(answer.status_code)
    assert statuses == {200, 404, 422}


@pytest.mark.parametrize("place", DOCUMENTS)
def test_an_answer_that_is_not_as_told_would_be_found(client: Any, place: str) -> None:
    document = client.get(place).json()
    schema = schema_of(document, document["paths"]["/v1/predictions"]["post"]["responses"]["200"])
    answer = client.post("/v1/predictions", json={"customer_id": "c1"}).json()
    answer["clv"]["tier"] = "platinum"
    assert faults(answer, schema, document)
