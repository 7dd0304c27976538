"""One operation of the service, and what the OpenAPI document says of it: statuses, headers, who may."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from serving.access.roles import OPERATIONS, ROLES, is_public
from serving.api.contract.examples import example_of
from serving.api.contract.schemas import Schemas, reference, tidy
from serving.api.problems import MEDIA_TYPE, problem

JSON = "application/json"
PARQUET, CSV = "application/vnd.apache.parquet", "text/csv"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary", "maxLength": 2**31 - 1}}
OF_ALL = ("400", "401", "429", "500")
OF_GUARDED = ("403",)
OF_BODIES = ("413", "415", "422")
OF_PARAMETERS = ("422",)
SCHEMES = ("key", "bearer")
STATUSES = {  # what a status means here, and the last part of the type of its problem
    "400": ("Who asks is said more than once, or cannot be read; or what came is no HTTP.", "bad-credential"),
    "401": (
        "Who asks is not known: nothing tells it, or the key or token does not hold.",
        "unauthorized",
    ),
    "403": ("The role of the caller may not do this.", "forbidden"),
    "404": ("Nothing is known of what was asked for.", "unknown-customer"),
    "409": ("It does not go with what is known; nothing was taken.", "event-conflict"),
    "410": ("It was there, and is gone for good.", "gone"),
    "413": ("The body is longer than any valid request.", "too-large"),
    "415": ("The body is not JSON, or packed otherwise than by gzip.", "media-type"),
    "422": ("The request is not valid; `errors` points to the fields at fault.", "invalid-request"),
    "429": ("Too much is asked, by this caller or by all: come again when `Retry-After` says.", "rate-limit"),
    "500": ("A fault of the service; its log knows the request by its id.", "internal-server-error"),
    "503": ("The service cannot answer now: come again when `Retry-After` says.", "unavailable"),
}
HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "X-Request-Id": (
        "Names the request in the log: as it came in this header, if 8 to 64 of `A-Za-z0-9._-`; else a new one.",
        {
            "type": "string",
            "maxLength": 64,
            "pattern": "^[A-Za-z0-9._-]{8,64}$",
            "example": "01M8DS094M6HZRVW1SAX75E8NK",
        },
    ),
    "Cache-Control": (
        "No answer is for a cache.",
        {"type": "string", "maxLength": 8, "enum": ["no-store"], "example": "no-store"},
    ),
    "X-Content-Type-Options": (
        "The type of the content is the one that is told.",
        {"type": "string", "maxLength": 7, "enum": ["nosniff"], "example": "nosniff"},
    ),
    "RateLimit": (
        "How many requests are left to this caller now, and in how many seconds all of them are again "
        "(draft-ietf-httpapi-ratelimit-headers-10). Left out for who need not say who asks.",
        {"type": "string", "maxLength": 64, "pattern": r'^"requests";r=\d+;t=\d+$', "example": '"requests";r=9990;t=1'},
    ),
    "RateLimit-Policy": (
        "How many requests may come at once, and in how many seconds as many come back; left out where `RateLimit` is.",
        {
            "type": "string",
            "maxLength": 64,
            "pattern": r'^"requests";q=\d+;w=\d+$',
            "example": '"requests";q=10000;w=10',
        },
    ),
    "Access-Control-Allow-Origin": (
        "The service sends none: no page of another origin may read its answers in a browser. A proxy that lets one in "
        "adds it.",
        {"type": "string", "maxLength": 256, "format": "uri", "example": "https://crm.example.org"},
    ),
    "Retry-After": (
        "In how many seconds to come again.",
        {"type": "integer", "format": "int32", "minimum": 1, "maximum": 86400, "example": 5},
    ),
    "Location": (
        "Where it is to be looked at.",
        {
            "type": "string",
            "maxLength": 256,
            "format": "uri-reference",
            "example": "/v1/score-jobs/01M8DS094M6HZRVW1SAX75E8NK",
        },
    ),
    "Content-Disposition": (
        "The name of the file.",
        {
            "type": "string",
            "maxLength": 256,
            "pattern": "^attachment;",
            "example": 'attachment; filename="scores-01M8DS094M6HZRVW1SAX75E8NK.csv"',
        },
    ),
    "WWW-Authenticate": (
        "How to say who asks.",
        {"type": "string", "maxLength": 256, "pattern": "^Bearer", "example": "Bearer"},
    ),
}
OF_SOME = ("Retry-After", "Location", "Content-Disposition", "WWW-Authenticate")
OF_EVERY_ANSWER = tuple(name for name in HEADERS if name not in OF_SOME)
NO_HTTP = {
    "schema": {"type": "string", "maxLength": 200, "pattern": r"^[\s\S]*$"},
    "example": "Invalid HTTP request received.",
}


@dataclass(frozen=True)
class Operation:
    """What can be asked of one path.

    Attributes
    ----------
    method, path
        As of its route; parts of the path that differ stand in braces.
    name
        Names it for generated clients, once among all.
    tag
        The group it belongs to.
    summary, description
        For people, in one line and in some.
    answers, asks
        Models of what is answered and of the body, one of them each; no answers: text.
    problems
        Statuses of failures beyond those that follow from the rest: of all, of bodies, of parameters, of who may.
    parameters
        A model whose fields are the parameters: of the path where it names them, headers where they hold a
        hyphen, else of the query.
    status, media_type
        Of a success.
    files
        Media types of a success that is a file, of one of them.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    tag: str
    summary: str
    description: str
    answers: tuple[type[BaseModel], ...] = ()
    asks: tuple[type[BaseModel], ...] = ()
    problems: tuple[str, ...] = ()
    parameters: type[BaseModel] | None = None
    status: str = "200"
    media_type: str = JSON
    files: tuple[str, ...] = ()

    @property
    def models(self) -> tuple[type[BaseModel], ...]:
        """All models of bodies and answers."""
        return (*self.asks, *self.answers)

    @property
    def failures(self) -> list[str]:
        """The statuses of all its failures."""
        found = {*OF_ALL, *self.problems}
        found |= {*OF_BODIES} if self.asks else {*OF_PARAMETERS} if self.parameters else set()
        return sorted(found | ({*OF_GUARDED} if not is_public(self.method, self.path) else set()))

    def rendered(self, schemas: Schemas, schemes: tuple[str, ...]) -> dict[str, Any]:
        """The operation object of the document."""
        own = {"202": ("Location",)}.get(self.status, ()) + (("Content-Disposition",) if self.files else ())
        success = {
            "description": self.summary + ".",
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in (*OF_EVERY_ANSWER, *own)},
            "content": dict.fromkeys(self.files, BINARY) or {self.media_type: _content(self.answers, schemas)},
        }
        failures = {status: {"$ref": f"#/components/responses/Problem{status}"} for status in self.failures}
        rendered: dict[str, Any] = {
            "operationId": self.name,
            "tags": [self.tag],
            "summary": self.summary,
            "description": f"{self.description} {self._who_may()}",
            "security": _security(self.method, self.path, schemes),
            "responses": {self.status: success, **failures},
        }
        if self.parameters:
            rendered["parameters"] = _parameters(self.parameters, self.path)
        if self.asks:
            rendered["requestBody"] = {"required": True, "content": {JSON: _content(self.asks, schemas)}}
        return rendered

    def _who_may(self) -> str:
        roles = OPERATIONS.get((self.method, self.path))
        if is_public(self.method, self.path):
            return "Anybody may, without saying who asks; a key or token that is given must hold."
        return f"Roles that may: {', '.join(role for role in ROLES if role in (roles or ()))}."


