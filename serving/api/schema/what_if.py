"""What if some features of a customer were others: what is asked, and what is answered."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from serving.api.problems import FieldError
from serving.api.schema.fields import (
    ANY_TEXT,
    MAX_ITEMS,
    MAX_TEXT,
    CustomerId,
    Name,
    Prose,
    StrictModel,
    TwoForecasts,
    UtcTime,
)
from serving.api.schema.parsing import field_errors, invalid_request, parse_object

MAX_CHANGES = 200
QUESTION: JsonDict = {"customer_id": "1038", "changes": {"days_since_last_order": 3.0, "region": "north"}}
Text = Annotated[str, Field(max_length=MAX_TEXT, json_schema_extra=ANY_TEXT)]
Value = Annotated[float | Text | None, Field(description="A number, or a category; null: not known.")]


class WhatIfQuestion(StrictModel):
    """Whose features are changed to what."""

    model_config = ConfigDict(json_schema_extra={"examples": [QUESTION]})

    customer_id: CustomerId
    changes: Annotated[
        dict[str, float | Text | None],
        Field(min_length=1, max_length=MAX_CHANGES, description="Values by feature, as `GET /v1/models` names them."),
    ]


class WhatIfEffect(StrictModel):
    """What one feature does to the difference."""

    feature: Name
    value_before: Value
    value_after: Value
    effect_before: Annotated[float, Field(description="Its effect in the forecast before.")]
    effect_after: Annotated[float, Field(description="Its effect in the forecast after.")]
    difference: Annotated[float, Field(description="The second less the first; all sum to that of the forecast.")]
    text: Annotated[Prose, Field(description="Its value after, in words.")]


class WhatIfForecast(TwoForecasts):
    """One forecast before and after; null where it is not told: who is no customer has no risk."""

    effects: Annotated[
        list[WhatIfEffect], Field(max_length=MAX_ITEMS, description="Those that differ, the largest difference first.")
    ]


EFFECT: JsonDict = {
    "feature": "days_since_last_order",
    "value_before": 41.0,
    "value_after": 3.0,
    "effect_before": 0.12,
    "effect_after": -0.05,
    "difference": -0.17,
    "text": "Last order 3 days ago; usual gap is 9 days",
}
EXAMPLE: JsonDict = {
    "customer_id": "1038",
    "as_of": "2024-03-01T00:00:00Z",
    "churn": {
        "before": 0.31,
        "after": 0.14,
        "difference": -0.17,
        "class_before": "high",
        "class_after": "watch",
        "effects": [EFFECT],
    },
    "clv": None,
    "stage_before": "declining",
    "stage_after": "declining",
    "split": "Of each feature: its effect after, less its effect before.",
    "churn_model": "churn/3",
    "clv_model": None,
}


class WhatIfAnswer(StrictModel):
    """What the models say of a customer as is, and with the changes."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    customer_id: CustomerId
    as_of: UtcTime
    churn: Annotated[WhatIfForecast | None, Field(description="Null where no model serves.")]
    clv: Annotated[WhatIfForecast | None, Field(description="Null where no model serves, or there is none.")]
    stage_before: Name | None
    stage_after: Name | None
    split: Annotated[Prose, Field(description="How the difference is split.")]
    churn_model: Name | None
    clv_model: Name | None


def parse_what_if(body: bytes) -> WhatIfQuestion:
    """Read the body of a request.

    Raises
    ------
    InvalidRequestError
        It is not what `WhatIfQuestion` says.
    """
    content = parse_object(body, '{"customer_id": "1038", "changes": {"days_since_last_order": 3}}')
    try:
        return WhatIfQuestion.model_validate(content)
    except ValidationError as error:
        raise invalid_request(_of_changes(fault) for fault in field_errors(error)) from None


def _of_changes(fault: FieldError) -> FieldError:
    """A fault of a value, told of the value and not of the kinds it may be of."""
    parts = fault.pointer.split("/")
    is_of_value = parts[:2] == ["", "changes"] and len(parts) > 3
    return FieldError("/".join(parts[:3]), "must be a number, a text or null") if is_of_value else fault
