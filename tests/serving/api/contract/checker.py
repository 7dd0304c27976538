"""A second reader of JSON schemas, as 3.1, 3.0.3 and 2.0 mean them: what is wrong with a value."""

from __future__ import annotations

import re
from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "null": (type(None),),
}


def faults(value: Any, schema: dict[str, Any], document: dict[str, Any], at: str = "") -> list[str]:
    """Where a value is not what a schema of a document asks for."""
    if "$ref" in schema:
        target: Any = document
        for name in schema["$ref"].removeprefix("#/").split("/"):
            target = target[name]
        return faults(value, target, document, at)
    if value is None and (schema.get("nullable") or schema.get("x-nullable")):
        return []
    for keyword in ("oneOf", "anyOf"):
        if keyword in schema:
            fitting = sum(not faults(value, choice, document, at) for choice in schema[keyword])
            return [] if fitting == 1 or (fitting and keyword == "anyOf") else [f"{at}: {fitting} of {keyword}"]
    found = [f"{at}: {value!r} breaks {k} {schema[k]!r}" for k in schema if not _holds(k, value, schema)]
    if isinstance(value, dict):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties")
        for name, part in value.items():
            below = properties.get(name) or (others if isinstance(others, dict) else {})
            found += faults(part, below, document, f"{at}/{name}")
    if isinstance(value, list):
        found += [
            f for i, part in enumerate(value) for f in faults(part, schema.get("items", {}), document, f"{at}/{i}")
        ]
    return found


def _holds(keyword: str, value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value keeps to one keyword; those that say nothing of its kind hold."""
    limit = schema[keyword]
    if keyword == "type":
        kinds = [limit] if isinstance(limit, str) else limit
        fits = any(isinstance(value, TYPES[kind]) for kind in kinds)
        return fits and (not isinstance(value, bool) or "boolean" in kinds)
    if keyword == "enum":
        return value in limit
    if keyword == "const":
        return bool(value == limit)
    if keyword == "required":
        return not isinstance(value, dict) or set(limit) <= set(value)
    if keyword == "additionalProperties" and limit is False:
        return not isinstance(value, dict) or set(value) <= set(schema.get("properties", {}))
    if isinstance(value, str):
        sizes = {"maxLength": len(value) <= _int(limit), "minLength": len(value) >= _int(limit)}
        return re.search(limit, value) is not None if keyword == "pattern" else sizes.get(keyword, True)
    if isinstance(value, list | dict):
        sizes = {
            "maxItems": len(value) <= _int(limit) or isinstance(value, dict),
            "minItems": len(value) >= _int(limit) or isinstance(value, dict),
            "maxProperties": len(value) <= _int(limit) or isinstance(value, list),
        }
        return sizes.get(keyword, True)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _within(keyword, value, limit, schema)
    return True


def _within(keyword: str, value: float, limit: Any, schema: dict[str, Any]) -> bool:
    if keyword == "minimum":
        return bool(value > limit if schema.get("exclusiveMinimum") is True else value >= limit)
    if keyword == "maximum":
        return bool(value < limit if schema.get("exclusiveMaximum") is True else value <= limit)
    if keyword == "exclusiveMinimum" and limit is not True:
        return bool(value > limit)
    return bool(value < limit) if keyword == "exclusiveMaximum" and limit is not True else True


def _int(limit: Any) -> int:
    return limit if isinstance(limit, int) else 0
