"""Times of a file beside one another."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from features.sources.proposal.business import understand
from features.sources.proposal.tables import TableGuess, columns_of

DAYS = pd.date_range("2024-01-01", periods=60)


def orders(**times: pd.DatetimeIndex) -> TableGuess:
    frame = pd.DataFrame({"Buchungsnr": range(60), "Gastnr": [n % 9 for n in range(60)], "Betrag": 1.5, **times})
    return understand({Path("x.csv"): columns_of(frame)}).tables["orders"][0][0]


@pytest.mark.parametrize(
    ("booked", "arrival"), [("Gebucht am", "Anreise"), ("booked_at", "arrival"), ("预订时间", "入住")]
)
def test_a_stay_was_ordered_on_the_day_of_its_booking(booked: str, arrival: str) -> None:
    guess = orders(**{arrival: DAYS + pd.Timedelta(days=9), booked: DAYS})
    assert guess.column("ordered_at").name == booked and guess.column("recorded_at") is None  # type: ignore[union-attr]


def test_nothing_is_recorded_before_it_happened() -> None:
    late, early = DAYS + pd.Timedelta(days=9), DAYS - pd.Timedelta(days=9)
    assert orders(Datum=DAYS, Verbucht=late).column("recorded_at") is not None
    guess = orders(Datum=DAYS, Verbucht=early)
    assert guess.column("recorded_at") is None and guess.reading is not None
    assert "Verbucht lies before Datum in 100% of the rows" in guess.reading.notes[-1]
