"""What is asked: the answer for one customer, for several, or for all by a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from serving.api.problems import FieldError
from serving.api.schema.fields import (
    INT32,
    PER_REQUEST,
    CustomerId,
    JobId,
    PredictionHeaders,
    PredictionId,
    StrictModel,
)
from serving.api.schema.parsing import invalid_request, parse_object, validated
from training.model.bundle import Task

MAX_REASONS = 1000
TopReasons = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_REASONS,
        examples=[3],
        json_schema_extra=INT32,
        description="How many reasons to give; 0: all of them. Left out: what the service is set to.",
    ),
]
Explain = Annotated[
    Literal["none", "top", "full"] | None,
    Field(
        description="none: no reasons, the quickest; top: the largest, columns that say one thing together; full: the "
        "effect of every column. Left out: top, or full where top_reasons is 0."
    ),
]

Targets = Annotated[
    list[Task] | None,
    Field(
        min_length=1,
        max_length=2,
        description="What is asked for: churn, clv, or both. What is not is not computed, and null; nor is an action "
        "decided, which takes both. Left out: all that the business has.",
        examples=[["churn"]],
    ),
]


class PastPrediction(PredictionHeaders):
    """Which past answer is asked for."""

    prediction_id: PredictionId


class ScoreJobParameters(StrictModel):
    """Which job is asked for."""

    job_id: JobId


class ScoreResultParameters(PredictionHeaders):
    """Of which job the result is asked for."""

    job_id: JobId


class NewScoreJob(StrictModel):
    """Ask for the answers for all customers."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"format": "csv"}]})

    format: Annotated[Literal["parquet", "csv"], Field(description="Of the result.")] = "parquet"


class OneCustomer(StrictModel):
    """Ask for one customer."""

    customer_id: CustomerId
    top_reasons: TopReasons = None
    explain: Explain = None
    targets: Targets = None

    @property
    def ids(self) -> list[str]:
        """The ids that are asked for."""
        return [self.customer_id]


class ManyCustomers(StrictModel):
    """Ask for several customers at once; an id that stands there twice is answered once."""

    customer_ids: Annotated[
        list[CustomerId], Field(min_length=1, examples=[["1038", "1349"]], json_schema_extra=PER_REQUEST)
    ]
    top_reasons: TopReasons = None
    explain: Explain = None
    targets: Targets = None

    @property
    def ids(self) -> list[str]:
        """The ids that are asked for, each once."""
        return list(dict.fromkeys(self.customer_ids))

    @property
    def repeated(self) -> list[str]:
        """The ids that stand there more than once."""
        return [i for i, times in Counter(self.customer_ids).items() if times > 1]


PredictionRequest = OneCustomer | ManyCustomers


def reasons_asked(request: PredictionRequest, usual: int) -> int | None:
    """How many reasons a request asks for; 0: the effect of every column; None: none.

    >>> [reasons_asked(OneCustomer(customer_id="a", explain=how), 5) for how in (None, "top", "none", "full")]
    [5, 5, None, 0]
    """
    if request.explain == "none":
        return None
    if request.explain == "full":
        return 0
    return usual if request.top_reasons is None else request.top_reasons


def targets_asked(request: PredictionRequest, tasks: Sequence[Task]) -> frozenset[Task] | None:
    """Which forecasts of the business (`tasks`) a request asks for; None: all of them.

    Raises
    ------
    InvalidRequestError
        One stands there twice, or the business has none of the kind.

    Examples
    --------
    >>> targets_asked(OneCustomer(customer_id="a", targets=["clv"]), ("churn", "clv"))
    frozenset({'clv'})
    """
    if request.targets is None:
        return None
    wrong = [
        FieldError(f"/targets/{place}", "stands there twice" if name in tasks else "is nothing this business forecasts")
        for place, name in enumerate(request.targets)
        if name not in tasks or name in request.targets[:place]
    ]
    if wrong:
        raise invalid_request(wrong)
    return None if set(request.targets) == set(tasks) else frozenset(request.targets)


def parse_score_job(body: bytes) -> NewScoreJob:
    """Read the body of a request for a job; InvalidRequestError as of `parse_prediction`.

    >>> parse_score_job(b"{}").format
    'parquet'
    """
    return validated(NewScoreJob, parse_object(body, '{"format": "csv"}'))


def parse_prediction(body: bytes, max_customers: int) -> PredictionRequest:
    """Read the body of a request.

    Raises
    ------
    InvalidRequestError
        Not JSON; not an object; a field is missing, unknown, of the wrong kind or stands there twice; more ids than
        `max_customers`.

    Examples
    --------
    >>> parse_prediction(b'{"customer_id": "1038"}', 10).customer_id
    '1038'
    """
    content = parse_object(body, '{"customer_id": "1038"}')
    if {"customer_id", "customer_ids"} <= content.keys():
        raise invalid_request([FieldError("/customer_ids", "must not stand beside customer_id: give one of the two")])
    model: type[OneCustomer | ManyCustomers] = ManyCustomers if "customer_ids" in content else OneCustomer
    request = validated(model, content)
    if isinstance(request, ManyCustomers) and (number := len(request.customer_ids)) > max_customers:
        detail = f"holds {number} ids, at most {max_customers} are allowed: split the list"
        raise invalid_request([FieldError("/customer_ids", detail)])
    return request
