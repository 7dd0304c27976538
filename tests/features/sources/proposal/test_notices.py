"""Of two ends of a contract the one that may be a notice is it, as long as it does not come later."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.sources.proposal.columns import Column
from features.sources.proposal.notices import with_notice
from features.sources.proposal.tables import fit
from features.tables import TABLES

STARTS = pd.date_range("2025-01-06", periods=8, freq="14D")
NAMES = (
    ("Contract No", "Start date", "End date", "Termination date"),
    ("N° contrat", "Date de début", "Date de fin", "Date de résiliation"),
    ("N.º contrato", "Fecha de inicio", "Fecha de fin", "Fecha de baja"),
    ("合同编号", "开始日期", "结束日期", "终止日期"),
)


def found(names: tuple[str, ...], days_before: int, swapped: bool = False) -> dict[str, str]:
    ends = pd.Series(STARTS + pd.Timedelta(days=90)).where(STARTS.day % 2 == 0)
    values: list[pd.Series] = [pd.Series([f"k{i}" for i in range(8)]), pd.Series(STARTS), ends]
    values.append(ends - pd.Timedelta(days=days_before))
    columns = [Column(name, value) for name, value in zip(names, values, strict=True)]
    columns += [Column("customer_id", pd.Series([f"c{i % 7}" for i in range(8)]))]
    columns[2:4] = columns[3:1:-1] if swapped else columns[2:4]
    guess = with_notice(fit(TABLES["subscriptions"], Path("contracts.csv"), tuple(columns)))
    return {g.field.name: g.column.name for g in guess.guesses}


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("swapped", [False, True])
def test_beside_a_plain_end_it_is_the_notice_whatever_their_order(names: tuple[str, ...], swapped: bool) -> None:
    columns = found(names, 30, swapped)
    assert (columns["ended_at"], columns["cancelled_at"]) == (names[2], names[3])


def test_alone_or_after_the_end_it_is_none() -> None:
    assert "cancelled_at" not in found(("N° contrat", "Date de début", "Remarque", "Date de résiliation"), 30)
    assert "cancelled_at" not in found(NAMES[1], -30)
