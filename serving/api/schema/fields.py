"""The kinds of fields that requests, events and answers share."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from features.tables import MAX_ID_LENGTH


class StrictModel(BaseModel):
    """A JSON object without unknown fields, without silent conversion, with finite numbers only."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def time_field(decimals: str, description: str, offset: str = "Z") -> Any:
    """A time as text, in UTC if `offset` allows no other.

    `decimals` is a quantifier of regular expressions, the digits behind the point of a second; `offset` one itself.
    """
    pattern = rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{decimals})?{offset}$"
    return Field(pattern=pattern, json_schema_extra={"format": "date-time"}, description=description)


ANY_OFFSET = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
CustomerId = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, examples=["1038"])]
UtcTime = Annotated[str, time_field("+", "ISO 8601, UTC.")]
