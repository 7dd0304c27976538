"""The OpenAPI 3.1 document of the service, computed from the models of this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from serving.api.problems import MEDIA_TYPE
from serving.api.schema.answers import Answer, Answers, Models, Problem
from serving.api.schema.events import AcceptedEvents, ManyEvents
from serving.api.schema.requests import ManyCustomers, OneCustomer
from serving.api.schema.resource_paths import resource_models, resource_paths

SECURITY = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "A key of the service, or a token of the provider."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key of the service."},
}
MODELS = (OneCustomer, ManyCustomers, Answer, Answers, Models, Problem, ManyEvents, AcceptedEvents)


def openapi_document(max_customers: int, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of a service that takes up to so many customers, or events, in a request."""
    references = [(model, "validation") for model in (*MODELS, *resource_models())]
    _, definitions = models_json_schema(references, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas = definitions["$defs"]
    schemas["ManyCustomers"]["properties"]["customer_ids"]["maxItems"] = max_customers
    for model, items in (("ManyEvents", "events"), ("ManyContacts", "contacts"), ("ManyOutcomes", "outcomes")):
        schemas[model]["properties"][items]["maxItems"] = max_customers
    predict = _operation(
        "predict",
        "Risk, value, reasons and action of one customer or of several",
        _one_of("Answer", "Answers"),
        ("401", "403", "404", "413", "415", "422", "429", "503"),
        _one_of("OneCustomer", "ManyCustomers"),
    )
    take_events = _operation(
        "take_events",
        "Take new orders and interactions; predictions reflect them from then on",
        _reference("AcceptedEvents"),
        ("401", "403", "409", "413", "415", "422", "429", "503"),
        _one_of("OrderEvent", "InteractionEvent", "ManyEvents"),
    )
    models = _operation("models", "The champions that answer now", _reference("Models"), ("401", "403", "429", "503"))
    alive = _operation("alive", "The process runs", {"type": "object"})
    ready = _operation("ready", "Models are loaded and features can be read", {"type": "object"}, ["503"])
    about = {"title": "Staycast", "version": version, "description": "Who will leave, what each is worth, and why."}
    return {
        "openapi": "3.1.0",
        "info": about,
        "paths": {
            "/v1/predictions": {"post": predict},
            "/v1/events": {"post": take_events},
            "/v1/models": {"get": models},
            **resource_paths([{scheme: []} for scheme in SECURITY]),
            "/healthz": {"get": alive},
            "/readyz": {"get": ready},
        },
        "components": {"schemas": schemas, "securitySchemes": SECURITY},
    }


def _operation(
    name: str,
    summary: str,
    answer: dict[str, Any],
    problems: Sequence[str] = (),
    request: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """One operation; `answer` and `request` are JSON schemas, `problems` the statuses it may fail with."""
    problem = {"description": "Problem", "content": {MEDIA_TYPE: {"schema": _reference("Problem")}}}
    success = {"description": summary, "content": {"application/json": {"schema": answer}}}
    told = ("400", *problems) if "401" in problems and "400" not in problems else problems  # of who asks
    operation = {"summary": summary, "responses": {"200": success, **dict.fromkeys(told, problem)}}
    body = {"required": True, "content": {"application/json": {"schema": request}}}
    guarded: list[dict[str, Any]] = [{scheme: []} for scheme in SECURITY] if "401" in problems else []
    return {**operation, "security": guarded, "operationId": name, **({"requestBody": body} if request else {})}


def _one_of(*names: str) -> dict[str, Any]:
    return {"oneOf": [_reference(name) for name in names]}


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
