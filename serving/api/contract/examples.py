"""An example of a schema, composed of the examples of its fields."""

from __future__ import annotations

from typing import Any

from serving.api.contract.schemas import PREFIX, Schema, Schemas

TIME = "2024-11-05T10:15:00Z"
PLAIN: dict[str, Any] = {"boolean": True, "null": None}


def example_of(schema: Schema, schemas: Schemas) -> Any:
    """An example that a schema allows.

    What a field names as its example counts; else a constant, the first choice, the least number, or one of each part.

    Parameters
    ----------
    schema
        Of OpenAPI 3.1.
    schemas
        Those it may refer to, by name.

    Examples
    --------
    >>> day = {"type": "integer", "exclusiveMinimum": 0}
    >>> example_of({"type": "object", "properties": {"id": {"type": "string", "examples": ["a7"]}, "days": day}}, {})
    {'id': 'a7', 'days': 1}
    """
    if "$ref" in schema:
        schema = {**schemas[schema["$ref"].removeprefix(PREFIX)], **{k: v for k, v in schema.items() if k != "$ref"}}
    for key in ("examples", "enum"):
        if key in schema:
            return schema[key][0]
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return example_of(choices[0], schemas)
    return _of_type(schema, schemas)


def _of_type(schema: Schema, schemas: Schemas) -> Any:
    types = schema.get("type", "object")
    kind = types if isinstance(types, str) else types[0]
    if kind == "object":
        return {name: example_of(part, schemas) for name, part in schema.get("properties", {}).items()}
    if kind == "array":
        return [example_of(schema["items"], schemas)]
    if kind == "string":
        return TIME if schema.get("format") == "date-time" else "a text"
    if kind in ("number", "integer"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
        return int(least) if kind == "integer" else float(min(max(least, 0), schema.get("maximum", least)))
    return PLAIN[kind]
