"""What can go wrong with one request, each with its HTTP status, and how it is told (RFC 9457, problem+json).

    StaycastError
    └── AnswerError                no answer to this request
        ├── BadCredentialError     400  the request says more than once who asks, or cannot be read
        ├── UnauthorizedError      401  it is not known who asks
        ├── ForbiddenError         403  who asks may not do this
        ├── InvalidRequestError    422  the body is not JSON, or not what the schema asks for
        │   └── ReusedKeyError     422  an Idempotency-Key comes again with another body
        ├── UnknownCustomerError   404  no features are known for the ids that were asked
        │   ├── LeftCustomerError  404  the customer is known to have left, and gets no answer
        │   ├── OpposedCustomerError 404 the customer objects to being forecast
        │   └── ErasedCustomerError 410 the person was erased on request
        ├── UnknownPredictionError 404  no such answer is on record
        ├── UnknownModelError      404  the business has no such model
        ├── NoEarlierAnswerError   404  no answer of the customer is on record from that moment or before
        ├── NoScoresError          404  no score file was written yet
        ├── UnknownJobError        404  there is no such job
        ├── UnfinishedJobError     409  a job has no result, or none yet
        ├── ResultGoneError        410  the result of a job was removed
        ├── ExpiredCursorError     410  the list that a cursor is of is there no more
        ├── EventConflictError     409  an event does not go with what is known
        ├── TooLargeError          413  the body is longer than any valid request
        ├── MediaTypeError         415  the body is not application/json
        └── UnavailableError       503  the service cannot answer now, whatever is asked
            └── OverloadedError    429  too many requests wait already
                ├── ManyJobsError  429  too many jobs wait already
                └── RateLimitError 429  this caller asks more than it may

A message echoes nothing of a request but the one id that was asked. Below ``/v2`` a problem also says its detail as
``error``, as the Open Inference Protocol has it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import orjson
from starlette.responses import Response

from configs.errors import StaycastError

TYPE = "urn:staycast:problem:"
PROTOCOL = "/v2"  # below it, the Open Inference Protocol is spoken
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one field: a JSON pointer (RFC 6901) to it, and the fault in words."""

    pointer: str
    detail: str


class AnswerError(StaycastError):
    """There is no answer to this request; `errors` names the fields that are at fault."""

    slug = "no-answer"
    title = "The request cannot be answered"

    def __init__(self, detail: str, errors: tuple[FieldError, ...] = ()) -> None:
        super().__init__(detail)
        self.errors = errors


class BadCredentialError(AnswerError):
    """The request says more than once who asks, or in a form that cannot be read."""

    status = 400
    slug = "bad-credential"
    title = "Who asks cannot be read"


class UnauthorizedError(AnswerError):
    """It is not known who asks."""

    status = 401
    slug = "unauthorized"
    title = "Who asks is not known"


class ForbiddenError(AnswerError):
    """Who asks may not do this."""

    status = 403
    slug = "forbidden"
    title = "The caller may not do this"


class InvalidRequestError(AnswerError):
    """The body is not JSON, or not what the schema asks for."""

    status = 422
    slug = "invalid-request"
    title = "The request is not valid"


class ReusedKeyError(InvalidRequestError):
    """The caller's Idempotency-Key came before with another body."""

    slug = "reused-key"
    title = "The Idempotency-Key was used for another request"


class UnknownCustomerError(AnswerError):
    """No features are known for the ids that were asked."""

    status = 404
    slug = "unknown-customer"
    title = "Unknown customer"


class LeftCustomerError(UnknownCustomerError):
    """The customer has left, as the label of a ready table says: there is nobody to keep."""

    slug = "left-customer"
    title = "The customer has left"


class ErasedCustomerError(UnknownCustomerError):
    """The person was erased on request: nothing is known, and nothing will be."""

    status = 410
    slug = "erased-customer"
    title = "The person was erased"


class OpposedCustomerError(UnknownCustomerError):
    """The customer objects to being forecast: nothing is."""

    slug = "opposed-customer"
    title = "The customer objects to being forecast"


def unknown_customers(
    ids: Sequence[str], erased: Collection[str] = (), opposed: Collection[str] = ()
) -> UnknownCustomerError:
    """Says that nothing is told of any of these; of one, who it is, or that the person was erased or objects."""
    if len(ids) == 1 and ids[0] in opposed:
        return opposed_customer()
    if len(ids) == 1 and ids[0] in erased:
        return ErasedCustomerError("this person was erased on request: nothing is known of them, nor will it be")
    who = f"customer '{ids[0]}'" if len(ids) == 1 else f"any of these {len(ids)} customers"
    return UnknownCustomerError(f"no features are known for {who}: check the id, or refresh the feature store")


def left_customer(customer_id: str) -> LeftCustomerError:
    """Says that this customer has left."""
    return LeftCustomerError(f"customer '{customer_id}' has left, as the label of the last load says")


