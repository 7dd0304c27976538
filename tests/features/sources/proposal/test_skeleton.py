"""Files that fit no table for certain."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from features.sources.proposal.business import understand
from features.sources.proposal.columns import Column
from features.sources.proposal.skeleton import refusal
from features.sources.proposal.tables import columns_of
from features.sources.proposal.yaml_text import to_yaml

DAYS = pd.date_range("2024-01-01", periods=60)
STAYS = pd.DataFrame(
    {"Ospite": [f"o{n % 9}" for n in range(60)], "Prenotato": DAYS, "Arrivo": DAYS + pd.Timedelta(days=9), "X": "y"}
)


def test_months_of_a_table_in_a_language_that_is_not_known_get_one_mapping_to_be_filled_in() -> None:
    columns = columns_of(STAYS)
    business = understand({Path("a.csv"): columns, Path("b.csv"): columns})
    text = to_yaml("hotel", business, {})
    orders = yaml.safe_load(text)["source"]["options"]["orders"]
    assert orders["path"] == ["a.csv", "b.csv"] and set(orders["columns"].values()) == {"?"}
    assert "NOT SURE: is this orders" in text and "docs/own-data.md" in text
    assert 'ordered_at: "?"  # required; which is it? Prenotato, Arrivo' in text


def test_the_columns_of_files_that_are_alike_are_told_once() -> None:
    columns = tuple(Column(f"column {n}", pd.Series([n])) for n in range(16))
    text = refusal({Path(f"export_{n}.csv"): columns for n in range(27)}, {})
    assert text.count("column 7") == 1 and "column 8" not in text and "26 files like it" in text and len(text) < 500
    business = understand(
        {Path("orders.csv"): columns_of(STAYS.assign(customer=1)), Path("a"): columns, Path("b"): columns}
    )
    assert business.aside[Path("b")] == "none of the tables: as 'a'"
