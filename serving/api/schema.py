"""What is asked and what is answered. Closed and strict: no unknown field, no guess, finite numbers only.

The models check requests, describe the answers in ``/openapi.json``, and check answers in tests; answers are not
checked again as they are served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.json_schema import models_json_schema

from serving.api.problems import MEDIA_TYPE, FieldError, InvalidRequestError
from training.model.bundle import Basis

MAX_ID_LENGTH = 256
MAX_REASONS = 1000
SHOWN_NAME_LENGTH = 64
BYTES_PER_CHARACTER = 12  # a character outside the basic plane, escaped: \ud83d\ude00

CustomerId = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, examples=["1038"])]
Reasons = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_REASONS,
        description="How many reasons to give; 0: all of them. Left out: what the service is set to.",
    ),
]


def _time(decimals: str, said: str) -> Any:
    """A time as text; `decimals` says how many digits a second may have behind its point."""
    pattern = rf"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{decimals})?Z$"
    return Field(pattern=pattern, json_schema_extra={"format": "date-time"}, description=said)


Moment = Annotated[str, _time("+", "ISO 8601, UTC.")]
Happened = Annotated[str, _time("{1,6}", "When it happened: ISO 8601, UTC, in the past.")]
EventId = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_LENGTH, description="Given by the sender, once for each event.")
]
RowId = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_LENGTH, description="The same that later exports give this row.")
]
Text = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH)]
Percentile = Annotated[int, Field(ge=0, le=100, description="Share of reference customers at or below, in percent.")]


class Closed(BaseModel):
    """A JSON object without unknown fields, without silent conversion, with finite numbers only."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class OneCustomer(Closed):
    """Ask for one customer."""

    customer_id: CustomerId
    top_reasons: Reasons = None


class ManyCustomers(Closed):
    """Ask for several customers at once; every id once."""

    customer_ids: Annotated[list[CustomerId], Field(min_length=1, json_schema_extra={"uniqueItems": True})]
    top_reasons: Reasons = None


PredictionRequest = OneCustomer | ManyCustomers


class ExpectedPart(Closed):
    """When what ends the waiting is expected: as likely as not, it has come by then."""

    event: Literal["next_order", "contract_end"]
    days: Annotated[float | None, Field(ge=0, description="Null: later than the longest horizon.")]
    at: Annotated[Moment | None, Field(description="The same as a moment.")]


class BasisPart(Closed):
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


class ChurnPart(Closed):
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
    expected: Annotated[ExpectedPart | None, Field(description="Null where the data has no dates.")]
    basis: BasisPart


class ClvPart(Closed):
    """What the customer will bring."""

    expected: Annotated[float, Field(description="Expected net revenue over the horizon.")]
    low: Annotated[float, Field(description="Lower end of the interval.")]
    high: Annotated[float, Field(description="Upper end of the interval.")]
    coverage: Annotated[
        float, Field(gt=0, lt=1, description="Share of customers whose true value lies in the interval.")
    ]
    horizon_days: Annotated[int, Field(gt=0)]
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217.")]
    tier: Literal["diamond", "gold", "silver", "bronze"]
    percentile: Percentile
    basis: BasisPart


class Reason(Closed):
    """What one feature did to the prediction. The base of the model and the effects of all features sum to it."""

    feature: str
    value: Annotated[float | str | None, Field(description="The customer's value; null: not known.")]
    effect: Annotated[float, Field(description="In the unit of the prediction: probability, or currency.")]
    text: str


class ActionPart(Closed):
    """What to do."""

    code: str
    text: str


class CampaignPart(Closed):
    """Whether it pays to contact the customer, under the assumptions of ``decisions.campaign``."""

    expected_profit: Annotated[float, Field(description="Of contacting the customer, in the currency of the answer.")]
    contact: Annotated[bool, Field(description="On the list that brings most: the expected profit is above zero.")]


class FeaturesPart(Closed):
    """How old the facts are that the answer rests on."""

    age_seconds: int
    stale: bool


