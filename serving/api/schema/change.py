"""Why a score changed: what is asked, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from serving.api.schema.customers import Moment
from serving.api.schema.fields import (
    ANY_TEXT,
    MAX_ITEMS,
    MAX_TIME_LENGTH,
    CustomerId,
    Name,
    PredictionHeaders,
    PredictionId,
    Prose,
    StrictModel,
    UtcTime,
)

Value = Annotated[
    float | Annotated[str, Field(max_length=256, json_schema_extra=ANY_TEXT)] | None,
    Field(description="A number, or a category; null: not known."),
]


class ChangeQuery(StrictModel):
    """Since when the change is asked for."""

    since: Annotated[
        Moment,
        Field(
            description="The answer before is the last one on record at or before this moment; RFC 3339.",
            examples=["2024-02-01T00:00:00Z"],
        ),
        WithJsonSchema({"type": "string", "format": "date-time", "maxLength": MAX_TIME_LENGTH}),
    ]


class ChangeParameters(ChangeQuery, PredictionHeaders):
    """The same with whom it is asked of, as the address tells it."""

    customer_id: Annotated[
        CustomerId, Field(description="The id of a customer, or an alias; a slash within it as %2F.")
    ]


class ChangeEffect(StrictModel):
    """What one feature has of the difference."""

    feature: Name
    value_before: Value
    value_after: Value
    by_data: Annotated[float | None, Field(description="By what became known; null: it cannot be told.")]
    by_time: Annotated[float | None, Field(description="By time that passed; null: it cannot be told.")]
    by_model: Annotated[float | None, Field(description="By another model; null: it cannot be told.")]
    text: Annotated[Prose, Field(description="Its value now, in words.")]


class ChangeForecast(StrictModel):
    """How one forecast differs; null where it was, or is, not told."""

    before: float | None
    after: float | None
    difference: float | None
    class_before: Annotated[Name | None, Field(description="The risk band, or the tier of value.")]
    class_after: Name | None
    by_data: Annotated[
        float | None, Field(description="What became known did this; the three sum to the difference. Null: unknown.")
    ]
    by_time: Annotated[float | None, Field(description="Time that passed did this, though nothing had come.")]
    by_model: Annotated[float | None, Field(description="Another model did this.")]
    by_model_base: Annotated[
        float | None, Field(description="Of what the model did, the part of no feature: its base less the one before.")
    ]
    text: Annotated[Prose, Field(description="The difference in words, or why it cannot be split.")]
    effects: Annotated[
        list[ChangeEffect],
        Field(max_length=MAX_ITEMS, description="By feature, the largest first; they sum to the shares above."),
    ]


class ChangeAnswer(StrictModel):
    """Which answer it is compared with, or the answer of now."""

    prediction_id: PredictionId
    scored_at: UtcTime
    as_of: UtcTime
    stage: Name | None
    churn_model: Name | None
    clv_model: Name | None


EFFECT: JsonDict = {
    "feature": "days_since_last_order",
    "value_before": 12.0,
    "value_after": 41.0,
    "by_data": 0.0,
    "by_time": 0.15,
    "by_model": 0.01,
    "text": "Last order 41 days ago; usual gap is 9 days",
}
FORECAST: JsonDict = {
    "before": 0.15,
    "after": 0.31,
    "difference": 0.16,
    "class_before": "watch",
    "class_after": "high",
    "by_data": 0.0,
    "by_time": 0.15,
    "by_model": 0.01,
    "by_model_base": 0.0,
    "text": "Rose by 16.0 points: what became known 0.0, time that passed +15.0, another model +1.0.",
    "effects": [EFFECT],
}
ANSWER: JsonDict = {
    "prediction_id": "01HNGZ5N40W8Y2J1V0V0V0V0V0",
    "scored_at": "2024-02-01T01:30:00Z",
    "as_of": "2024-02-01T00:00:00Z",
    "stage": "mature",
    "churn_model": "churn/2",
    "clv_model": None,
}
EXAMPLE: JsonDict = {
    "customer_id": "1038",
    "before": ANSWER,
    "after": {
        **ANSWER,
        "prediction_id": "01HQWDV2Z0W8Y2J1V0V0V0V0V0",
        "scored_at": "2024-03-01T01:30:00Z",
        "as_of": "2024-03-01T00:00:00Z",
        "stage": "declining",
        "churn_model": "churn/3",
    },
    "churn": FORECAST,
    "clv": None,
    "split": "What became known, time that passed and another model, each as it adds on average.",
}


class CustomerChange(StrictModel):
    """How the forecasts of a customer differ between two answers, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    customer_id: CustomerId
    before: ChangeAnswer
    after: ChangeAnswer
    churn: Annotated[ChangeForecast | None, Field(description="Null where no model serves.")]
    clv: Annotated[ChangeForecast | None, Field(description="Null where no model serves, or there is none.")]
    split: Annotated[Prose, Field(description="How the difference is split.")]
