"""The operations of the resources, as the OpenAPI document tells them: one row each."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from serving.api.problems import MEDIA_TYPE
from serving.api.schema.campaigns import (
    AcceptedContacts,
    AcceptedOutcomes,
    Contact,
    ManyContacts,
    ManyOutcomes,
    OutcomeReport,
)
from serving.api.schema.customers import CustomerList, CustomerListQuery, CustomerQuery, CustomerRecord
from serving.api.schema.what_if import WhatIfAnswer, WhatIfQuestion

ID = {"type": "string", "minLength": 1, "maxLength": 256, "examples": ["1038"]}
IDS = {"customer_id": "Whom: the id of a customer, or an alias; a slash within it as %2F."}


@dataclass(frozen=True)
class Resource:
    """One operation.

    Attributes
    ----------
    method, path
        What is asked.
    name, summary, description
        Its operationId, and what it does, in short and at length.
    answer
        What comes back.
    problems
        The statuses it may fail with, beside those of all: 401, 403, 429, 503.
    asks
        The body it takes, one of several.
    query
        The parameters behind the question mark.
    """

    method: str
    path: str
    name: str
    summary: str
    description: str
    answer: type[BaseModel]
    problems: tuple[str, ...] = ()
    asks: tuple[type[BaseModel], ...] = ()
    query: type[BaseModel] | None = None
    of_all: tuple[str, ...] = field(default=("401", "403", "429", "503"))

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """The models it speaks of."""
        return (self.answer, *self.asks)


RESOURCES = (
    Resource(
        "GET",
        "/v1/customers/{customer_id}",
        "get_customer",
        "One customer as a flat object: the answer of now, and the scores before",
        "Computed now from the newest features, and kept on record like any other prediction. Who is new, stale or has "
        "left is said to be so in `status` and `notes`; who is not known gets 404, who was erased 410.",
        CustomerRecord,
        ("404", "410", "422"),
        query=CustomerQuery,
    ),
    Resource(
        "GET",
        "/v1/customers",
        "list_customers",
        "A page of the customers that a team works on, from the newest score file",
        "Pages go on from `next`; a list that was begun stays that of its score file, though a newer one appears. With "
        "`changed_since`, only customers whose band, tier, stage or probability differs from the newest score file of "
        "that moment. Where there is no score file, 404 says to run `staycast score`.",
        CustomerList,
        ("404", "410", "422"),
        query=CustomerListQuery,
    ),
    Resource(
        "POST",
        "/v1/contacts",
        "take_contacts",
        "Take whom a campaign contacted, or held out to compare with",
        "One contact, or several under `contacts`; all are taken, or none. The next answer reflects them. The same "
        "`contact_id` with the same content is known and counts once.",
        AcceptedContacts,
        ("409", "413", "415", "422"),
        (Contact, ManyContacts),
    ),
    Resource(
        "POST",
        "/v1/outcomes",
        "take_outcomes",
        "Take what came of contacts and forecasts: reached, accepted, refused, left, kept",
        "One outcome, or several under `outcomes`; all are kept, or none. They are for judging campaigns and forecasts "
        "and change no answer. The same `outcome_id` with the same content is known and counts once.",
        AcceptedOutcomes,
        ("409", "413", "415", "422"),
        (OutcomeReport, ManyOutcomes),
    ),
    Resource(
        "POST",
        "/v1/what-if",
        "what_if",
        "What would be forecast of a customer if some features were others",
        "The forecasts as they are and as they would be, and the difference explained feature by feature. It is no "
        "prediction of what happens if you act: it is not kept on record, and advises no action. Features that hang "
        "together are not changed along: change each.",
        WhatIfAnswer,
        ("404", "413", "415", "422"),
        (WhatIfQuestion,),
    ),
)


def resource_models() -> tuple[type[BaseModel], ...]:
    """All models that the operations speak of."""
    return tuple(dict.fromkeys(model for resource in RESOURCES for model in resource.models))


def resource_paths(security: list[dict[str, Any]]) -> dict[str, Any]:
    """The part ``paths`` of the document."""
    paths: dict[str, Any] = {}
    for resource in RESOURCES:
        paths.setdefault(resource.path, {})[resource.method.lower()] = _operation(resource, security)
    return paths


def _operation(resource: Resource, security: list[dict[str, Any]]) -> dict[str, Any]:
    success = {"description": resource.summary, "content": _json(_reference(resource.answer))}
    problem = {"description": "Problem", "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    bodies = [_reference(model) for model in resource.asks]
    body = {"required": True, "content": _json(bodies[0] if len(bodies) == 1 else {"oneOf": bodies})} if bodies else {}
    parameters = [*_path_parameters(resource.path), *(_query_parameters(resource.query) if resource.query else [])]
    return {
        "operationId": resource.name,
        "summary": resource.summary,
        "description": resource.description,
        "security": security,
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": body} if body else {}),
        "responses": {"200": success, **dict.fromkeys(sorted({*resource.of_all, *resource.problems}), problem)},
    }


def _path_parameters(path: str) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": n, "in": "path", "required": True, "description": IDS[n], "schema": ID} for n in names]


def _query_parameters(model: type[BaseModel]) -> list[dict[str, Any]]:
    """Each field as a parameter; several values are parted by commas."""
    parameters = []
    for name, schema in model.model_json_schema()["properties"].items():
        own = {key: value for key, value in schema.items() if key not in ("title", "description")}
        default = own.pop("default", None)
        own |= {"default": default} if default not in (None, ()) and default != [] else {}
        style = {"style": "form", "explode": False} if own.get("type") == "array" else {}
        described = {"name": name, "in": "query", "required": False, "description": schema["description"]}
        parameters.append({**described, **style, "schema": own})
    return parameters


def _reference(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
