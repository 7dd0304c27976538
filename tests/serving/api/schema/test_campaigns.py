from __future__ import annotations

import json

import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.campaigns import CONTACT, OUTCOME, parse_contacts, parse_outcomes


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
