from __future__ import annotations

import pytest

from serving.api.problems import InvalidRequestError
from serving.api.schema.customers import ChangeQuery, CustomerListQuery
from serving.api.schema.queries import parse_query


def test_a_cursor_is_bound_to_all_that_decides_who_comes_when_and_to_nothing_else() -> None:
    asked = CustomerListQuery(band=("low",), limit=5)
    assert asked.signature == CustomerListQuery(band=("low",), limit=9, cursor="x").signature
    others = [CustomerListQuery(band=("high",)), CustomerListQuery(band=("low",), sort="-value"), CustomerListQuery()]
    assert len({asked.signature, *(other.signature for other in others)}) == 4


def test_only_filters_that_were_given_filter() -> None:
    assert CustomerListQuery().filters == {}
    assert CustomerListQuery(contact=False, tier=("gold",)).filters == {"tier": ("gold",), "contact": (False,)}


@pytest.mark.parametrize("since", ["2024-02-01T00:00:00Z", "2024-02-01T01:00:00.5+01:00"])
def test_any_moment_of_rfc_3339_is_taken(since: str) -> None:
    assert parse_query([("since", since)], ChangeQuery).since == since


@pytest.mark.parametrize(
    "pairs",
    [
        [],
        [("since", "yesterday")],
        [("since", "2024-02-30T00:00:00Z")],
        [("since", "2024-02-01T00:00:00")],
        [("since", "2024-02-01T00:00:00Z"), ("since", "2024-02-01T00:00:00Z")],
        [("since", "2024-02-01T00:00:00Z"), ("until", "2024-02-01T00:00:00Z")],
    ],
)
def test_one_moment_is_asked_for_and_nothing_else(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidRequestError):
        parse_query(pairs, ChangeQuery)
