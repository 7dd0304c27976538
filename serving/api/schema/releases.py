"""What is told of models and releases: which answer, what runs beside a champion, and what both arms showed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.api.schema.fields import MAX_ITEMS, Count, Days, Name, Prose, StrictModel, UtcTime
from training.model.bundle import Task

MOST_RELEASES, MOST_BINS = 8, 10
Milliseconds = Annotated[float, Field(ge=0, examples=[7.1])]
Score = Annotated[float, Field(examples=[0.31])]
ArmName = Literal["champion", "canary", "shadow"]


class Latency(StrictModel):
    """How long the models of an arm took for a call, in milliseconds; calls answer several customers at once."""

    calls: Count
    customers_per_call: Annotated[float, Field(ge=0, examples=[1.4])]
    p50: Milliseconds
    p95: Milliseconds
    p99: Milliseconds


class ScoreDistribution(StrictModel):
    """The scores of an arm: of each customer the newest."""

    mean: Score
    p10: Score
    p50: Score
    p90: Score
    bounds: Annotated[
        list[Score],
        Field(max_length=MOST_BINS, description="Between bins that hold equally many customers of the champion's arm."),
    ]
    shares: Annotated[
        list[Annotated[float, Field(ge=0, le=1, examples=[0.1])]],
        Field(max_length=MOST_BINS, description="Of the customers in each bin, one more than there are bounds."),
    ]


class ArmOutcomes(StrictModel):
    """What came true of customers after their first answer in this arm, as `POST /v1/outcomes` told it."""

    known: Annotated[Count, Field(description="Customers of whom it was told that they left, or were kept.")]
    left: Count
    expected: Annotated[
        float | None, Field(ge=0, le=1, description="Mean probability of leaving of these; null where none is known.")
    ]
    text: Annotated[Prose, Field(examples=["not known yet"])]


class ArmFacts(StrictModel):
    """What one arm showed."""

    model: Annotated[Name, Field(examples=["churn/4"])]
    answers: Annotated[Count, Field(description="On record with a score; of a shadow, scores beside answers.")]
    customers: Count
    errors: Annotated[Count, Field(description="Customers on whom the model failed; the champion answered these.")]
    dropped: Annotated[Count, Field(description="Customers whom a shadow did not score, as too many came at once.")]
    latency_ms: Annotated[Latency | None, Field(description="Null where nothing was answered.")]
    scores: Annotated[ScoreDistribution | None, Field(description="Null where there is none.")]
    outcomes: ArmOutcomes


class Difference(StrictModel):
    """Mean of the second arm less that of the champion's, with its 95 % range."""

    mean: Score
    low: Score
    high: Score


class ReleaseStatus(StrictModel):
    """A release, and both of its arms side by side."""

    id: Annotated[Name, Field(examples=["5e1f0c6d9a7b4328"])]
    model: Task
    version: Annotated[Name, Field(examples=["4"])]
    kind: Literal["shadow", "canary"]
    percent: Annotated[
        float, Field(ge=0, lt=100, examples=[5.0], description="Of the customers whom it answers; 0 of a shadow.")
    ]
    champion: Annotated[Name, Field(description="The version it runs beside.", examples=["3"])]
    began_at: UtcTime
    since: Annotated[UtcTime, Field(description="Since when it is of this kind: what is told is from then on.")]
    changed_at: Annotated[UtcTime, Field(description="When its kind or share was last decided.")]
    ended_at: Annotated[UtcTime | None, Field(description="Null while it runs.")]
    ended: Annotated[Name, Field(description="What ended it: stop, promote, rollback; empty while it runs.")]
    by: Name
    reason: Prose
    of_newest: Annotated[
        Count | None, Field(description="So many answers, the newest, were looked at, where there are more; else null.")
    ]
    notice: Annotated[Prose, Field(description="What is to be known, such as why it does not answer; empty: nothing.")]
    arms: Annotated[dict[ArmName, ArmFacts], Field(max_length=2)]
    psi: Annotated[
        float | None,
        Field(ge=0, description="Population stability index of the scores; null where there are too few."),
    ]
    psi_by_chance: Annotated[
        float | None,
        Field(
            ge=0, description="What chance alone exceeds one time in twenty; null of the same customers, a shadow's."
        ),
    ]
    difference: Difference | None
    verdict: Annotated[Prose, Field(examples=["too few answers to tell: 12 of 100 customers in the arm with fewer"])]


