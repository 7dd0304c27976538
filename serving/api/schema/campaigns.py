"""What a campaign tells: whom it contacted or held out, and what came of it; and who objects to being forecast."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from features.tables import LARGEST
from serving.api.schema.events import ContactEvent, EventBatch, EventTime, Number, RowId, ShortText
from serving.api.schema.fields import PER_REQUEST, CustomerId, PredictionId, StrictModel, UtcTime
from serving.api.schema.parsing import FieldPath, Model, json_pointer, one_or_several, parse_object, validated

CONTACT: JsonDict = {
    "contact_id": "m-1",
    "customer_id": "1038",
    "contacted_at": "2024-03-01T09:00:00Z",
    "campaign": "spring",
    "arm": "treated",
    "cost": 1.5,
}
OUTCOME: JsonDict = {
    "outcome_id": "r-1",
    "customer_id": "1038",
    "outcome": "accepted",
    "happened_at": "2024-03-03T10:15:00Z",
    "value": 20.0,
    "campaign": "spring",
    "contact_id": "m-1",
}
ACCEPTED: JsonDict = {"contacts": [{"contact_id": "m-1", "status": "accepted"}], "as_of": "2024-03-01T09:00:01Z"}
OBJECTION: JsonDict = {"customer_id": "1038", "objects": True}
TAKEN: JsonDict = {"objections": [{"customer_id": "1038", "status": "accepted"}]}
KEPT: JsonDict = {"outcomes": [{"outcome_id": "r-1", "status": "accepted"}]}
Taken = Annotated[Literal["accepted", "known"], Field(description="known: the very same came before.")]


class Contact(StrictModel):
    """One contact of a customer by a campaign, or one that was held out to compare with."""

    model_config = ConfigDict(json_schema_extra={"examples": [CONTACT]})

    contact_id: RowId
    customer_id: CustomerId
    contacted_at: EventTime
    campaign: ShortText
    arm: Annotated[Literal["treated", "holdout"], Field(description="holdout: picked, and not contacted.")]
    cost: Annotated[float | None, Field(ge=0, le=LARGEST, description="In the currency of the business.")] = None


class ManyContacts(StrictModel):
    """Several contacts at once; all are taken, or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"contacts": [CONTACT]}]})

    contacts: Annotated[list[Contact], Field(min_length=1, json_schema_extra=PER_REQUEST)]


class AcceptedContact(StrictModel):
    """What became of one contact."""

    contact_id: RowId
    status: Taken


class AcceptedContacts(StrictModel):
    """What became of the contacts, in the order given."""

    model_config = ConfigDict(json_schema_extra={"examples": [ACCEPTED]})

    contacts: Annotated[list[AcceptedContact], Field(json_schema_extra=PER_REQUEST)]
    as_of: Annotated[UtcTime, Field(description="The moment of the customers' new features.")]


class OutcomeReport(StrictModel):
    """What came true for a customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [OUTCOME]})

    outcome_id: Annotated[RowId, Field(description="Given by the sender, once for each outcome.")]
    customer_id: CustomerId
    outcome: Literal["reached", "accepted", "refused", "left", "kept"]
    happened_at: EventTime
    value: Annotated[Number | None, Field(description="What it brought, in the currency of the business.")] = None
    campaign: ShortText | None = None
    contact_id: Annotated[RowId | None, Field(description="The contact it came of.")] = None
    prediction_id: Annotated[PredictionId | None, Field(description="The answer that was acted on.")] = None


class ManyOutcomes(StrictModel):
    """Several outcomes at once; all are kept, or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"outcomes": [OUTCOME]}]})

    outcomes: Annotated[list[OutcomeReport], Field(min_length=1, json_schema_extra=PER_REQUEST)]


class AcceptedOutcome(StrictModel):
    """What became of one outcome."""

    outcome_id: RowId
    status: Taken


class AcceptedOutcomes(StrictModel):
    """What became of the outcomes, in the order given."""

    model_config = ConfigDict(json_schema_extra={"examples": [KEPT]})

    outcomes: Annotated[list[AcceptedOutcome], Field(json_schema_extra=PER_REQUEST)]


class ToldObjection(StrictModel):
    """A customer objects to being forecast, or no longer does."""

    model_config = ConfigDict(json_schema_extra={"examples": [OBJECTION]})

    customer_id: CustomerId
    objects: Annotated[bool, Field(description="False: the objection is withdrawn.")] = True


class ManyObjections(StrictModel):
    """Several objections at once; all are taken, or none."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"objections": [OBJECTION]}]})

    objections: Annotated[list[ToldObjection], Field(min_length=1, json_schema_extra=PER_REQUEST)]


class TakenObjection(StrictModel):
    """What became of one objection."""

    customer_id: CustomerId
    status: Taken


class TakenObjections(StrictModel):
    """What became of the objections, in the order given."""

    model_config = ConfigDict(json_schema_extra={"examples": [TAKEN]})

    objections: Annotated[list[TakenObjection], Field(json_schema_extra=PER_REQUEST)]


@dataclass(frozen=True)
class ContactBatch(EventBatch):
    """Contacts as events of the table of contacts, which point at fields as they were sent."""

    def pointer(self, position: int, field: str) -> str:
        """JSON pointer to a field of one of them; to the contact itself for what contacts do not tell."""
        place: FieldPath = ("contacts", position) if self.is_list else ()
        name = {"event_id": "contact_id", "type": ""}.get(field, field)
        return json_pointer((*place, name) if name else place)


@dataclass(frozen=True)
class OutcomeBatch:
    """The outcomes of one request, and whether they came as a list."""

    outcomes: tuple[OutcomeReport, ...]
    is_list: bool

    def pointer(self, position: int, field: str) -> str:
        """JSON pointer to a field of one of them."""
        return json_pointer(("outcomes", position, field) if self.is_list else (field,))


@dataclass(frozen=True)
class ObjectionBatch:
    """The objections of one request, and whether they came as a list."""

    objections: tuple[ToldObjection, ...]
    is_list: bool

    def pointer(self, position: int) -> str:
        """JSON pointer to the customer of one of them."""
        return json_pointer(("objections", position, "customer_id") if self.is_list else ("customer_id",))


def parse_contacts(body: bytes, most: int) -> ContactBatch:
    """Read the body of a request that brings one contact, or several under ``contacts``; errors as `parse_events`.

    An event of the log is told apart by its own id: here it follows from that of the contact.
    """
    contacts, is_list = _parse(body, Contact, "contacts", most)
    events = tuple(
        ContactEvent(
            event_id=f"contact:{hashlib.sha256(contact.contact_id.encode()).hexdigest()}",
            type="contact",
            **contact.model_dump(),
        )
        for contact in contacts
    )
    return ContactBatch(events, is_list)


def parse_outcomes(body: bytes, most: int) -> OutcomeBatch:
    """Read the body of a request that brings one outcome, or several under ``outcomes``; errors as `parse_events`."""
    return OutcomeBatch(*_parse(body, OutcomeReport, "outcomes", most))


def parse_objections(body: bytes, most: int) -> ObjectionBatch:
    """Read the body of a request that brings one objection, or several under ``objections``; errors as for events."""
    return ObjectionBatch(*_parse(body, ToldObjection, "objections", most))


def _parse(body: bytes, model: type[Model], name: str, most: int) -> tuple[tuple[Model, ...], bool]:
    content = parse_object(body, f'{{"{name}": [{{...}}]}}')
    return one_or_several(content, name, most, lambda item, path: validated(model, item, path))
