"""What is asked and answered, as the contract of the service names it; a test compares both.

A service may answer more than stands here: fields are added within a version, and none is taken away.
"""

from typing import Literal, NotRequired, TypedDict

Band = Literal["low", "watch", "high", "critical"]
Stage = Literal["prospect", "new", "growing", "mature", "declining", "booked", "lapsed"]
Tier = Literal["diamond", "gold", "silver", "bronze"]
Basis = Literal["model", "hybrid", "prior"]
Explain = Literal["none", "top", "full"]
JobFormat = Literal["parquet", "csv"]


class BasisPart(TypedDict):
    """What a number rests on."""

    kind: Basis
    full_season: bool
    text: str


class ExpectedPart(TypedDict):
    """When the next order, or the end of the contract, is expected."""

    event: Literal["next_order", "contract_end"]
    days: float | None
    at: str | None


class ChurnPart(TypedDict):
    """The risk that the customer leaves."""

    probability: float
    horizon_days: int
    band: Band
    percentile: int
    by_horizon: dict[str, float]
    by_horizon_text: NotRequired[str | None]
    expected: ExpectedPart | None
    basis: BasisPart


class LongerValuePart(TypedDict):
    """The value within a longer horizon."""

    expected: float
    low: float
    high: float
    basis: Literal["examined", "unexamined"]


class ClvPart(TypedDict):
    """What the customer will bring."""

    expected: float
    low: float
    high: float
    quantiles: dict[str, float] | None
    coverage: float
    horizon_days: int
    currency: str
    by_horizon: dict[str, LongerValuePart] | None
    by_horizon_text: NotRequired[str | None]
    tier: Tier
    percentile: int
    basis: BasisPart


class ReactivationPart(TypedDict):
    """The chance that a lapsed customer orders again."""

    probability: float
    horizon_days: int
    by_horizon: dict[str, float]
    by_horizon_text: NotRequired[str | None]
    basis: str


class Reason(TypedDict):
    """What the columns of one topic did to a prediction."""

    feature: str
    value: float | str | None
    effect: float
    direction: Literal["raises", "lowers", "neither"]
    text: str
    features: list[str]


class ActionPart(TypedDict):
    """What to do."""

    code: str
    text: str
    reason: str


class CampaignPart(TypedDict):
    """Whether it pays to contact the customer."""

    expected_profit: float
    low: float
    high: float
    coverage: float
    basis: str
    contact: bool


class FeaturesPart(TypedDict):
    """How old the facts are."""

    age_seconds: int
    stale: bool


class ModelPart(TypedDict):
    """Which versions answered."""

    churn: str | None
    clv: str | None


class Answer(TypedDict):
    """All that is told about one customer."""

    customer_id: str
    alias: NotRequired[str | None]
    as_of: str
    scored_at: str
    prediction_id: str
    targets: NotRequired[list[Literal["churn", "clv"]]]
    churn: ChurnPart | None
    clv: ClvPart | None
    reactivation: ReactivationPart | None
    stage: Stage | None
    reasons: list[Reason]
    clv_reasons: list[Reason]
    action: ActionPart
    campaign: CampaignPart | None
    basis: Basis
    features: FeaturesPart
    model: ModelPart
    arms: NotRequired[dict[str, Literal["champion", "canary"]]]
    unserved: NotRequired[dict[str, str] | None]


class Answers(TypedDict):
    """The answers for several customers."""

    predictions: list[Answer]
    not_found: list[str]
    left: list[str]
    repeated: NotRequired[list[str]]
    erased: NotRequired[list[str]]
    opposed: NotRequired[list[str]]


class AcceptedEvent(TypedDict):
    """What became of one event."""

    event_id: str
    status: Literal["accepted", "known"]


class AcceptedEvents(TypedDict):
    """What became of the events, in the order given."""

    events: list[AcceptedEvent]
    as_of: str


class ModelFacts(TypedDict):
    """What one champion is."""

    model: str
    version: str
    base: float
    horizon_days: int
    trained_through: str
    schema_hash: str
    hash: str
    features: list[str]


class ModelCheck(TypedDict):
    """What one gate measured."""

    name: str
    value: float | None
    limit: float | None
    verdict: str
    text: str


class ModelDecision(TypedDict):
    """The newest decision on a version."""

    action: str
    reason: str
    at: str


class ModelCard(TypedDict):
    """What is known of a champion or a challenger."""

    model: str
    role: str | None
    answers: bool
    summary: str
    registered_at: str
    data_fingerprint: str | None
    gates: str | None
    checks: list[ModelCheck]
    decision: ModelDecision | None


class Models(TypedDict):
    """The champions that answer now."""

    churn: ModelFacts | None
    clv: ModelFacts | None
    unserved: dict[str, str]
    notices: dict[str, str]
    beside: dict[str, ModelFacts]
    cards: list[ModelCard] | None


class ChangeEffect(TypedDict):
    """What one feature has of a difference."""

    feature: str
    value_before: float | str | None
    value_after: float | str | None
    by_data: float | None
    by_time: float | None
    by_model: float | None
    text: str


class ChangeForecast(TypedDict):
    """How one forecast differs; what the data, time and another model did sums to the difference."""

    before: float | None
    after: float | None
    difference: float | None
    class_before: str | None
    class_after: str | None
    by_data: float | None
    by_time: float | None
    by_model: float | None
    by_model_base: float | None
    text: str
    effects: list[ChangeEffect]


class ChangeAnswer(TypedDict):
    """Which answer is compared."""

    prediction_id: str
    scored_at: str
    as_of: str
    stage: str | None
    churn_model: str | None
    clv_model: str | None


class CustomerChange(TypedDict):
    """How the forecasts of a customer differ between two answers, and why."""

    customer_id: str
    before: ChangeAnswer
    after: ChangeAnswer
    churn: ChangeForecast | None
    clv: ChangeForecast | None
    split: str


class ScoreJob(TypedDict):
    """A job that answers for all customers."""

    job_id: str
    state: Literal["queued", "running", "done", "failed"]
    format: JobFormat
    customers_done: int
    customers: int | None
    asked_at: str
    started_at: str | None
    ended_at: str | None
    caller: str
    purpose: str
    as_of: str | None
    scored_at: str | None
    result: str | None
    reason: str | None


class ScoreJobs(TypedDict):
    """The newest jobs, the newest first."""

    jobs: list[ScoreJob]
