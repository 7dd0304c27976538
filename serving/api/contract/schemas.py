"""JSON schemas as pydantic writes them -> as the document shows them: without noise, answers open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

Schema = dict[str, Any]
Schemas = Mapping[str, Schema]
PREFIX = "#/components/schemas/"
NULL = {"type": "null"}


def reference(name: str) -> Schema:
    """The schema that stands under a name."""
    return {"$ref": PREFIX + name}


def schemas_of(
    models: Iterable[type[BaseModel]], asked: Iterable[type[BaseModel]], per_request: int
) -> dict[str, Schema]:
    """The schemas of models and of what they hold, by name.

    Parameters
    ----------
    models
        All of them.
    asked
        Those of requests. They stay closed; all others are open, so that answers may grow.
    per_request
        How many customers, or events, a request may name: lists whose ``maxItems`` is a word hold as many.
    """
    _, found = models_json_schema([(m, "validation") for m in dict.fromkeys(models)], ref_template=PREFIX + "{model}")
    schemas = {name: tidy(schema, per_request) for name, schema in found["$defs"].items()}
    closed = reachable((m.__name__ for m in asked), schemas)
    return {name: schema if name in closed else _opened(schema) for name, schema in schemas.items()}


def reachable(names: Iterable[str], schemas: Schemas) -> set[str]:
    """The schemas of these names, and all that they hold."""
    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name not in found:
            found.add(name)
            ahead += references(schemas[name])
    return found


def references(node: Any) -> set[str]:
    """The names of the schemas that a part of a document refers to.

    >>> sorted(references({"anyOf": [reference("A"), {"items": reference("B")}]}))
    ['A', 'B']
    """
    if isinstance(node, dict):
        named = node.get("$ref")
        own = {named.removeprefix(PREFIX)} if isinstance(named, str) and named.startswith(PREFIX) else set()
        return own.union(*map(references, node.values()))
    return set().union(*map(references, node)) if isinstance(node, list) else set()


def tidy(schema: Schema, per_request: int = 0) -> Schema:
    """A schema without made-up titles and without a choice where one list of types says the same.

    >>> tidy({"anyOf": [{"type": "string", "maxLength": 9}, {"type": "null"}], "title": "Plan", "default": None})
    {'type': ['string', 'null'], 'maxLength': 9}
    """
    kept = {k: v for k, v in schema.items() if k != "title" and not (k == "default" and v is None)}
    for key in ("anyOf", "oneOf"):
        if key in kept:
            kept[key] = [tidy(choice, per_request) for choice in kept[key]]
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(kept.get(key), dict):
            kept[key] = tidy(kept[key], per_request)
    if "properties" in kept:
        kept["properties"] = {name: tidy(part, per_request) for name, part in kept["properties"].items()}
    if isinstance(kept.get("maxItems"), str):
        kept["maxItems"] = per_request
    return _merged(kept) if all(_is_plain(choice) for choice in kept.get("anyOf", [{}])) else kept


def _is_plain(choice: Schema) -> bool:
    """Whether a choice is of one plain type, so that it can stand in a list of types."""
    return choice.get("type") in ("string", "number", "integer", "boolean", "null", "array") or (
        choice.get("type") == "object" and "properties" not in choice
    )


def _merged(schema: Schema) -> Schema:
    """A choice of plain types as one schema with a list of types."""
    together: Schema = {"type": [choice["type"] for choice in schema["anyOf"]]}
    for choice in schema["anyOf"]:
        together |= {key: value for key, value in choice.items() if key != "type"}
    if "enum" in together and NULL in schema["anyOf"]:
        together["enum"] = [*together["enum"], None]
    return together | {key: value for key, value in schema.items() if key != "anyOf"}


def _opened(schema: Schema) -> Schema:
    return {k: v for k, v in schema.items() if not (k == "additionalProperties" and v is False)}
