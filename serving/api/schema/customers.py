"""Customers as a CRM reads them: one flat object each, its past, why it changed, and lists that a team works on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from pydantic import ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from configs.settings import Band, Stage, Tier
from serving.api.schema.fields import (
    ANY_TEXT,
    INT32,
    MAX_ITEMS,
    MAX_TEXT,
    MAX_TIME_LENGTH,
    Age,
    Count,
    CustomerId,
    Days,
    Moment,
    Name,
    Percentile,
    PredictionHeaders,
    PredictionId,
    Prose,
    StrictModel,
    TwoForecasts,
    UtcTime,
)
from serving.bulk.score_files import Sort
from training.model.bundle import Basis, Task

Status = Literal["customer", "new", "prospect", "booked", "lapsed", "left"]
Change = Literal["new", "band", "tier", "stage", "probability"]
MAX_HISTORY, USUAL_HISTORY = 100, 12
MAX_LISTED, USUAL_LISTED = 1000, 100
USUAL_STEP = 0.05
MAX_CURSOR = 2000
Cursor = Annotated[str, Field(max_length=MAX_CURSOR, json_schema_extra=ANY_TEXT)]
MAX_VALUES = 50  # of one parameter
LISTS = ("band", "tier", "stage", "action")  # parameters that take several values
PAST: JsonDict = {
    "scored_at": "2024-03-01T01:30:00Z",
    "as_of": "2024-03-01T00:00:00Z",
    "source": "list",
    "probability": 0.31,
    "band": "high",
    "value": 412.5,
    "low": 190.0,
    "high": 780.0,
    "tier": "gold",
    "stage": "declining",
    "action": "retention_offer",
    "churn_model": "churn/3",
    "clv_model": "clv/3",
    "targets": None,
}
SCORE: JsonDict = {
    **{name: value for name, value in PAST.items() if name not in ("source", "targets")},
    "customer_id": "1038",
    "prediction_id": "01HQWDV2Z0W8Y2J1V0V0V0V0V0",
    "churn_percentile": 93,
    "clv_percentile": 84,
    "reactivation": None,
    "expected_profit": 12.4,
    "contact": True,
    "reasons": ["Last order 41 days ago, usually one every 9 days; 17 orders so far"],
    "clv_reasons": ["Spent 812.40 EUR so far"],
    "basis": "model",
}
RECORD: JsonDict = {
    **SCORE,
    "status": "customer",
    "notes": [],
    "horizon_days": 30,
    "value_horizon_days": 90,
    "currency": "EUR",
    "action_text": "Send a retention offer within seven days",
    "action_reason": "high risk, gold, declining; a contact is expected to bring 12.40 EUR (3.10 to 19.93)",
    "age_seconds": 5400,
    "stale": False,
    "history": [PAST],
}
LIST: JsonDict = {
    "customers": [{**SCORE, "changed": ["band", "probability"]}],
    "next": "WyI5MGFiIl0",
    "as_of": "2024-03-01T00:00:00Z",
    "scored_at": "2024-03-01T01:30:00Z",
    "age_seconds": 5400,
    "stale": False,
    "in_file": 2469,
    "compared_with": {"scored_at": "2024-02-01T01:30:00Z", "probability_step": 0.05, "gone": 3},
}


class CustomerScore(StrictModel):
    """The scores of one customer, flat."""

    customer_id: CustomerId
    prediction_id: Annotated[
        PredictionId | None, Field(description="Names the answer in the record; null: there is none.")
    ]
    as_of: Annotated[UtcTime | None, Field(description="The moment the facts are from.")]
    scored_at: UtcTime | None
    probability: Annotated[float | None, Field(ge=0, le=1, description="Of leaving; null for no customer now.")]
    churn_percentile: Percentile | None
    band: Band | None
    value: Annotated[float | None, Field(description="Expected net revenue, or orders, over the horizon.")]
    low: Annotated[float | None, Field(description="Lower end of the interval of the value.")]
    high: Annotated[float | None, Field(description="Upper end of the interval of the value.")]
    clv_percentile: Percentile | None
    tier: Tier | None
    stage: Stage | None
    reactivation: Annotated[float | None, Field(ge=0, le=1, description="Of an order again; null for who is active.")]
    action: Annotated[Name | None, Field(description="Code of what to do.")]
    expected_profit: Annotated[float | None, Field(description="Of contacting the customer; null: no campaign.")]
    contact: Annotated[bool | None, Field(description="Whether a contact pays; null: no campaign is planned.")]
    reasons: Annotated[
        list[Prose], Field(max_length=MAX_ITEMS, description="Of the probability, the largest effect first.")
    ]
    clv_reasons: Annotated[
        list[Prose], Field(max_length=MAX_ITEMS, description="Of the value, the largest effect first.")
    ]
    basis: Annotated[Basis | None, Field(description="The weakest that the numbers rest on.")]
    churn_model: Name | None
    clv_model: Name | None


class PastScore(StrictModel):
    """A score that the customer had, and when it was first told; told again unchanged, it is one."""

    scored_at: UtcTime
    as_of: UtcTime
    source: Annotated[Literal["request", "list"], Field(description="An answer to a request, or a score file.")]
    probability: float | None
    band: Band | None
    value: float | None
    low: float | None
    high: float | None
    tier: Tier | None
    stage: Stage | None
    action: Name | None
    churn_model: Name | None
    clv_model: Name | None
    targets: Annotated[
        list[Task] | None,
        Field(
            max_length=2,
            description="What was asked for, where that was not all: the other part is null only because nobody asked "
            "for it, and no action was decided. Null: all was asked for.",
        ),
    ]


class CustomerRecord(CustomerScore):
    """All that is told of one customer now, flat, and the scores before."""

    model_config = ConfigDict(json_schema_extra={"examples": [RECORD]})

    alias: Annotated[CustomerId | None, Field(description="The id that was asked, where it is an alias.")] = None
    status: Annotated[Status, Field(description="What the customer is; `left` and others have notes that say more.")]
    notes: Annotated[
        list[Prose], Field(max_length=MAX_ITEMS, description="What must be known beside the numbers, in words.")
    ]
    horizon_days: Days | None
    value_horizon_days: Days | None
    currency: Annotated[str, Field(max_length=3, pattern="^[A-Z]{3}$", examples=["EUR"])]
    action_text: Prose | None
    action_reason: Prose | None
    age_seconds: Age | None
    stale: bool | None
    history: Annotated[list[PastScore], Field(max_length=MAX_HISTORY, description="Newest first.")]


class ListedCustomer(CustomerScore):
    """One customer of a list."""

    changed: Annotated[
        list[Change] | None,
        Field(max_length=5, description="What differs from the earlier file; null where none was asked for."),
    ]


class CustomerList(StrictModel):
    """A page of a list, and the score file it is of."""

    model_config = ConfigDict(json_schema_extra={"examples": [LIST]})

    customers: Annotated[list[ListedCustomer], Field(max_length=MAX_LISTED)]
    next: Annotated[Cursor | None, Field(description="The cursor of the next page; null: this is the last.")]
    as_of: Annotated[UtcTime, Field(description="The newest moment of the file's facts.")]
    scored_at: Annotated[UtcTime, Field(description="When the file was scored.")]
    age_seconds: Age
    stale: bool
    in_file: Annotated[Count, Field(description="How many customers the file holds, of those whom the caller may see.")]
    compared_with: Annotated[Compared | None, Field(description="Null unless `changed_since` was given.")]


class Compared(StrictModel):
    """The earlier score file that a list is compared with."""

    scored_at: Annotated[UtcTime | None, Field(description="Null: no file is as old, so all customers are new.")]
    probability_step: float
    gone: Annotated[
        Count,
        Field(
            description="How many the earlier file holds and this one does not. A caller who sees some customers alone "
            "is told of those in the newest load: who is in it no more has no attribute, and is not counted."
        ),
    ]


class CustomerPath(StrictModel):
    """Whom the address names."""

    customer_id: Annotated[
        CustomerId, Field(description="The id of a customer, or an alias; a slash within it as %2F.")
    ]


class CustomerQuery(StrictModel):
    """What is asked of one customer."""

    history: Annotated[
        int,
        Field(ge=0, le=MAX_HISTORY, description="How many earlier scores at most.", json_schema_extra=INT32),
    ] = USUAL_HISTORY


class CustomerParameters(CustomerPath, CustomerQuery, PredictionHeaders):
    """The same with whom it is asked of."""


class CustomerListQuery(StrictModel):
    """Which customers, in which order; several values of one name are any of them."""

    band: Annotated[tuple[Band, ...], Field(max_length=MAX_VALUES, description="Risk bands, parted by commas.")] = ()
    tier: Annotated[
        tuple[Tier, ...], Field(max_length=MAX_VALUES, description="Tiers of value, parted by commas.")
    ] = ()
    stage: Annotated[tuple[Stage, ...], Field(max_length=MAX_VALUES, description="Stages, parted by commas.")] = ()
    action: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=64, json_schema_extra=ANY_TEXT)], ...],
        Field(max_length=MAX_VALUES, description="Codes of actions, parted by commas."),
    ] = ()
    contact: Annotated[
        bool | None, Field(description="Whether a contact pays."), WithJsonSchema({"type": "boolean"})
    ] = None
    changed_since: Annotated[
        Moment | None,
        Field(description="Only whose band, tier, stage or probability differs from the score file of then; RFC 3339."),
        WithJsonSchema({"type": "string", "format": "date-time", "maxLength": MAX_TIME_LENGTH}),
    ] = None
    probability_step: Annotated[
        float, Field(gt=0, le=1, description="With changed_since: a probability that moved by more has changed.")
    ] = USUAL_STEP
    sort: Annotated[Sort, Field(description="A minus: the largest first; what is not known comes last.")] = (
        "customer_id"
    )
    limit: Annotated[
        int, Field(ge=1, le=MAX_LISTED, description="Customers of a page at most.", json_schema_extra=INT32)
    ] = USUAL_LISTED
    cursor: Annotated[
        str | None,
        Field(max_length=MAX_CURSOR, description="`next` of the page before, with the same other parameters."),
        WithJsonSchema({"type": "string", "maxLength": MAX_CURSOR, **ANY_TEXT}),
    ] = None

    @property
    def filters(self) -> dict[str, tuple[Any, ...]]:
        """The values let through, by column; only of what was asked."""
        asked = {"band": self.band, "tier": self.tier, "stage": self.stage, "action": self.action}
        given = {name: values for name, values in asked.items() if values}
        return given if self.contact is None else {**given, "contact": (self.contact,)}

    @property
    def signature(self) -> bytes:
        """What a cursor is bound to: all that decides which customers come in which order."""
        return orjson.dumps(self.model_dump(exclude={"limit", "cursor"}), option=orjson.OPT_SORT_KEYS)


FeatureValue = Annotated[
    float | Annotated[str, Field(max_length=MAX_TEXT, json_schema_extra=ANY_TEXT)] | None,
    Field(description="A number, or a category; null: not known."),
]


class CustomerListParameters(CustomerListQuery, PredictionHeaders):
    """The same with what it is asked for."""


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


class ChangeParameters(CustomerPath, ChangeQuery, PredictionHeaders):
    """The same with whom it is asked of."""


class ChangeEffect(StrictModel):
    """What one feature has of the difference."""

    feature: Name
    value_before: FeatureValue
    value_after: FeatureValue
    by_data: Annotated[float | None, Field(description="By what became known; null: it cannot be told.")]
    by_time: Annotated[float | None, Field(description="By time that passed; null: it cannot be told.")]
    by_model: Annotated[float | None, Field(description="By another model; null: it cannot be told.")]
    text: Annotated[Prose, Field(description="Its value now, in words.")]


class ChangeForecast(TwoForecasts):
    """How one forecast differs; null where it was, or is, not told."""

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


CHANGE_EFFECT: JsonDict = {
    "feature": "days_since_last_order",
    "value_before": 12.0,
    "value_after": 41.0,
    "by_data": 0.0,
    "by_time": 0.15,
    "by_model": 0.01,
    "text": "Last order 41 days ago; usual gap is 9 days",
}
CHANGE_FORECAST: JsonDict = {
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
    "effects": [CHANGE_EFFECT],
}
CHANGE_ANSWER: JsonDict = {
    "prediction_id": "01HNGZ5N40W8Y2J1V0V0V0V0V0",
    "scored_at": "2024-02-01T01:30:00Z",
    "as_of": "2024-02-01T00:00:00Z",
    "stage": "mature",
    "churn_model": "churn/2",
    "clv_model": None,
}
CHANGE: JsonDict = {
    "customer_id": "1038",
    "before": CHANGE_ANSWER,
    "after": {
        **CHANGE_ANSWER,
        "prediction_id": "01HQWDV2Z0W8Y2J1V0V0V0V0V0",
        "scored_at": "2024-03-01T01:30:00Z",
        "as_of": "2024-03-01T00:00:00Z",
        "stage": "declining",
        "churn_model": "churn/3",
    },
    "churn": CHANGE_FORECAST,
    "clv": None,
    "split": "What became known, time that passed and another model, each as it adds on average.",
}


class CustomerChange(StrictModel):
    """How the forecasts of a customer differ between two answers, and why."""

    model_config = ConfigDict(json_schema_extra={"examples": [CHANGE]})

    customer_id: CustomerId
    before: ChangeAnswer
    after: ChangeAnswer
    churn: Annotated[ChangeForecast | None, Field(description="Null where no model serves.")]
    clv: Annotated[ChangeForecast | None, Field(description="Null where no model serves, or there is none.")]
    split: Annotated[Prose, Field(description="How the difference is split.")]


CustomerList.model_rebuild()
