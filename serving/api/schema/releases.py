"""What is told of releases: what runs beside a champion, and what both arms showed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from serving.api.schema.fields import Count, Name, Prose, StrictModel, UtcTime
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
