from __future__ import annotations

from serving.api.schema.customers import CustomerListQuery


def test_a_cursor_is_bound_to_all_that_decides_who_comes_when_and_to_nothing_else() -> None:
    asked = CustomerListQuery(band=("low",), limit=5)
    assert asked.signature == CustomerListQuery(band=("low",), limit=9, cursor="x").signature
    others = [CustomerListQuery(band=("high",)), CustomerListQuery(band=("low",), sort="-value"), CustomerListQuery()]
    assert len({asked.signature, *(other.signature for other in others)}) == 4


def test_only_filters_that_were_given_filter() -> None:
    assert CustomerListQuery().filters == {}
    assert CustomerListQuery(contact=False, tier=("gold",)).filters == {"tier": ("gold",), "contact": (False,)}
