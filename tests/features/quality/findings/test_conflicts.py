"""Rows of one customer that differ are a question, with an example; exact copies are none."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest

from configs.settings import Settings
from features.ingest import prepared_tables
from features.quality.check import check_tables
from features.quality.quality_gate import judge

NOW = datetime(2024, 6, 1, 12, tzinfo=UTC)
BANK = pd.DataFrame(
    {
        "customer_id": [f"{n}" for n in range(1, 101)],
        "label": ["Oui", "Non"] * 50,
        "solde": [f"{n * 7},50" for n in range(100)],
        "ville": ["Lyon", None] * 50,
    }
)


@pytest.fixture
def ready(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(update={"kind": "label"})
    columns = settings.columns.model_copy(update={"attributes": (), "constant": (), "sensitive": ()})
    return settings.model_copy(update={"churn": churn, "columns": columns, "data_until": None})


def found(rows: pd.DataFrame, settings: Settings) -> tuple[dict[str, str], list[str], dict[str, int]]:
    """Rule -> severity and what was got, the notes, and the rows left out."""
    raw = prepared_tables({"profiles": rows}, settings, NOW)
    checked = check_tables(raw, settings.columns, NOW, "label")
    assert checked["profiles"].rows_read == len(rows)
    findings = judge(checked, settings, None, NOW)[0].findings
    notes = [note for note in raw["profiles"].attrs["notes"] if "copies" in note]
    assert all("number_rows: true" in f.todo for f in findings if f.rule == "conflicting_rows")
    return {f.rule: f"{f.severity}: {f.got}" for f in findings}, notes, dict(checked["profiles"].left_out)


def test_exact_copies_count_once_and_are_said(ready: Settings) -> None:
    findings, notes, left_out = found(pd.concat([BANK, BANK.head(40)], ignore_index=True), ready)
    assert findings == {}
    assert notes == ["40 rows are exact copies of others, and count once"]
    assert left_out == {"exact copies of other rows": 40}


def test_rows_that_are_copies_but_for_an_excluded_column_are_copies(ready: Settings) -> None:
    numbered = pd.concat([BANK, BANK.head(40)], ignore_index=True).assign(Ligne=range(140))
    columns = ready.columns.model_copy(update={"exclude": ("Ligne",)})
    assert found(numbered, ready.model_copy(update={"columns": columns}))[0] == {}
    assert "conflicting_rows" in found(numbered, ready)[0]


def test_one_customer_of_two_labels_is_asked_about_by_name(ready: Settings) -> None:
    other = BANK.head(1).assign(label="Non", ville=None)
    findings, notes, left_out = found(pd.concat([BANK, BANK.head(2), other], ignore_index=True), ready)
    assert findings == {
        "conflicting_rows": "stop: 1 customers stand in several rows, as '1' does; "
        "they differ in label (1 rows), ville (1 rows)"
    }
    assert len(notes) == 1 and left_out == {"exact copies of other rows": 2}


def test_an_address_is_no_example_and_the_rule_can_be_accepted(ready: Settings) -> None:
    rows = BANK.assign(customer_id=BANK["customer_id"] + "@exemple.fr")
    quality = ready.quality.model_copy(update={"accept_rules": ("conflicting_rows",)})
    accepted = ready.model_copy(update={"quality": quality})
    findings, *_ = found(pd.concat([rows, rows.head(1).assign(solde="9,99")], ignore_index=True), accepted)
    assert findings == {"conflicting_rows": "warn: 1 customers stand in several rows; they differ in solde (1 rows)"}