class ModelPart(Closed):
    """Which registered versions answered."""

    churn: Annotated[str, Field(examples=["churn/3"])]
    clv: Annotated[str | None, Field(examples=["clv/3"], description="Null for a business without a value model.")]


class Answer(Closed):
    """All that is told about one customer."""

    customer_id: CustomerId
    alias: Annotated[
        CustomerId | None,
        Field(description="The id that was asked, where that is an alias of this customer; else it is left out."),
    ] = None
    as_of: Annotated[Moment, Field(description="The moment the facts are from.")]
    scored_at: Moment
    prediction_id: Annotated[str, Field(pattern="^[0-9A-HJKMNP-TV-Z]{26}$", description="ULID.")]
    churn: Annotated[
        ChurnPart | None, Field(description="Null for who is not a customer now: there is nobody to leave.")
    ]
    clv: Annotated[ClvPart | None, Field(description="Null for a business without a value model.")]
    stage: Annotated[
        Literal["new", "growing", "mature", "declining", "lapsed"] | None,
        Field(description="Null where the data has no dates."),
    ]
    reasons: Annotated[list[Reason], Field(description="Of the churn probability, the largest effect first.")]
    clv_reasons: Annotated[list[Reason], Field(description="Of the expected value, the largest effect first.")]
    action: ActionPart
    campaign: Annotated[
        CampaignPart | None, Field(description="Null where no campaign is planned, or for who is not a customer now.")
    ]
    basis: Annotated[Basis, Field(description="The weakest of the two below: prior before hybrid before model.")]
    features: FeaturesPart
    model: ModelPart


class Answers(Closed):
    """The answers for those who are known, in the order asked, and the ids of those who are not."""

    predictions: list[Answer]
    not_found: list[CustomerId]


class OrderEvent(Closed):
    """An order, or with a negative amount a return, that was just placed."""

    event_id: EventId
    type: Literal["order"]
    order_id: RowId
    customer_id: CustomerId
    ordered_at: Happened
    amount: Annotated[float, Field(description="Net, in the currency of the business; negative: a return.")]
    quantity: float | None = None
    channel: Text | None = None
    category: Text | None = None
    discount: Annotated[float | None, Field(ge=0)] = None


class InteractionEvent(Closed):
    """A contact by the customer that just happened: a login, a visit, a ticket, a complaint."""

    event_id: EventId
    type: Literal["interaction"]
    interaction_id: RowId
    customer_id: CustomerId
    occurred_at: Happened
    kind: Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, examples=["ticket"])]
    value: float | None = None
    channel: Text | None = None


AnyEvent = OrderEvent | InteractionEvent
EVENTS: dict[str, type[OrderEvent] | type[InteractionEvent]] = {"order": OrderEvent, "interaction": InteractionEvent}


@dataclass(frozen=True)
class ReceivedEvents:
    """The events of one request, and whether they came as a list."""

    events: tuple[AnyEvent, ...]
    several: bool

    def pointer(self, place: int, field: str) -> str:
        """JSON pointer to a field of one of them."""
        return _pointer(("events", place, field) if self.several else (field,))


class ManyEvents(Closed):
    """Several events at once; all are taken, or none."""

    events: Annotated[list[AnyEvent], Field(min_length=1)]


class AcceptedEvent(Closed):
    """What became of one event."""

    event_id: EventId
    status: Annotated[
        Literal["accepted", "known"], Field(description="known: the very same came before, and was not taken again.")
    ]


class AcceptedEvents(Closed):
    """What became of the events, in the order given."""

    events: list[AcceptedEvent]
    as_of: Annotated[Moment, Field(description="The moment of the customers' new features; predictions rest on them.")]


class ModelFacts(Closed):
    """What one champion is."""

    model: Annotated[str, Field(examples=["churn/3"])]
    version: str
    base: Annotated[float, Field(description="The prediction at the mean score; base + all effects = the prediction.")]
    horizon_days: int
    trained_through: str
    schema_hash: str
    features: list[str]


