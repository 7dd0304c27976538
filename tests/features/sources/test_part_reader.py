"""How one part of a table is read: its numbers by their scale, sign and factors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.errors import DataError
from features.quality.check import ValidatedTable, check_table
from features.sources import files
from features.tables import ORDERS

NOW = datetime(2025, 1, 1, tzinfo=UTC)
HEADER = "order_id,customer_id,ordered_at,amount\n"
Read = Callable[..., pd.DataFrame]


def checked(frame: pd.DataFrame) -> ValidatedTable:
    return check_table(ORDERS, frame, NOW, {"ann"})


@pytest.mark.parametrize(
    ("price", "factors", "amounts_read"),
    [
        ("1,50", ["1.000", "2.500", "0", "N/A", "0,5", ""], [1500.0, 3750.0, 0.0, 1.5, 0.75, 1.5]),
        ("1.50", ["1.000", "2,500", "0", "-", "0.5", "2 000"], [1.5, 3750.0, 0.0, 1.5, 0.75, 3000.0]),
        ("2", ["2,5", "2", "1.000", "soon", "-1", "0"], [5.0, 4.0, 2000.0, None, None, 0.0]),
        ("1.50", ["2,5", "1.000", "2"], [3.75, 1500.0, 3.0]),
    ],
)
def test_a_factor_is_read_as_the_number_it_multiplies(
    read: Read, price: str, factors: list[str], amounts_read: list[float | None]
) -> None:
    rows = "".join(f"o{n};ann;2024-01-01;{price};{factor}\n" for n, factor in enumerate(factors))
    frame = read(HEADER.strip().replace(",", ";") + ";qty\n" + rows, numbers={"amount": {"times": "qty"}})
    validated = checked(frame)
    used = dict(zip(validated.used["order_id"], validated.used["amount"], strict=True))
    assert [used.get(f"o{n}") for n in range(len(factors))] == amounts_read
    assert validated.quarantined["reason"].str.contains("amount: qty is no number from 0 on").all()


def test_a_factor_in_doubt_is_asked_about_and_the_sign_of_its_number_answers(read: Read) -> None:
    text = HEADER.strip() + ",qty\no0,ann,2024-01-01,2,1.250\n"
    with pytest.raises(DataError, match=r"amount: qty: '1.250' may be 1.25 or 1250.*numbers: \{amount: \{decimal"):
        read(text, numbers={"amount": {"times": "qty"}})
    assert read(text, numbers={"amount": {"times": "qty", "decimal": ","}})["amount"].tolist() == [2500.0]
    assert read(text, constants={"amount": "3"}, numbers={"amount": {"per": "qty", "decimal": "."}})[
        "amount"
    ].tolist() == [2.4]


def test_a_number_per_zero_is_none(read: Read) -> None:
    text = HEADER.strip().replace(",", ";") + ";n\no0;ann;2024-01-01;3;0\no1;ann;2024-01-01;3;2\n"
    validated = checked(read(text, numbers={"amount": {"per": "n"}}))
    assert validated.used["amount"].tolist() == [1.5]
    assert validated.quarantined["reason"].tolist() == ["amount: n is no number above 0"]


TURNED = {"numbers": {"amount": {"scale": -1}}}
BACK = {**TURNED, "columns": {"amount": "back"}, "key_prefix": "r-"}


def amounts_used(*entries: dict[str, Any], left_out: int = 0) -> dict[str, float]:
    orders = checked(files.load({"orders": list(entries)})["orders"])
    assert orders.rows_left_out == left_out
    return dict(zip(orders.used["order_id"], orders.used["amount"], strict=True))


@pytest.fixture
def till(tmp_path: Path) -> dict[str, Any]:
    """A file of sales, all with a minus, one of them free, with a column of what was paid back."""
    (tmp_path / "o.csv").write_text(
        "order_id,customer_id,ordered_at,amount,back\no0,ann,2024-01-01,0,0\no1,ann,2024-01-02,-3,-0.00\no2,ann,2024-01-03,-4,4\n"
    )
    (tmp_path / "p.csv").write_text(HEADER + "p0,ann,2024-01-01,0\np1,ann,2024-01-02,-5\n")
    return {"path": str(tmp_path / "o.csv")}


def test_a_free_order_stays_where_all_signs_are_turned(till: dict[str, Any]) -> None:
    assert amounts_used({**till, **TURNED}) == {"o0": 0.0, "o1": 3.0, "o2": 4.0}
    branches = [{**till, **TURNED, "key_prefix": "a-"}, {"path": till["path"].replace("o.csv", "p.csv"), **TURNED}]
    assert amounts_used(*branches) == {"a-o0": 0.0, "a-o1": 3.0, "a-o2": 4.0, "p0": 0.0, "p1": 5.0}


def test_nothing_paid_back_on_any_line_is_no_order_either(till: dict[str, Any]) -> None:
    path = Path(till["path"])
    path.write_text(path.read_text() + "o2,ann,2024-01-03,-1,0\no1,ann,2024-01-02,-2,0\n")
    lines = {**till, "lines": {"amount": "sum"}}
    assert amounts_used(lines, {**lines, **BACK}, left_out=2) == {"o0": 0.0, "o1": -5.0, "o2": -5.0, "r-o2": -4.0}


@pytest.mark.parametrize("scale", [1, -1])
def test_nothing_paid_back_is_no_order_whatever_the_signs_of_sales(till: dict[str, Any], scale: int) -> None:
    sales = {**till, "numbers": {"amount": {"scale": scale}}}
    back = {**sales, "columns": {"amount": "back"}, "key_prefix": "r-"}
    used = {"o0": 0.0, "o1": -3.0 * scale, "o2": -4.0 * scale, "r-o2": 4.0 * scale}
    assert amounts_used(sales, back, left_out=2) == used
    assert amounts_used(back, sales, left_out=2) == used


def test_where_nothing_was_paid_back_is_no_order_and_the_free_ones_stay(till: dict[str, Any]) -> None:
    assert amounts_used(till, {**till, **BACK}, left_out=2) == {"o0": 0.0, "o1": -3.0, "o2": -4.0, "r-o2": -4.0}
    path = Path(till["path"])
    path.write_text(path.read_text().replace("-3,-0.00", "unreadable,0"))  # amounts of both entries are then texts
    assert amounts_used(till, {**till, **BACK}, left_out=2) == {"o0": 0.0, "o2": -4.0, "r-o2": -4.0}
