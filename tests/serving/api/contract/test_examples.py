"""An example is composed of what the fields say."""

from __future__ import annotations

from typing import Any

import pytest

from serving.api.contract.examples import example_of

SCHEMAS = {"Part": {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]}}


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({"type": "string", "examples": ["x", "y"]}, "x"),
        ({"type": "string", "enum": ["low", "high"]}, "low"),
        ({"type": "string", "const": "order"}, "order"),
        ({"type": ["string", "null"], "maxLength": 9}, "a text"),
        ({"type": "number", "minimum": -5, "maximum": 5}, 0.0),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "array", "items": {"type": "integer", "minimum": 1}}, [1]),
        ({"anyOf": [{"$ref": "#/components/schemas/Part"}, {"type": "null"}]}, {"b": True}),
        ({"$ref": "#/components/schemas/Part"}, {"b": True}),
        ({"type": "null"}, None),
    ],
)
def test_an_example_is_what_the_field_names_or_the_least_it_allows(schema: dict[str, Any], example: Any) -> None:
    assert example_of(schema, SCHEMAS) == example
