"""A document of OpenAPI 3.1 -> the same contract as OpenAPI 3.0.3, without choices between schemas.

Many tools that read 3.0.3 know no ``oneOf``: one of several objects is shown as one object with the fields of all, of
which those are required that all require. So it allows all that the contract allows, and somewhat more. What may be
null is ``nullable``; an object with any keys shows the usual ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving.api.contract.schemas import NULL, PREFIX, Schema, Schemas, reachable, reference, references

LICENSE_URLS = {"Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0"}
OF_ONE_TYPE = {"maxLength", "minLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum", "enum"}


def openapi_30(document: dict[str, Any]) -> dict[str, Any]:
    """A document of OpenAPI 3.0.3 from one of 3.1, of which nothing is changed in place."""
    license_name = document["info"]["license"]["name"]
    components = document["components"]
    writer = _Writer(components["schemas"], _nullable_names(document))
    paths = {
        path: {method: writer.operation(operation) for method, operation in item.items()}
        for path, item in document["paths"].items()
    }
    schemas = writer.components()
    return {
        **document,
        "openapi": "3.0.3",
        "info": {**document["info"], "license": {"name": license_name, "url": LICENSE_URLS[license_name]}},
        "paths": paths,
        "components": {**components, "schemas": _used(schemas, {**components, "paths": paths})},
    }


def _nullable_names(document: dict[str, Any]) -> dict[str, str]:
    """Schemas that may be null somewhere, and the name that stands there: another where they may not be elsewhere."""
    nullable = references([part["anyOf"] for part in _parts(document) if NULL in part.get("anyOf", ())])
    plain = references(_without_null_choices(document))
    return {name: f"Nullable{name}" if name in plain else name for name in sorted(nullable)}


def _without_null_choices(node: Any) -> Any:
    """A part of a document without the choices that may be null."""
    if isinstance(node, dict):
        kept = {k: v for k, v in node.items() if not (k == "anyOf" and NULL in v)}
        return {k: _without_null_choices(v) for k, v in kept.items()}
    return [_without_null_choices(part) for part in node] if isinstance(node, list) else node


class _Writer:
    """Writes schemas of 3.0.3; `nullable` names those that may be null."""

    def __init__(self, schemas: Schemas, nullable: dict[str, str]) -> None:
        self._schemas, self._nullable = schemas, nullable
        self._together: dict[str, Schema] = {}

    def operation(self, operation: dict[str, Any]) -> dict[str, Any]:
        """An operation; one of several bodies or answers is a schema named after it."""
        name = "".join(word.capitalize() for word in operation["operationId"].split("_"))
        written = dict(operation)
        if "requestBody" in operation:
            content = self._content(operation["requestBody"]["content"], f"{name}Request")
            written["requestBody"] = {**operation["requestBody"], "content": content}
        if "parameters" in operation:
            written["parameters"] = [{**p, "schema": self.schema(p["schema"])} for p in operation["parameters"]]
        written["responses"] = {
            status: {**told, "content": self._content(told["content"], f"{name}Answer")} if "content" in told else told
            for status, told in operation["responses"].items()
        }
        return written

    def components(self) -> dict[str, Schema]:
        """All schemas, by name."""
        written = {name: self.schema(schema) for name, schema in self._schemas.items()}
        null = {self._nullable[n]: {**written[n], "nullable": True} for n in self._nullable}
        return dict(sorted({**written, **null, **self._together}.items()))

    def schema(self, schema: Schema) -> Schema:
        """One schema."""
        if "$ref" in schema:
            return schema
        choices = [c for c in schema.get("oneOf") or schema.get("anyOf") or () if c != NULL]
        if len(choices) == 1:
            name = self._nullable[choices[0]["$ref"].removeprefix(PREFIX)]
            return reference(name)
        if choices:
            return self._of_all(choices)
        written = _scalar(schema)
        if "items" in schema:
            written["items"] = self.schema(schema["items"])
        if named := _named_values(schema) or schema.get("properties"):
            written["properties"] = {name: self.schema(part) for name, part in named.items()}
        return written

    def _content(self, content: dict[str, Any], name: str) -> dict[str, Any]:
        written = {}
        for media_type, body in content.items():
            schema = self.schema(body["schema"])
            if "oneOf" in body["schema"]:
                self._together[name] = schema
                schema = reference(name)
            written[media_type] = {**body, "schema": schema}
        return written

    def _of_all(self, choices: Sequence[Schema]) -> Schema:
        """One object with the fields of several."""
        parts = [self.schema(self._schemas[choice["$ref"].removeprefix(PREFIX)]) for choice in choices]
        fields: dict[str, Schema] = {}
        for part in parts:
            for name, field in part["properties"].items():
                fields[name] = _either(fields[name], field) if name in fields else field
        required = [name for name in fields if all(name in part.get("required", ()) for part in parts)]
        names = ", ".join(choice["$ref"].removeprefix(PREFIX) for choice in choices)
        closed = all(part.get("additionalProperties") is False for part in parts)
        return {
            "type": "object",
            "description": f"One of: {names}.",
            "properties": fields,
            **({"required": required} if required else {}),
            **({"additionalProperties": False} if closed else {}),
        }


def _scalar(schema: Schema) -> Schema:
    """The keywords of a schema itself, without those that 3.0.3 does not know."""
    left_out = ("examples", "const", "propertyNames", "type", "properties", "items")
    written = {k: v for k, v in schema.items() if k not in left_out}
    types = schema.get("type", [])
    kinds = [types] if isinstance(types, str) else types
    known = [kind for kind in kinds if kind != "null"]
    if len(known) == 1:
        written = {"type": known[0], **written}
        if "null" in kinds:
            written["nullable"] = True
    elif known:
        written = {k: v for k, v in written.items() if k not in OF_ONE_TYPE}
    if "const" in schema:
        written["enum"] = [schema["const"]]
    if "examples" in schema:
        written["example"] = schema["examples"][0]
    for limit, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if limit in written:
            written |= {bound: written[limit], limit: True}
    if isinstance(schema.get("additionalProperties"), dict | bool) and schema["additionalProperties"] is not False:
        del written["additionalProperties"]
    return written


def _named_values(schema: Schema) -> dict[str, Schema]:
    """The usual keys of an object that takes any, each with the schema of its values."""
    values = schema.get("additionalProperties")
    if not isinstance(values, dict):
        return {}
    names = schema.get("propertyNames", {}).get("enum") or [*schema.get("examples", [{}])[0]]
    return dict.fromkeys(names, values)


def _either(one: Schema, other: Schema) -> Schema:
    """What two schemas of a field have in common; choices of both."""
    if "enum" in one and "enum" in other:
        return {**one, "enum": list(dict.fromkeys([*one["enum"], *other["enum"]]))}
    return {key: value for key, value in one.items() if other.get(key) == value or key in ("description", "example")}


def _used(schemas: dict[str, Schema], others: Any) -> dict[str, Schema]:
    """The schemas that anything refers to, in the end."""
    found = reachable(references({k: v for k, v in others.items() if k != "schemas"}), schemas)
    return {name: schema for name, schema in schemas.items() if name in found}


def _parts(node: Any) -> list[dict[str, Any]]:
    """All objects of a document."""
    if isinstance(node, dict):
        return [node, *(part for value in node.values() for part in _parts(value))]
    return [part for value in node for part in _parts(value)] if isinstance(node, list) else []
