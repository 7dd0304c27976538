"""What is asked: the answer for one customer, or for several."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationError

from serving.api.problems import FieldError, InvalidRequestError
from serving.api.schema.fields import BYTES_PER_CHARACTER, MAX_ID_LENGTH, CustomerId, StrictModel
from serving.api.schema.parsing import field_errors, invalid_request, parse_object

MAX_REASONS = 1000
TopReasons = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_REASONS,
        description="How many reasons to give; 0: all of them. Left out: what the service is set to.",
    ),
]


class OneCustomer(StrictModel):
    """Ask for one customer."""

    customer_id: CustomerId
    top_reasons: TopReasons = None

    @property
    def ids(self) -> list[str]:
        """The ids that are asked for."""
        return [self.customer_id]


class ManyCustomers(StrictModel):
    """Ask for several customers at once; every id once."""

    customer_ids: Annotated[list[CustomerId], Field(min_length=1, json_schema_extra={"uniqueItems": True})]
    top_reasons: TopReasons = None

    @property
    def ids(self) -> list[str]:
        """The ids that are asked for."""
        return self.customer_ids


PredictionRequest = OneCustomer | ManyCustomers


def max_prediction_bytes(max_customers: int) -> int:
    """No valid request for this many customers is longer than this many bytes."""
    return 1024 + max_customers * (MAX_ID_LENGTH * BYTES_PER_CHARACTER + 8)


def parse_prediction(body: bytes, max_customers: int) -> PredictionRequest:
    """Read the body of a request.

    Raises
    ------
    InvalidRequestError
        Not JSON; not an object; a field is missing, unknown, or of the wrong kind; an id stands there twice; more
        ids than `max_customers`.

    Examples
    --------
    >>> parse_prediction(b'{"customer_id": "1038"}', 10).customer_id
    '1038'
    """
    content = parse_object(body, '{"customer_id": "1038"}')
    if {"customer_id", "customer_ids"} <= content.keys():
        raise invalid_request([FieldError("/customer_ids", "must not stand beside customer_id: give one of the two")])
    model: type[OneCustomer | ManyCustomers] = ManyCustomers if "customer_ids" in content else OneCustomer
    try:
        request = model.model_validate(content)
    except ValidationError as error:
        raise invalid_request(field_errors(error)) from None
    if isinstance(request, ManyCustomers):
        _check_ids(request.customer_ids, max_customers)
    return request


def _check_ids(ids: list[str], max_customers: int) -> None:
    if len(ids) > max_customers:
        detail = f"holds {len(ids)} ids, at most {max_customers} are allowed: split the list"
        raise invalid_request([FieldError("/customer_ids", detail)])
    first: dict[str, int] = {}
    repeats = [(i, first[c]) for i, c in enumerate(ids) if first.setdefault(c, i) != i]
    if repeats:
        faults = tuple(
            FieldError(f"/customer_ids/{i}", f"repeats /customer_ids/{j}: give every id once") for i, j in repeats
        )
        raise InvalidRequestError(f"/customer_ids holds {len(repeats)} ids more than once", faults)