def opposed_customer() -> OpposedCustomerError:
    """Says that a customer objects."""
    return OpposedCustomerError("this customer objects to being forecast: no score is made, and none is told")


class NoScoresError(AnswerError):
    """No score file was written yet."""

    status = 404
    slug = "no-scores"
    title = "There is no score file yet"


class ExpiredCursorError(AnswerError):
    """The list that a cursor is of is there no more."""

    status = 410
    slug = "expired-cursor"
    title = "The list has been replaced"


class UnknownJobError(AnswerError):
    """There is no such job: it never was, or is older than jobs are kept."""

    status = 404
    slug = "unknown-job"
    title = "Unknown job"


class UnfinishedJobError(AnswerError):
    """The job has no result: it is not done yet, or has failed."""

    status = 409
    slug = "unfinished-job"
    title = "The job has no result"


class ResultGoneError(AnswerError):
    """The result of the job was removed, as an erasure does with a CSV."""

    status = 410
    slug = "result-gone"
    title = "The result was removed"


class UnknownPredictionError(AnswerError):
    """There is no such answer on record: it never was, is older than answers are kept, or its person was erased."""

    status = 404
    slug = "unknown-prediction"
    title = "Unknown prediction"


class UnknownModelError(AnswerError):
    """The business has no such model."""

    status = 404
    slug = "unknown-model"
    title = "Unknown model"


class NoEarlierAnswerError(AnswerError):
    """No answer of the customer is on record from that moment or before: it is new, or older than answers are kept."""

    status = 404
    slug = "no-earlier-answer"
    title = "There is no earlier answer"


class EventConflictError(AnswerError):
    """An event does not go with what is known: it came before, or its row stands in the tables, with other content."""

    status = 409
    slug = "event-conflict"

    def __init__(self, title: str, pointer: str, detail: str, outcome: str = "taken") -> None:
        super().__init__(f"{pointer} {detail}; nothing was {outcome}", (FieldError(pointer, detail),))
        self.title = title


class TooLargeError(AnswerError):
    """The body is longer than any valid request."""

    status = 413
    slug = "too-large"
    title = "The request is too large"


class MediaTypeError(AnswerError):
    """The body is not plain application/json."""

    status = 415
    slug = "media-type"
    title = "The body must be JSON"


class UnavailableError(AnswerError):
    """The service cannot answer now, whatever is asked."""

    status = 503
    slug = "unavailable"
    title = "The service cannot answer now"
    retry_after_seconds = 5


TOO_MANY = "too many requests wait already: try again in a second"


class OverloadedError(UnavailableError):
    """Too many requests wait already."""

    status = 429
    slug = "overloaded"
    title = "Too many requests wait already"
    retry_after_seconds = 1


class ManyJobsError(OverloadedError):
    """Too many jobs wait already."""

    slug = "many-jobs"
    title = "Too many jobs wait already"
    retry_after_seconds = 60


class RateLimitError(OverloadedError):
    """The caller asks more than it may; `retry_after_seconds` says when it may again."""

    slug = "rate-limit"
    title = "The caller asks too much"

    def __init__(self, detail: str, retry_after_seconds: int) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


def problem(status: int, slug: str, title: str, detail: str, errors: tuple[FieldError, ...] = ()) -> dict[str, Any]:
    """Make the body of a problem.

    Examples
    --------
    >>> problem(404, "unknown-customer", "Unknown customer", "no features for customer '7'")["type"]
    'urn:staycast:problem:unknown-customer'
    """
    body: dict[str, Any] = {"type": TYPE + slug, "title": title, "status": status, "detail": detail}
    return {**body, "errors": [asdict(e) for e in errors]} if errors else body


def problem_response(error: StaycastError, path: str = "") -> Response:
    """The HTTP response of an error, to what was asked of a path.

    An error that is not about the request, such as a missing model, is told without its message: that names
    paths, and is for the log.
    """
    if not isinstance(error, AnswerError):
        error = UnavailableError("the models or the features cannot be used now; the server's log says why")
    body = problem(error.status, error.slug, error.title, str(error), error.errors)
    headers = {"Retry-After": str(error.retry_after_seconds)} if isinstance(error, UnavailableError) else {}
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    return _respond(body, headers, path)


def status_problem_response(status: int, headers: Mapping[str, str] | None = None, path: str = "") -> Response:
    """The HTTP response of a status that says it all: 404 for a path, 405, 500."""
    phrase = HTTPStatus(status)
    body = problem(status, phrase.phrase.lower().replace(" ", "-"), phrase.phrase, phrase.description)
    return _respond(body, headers, path)


def _respond(body: dict[str, Any], headers: Mapping[str, str] | None, path: str) -> Response:
    """A problem's body as a response with its status."""
    if path.startswith(PROTOCOL):
        body = {**body, "error": body["detail"] or body["title"]}
    return Response(orjson.dumps(body), body["status"], headers, MEDIA_TYPE)
