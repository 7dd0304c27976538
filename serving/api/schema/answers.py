"""What is answered: predictions, the models that gave them, and problems."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from configs.settings import Band, Stage, Tier
from serving.api.schema.fields import (
    INT32,
    MAX_ITEMS,
    PER_REQUEST,
    Age,
    Count,
    CustomerId,
    Days,
    JobId,
    Name,
    Percentile,
    PredictionId,
    Prose,
    Share,
    StrictModel,
    UtcTime,
)
from training.model.bundle import Basis, Task

MAX_HORIZONS = 100
MAX_FAULTS = 1_000_000
MOST_JOBS = 100  # of a list
TO_OTHERS = "empty for others than who asked and admins"

Probability = Annotated[float, Field(ge=0, le=1, examples=[0.31])]
Money = Annotated[float, Field(examples=[180.5])]


class ExpectedPart(StrictModel):
    """When what ends the waiting is expected: as likely as not, it has come by then; or the known day."""

    event: Literal["next_order", "contract_end"]
    days: Annotated[float | None, Field(ge=0, examples=[22.2], description="Null: later than the longest horizon.")]
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
    text: Prose


HorizonText = Annotated[
    Prose | None,
    Field(description="`by_horizon` in words: what rises or falls with the days, and why. Not in answers of before."),
]


class ChurnPart(StrictModel):
    """The risk that the customer leaves."""

    probability: Annotated[Probability, Field(description="Calibrated probability of leaving.")]
    horizon_days: Days
    band: Band
    percentile: Percentile
    by_horizon: Annotated[
        dict[str, Probability],
        Field(
            max_length=MAX_HORIZONS,
            description="Probability of leaving within each number of days: of no order until then, so never rising "
            "with the days; or of the end of the contract, never falling.",
            examples=[{"30": 0.31, "60": 0.22, "90": 0.17}],
        ),
    ]
    by_horizon_text: HorizonText = None
    expected: Annotated[
        ExpectedPart | None,
        Field(description="Null where the data has no dates."),
    ]
    basis: BasisPart


class ReactivationPart(StrictModel):
    """The chance that a lapsed customer orders again."""

    probability: Annotated[Probability, Field(description="Of an order within the horizon.")]
    horizon_days: Days
    by_horizon: Annotated[
        dict[str, Probability],
        Field(
            max_length=MAX_HORIZONS,
            description="Probability of an order within each number of days, never falling with the days.",
            examples=[{"30": 0.12, "60": 0.2, "90": 0.25}],
        ),
    ]
    by_horizon_text: HorizonText = None
    basis: Annotated[Prose, Field(description="What it rests on, in words.")]


class LongerValuePart(StrictModel):
    """What the customer will bring within a longer horizon, all of the shorter ones included."""

    expected: Annotated[
        float, Field(description="Expected net revenue, or orders; never falls with the horizon.", examples=[370.5])
    ]
    low: Annotated[float, Field(description="Lower end of the interval, of the same coverage.", examples=[20.0])]
    high: Annotated[float, Field(description="Upper end of the interval.", examples=[1310.0])]
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

    expected: Annotated[
        float, Field(description="Expected net revenue, or orders, over the horizon.", examples=[180.5])
    ]
    low: Annotated[float, Field(description="Lower end of the interval.", examples=[20.0])]
    high: Annotated[float, Field(description="Upper end of the interval.", examples=[1310.0])]
    quantiles: Annotated[
        dict[str, Money] | None,
        Field(
            max_length=MAX_HORIZONS,
            description="What the customer brings at most with a chance of so many percent; never falling. Null for a "
            "model that was trained before quantiles were learned.",
            examples=[{"10": 0.0, "50": 180.0, "90": 650.0}],
        ),
    ]
    coverage: Annotated[Share, Field(description="Share of customers whose true value lies in the interval.")]
    horizon_days: Days
    currency: Annotated[
        str,
        Field(max_length=3, pattern="^[A-Z]{3}$", examples=["EUR"], description="ISO 4217; XXX: orders, not money."),
    ]
    by_horizon: Annotated[
        dict[str, LongerValuePart] | None,
        Field(
            max_length=MAX_HORIZONS,
            description="By days of each horizon of `clv.longer_days`; null for a model that holds none.",
            examples=[{"180": {"expected": 370.5, "low": 20.0, "high": 1310.0, "basis": "examined"}}],
        ),
    ]
    by_horizon_text: HorizonText = None
    tier: Tier
    percentile: Percentile
    basis: BasisPart


class Reason(StrictModel):
    """What the columns of one topic did to the prediction; with ``top_reasons`` 0, one column each.

    The base of the model and the effects of all columns sum to the prediction.
    """

    feature: Annotated[Name, Field(description="The column that did most.", examples=["gap_ratio"])]
    value: Annotated[
        float | Prose | None, Field(examples=[11.06], description="The customer's value of it; null: not known.")
    ]
    effect: Annotated[
        float,
        Field(description="Of the topic, in the unit of the prediction: probability, or currency.", examples=[0.2291]),
    ]
    direction: Annotated[
        Literal["raises", "lowers", "neither"], Field(description="What it does to the prediction, in a word.")
    ]
    text: Prose
    features: Annotated[
        list[Name],
        Field(
            max_length=MAX_ITEMS,
            description="All columns of the topic, whose effects are summed.",
            examples=[["gap_ratio", "days_since_last_order"]],
        ),
    ]


class ActionPart(StrictModel):
    """What to do: one decision of the rules and the campaign."""

    code: Annotated[Name, Field(examples=["retention_offer"])]
    text: Annotated[Prose, Field(examples=["Send a retention offer within seven days"])]
    reason: Annotated[
        Prose,
        Field(
            description="What decided.",
            examples=["critical risk, silver; a contact is expected to bring 12.40 EUR (3.10 to 19.93)"],
        ),
    ]


class CampaignPart(StrictModel):
    """Whether it pays to contact the customer, under the assumptions of ``decisions.campaign``."""

    expected_profit: Annotated[
        Money, Field(description="Of contacting the customer, in the currency of the answer.", examples=[12.4])
    ]
    low: Annotated[float, Field(description="Lower end of the range of the expected profit.", examples=[3.1])]
    high: Annotated[float, Field(description="Upper end of the range of the expected profit.", examples=[19.93])]
    coverage: Annotated[Share, Field(description="How likely the expected profit lies in its range.")]
    basis: Annotated[Prose, Field(description="What the range counts in, and what it takes as it is.")]
    contact: Annotated[bool, Field(description="On the list that brings most: the expected profit is above zero.")]


class FeaturesPart(StrictModel):
    """How old the facts are that the answer rests on."""

    age_seconds: Age
    stale: Annotated[
        bool,
        Field(description="Older than the service is set to; or from a time that its clock has not reached."),
    ]


class ModelPart(StrictModel):
    """Which registered versions answered."""

    churn: Annotated[Name | None, Field(examples=["churn/3"], description="Null where none serves.")]
    clv: Annotated[
        Name | None,
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
    prediction_id: PredictionId
    targets: Annotated[
        list[Task],
        Field(
            default_factory=list,
            max_length=2,
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
        Stage | None,
        Field(description="`prospect`: no order or contract yet. Null where the data has no dates."),
    ]
    reasons: Annotated[
        list[Reason],
        Field(
            max_length=MAX_ITEMS,
            description="Of the churn probability, the largest effect first; of who is at high or critical risk, those "
            "that raise it.",
        ),
    ]
    clv_reasons: Annotated[
        list[Reason],
        Field(max_length=MAX_ITEMS, description="Of the expected value, the largest effect first."),
    ]
    action: ActionPart
    campaign: Annotated[
        CampaignPart | None, Field(description="Null where no campaign is planned, or for who is not a customer now.")
    ]
    basis: Annotated[Basis, Field(description="The weakest of the two below: prior before hybrid before model.")]
    features: FeaturesPart
    model: ModelPart
    arms: Annotated[
        dict[Task, Literal["champion", "canary"]],
        Field(
            default_factory=dict,
            max_length=2,
            description="While a canary runs: which arm answered, by model. Left out where none runs.",
            examples=[{"churn": "canary"}],
        ),
    ]
    unserved: Annotated[
        dict[Task, Prose] | None,
        Field(
            max_length=2,
            description="Why a model of the business does not serve, by its name; left out where all serve.",
        ),
    ] = None


class Answers(StrictModel):
    """The answers for those who are known, each once in the order asked, and who is not known, or has left."""

    predictions: Annotated[list[Answer], Field(json_schema_extra=PER_REQUEST)]
    not_found: Annotated[list[CustomerId], Field(json_schema_extra=PER_REQUEST)]
    left: Annotated[
        list[CustomerId],
        Field(
            description="Who has left, as the label of a ready table says: there is no answer.",
            json_schema_extra=PER_REQUEST,
        ),
    ]
    repeated: Annotated[
        list[CustomerId],
        Field(
            default_factory=list,
            description="Who stood in the request more than once; left out where nobody did.",
            json_schema_extra=PER_REQUEST,
        ),
    ]
    erased: Annotated[
        list[CustomerId],
        Field(
            default_factory=list,
            description="Those of `not_found` who were erased on request; left out where nobody was.",
            json_schema_extra=PER_REQUEST,
        ),
    ]
    opposed: Annotated[
        list[CustomerId],
        Field(
            default_factory=list,
            description="Those of `not_found` who object to being forecast; left out where nobody does.",
            json_schema_extra=PER_REQUEST,
        ),
    ]


class Asking(StrictModel):
    """Who asked for an answer, in which role, and what for; empty where it is not known."""

    caller: Name
    role: Name
    purpose: Name


class Replayed(StrictModel):
    """Whether an answer can be made again from what is on record of it, by the models that made it."""

    same: Annotated[bool | None, Field(description="Byte by byte; null where it could not be made again.")]
    why: Annotated[
        Prose, Field(description="What differs, or why it could not be made again; empty where it is the same.")
    ]


class PastAnswer(StrictModel):
    """An answer as it was sent, and for who examines answers, whether it can be made again the same."""

    prediction: Annotated[
        Answer | None, Field(description="Null where an earlier version did not keep the whole of it.")
    ]
    asked: Annotated[Asking | None, Field(description="Left out for the role crm.")] = None
    replay: Annotated[Replayed | None, Field(description="Left out for the role crm.")] = None


class FieldFault(StrictModel):
    """What is wrong with one field."""

    pointer: Annotated[Prose, Field(description="JSON pointer, RFC 6901.", examples=["/customer_ids/3"])]
    detail: Annotated[Prose, Field(examples=["is not a known field"])]


class Problem(BaseModel):
    """A failure, as in RFC 9457."""

    type: Annotated[
        str,
        Field(
            max_length=200,
            description="Its kind, for programs: it stays while texts may change.",
            examples=["urn:staycast:problem:invalid-request"],
            json_schema_extra={"format": "uri"},
        ),
    ]
    title: Annotated[Prose, Field(examples=["The request is not valid"])]
    status: Annotated[int, Field(ge=400, le=599, examples=[422], json_schema_extra=INT32)]
    detail: Annotated[Prose, Field(examples=["/colour is not a known field"])]
    errors: Annotated[
        list[FieldFault],
        Field(default_factory=list, max_length=MAX_FAULTS, description="The fields at fault; left out where none is."),
    ]
    error: Annotated[
        Prose, Field(default_factory=str, description="The detail once more, as the protocol below /v2 names it.")
    ]


class ScoreJob(StrictModel):
    """A job that answers for all customers."""

    job_id: JobId
    state: Annotated[
        Literal["queued", "running", "done", "failed"],
        Field(description="`done`: the result is there whole. One that was cut short goes on by itself."),
    ]
    format: Annotated[Literal["parquet", "csv"], Field(description="Of the result.")]
    customers_done: Annotated[Count, Field(examples=[1200])]
    customers: Annotated[Count | None, Field(examples=[2469], description="In all; null: not known yet.")]
    asked_at: UtcTime
    started_at: UtcTime | None
    ended_at: UtcTime | None
    caller: Annotated[Name, Field(examples=["key:crm"], description=f"Who asked for it; {TO_OTHERS}.")]
    purpose: Annotated[
        Name, Field(examples=["campaign"], description=f"As `X-Purpose` said; empty: nothing was; {TO_OTHERS}.")
    ]
    as_of: Annotated[UtcTime | None, Field(description="The newest moment of the answers; null until it is done.")]
    scored_at: Annotated[
        UtcTime | None,
        Field(description="When the answers were given: before it was asked for, where nothing had changed since."),
    ]
    result: Annotated[
        Name | None,
        Field(
            examples=["/v1/score-jobs/01M8DS094M6HZRVW1SAX75E8NK/result"],
            description="Where the result is; null until it is done.",
        ),
    ]
    reason: Annotated[Prose | None, Field(description="Why it failed; null where it did not.")]


class ScoreJobs(StrictModel):
    """The newest jobs, the newest first."""

    jobs: Annotated[list[ScoreJob], Field(max_length=MOST_JOBS)]


class State(StrictModel):
    """How the process is."""

    status: Annotated[Literal["alive", "ready"], Field(description="`ready`: it can answer.")]
    notices: Annotated[
        list[Prose],
        Field(default_factory=list, max_length=2, description="What is to be known of what serves, if there is."),
    ]


class OpenApi(BaseModel):
    """The contract of this service, as OpenAPI 3."""

    openapi: Annotated[Name, Field(examples=["3.1.0"])]
    info: Annotated[dict[str, Any], Field(max_length=20, examples=[{"title": "Staycast", "version": "1"}])]
    paths: Annotated[dict[str, Any], Field(max_length=MAX_ITEMS, examples=[{}])]
    components: Annotated[dict[str, Any], Field(max_length=20, examples=[{}])]


class Swagger(BaseModel):
    """The contract of this service, as Swagger 2."""

    swagger: Annotated[Name, Field(examples=["2.0"])]
    info: Annotated[dict[str, Any], Field(max_length=20, examples=[{"title": "Staycast", "version": "1"}])]
    paths: Annotated[dict[str, Any], Field(max_length=MAX_ITEMS, examples=[{}])]
    definitions: Annotated[dict[str, Any], Field(max_length=MAX_ITEMS, examples=[{}])]
