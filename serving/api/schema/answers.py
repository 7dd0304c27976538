"""What is answered: predictions, the models that gave them, and problems."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from serving.api.schema.fields import CustomerId, StrictModel, UtcTime
from training.model.bundle import Basis

Percentile = Annotated[int, Field(ge=0, le=100, description="Share of reference customers at or below, in percent.")]


class ExpectedPart(StrictModel):
    """When what ends the waiting is expected: as likely as not, it has come by then; or the known day."""

    event: Literal["next_order", "contract_end"]
    days: Annotated[float | None, Field(ge=0, description="Null: later than the longest horizon.")]
    at: Annotated[UtcTime | None, Field(description="The same as a moment.")]


class BasisPart(StrictModel):
    """What a number rests on, and what it cannot know."""

    kind: Annotated[
        Basis,
        Field(
            description="model: trees; hybrid: trees that correct a prior; prior: a model of orders, or a regression, "
            "as there is too little history for trees."
        ),
    ]
    full_season: Annotated[
        bool,
        Field(description="False: the outcomes learned from cover less than a year; the value's interval is wider."),
    ]
    text: str


class ChurnPart(StrictModel):
    """The risk that the customer leaves."""

    probability: Annotated[float, Field(ge=0, le=1, description="Calibrated probability of leaving.")]
    horizon_days: Annotated[int, Field(gt=0)]
    band: Literal["low", "watch", "high", "critical"]
    percentile: Percentile
    by_horizon: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        Field(
            description="Probability of leaving within each number of days: of no order until then, so never rising "
            "with the days; or of the end of the contract, never falling.",
            examples=[{"30": 0.31, "60": 0.22, "90": 0.17}],
        ),
    ]
    expected: Annotated[
        ExpectedPart | None,
        Field(description="Null where the data has no dates."),
    ]
    basis: BasisPart


class ReactivationPart(StrictModel):
    """The chance that a lapsed customer orders again."""

    probability: Annotated[float, Field(ge=0, le=1, description="Of an order within the horizon.")]
    horizon_days: Annotated[int, Field(gt=0)]
    by_horizon: Annotated[
        dict[str, Annotated[float, Field(ge=0, le=1)]],
        Field(description="Probability of an order within each number of days, never falling with the days."),
    ]
    basis: Annotated[str, Field(description="What it rests on, in words.")]


class LongerValuePart(StrictModel):
    """What the customer will bring within a longer horizon, all of the shorter ones included."""

    expected: Annotated[float, Field(description="Expected net revenue, or orders; never falls with the horizon.")]
    low: Annotated[float, Field(description="Lower end of the interval, of the same coverage.")]
    high: Annotated[float, Field(description="Upper end of the interval.")]
    basis: Annotated[
        Literal["examined", "unexamined"],
        Field(
            description="`examined`: at least two past moments whose outcome of that length is known bear the interval "
            "out; `unexamined`: they are too few, or were further off than it allows, or there is none and it rests "
            "on what the model itself draws."
        ),
    ]


class ClvPart(StrictModel):
    """What the customer will bring."""

    expected: Annotated[float, Field(description="Expected net revenue, or orders, over the horizon.")]
    low: Annotated[float, Field(description="Lower end of the interval.")]
    high: Annotated[float, Field(description="Upper end of the interval.")]
    quantiles: Annotated[
        dict[str, float] | None,
        Field(
            description="What the customer brings at most with a chance of so many percent; never falling. Null for a "
            "model that was trained before quantiles were learned.",
            examples=[{"10": 0.0, "50": 180.0, "90": 650.0}],
        ),
    ]
    coverage: Annotated[
        float, Field(gt=0, lt=1, description="Share of customers whose true value lies in the interval.")
    ]
    horizon_days: Annotated[int, Field(gt=0)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217; XXX: orders, not money.")]
    by_horizon: Annotated[
        dict[str, LongerValuePart] | None,
        Field(description="By days of each horizon of `clv.longer_days`; null for a model that holds none."),
    ]
    tier: Literal["diamond", "gold", "silver", "bronze"]
    percentile: Percentile
    basis: BasisPart


class Reason(StrictModel):
    """What the columns of one topic did to the prediction; with ``top_reasons`` 0, one column each.

    The base of the model and the effects of all columns sum to the prediction.
    """

    feature: Annotated[str, Field(description="The column that did most.")]
    value: Annotated[float | str | None, Field(description="The customer's value of it; null: not known.")]
    effect: Annotated[
        float, Field(description="Of the topic, in the unit of the prediction: probability, or currency.")
    ]
    direction: Annotated[
        Literal["raises", "lowers", "neither"], Field(description="What it does to the prediction, in a word.")
    ]
    text: str
    features: Annotated[list[str], Field(description="All columns of the topic, whose effects are summed.")]


class ActionPart(StrictModel):
    """What to do: one decision of the rules and the campaign."""

    code: str
    text: str
    reason: Annotated[
        str,
        Field(
            description="What decided.",
            examples=["critical risk, silver; a contact is expected to bring 12.40 EUR (3.10 to 19.93)"],
        ),
    ]


class CampaignPart(StrictModel):
    """Whether it pays to contact the customer, under the assumptions of ``decisions.campaign``."""

    expected_profit: Annotated[float, Field(description="Of contacting the customer, in the currency of the answer.")]
    low: Annotated[float, Field(description="Lower end of the range of the expected profit.")]
    high: Annotated[float, Field(description="Upper end of the range of the expected profit.")]
    coverage: Annotated[float, Field(gt=0, lt=1, description="How likely the expected profit lies in its range.")]
    basis: Annotated[str, Field(description="What the range counts in, and what it takes as it is.")]
    contact: Annotated[bool, Field(description="On the list that brings most: the expected profit is above zero.")]


class FeaturesPart(StrictModel):
    """How old the facts are that the answer rests on."""

    age_seconds: Annotated[int, Field(ge=0)]
    stale: Annotated[
        bool,
        Field(description="Older than the service is set to; or from a time that its clock has not reached."),
    ]


class ModelPart(StrictModel):
    """Which registered versions answered."""

    churn: Annotated[str | None, Field(examples=["churn/3"], description="Null where none serves.")]
    clv: Annotated[
        str | None,
        Field(examples=["clv/3"], description="Null for a business without a value model, or if none serves."),
    ]


class Answer(StrictModel):
    """All that is told about one customer."""

    customer_id: CustomerId
    alias: Annotated[
        CustomerId | None,
        Field(description="The id that was asked, where that is an alias of this customer; else it is left out."),
    ] = None
    as_of: Annotated[UtcTime, Field(description="The moment the facts are from.")]
    scored_at: UtcTime
    prediction_id: Annotated[str, Field(pattern="^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID.")]
    targets: Annotated[
        list[Literal["churn", "clv"]],
        Field(
            default_factory=list,
            description="What was asked for, where that is not all: the other part was not computed and is null, "
            "and no action is decided. Left out where all was asked.",
        ),
    ]
    churn: Annotated[
        ChurnPart | None,
        Field(description="Null for who is not a customer now: there is nobody to leave; and where no model serves."),
    ]
    clv: Annotated[
        ClvPart | None,
        Field(
            description="Null for a business without a value model, for whose only contract begins later, and where no "
            "model serves."
        ),
    ]
    reactivation: Annotated[
        ReactivationPart | None,
        Field(description="Null for who is not lapsed, and for a model that does not tell it (contracts, labels)."),
    ]
    stage: Annotated[
        Literal["prospect", "new", "growing", "mature", "declining", "booked", "lapsed"] | None,
        Field(description="`prospect`: no order or contract yet. Null where the data has no dates."),
    ]
    reasons: Annotated[
        list[Reason],
        Field(
            description="Of the churn probability, the largest effect first; of who is at high or critical risk, those "
            "that raise it."
        ),
    ]
    clv_reasons: Annotated[list[Reason], Field(description="Of the expected value, the largest effect first.")]
    action: ActionPart
    campaign: Annotated[
        CampaignPart | None, Field(description="Null where no campaign is planned, or for who is not a customer now.")
    ]
    basis: Annotated[Basis, Field(description="The weakest of the two below: prior before hybrid before model.")]
    features: FeaturesPart
    model: ModelPart
    unserved: Annotated[
        dict[Literal["churn", "clv"], str] | None,
        Field(description="Why a model of the business does not serve, by its name; left out where all serve."),
    ] = None


class Answers(StrictModel):
    """The answers for those who are known, each once in the order asked, and who is not known, or has left."""

    predictions: list[Answer]
    not_found: list[CustomerId]
    left: Annotated[
        list[CustomerId], Field(description="Who has left, as the label of a ready table says: there is no answer.")
    ]
    repeated: Annotated[
        list[CustomerId],
        Field(default_factory=list, description="Who stood in the request more than once; left out where nobody did."),
    ]


class ModelFacts(StrictModel):
    """What one champion is."""

    model: Annotated[str, Field(examples=["churn/3"])]
    version: str
    base: Annotated[float, Field(description="The prediction at the mean score; base + all effects = the prediction.")]
    horizon_days: int
    trained_through: str
    schema_hash: str
    features: list[str]


class Models(StrictModel):
    """The champions that answer now."""

    churn: Annotated[ModelFacts | None, Field(description="Null where none serves.")]
    clv: Annotated[
        ModelFacts | None, Field(description="Null for a business without a value model, or if none serves.")
    ]
    unserved: Annotated[
        dict[Literal["churn", "clv"], str],
        Field(description="Why a model of the business does not serve, by its name."),
    ]


class FieldFault(StrictModel):
    """What is wrong with one field."""

    pointer: Annotated[str, Field(description="JSON pointer, RFC 6901.", examples=["/customer_ids/3"])]
    detail: str


class Problem(BaseModel):
    """A failure, as in RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldFault] = []
