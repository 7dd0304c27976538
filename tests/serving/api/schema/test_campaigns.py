from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.campaigns import CONTACT, OBJECTION, OUTCOME, parse_contacts, parse_objections, parse_outcomes


def body(content: object) -> bytes:
    return json.dumps(content).encode()


def test_a_contact_is_an_event_whose_id_follows_from_its_own_and_points_at_what_was_sent() -> None:
    one, several = parse_contacts(body(CONTACT), 5), parse_contacts(body({"contacts": [CONTACT]}), 5)
    assert one.events == several.events and one.events[0].type == "contact"
    assert one.events[0].event_id != parse_contacts(body({**CONTACT, "contact_id": "m-2"}), 5).events[0].event_id
    assert [one.pointer(0, n) for n in ("event_id", "type", "cost")] == ["/contact_id", "", "/cost"]
    assert [several.pointer(0, n) for n in ("event_id", "type")] == ["/contacts/0/contact_id", "/contacts/0"]


FAULTS = [
    (parse_contacts, {**CONTACT, "arm": "other"}, "/arm"),
    (parse_contacts, {**CONTACT, "cost": 1e155}, "/cost"),
    (parse_contacts, {"contacts": []}, "/contacts"),
    (parse_contacts, {"contacts": [CONTACT] * 6}, "/contacts"),
    (parse_contacts, {"contacts": [CONTACT, 7]}, "/contacts/1"),
    (parse_contacts, {"contacts": [CONTACT], "more": 1}, "/more"),
    (parse_outcomes, {**OUTCOME, "outcome": "happy"}, "/outcome"),
    (parse_outcomes, {"outcomes": [{**OUTCOME, "value": -1e16}]}, "/outcomes/0/value"),
    (parse_outcomes, {**OUTCOME, "happened_at": "soon"}, "/happened_at"),
    (parse_outcomes, {**OUTCOME, "prediction_id": "x"}, "/prediction_id"),
]


@pytest.mark.parametrize(("parse", "content", "pointer"), FAULTS)
def test_what_cannot_be_is_named_and_not_quoted(parse: object, content: object, pointer: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse(body(content), 5)  # type: ignore[operator]
    assert [fault.pointer for fault in raised.value.errors] == [pointer]
    assert "happy" not in str(raised.value) and "soon" not in str(raised.value)


def test_one_objection_or_several_are_read_and_their_faults_are_pointed_at() -> None:
    one = parse_objections(orjson.dumps({"customer_id": "1038"}), 10)
    several = parse_objections(orjson.dumps({"objections": [OBJECTION, {**OBJECTION, "objects": False}]}), 10)
    assert [(told.customer_id, told.objects) for told in one.objections] == [("1038", True)]
    assert [told.objects for told in several.objections] == [True, False]
    assert (one.pointer(0), several.pointer(1)) == ("/customer_id", "/objections/1/customer_id")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"customer_id": "1038", "objects": "no"}, "/objects"),
        ({"customer_id": " "}, "/customer_id"),
        ({"objections": [{"customer_id": "1038", "why": "x"}]}, "/objections/0/why"),
        ({"objections": [OBJECTION] * 11}, "/objections"),
    ],
)
def test_what_is_no_objection_is_refused_with_its_place(body: Any, pointer: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_objections(orjson.dumps(body), 10)
    assert [error.pointer for error in caught.value.errors] == [pointer]