class Models(Closed):
    """The champions that answer now."""

    churn: ModelFacts
    clv: Annotated[ModelFacts | None, Field(description="Null for a business without a value model.")]


class FieldFault(Closed):
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


def max_body_bytes(max_customers: int) -> int:
    """No valid request for this many customers is longer than this many bytes."""
    return 1024 + max_customers * (MAX_ID_LENGTH * BYTES_PER_CHARACTER + 8)


def max_events_bytes(max_events: int) -> int:
    """No valid request for this many events is longer than this many bytes."""
    return 1024 + max_events * (6 * MAX_ID_LENGTH * BYTES_PER_CHARACTER + 1024)


def parse_events(body: bytes, max_events: int) -> ReceivedEvents:
    """Read the body of a request that brings one event, or several under ``events``.

    Raises
    ------
    InvalidRequestError
        Not JSON; not an object; a field is missing, unknown, or of the wrong kind; none or more than `max_events`.

    Examples
    --------
    >>> text = b'{"event_id": "e1", "type": "interaction", "interaction_id": "t7", "customer_id": "1038", '
    >>> parse_events(text + b'"occurred_at": "2017-12-01T10:00:00Z", "kind": "ticket"}', 10).events[0].kind
    'ticket'
    """
    content = _object(body, '{"event_id": "e1", "type": "order", ...}')
    if "events" not in content:
        return ReceivedEvents((_event(content, ()),), several=False)
    others = [name for name in content if name != "events"]
    if others:
        raise _invalid(tuple(FieldError(_pointer((name,)), "is not a known field beside events") for name in others))
    several = content["events"]
    if not isinstance(several, list) or not 0 < len(several) <= max_events:
        raise _invalid((FieldError("/events", f"must be a list of 1 to {max_events} events"),))
    found: list[AnyEvent] = []
    faults: list[FieldError] = []
    for place, one in enumerate(several):
        try:
            found.append(_event(one, ("events", place)))
        except InvalidRequestError as error:
            faults += error.errors
    if faults:
        raise _invalid(tuple(faults))
    return ReceivedEvents(tuple(found), several=True)


def _event(content: Any, place: tuple[str | int, ...]) -> AnyEvent:
    kind = content.get("type") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in EVENTS:
        raise _invalid((FieldError(_pointer((*place, "type")), f"must be one of {', '.join(EVENTS)}"),))
    try:
        return EVENTS[kind].model_validate(content)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        raise _invalid(tuple(_fault({**e, "loc": (*place, *e["loc"])}) for e in told)) from None


def _invalid(faults: tuple[FieldError, ...]) -> InvalidRequestError:
    return InvalidRequestError("; ".join(f"{f.pointer} {f.detail}" for f in faults[:3]), faults)


def _object(body: bytes, example: str) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequestError(f"the body is not valid JSON at {where}; NaN and Infinity are not JSON") from None
    if not isinstance(content, dict):
        raise InvalidRequestError(f"the body must be a JSON object such as {example}")
    return content


def parse(body: bytes, max_customers: int) -> PredictionRequest:
    """Read the body of a request.

    Raises
    ------
    InvalidRequestError
        Not JSON; not an object; a field is missing, unknown, or of the wrong kind; an id stands there twice; more
        ids than `max_customers`.

    Examples
    --------
    >>> parse(b'{"customer_id": "1038"}', 10).customer_id
    '1038'
    """
    content = _load(body)
    model: type[OneCustomer | ManyCustomers] = ManyCustomers if "customer_ids" in content else OneCustomer
    try:
        asked = model.model_validate(content)
    except ValidationError as error:
        faults = tuple(_fault(e) for e in error.errors(include_url=False, include_context=False, include_input=False))
        raise _invalid(faults) from None
    if isinstance(asked, ManyCustomers):
        _check_list(asked.customer_ids, max_customers)
    return asked


