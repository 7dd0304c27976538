"""The kinds of fields that requests, events and answers share."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from features.tables import MAX_ID_LENGTH, id_of

MAX_TIME_LENGTH = 40
ANY_OFFSET = r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:)(\d\d)(\.\d+)?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)
GIVEN_TIME = (
    f"RFC 3339; small letters and more digits are taken, {MAX_TIME_LENGTH} signs in all. What is finer than a "
    "microsecond is cut, and a leap second counts as the last microsecond before it."
)
MICROSECOND_DIGITS = 7  # with the point before them
NO_TIME = "must be a time such as 2024-11-05T10:15:00Z"
MAX_TEXT = 256  # of a category


class StrictModel(BaseModel):
    """A JSON object without unknown fields, without silent conversion, with finite numbers only."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def some_id(text: str) -> str:
    """The id that a text is."""
    if not (customer_id := id_of(text)):
        raise ValueError("must hold more than blanks")
    return customer_id


def time_field(decimals: str, description: str, offset: str = "Z") -> Any:
    """What the contract says of a time as text, in UTC if `offset` allows no other.

    `decimals` is a quantifier of regular expressions, the digits behind the point of a second; `offset` one itself.
    """
    pattern = rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{decimals})?{offset}$"
    return Field(
        max_length=MAX_TIME_LENGTH,
        json_schema_extra={"format": "date-time", "pattern": pattern},
        description=description,
        examples=["2024-11-05T10:15:00Z"],
    )


def rfc3339(text: str) -> str:
    """A time that was sent, as all behind this reads it: in capitals, with microseconds at most.

    RFC 3339 also has small letters; further digits, which are cut as those of files are; and a leap second, the last
    of a month in UTC, which counts as the last microsecond before it.

    Raises
    ------
    ValueError
        It is none, or there is no such time.

    Examples
    --------
    >>> rfc3339("2024-11-05t10:15:00.1234569z"), rfc3339("2017-01-01T00:59:60.5+01:00")
    ('2024-11-05T10:15:00.123456Z', '2017-01-01T00:59:59.999999+01:00')
    """
    found = RFC3339.fullmatch(text.upper())
    if found is None:
        raise ValueError(NO_TIME)
    minute, second, digits, offset = found.groups()
    is_leap = second == "60"
    kept = ".999999" if is_leap else (digits or "")[:MICROSECOND_DIGITS]
    same = f"{minute}{'59' if is_leap else second}{kept}{offset}"
    try:
        time = datetime.fromisoformat(same)
        may_be = not is_leap or (time.astimezone(UTC) + timedelta(microseconds=1)).strftime("%d%H%M") == "010000"
    except (ValueError, OverflowError):
        raise ValueError(NO_TIME) from None
    if not may_be:
        raise ValueError(NO_TIME)
    return same


ANY_TEXT: JsonDict = {"pattern": r"^[\s\S]*$"}  # said, not checked: whatever the length allows is taken
SOME_TEXT: JsonDict = {"pattern": r"\S"}
INT32: JsonDict = {"format": "int32"}
INT64: JsonDict = {"format": "int64"}
PER_REQUEST: JsonDict = {"maxItems": "as many as a request may name"}  # a number in the document of a service
MAX_DAYS = 36525
MAX_AGE_SECONDS = 10**12
MAX_ITEMS = 10_000  # of lists that no request bounds, such as the columns of a model
CustomerId = Annotated[
    str,
    Field(min_length=1, max_length=MAX_ID_LENGTH, examples=["1038"], json_schema_extra=ANY_TEXT),
    AfterValidator(some_id),
]
PredictionId = Annotated[
    str,
    Field(
        max_length=26,
        pattern="^[0-9A-HJKMNP-TV-Z]{26}$",
        description="ULID.",
        examples=["01M8DS094M6HZRVW1SAX75E8NK"],
    ),
]
JobId = PredictionId
Moment = Annotated[str, Field(max_length=MAX_TIME_LENGTH), AfterValidator(rfc3339)]
GivenTime = Annotated[Moment, time_field("{1,6}", GIVEN_TIME, ANY_OFFSET)]
UtcTime = Annotated[str, time_field("+", "ISO 8601, UTC.")]
Name = Annotated[str, Field(max_length=1_000, json_schema_extra=ANY_TEXT)]
Prose = Annotated[str, Field(max_length=10_000, json_schema_extra=ANY_TEXT)]
Days = Annotated[int, Field(gt=0, le=MAX_DAYS, examples=[30], json_schema_extra=INT32)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1, json_schema_extra=INT32)]
Share = Annotated[float, Field(gt=0, lt=1, examples=[0.9])]
Percentile = Annotated[
    int,
    Field(
        ge=0,
        le=100,
        description="Share of reference customers at or below, in percent.",
        examples=[88],
        json_schema_extra=INT32,
    ),
]
Age = Annotated[int, Field(ge=0, le=MAX_AGE_SECONDS, examples=[86400], json_schema_extra=INT64)]


class TwoForecasts(StrictModel):
    """One forecast of two answers."""

    before: float | None
    after: float | None
    difference: float | None
    class_before: Annotated[Name | None, Field(description="The risk band, or the tier of value.")]
    class_after: Name | None


class PredictionHeaders(StrictModel):
    """What a request for predictions may say beside its body."""

    purpose: Annotated[
        str | None,
        Field(
            alias="X-Purpose",
            max_length=64,
            pattern="^[A-Za-z0-9_.-]{1,64}$",
            description="What the answer is for, as the record keeps it: one of `records.purposes` where it names any.",
            examples=["retention-call"],
        ),
        WithJsonSchema({"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_.-]{1,64}$"}),
    ] = None


class RepeatableHeaders(PredictionHeaders):
    """The same, where a request may carry a key under which it can be sent again."""

    key: Annotated[
        str | None,
        Field(
            alias="Idempotency-Key",
            max_length=257,
            description="A word of the caller's own, such as a UUID: the same key with the same body within 24 hours "
            "gives the same answer again, with another body 422.",
            examples=["8e03978e-40d5-43e8-bc93-6894a57f9324"],
        ),
        WithJsonSchema({"type": "string", "maxLength": 257, "pattern": "^[\\x20-\\x7e]{1,257}$"}),
    ] = None
