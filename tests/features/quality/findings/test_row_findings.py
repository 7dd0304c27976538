from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from configs.settings import Settings
from features.ingest import checked_tables, prepared_tables
from features.quality import quality_gate
from features.quality.findings.row_findings import row_findings
from features.sources import files
from features.sufficiency import check_source

NOW = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def cancelled(tmp_path: Path, settings: Settings) -> Settings:
    """A shop in which every sixth order was cancelled, and nothing is said of it."""
    states = ["completed", "completed", "cancelled", "completed", "completed", "completed"]
    rows = [f"o{n},c{n % 7},2024-{1 + n % 12:02}-03,10,{states[n % 6]}" for n in range(60)]
    (tmp_path / "o.csv").write_text("order_id,customer_id,ordered_at,amount,status\n" + "\n".join(rows) + "\n")
    people = [f"c{n},2024-01-01" for n in range(7)]
    (tmp_path / "c.csv").write_text("customer_id,signed_up_at\n" + "\n".join(people) + "\n")
    return with_orders(settings, tmp_path, {})


def with_orders(settings: Settings, folder: Path, mapping: dict[str, object]) -> Settings:
    options = {"customers": {"path": str(folder / "c.csv")}, "orders": {"path": str(folder / "o.csv"), **mapping}}
    source = settings.source.model_copy(update={"loader": "files", "options": options})
    columns = settings.columns.model_copy(update=dict.fromkeys(("attributes", "sensitive"), ()))
    return settings.model_copy(update={"source": source, "columns": columns})


def test_a_status_that_nobody_reads_is_named_with_its_values_and_what_to_say(cancelled: Settings) -> None:
    found = check_source(cancelled)
    assert found["problems"] == []
    (doubt,) = found["to_look_at"]
    assert (doubt["table"], doubt["column"]) == ("orders", "status")
    assert "'completed' (50), 'cancelled' (10)" in doubt["got"]
    assert "where: {'status': {not: ['cancelled']}}" in doubt["todo"]


@pytest.mark.slow
@pytest.mark.parametrize(("rule", "used"), [({"not": ["cancelled"]}, 50), ({"not": []}, 60)])
def test_once_a_rule_is_said_the_column_is_read(
    cancelled: Settings, tmp_path: Path, rule: dict[str, object], used: int
) -> None:
    found = check_source(with_orders(cancelled, tmp_path, {"where": {"status": rule}}))
    assert found["to_look_at"] == []
    orders = {"name": "orders", "rows_read": 60, "rows_used": used}
    assert found["tables"][1].items() >= orders.items()


@pytest.mark.parametrize("chunk_rows", [7, 1000])
def test_the_verdict_warns_of_it_in_whatever_chunks(cancelled: Settings, tmp_path: Path, chunk_rows: int) -> None:
    with files.opened(cancelled.source.options, chunk_rows) as raw:
        checked = checked_tables(prepared_tables(raw, cancelled, NOW), cancelled, NOW, tmp_path)
        verdict, _ = quality_gate.judge(checked, cancelled, None, NOW)
    (finding,) = row_findings(checked)
    assert finding in verdict.findings
    assert finding.severity == "warn"


@pytest.mark.slow
def test_amounts_that_are_all_one_are_asked_about_and_may_be_left_out(cancelled: Settings) -> None:
    path = cancelled.source.options["orders"]["path"]
    rows = pd.read_csv(path, dtype=str).assign(amount="1")
    rows.to_csv(path, index=False)
    rules = [f["rule"] for f in check_source(cancelled)["to_look_at"]]
    assert "amounts_are_counts" in rules
    counted = check_source(cancelled.model_copy(update={"currency": "XXX"}))
    assert "amounts_are_counts" not in [f["rule"] for f in counted["to_look_at"]]
    rows.assign(amount=["2"] + ["1"] * (len(rows) - 1)).to_csv(path, index=False)
    assert "amounts_are_counts" not in [f["rule"] for f in check_source(cancelled)["to_look_at"]]
