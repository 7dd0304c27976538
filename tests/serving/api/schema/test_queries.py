from __future__ import annotations

import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.customers import CustomerListQuery
from serving.api.schema.queries import parse_query


def test_several_values_are_parted_by_commas_or_given_one_by_one() -> None:
    asked = parse_query([("band", "low,watch"), ("band", "high"), ("limit", "7")], CustomerListQuery, ("band",))
    assert asked.band == ("low", "watch", "high") and asked.limit == 7 and asked.contact is None


def test_what_stands_there_twice_is_named_and_never_quoted() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        parse_query([("cursor", "Ann"), ("cursor", "Bob")], CustomerListQuery)
    assert str(raised.value) == "/query/cursor stands there twice: give it once"
