"""What is told to the service between two loads: orders, interactions, contracts and more, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from features.tables import KINDS_THAT_COUNT, LARGEST
from serving.api.problems import FieldError
from serving.api.schema.fields import (
    ANY_TEXT,
    GIVEN_TIME,
    MAX_ID_LENGTH,
    PER_REQUEST,
    SOME_TEXT,
    CustomerId,
    GivenTime,
    StrictModel,
    UtcTime,
    some_id,
)
from serving.api.schema.parsing import FieldPath, invalid_request, json_pointer, one_or_several, parse_object, validated

EventTime = Annotated[GivenTime, Field(description=f"When it happened, in the past: {GIVEN_TIME}")]
PlannedTime = Annotated[GivenTime, Field(description=f"May lie ahead: {GIVEN_TIME}")]
EventId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ID_LENGTH,
        description="Given by the sender, once for each event.",
        examples=["crm-2024-000017"],
        json_schema_extra=ANY_TEXT,
    ),
]
RowId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_ID_LENGTH,
        description="The same that later exports give this row.",
        examples=["A-7731"],
        json_schema_extra=SOME_TEXT,
    ),
    AfterValidator(some_id),
]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST, examples=[1.0])]
ShortText = Annotated[str, Field(min_length=1, max_length=MAX_ID_LENGTH, examples=["web"], json_schema_extra=SOME_TEXT)]


KINDS = f"Columns tell apart: {'; '.join(f'{k}, {what}' for k, what in KINDS_THAT_COUNT.items())}. Any other counts."


class OrderEvent(StrictModel):
    """An order, or with a negative amount a return, that was just placed."""

    event_id: EventId
    type: Literal["order"]
    order_id: RowId
    customer_id: CustomerId
    ordered_at: EventTime
    amount: Annotated[
        float,
        Field(
            ge=-LARGEST,
            le=LARGEST,
            description="Net, in the currency of the business; negative: a return.",
            examples=[34.9],
        ),
    ]
    quantity: Number | None = None
    channel: ShortText | None = None
    category: ShortText | None = None
    discount: Annotated[float | None, Field(ge=0, le=LARGEST, examples=[5.0])] = None


class InteractionEvent(StrictModel):
    """A contact by the customer that just happened: a login, a visit, a ticket, a complaint."""

    event_id: EventId
    type: Literal["interaction"]
    interaction_id: RowId
    customer_id: CustomerId
    occurred_at: EventTime
    kind: Annotated[
        str,
        Field(
            min_length=1, max_length=MAX_ID_LENGTH, examples=["ticket"], description=KINDS, json_schema_extra=SOME_TEXT
        ),
    ]
    value: Number | None = None
    channel: ShortText | None = None


class ContractEvent(StrictModel):
    """What is known of a contract now: it began, was renewed, changed, paused or cancelled, or notice was withdrawn.

    What is left out stays as it was, null takes it back. A renewal moves `paid_until` on, or is a new contract; a
    change of plan ends one contract and begins the next.
    """

    event_id: EventId
    type: Literal["contract"]
    subscription_id: RowId
    customer_id: CustomerId
    started_at: Annotated[PlannedTime, Field(description="When it begins; one that lies ahead is booked.")]
    ended_at: PlannedTime | None = None
    cancelled_at: Annotated[EventTime | None, Field(description="When notice was given, which is not the end.")] = None
    renews_at: PlannedTime | None = None
    paid_until: PlannedTime | None = None
    cancel_at_period_end: bool | None = None
    trial_ends_at: PlannedTime | None = None
    paused_at: PlannedTime | None = None
    resumes_at: PlannedTime | None = None
    status: ShortText | None = None
    plan: ShortText | None = None
    price_per_month: Annotated[float | None, Field(ge=0, le=LARGEST, examples=[5.0])] = None


class ContactEvent(StrictModel):
    """A treatment by the company that just happened: a call, a letter, an offer."""

    event_id: EventId
    type: Literal["contact"]
    contact_id: RowId
    customer_id: CustomerId
    contacted_at: EventTime
    campaign: ShortText
    arm: ShortText | None = None
    cost: Annotated[float | None, Field(ge=0, le=LARGEST, examples=[5.0])] = None


class CustomerEvent(StrictModel):
    """A customer who just signed up; attributes come with the next export."""

    event_id: EventId
    type: Literal["customer"]
    customer_id: CustomerId
    signed_up_at: EventTime


AnyEvent = OrderEvent | InteractionEvent | ContractEvent | ContactEvent | CustomerEvent
EVENTS: dict[str, type[AnyEvent]] = {
    "order": OrderEvent,
    "interaction": InteractionEvent,
    "contract": ContractEvent,
    "contact": ContactEvent,
    "customer": CustomerEvent,
}


@dataclass(frozen=True)
class EventBatch:
    """The events of one request, and whether they came as a list."""

    events: tuple[AnyEvent, ...]
    is_list: bool

    def pointer(self, position: int, field: str) -> str:
        """JSON pointer to a field of one of them."""
        return json_pointer(("events", position, field) if self.is_list else (field,))


class ManyEvents(StrictModel):
    """Several events at once; all are taken, or none."""

    events: Annotated[
        list[Annotated[AnyEvent, Field(discriminator="type")]], Field(min_length=1, json_schema_extra=PER_REQUEST)
    ]


class AcceptedEvent(StrictModel):
    """What became of one event."""

    event_id: EventId
    status: Annotated[
        Literal["accepted", "known"], Field(description="known: the very same came before, and was not taken again.")
    ]


class AcceptedEvents(StrictModel):
    """What became of the events, in the order given."""

    events: Annotated[list[AcceptedEvent], Field(json_schema_extra=PER_REQUEST)]
    as_of: Annotated[UtcTime, Field(description="The moment of the customers' new features; predictions rest on them.")]


def parse_events(body: bytes, max_events: int) -> EventBatch:
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
    content = parse_object(body, '{"event_id": "e1", "type": "order", ...}')
    return EventBatch(*one_or_several(content, "events", max_events, _parse_event))


def _parse_event(content: Any, path: FieldPath) -> AnyEvent:
    kind = content.get("type") if isinstance(content, dict) else None
    if not isinstance(kind, str) or kind not in EVENTS:
        raise invalid_request([FieldError(json_pointer((*path, "type")), f"must be one of {', '.join(EVENTS)}")])
    return validated(EVENTS[kind], content, path)
