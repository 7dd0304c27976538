"""Terms of contracts that nobody reads are asked about."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.quality.check import ValidatedTable
from features.quality.findings.row_findings import row_findings
from features.quality.findings.term_findings import term_of
from features.sources import files
from features.tables import SUBSCRIPTIONS, UNREAD

DATES = {"": 70, "29/05/2024": 20, "2024-06-01": 10}


@pytest.mark.parametrize(
    ("name", "values", "term"),
    [
        ("fecha_aviso", DATES, "cancelled_at"), ("Kündigung eingegangen am", DATES, "cancelled_at"),
        ("Date de préavis", DATES, "cancelled_at"), ("解约日期", DATES, "cancelled_at"),
        ("freeze_until", DATES, "resumes_at"), ("Fin de pausa", DATES, "resumes_at"),
        ("Pausiert ab", DATES, "paused_at"), ("Payé jusqu'au", DATES, "paid_until"),
        ("Austritt zum", DATES, "ended_at"),
        ("Probezeit bis", DATES, "trial_ends_at"), ("min_term_until", DATES, None), ("birthday", DATES, None),
        ("city", {"Ulm": 3, "Köln": 1}, None), ("letzter Besuch", DATES, None),
        ("auto_renew", {"1": 3, "0": 9}, "cancel_at_period_end"),
        ("vip", {"1": 3, "0": 9}, None), ("Lage", {"läuft": 9, "gekündigt": 1}, "status"),
    ],
)  # fmt: skip
def test_a_column_of_dates_flags_or_words_is_a_term_by_its_name_or_values(
    name: str, values: dict[str, int], term: str | None
) -> None:
    assert term_of(name, values) == term


def test_a_pause_that_nobody_reads_is_asked_about_until_a_rule_says_that_it_is_none(tmp_path: Path) -> None:
    rows = [f"{n},A{n},2024-01-02,{'2024-03-04' if n % 9 == 0 else ''},gold,2020-01-0{1 + n % 9}" for n in range(45)]
    header = "subscription_id,customer_id,started_at,pausa,nivel,nacimiento\n"
    (tmp_path / "s.csv").write_text(header + "\n".join(rows) + "\n")

    def asked(where: dict[str, object]) -> list[str]:
        mapping = {"path": str(tmp_path / "s.csv"), "where": where}
        unread = files.load({"subscriptions": mapping})["subscriptions"].attrs[UNREAD]
        checked = ValidatedTable(SUBSCRIPTIONS, pd.DataFrame(), pd.DataFrame(), unread=unread)
        return [f"{f.column}: {f.got} -> {f.todo}" for f in row_findings({"subscriptions": checked})]

    (only,) = asked({})
    assert only.startswith("pausa: nobody reads it") and "columns: {paused_at: 'pausa'}" in only
    assert asked({"pausa": {"not": []}}) == []