def problem_responses(operations: Iterable[Operation]) -> dict[str, Any]:
    """The answers of the failures of operations, as the document's components name them."""
    statuses = {status for operation in operations for status in operation.failures}
    return {f"Problem{status}": _problem_response(status, *STATUSES[status]) for status in sorted(statuses)}


def header_components() -> dict[str, Any]:
    """All headers of answers, as the document's components name them."""
    return {
        name: {
            "description": text,
            "schema": {k: v for k, v in schema.items() if k != "example"},
            "example": schema["example"],
        }
        for name, (text, schema) in HEADERS.items()
    }


def _problem_response(status: str, description: str, slug: str) -> dict[str, Any]:
    own = {"401": ["WWW-Authenticate"], "429": ["Retry-After"], "503": ["Retry-After"]}.get(status, [])
    example = problem(int(status), slug, HTTPStatus(int(status)).phrase, description.partition(":")[0].rstrip("."))
    content: dict[str, Any] = {MEDIA_TYPE: {"schema": reference("Problem"), "example": example}}
    if status == "400":
        content["text/plain"] = NO_HTTP
    headers = {name: {"$ref": f"#/components/headers/{name}"} for name in (*OF_EVERY_ANSWER, *own)}
    return {"description": description, "headers": headers, "content": content}


def _content(models: tuple[type[BaseModel], ...], schemas: Schemas) -> dict[str, Any]:
    """The schema of one of these models, and an example of each."""
    if not models:
        return {"schema": {"type": "string", "maxLength": 10_000_000, "pattern": r"^[\s\S]*$"}}
    names = [model.__name__ for model in models]
    schema = reference(names[0]) if len(names) == 1 else {"oneOf": [reference(name) for name in names]}
    return {"schema": schema, "examples": {name: {"value": example_of(reference(name), schemas)} for name in names}}


def _parameters(model: type[BaseModel], path: str) -> list[dict[str, Any]]:
    schema = tidy(model.model_json_schema())
    in_path = re.findall(r"{(\w+)}", path)
    parameters = []
    for name, field in schema["properties"].items():
        place = "path" if name in in_path else "header" if "-" in name else "query"
        text = field.get("description", name.replace("_", " ").capitalize() + ".")
        own = {k: v for k, v in field.items() if k not in ("description", "examples")}
        required = place == "path" or name in schema.get("required", ())
        example = example_of(field, {})
        commas = {"style": "form", "explode": False} if own.get("type") == "array" and place == "query" else {}
        said = {"name": name, "in": place, "required": required, "description": text, **commas}
        parameters.append({**said, "schema": own, "example": example})
    return parameters


def _security(method: str, path: str, schemes: tuple[str, ...]) -> list[dict[str, Any]]:
    named: list[dict[str, Any]] = [{scheme: []} for scheme in schemes]
    return [{}, *named] if is_public(method, path) else named
