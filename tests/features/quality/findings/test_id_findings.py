from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from configs.settings import Columns, Settings
from features.quality import quality_gate
from features.quality.check import ValidatedTable, check_tables
from features.quality.chunks import ChunkedCheck
from features.quality.findings.id_findings import id_findings, no_one_findings
from features.sources import files
from features.sources.rows.ids import best_repair

NOW = datetime(2025, 1, 1, tzinfo=UTC)


def checked(
    customers: list[str], buyers: list[str], folder: Path, chunk_rows: int = 1000, **ids: Any
) -> dict[str, ValidatedTable]:
    (folder / "c.csv").write_text("customer_id,signed_up_at\n" + "".join(f"{i},2024-01-01\n" for i in customers))
    rows = "".join(f"o{n},{i},2024-02-01,1\n" for n, i in enumerate(buyers))
    (folder / "o.csv").write_text("order_id,customer_id,ordered_at,amount\n" + rows)
    options = {n: {"path": str(folder / f"{n[0]}.csv"), "encoding": "utf-8", **ids} for n in ("customers", "orders")}
    with files.opened(options, chunk_rows) as raw:
        check = ChunkedCheck(folder, lambda one: one.used)
        return check_tables(raw, Columns(attributes=(), sensitive=()), NOW, check=check)


CASES = {
    "salesforce": ([f"0016000000m{n:04}AAC" for n in range(40)], [f"0016000000m{n:04}" for n in range(40)]),
    "leading_zeros": ([f"{n:05}" for n in range(1, 41)], [str(n) for n in range(1, 41)]),
    "decimal": ([str(n) for n in range(100, 140)], [f"{n}.0" for n in range(100, 140)]),
    "exponent": ([str(n * 10**9) for n in range(11, 51)], [f"{n / 10}E+10" for n in range(11, 51)]),
    "case": ([f"ab{n}" for n in range(40)], [f"AB{n}" for n in range(40)]),
    "width": ([f"k{n}" for n in range(10, 50)], [f"ｋ{n}" for n in range(10, 50)]),
    "unicode": ([f"é{n}" for n in range(40)], [f"e\u0301{n}" for n in range(40)]),
    "mark": ([f"7{n:02}" for n in range(40)], [f"'7{n:02}" for n in range(40)]),
}


@pytest.mark.slow
@pytest.mark.parametrize("chunk_rows", [7, 1000])
@pytest.mark.parametrize("repair", CASES)
def test_a_repair_that_makes_tables_join_is_offered_and_then_they_join(
    tmp_path: Path, repair: str, chunk_rows: int
) -> None:
    customers, buyers = CASES[repair]
    found = id_findings(checked(customers, buyers, tmp_path, chunk_rows))
    assert [f.rule for f in found] == ["ids_differ_in_form"]
    assert (
        f"40 rows have ids that no customer has; 40 of 40 such ids are those of customers after {repair}"
        in found[0].got
    )
    assert repr(sorted(buyers)[0]) in found[0].got
    assert f"ids: {{customer_id: [{repair}]}}" in found[0].todo
    joined = checked(customers, buyers, tmp_path, chunk_rows, ids={"customer_id": [repair]})
    assert joined["orders"].rows_used == 40


def test_no_repair_is_offered_that_merges_customers_or_that_nothing_asks_for() -> None:
    known = pd.Series(["0016000000MRatd", "0016000000MRAtd", "x1", "x2"])
    assert best_repair(pd.Series(["0016000000mratd", "X1", "X2"]), known) is None
    assert best_repair(pd.Series(["y1", "y2"]), known) is None


def test_the_verdict_on_a_load_names_them(tmp_path: Path, settings: Settings) -> None:
    verdict, _ = quality_gate.judge(checked(["a", "b"], ["a", "b", "guest", "guest"], tmp_path), settings, None, NOW)
    assert [f.rule for f in verdict.findings if f.column == "customer_id" and f.severity == "warn"] == ["id_of_no_one"]


def test_tables_that_join_say_nothing(tmp_path: Path) -> None:
    ids = [f"c{n}" for n in range(40)]
    assert id_findings(checked(ids, ids * 3, tmp_path)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["guest", "Gast", "Invité", "desconocido", "游客", "0", "n/a"])
def test_who_is_no_one_is_named_with_a_share_though_customers_do_not_hold_it(tmp_path: Path, name: str) -> None:
    ids = [f"c{n}" for n in range(60)]
    (found,) = id_findings(checked(ids, ids + [name] * 20, tmp_path))
    assert found.rule == "id_of_no_one"
    assert f"'{name}' has 20 of 80 rows (25.0%)" in found.got


def test_one_id_with_a_crowd_of_orders_is_named_and_a_good_customer_is_not(tmp_path: Path) -> None:
    ids = [f"c{n}" for n in range(60)]
    (found,) = id_findings(checked([*ids, "k9000"], ids * 2 + ["k9000"] * 100, tmp_path))
    assert "'k9000' has 100 of 220 rows" in found.got
    assert id_findings(checked(ids, ids * 2 + ["c7"] * 9, tmp_path)) == []


def test_customers_that_are_numbered_from_nought_are_customers(tmp_path: Path) -> None:
    ids = [str(n) for n in range(60)]
    assert id_findings(checked(ids, ids * 3, tmp_path)) == []


def test_an_id_that_the_service_would_refuse_goes_to_quarantine(tmp_path: Path) -> None:
    tables = checked(["x" * 300, "y" * 256], ["y" * 256, "x" * 300], tmp_path)
    assert list(tables["customers"].used["customer_id"]) == ["y" * 256]
    assert "is longer than 256 characters" in tables["customers"].quarantined["reason"][0]
    assert tables["orders"].rows_used == 1


@pytest.mark.parametrize(
    ("filler", "others", "is_named"),
    [
        ("000000", "{:06}", True), ("999999", "{:06}", True), ("-1", "{}", True), ("0", "{}", True),
        ("0", "range", False), ("000000", "range6", False),
    ],
)  # fmt: skip
def test_a_number_that_fills_the_place_of_an_id_is_named_unless_customers_are_numbered_from_it(
    filler: str, others: str, is_named: bool
) -> None:
    numbers = range(1, 80) if "range" in others else range(1203, 1880, 7)
    form = {"range": "{}", "range6": "{:06}"}.get(others, others)
    counts = pd.Series({**{form.format(n): 9 for n in numbers}, filler: 12}).sort_values(ascending=False)
    assert [f.got[: len(filler) + 2] for f in no_one_findings("orders", counts, 900)] == [repr(filler)] * is_named
