"""What pydantic writes becomes shorter and says the same."""

from __future__ import annotations

import copy
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from serving.api.contract.schemas import schemas_of, tidy


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str | None = None


class Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")
    part: Part | None = None
    ids: Annotated[list[str], Field(json_schema_extra={"maxItems": "as asked"})] = []


class Told(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Annotated[Literal["a", "b"] | None, Field(description="Either.")]
    value: float | str | None


def test_a_field_that_may_be_null_is_of_two_types_and_a_choice_may_be_null() -> None:
    schema = schemas_of([Told], [], 1)["Told"]["properties"]
    assert schema["kind"] == {"type": ["string", "null"], "enum": ["a", "b", None], "description": "Either."}
    assert schema["value"] == {"type": ["number", "string", "null"]}


def test_a_field_named_title_stays_and_made_up_titles_go() -> None:
    schema = schemas_of([Asked], [Asked], 1)["Part"]
    assert schema == {
        "type": "object",
        "properties": {"title": {"type": ["string", "null"]}},
        "additionalProperties": False,
    }


def test_what_is_asked_and_its_parts_stay_closed_and_what_is_told_is_opened() -> None:
    schemas = schemas_of([Asked, Told], [Asked], 7)
    assert {name: schema.get("additionalProperties") for name, schema in schemas.items()} == {
        "Asked": False,
        "Part": False,
        "Told": None,
    }
    assert schemas["Asked"]["properties"]["ids"]["maxItems"] == 7


def test_a_schema_is_not_changed_in_place() -> None:
    schema = {"title": "A", "properties": {"b": {"title": "B", "anyOf": [{"type": "string"}, {"type": "null"}]}}}
    before = copy.deepcopy(schema)
    tidy(schema)
    assert schema == before
