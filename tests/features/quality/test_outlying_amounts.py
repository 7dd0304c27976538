"""An amount out of all proportion is set aside, named, and can be kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import merged_with_default
from configs.workspace import Workspace
from features.ingest import ingest
from features.quality.outlying_amounts import usual_and_largest
from features.sufficiency import check_source

NOW = datetime(2024, 2, 1, tzinfo=UTC)


def shop(tmp_path: Path, amounts: list[Any], **quality: Any) -> Any:
    lines = [f"o{n},c{n % 7},2024-01-{1 + n % 28:02d} 10:00,{a}" for n, a in enumerate(amounts)]
    (tmp_path / "orders.csv").write_text("order_id,customer_id,ordered_at,amount\n" + "\n".join(lines) + "\n")
    (tmp_path / "customers.csv").write_text(
        "customer_id,signed_up_at\n" + "".join(f"c{n},2023-01-01\n" for n in range(7))
    )
    options = {name: {"path": str(tmp_path / f"{name}.csv")} for name in ("customers", "orders")}
    content = {"name": "shop", "source": {"loader": "files", "options": options}, "quality": quality}
    return merged_with_default(content, "shop")


AMOUNTS = [34.5 + n % 50 for n in range(299)]
REASON = "amount: '1000000000000' is more than 1000 times the 99th percentile of all (83.5)"


@pytest.mark.parametrize("chunk_rows", [1_000_000, 40])
def test_an_order_of_a_trillion_is_set_aside_and_named(tmp_path: Path, workspace: Workspace, chunk_rows: int) -> None:
    report: Any = ingest(shop(tmp_path, ["x", *AMOUNTS, "1e12"]), workspace, NOW, chunk_rows=chunk_rows)
    aside = pd.read_parquet(workspace.quarantine / "orders.parquet")
    assert aside["reason"].tolist() == ["amount: 'x' is not a number", REASON]
    assert aside["order_id"].tolist() == ["o0", "o300"]
    used = pd.read_parquet(workspace.tables / "orders.parquet")
    assert used["amount"].tolist() == AMOUNTS and used["local_hour"].notna().all()
    (finding,) = [f for f in report["verdict"]["findings"] if f["rule"] == "outlying_amounts"]
    assert finding["severity"] == "warn" and "1 rows set aside, as 1000000000000" in finding["got"]
    orders = next(t for t in report["tables"] if t["name"] == "orders")
    assert (orders["rows_used"], orders["rows_quarantined"]) == (299, 2)


def test_check_names_it_with_what_to_do(tmp_path: Path) -> None:
    (problem,) = check_source(shop(tmp_path, [*AMOUNTS, "1e12"]))["problems"]
    assert (problem["column"], problem["rows"], problem["example"]) == ("amount", 1, REASON.partition(": ")[2])
    assert "quality.outlying_amounts: null" in problem["do"]


def test_it_is_kept_on_request(tmp_path: Path, workspace: Workspace) -> None:
    ingest(shop(tmp_path, [*AMOUNTS, "1e12"], outlying_amounts=None), workspace, NOW)
    assert pd.read_parquet(workspace.tables / "orders.parquet")["amount"].max() == 1e12


@pytest.mark.slow
@pytest.mark.parametrize("amount", ["1e155", "1e300", "-1e16", "1" + "0" * 200])
def test_an_amount_that_cannot_be_computed_with_costs_its_row_alone(
    tmp_path: Path, workspace: Workspace, amount: str
) -> None:
    ingest(shop(tmp_path, [*AMOUNTS, amount], outlying_amounts=None), workspace, NOW)
    reasons = pd.read_parquet(workspace.quarantine / "orders.parquet")["reason"].tolist()
    assert reasons == ["amount: is larger than 1e+15, which no sum can be computed with"]


def test_a_wide_honest_spread_of_amounts_stays_whole() -> None:
    amounts = pd.Series(np.random.default_rng(7).lognormal(3, 2, 200_000))  # the largest is 1,000 times the middle
    assert (amounts <= 1000 * usual_and_largest([amounts], len(amounts))[0]).all()


@pytest.mark.parametrize("n", [3, 10, 50, 199, 200, 5000])
def test_one_large_amount_never_raises_its_own_limit(n: int) -> None:
    assert usual_and_largest([pd.Series([10.0] * (n - 1)), pd.Series([1e12])], n) == (10, 1e12)


def test_a_business_of_few_large_and_many_small_amounts_keeps_both() -> None:
    amounts = pd.Series([1.0] * 950 + [1e6] * 50)
    assert (amounts <= 1000 * usual_and_largest([amounts], len(amounts))[0]).all()
