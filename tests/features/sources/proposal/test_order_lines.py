"""One line an item is told from one line an order, and from copies."""

from __future__ import annotations

import pandas as pd

from features.sources.proposal.columns import Column
from features.sources.proposal.order_lines import lines_of


def lines(**columns: list[str | None]) -> dict[str, str]:
    own = {name: Column(name, pd.Series(values, dtype=object)) for name, values in columns.items()}
    return lines_of(own["no"], {"amount": own["total"], "quantity": own["qty"]}, list(own.values()))


def test_numbers_of_the_order_stand_once_and_those_of_its_lines_are_summed() -> None:
    told = lines(no=["1", "1", "2"], item=["a", "b", "a"], total=["9", "9", "5"], qty=["1", "2", "1"])
    assert told == {"amount": "once", "quantity": "sum"}
    told = lines(no=["1", None, "2"], item=["a", "b", "a"], total=["9", None, "5"], qty=["1", "2", "1"])
    assert told == {"amount": "once", "quantity": "sum"}
    assert lines(no=["1", "1"], item=["a", "b"], total=["4", "5"], qty=["1", "1"])["amount"] == "sum"


def test_a_row_an_order_and_copies_of_it_are_no_lines() -> None:
    assert lines(no=["1", "2"], item=["a", "b"], total=["4", "5"], qty=["1", "1"]) == {}
    assert lines(no=["1", "1", "2"], item=["a", "a", "b"], total=["4", "4", "5"], qty=["1", "1", "2"]) == {}