class Releases(StrictModel):
    """What runs beside the champions, and what last did, the newest first."""

    releases: Annotated[list[ReleaseStatus], Field(max_length=MOST_RELEASES)]


class ModelFacts(StrictModel):
    """What one champion is."""

    model: Annotated[Name, Field(examples=["churn/3"])]
    version: Annotated[Name, Field(examples=["3"])]
    base: Annotated[
        float,
        Field(description="The prediction at the mean score; base + all effects = the prediction.", examples=[0.21]),
    ]
    horizon_days: Days
    trained_through: Annotated[Name, Field(examples=["2024-10-01T00:00:00Z"])]
    schema_hash: Annotated[Name, Field(examples=["9f2c41d07be3a865"])]
    hash: Annotated[
        Name,
        Field(
            description="SHA-256 of the manifest that names the hash of each of its files.",
            examples=["5e1f0c6d9a7b43280c1d2e3f4a5b6c7d8e9f00112233445566778899aabbccdd"],
        ),
    ]
    features: Annotated[list[Name], Field(max_length=MAX_ITEMS, examples=[["gap_ratio", "spend_90d"]])]


class ModelCheck(StrictModel):
    """What one gate measured."""

    name: Annotated[Name, Field(examples=["min_auc"])]
    value: Annotated[float | None, Field(examples=[0.86])]
    limit: Annotated[float | None, Field(examples=[0.6])]
    verdict: Annotated[Name, Field(description="passed, failed or cannot tell.", examples=["passed"])]
    text: Annotated[Prose, Field(examples=["AUC 0.8624 is at least 0.6"])]


class ModelDecision(StrictModel):
    """The newest decision on a version; who decided stands in the ledger."""

    action: Annotated[
        Name, Field(description="promote, rollback, reject, shadow, canary or stop.", examples=["promote"])
    ]
    reason: Annotated[Prose, Field(examples=["passed every gate"])]
    at: UtcTime


class ModelCard(StrictModel):
    """What is known of a champion, a challenger, or what runs beside."""

    model: Annotated[Name, Field(examples=["churn/3"])]
    role: Annotated[Name | None, Field(description="champion, shadow, canary, challenger; null: none of these.")]
    answers: Annotated[bool, Field(description="Whether it answers now, as a canary some of the customers.")]
    summary: Annotated[Prose, Field(description="Its main figures, beside those of the plain baseline.")]
    registered_at: Annotated[UtcTime, Field(description="When it was trained and registered.")]
    data_fingerprint: Annotated[Name | None, Field(description="Of the data that it was learned from.")]
    gates: Annotated[Name | None, Field(description="What the gates said in all.", examples=["passed"])]
    checks: Annotated[list[ModelCheck], Field(max_length=MAX_ITEMS)]
    decision: Annotated[ModelDecision | None, Field(description="Null where nobody decided on it.")]


class Models(StrictModel):
    """The champions that answer now."""

    churn: Annotated[ModelFacts | None, Field(description="Null where none serves.")]
    clv: Annotated[
        ModelFacts | None, Field(description="Null for a business without a value model, or if none serves.")
    ]
    unserved: Annotated[
        dict[Task, Prose],
        Field(max_length=2, description="Why a model of the business does not serve, by its name."),
    ]
    notices: Annotated[
        dict[Task, Prose],
        Field(
            max_length=2,
            description="Why what serves is not what the registry names, or from where it serves while that is away; "
            "why a release does not answer.",
        ),
    ]
    beside: Annotated[
        dict[Task, ModelFacts],
        Field(
            max_length=2,
            description="What runs beside the champions, by name: a shadow, or the canary that answers some customers.",
        ),
    ]
    cards: Annotated[
        list[ModelCard] | None,
        Field(max_length=MAX_ITEMS, description="Of champions and challengers; null where they cannot be read now."),
    ]