def _load(body: bytes) -> dict[str, Any]:
    content = _object(body, '{"customer_id": "1038"}')
    if {"customer_id", "customer_ids"} <= content.keys():
        fault = FieldError("/customer_ids", "must not stand beside customer_id: give one of the two")
        raise InvalidRequestError(f"{fault.pointer} {fault.detail}", (fault,))
    return content


def _check_list(ids: list[str], max_customers: int) -> None:
    if len(ids) > max_customers:
        fault = FieldError(
            "/customer_ids", f"holds {len(ids)} ids, at most {max_customers} are allowed: split the list"
        )
        raise InvalidRequestError(f"{fault.pointer} {fault.detail}", (fault,))
    first: dict[str, int] = {}
    repeats = [(i, first[c]) for i, c in enumerate(ids) if first.setdefault(c, i) != i]
    if repeats:
        faults = tuple(
            FieldError(f"/customer_ids/{i}", f"repeats /customer_ids/{j}: give every id once") for i, j in repeats
        )
        raise InvalidRequestError(f"/customer_ids holds {len(repeats)} ids more than once", faults)


_WORDS = {
    "string_type": 'must be a string in quotes, such as "1038"',
    "extra_forbidden": "is not a known field",
    "missing": "is required",
    "list_type": "must be a list of strings",
}


def _fault(error: Any) -> FieldError:
    kind = error["type"]
    return FieldError(_pointer(error["loc"]), _WORDS.get(kind) or error["msg"].replace("Input should", "should"))


def _pointer(path: tuple[str | int, ...]) -> str:
    shown = (str(part)[:SHOWN_NAME_LENGTH].replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in shown)


def openapi(max_customers: int, version: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the service, told from the models of this module."""
    models = (OneCustomer, ManyCustomers, Answer, Answers, Models, Problem, ManyEvents, AcceptedEvents)
    _, definitions = models_json_schema(
        [(m, "validation") for m in models], ref_template="#/components/schemas/{model}"
    )
    schemas = definitions["$defs"]
    schemas["ManyCustomers"]["properties"]["customer_ids"]["maxItems"] = max_customers
    asked = {"required": True, "content": _json(_either("OneCustomer", "ManyCustomers"))}
    predict = _operation("Risk, value, reasons and action of one customer or of several", _either("Answer", "Answers"))
    predict["responses"] |= _problems("404", "413", "415", "422", "503")
    schemas["ManyEvents"]["properties"]["events"]["maxItems"] = max_customers
    brought = {"required": True, "content": _json(_either("OrderEvent", "InteractionEvent", "ManyEvents"))}
    take = _operation("Take new orders and interactions; predictions reflect them from then on", _ref("AcceptedEvents"))
    take["responses"] |= _problems("409", "413", "415", "422", "503")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Staycast",
            "version": version,
            "description": "Who will leave, what each is worth, and why.",
        },
        "paths": {
            "/v1/predictions": {"post": {**predict, "operationId": "predict", "requestBody": asked}},
            "/v1/events": {"post": {**take, "operationId": "take_events", "requestBody": brought}},
            "/v1/models": {"get": _get("models", "The champions that answer now", _ref("Models"))},
            "/healthz": {"get": _get("alive", "The process runs", {"type": "object"})},
            "/readyz": {"get": _get("ready", "Models are loaded and features can be read", {"type": "object"})},
        },
        "components": {"schemas": schemas},
    }


def _get(name: str, summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    operation = _operation(summary, schema)
    operation["responses"] |= {} if name == "alive" else _problems("503")
    return {**operation, "operationId": name}


def _operation(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": summary, "content": _json(schema)}}}


def _problems(*statuses: str) -> dict[str, Any]:
    return {s: {"description": "Problem", "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}} for s in statuses}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _either(*names: str) -> dict[str, Any]:
    return {"oneOf": [_ref(n) for n in names]}


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}
