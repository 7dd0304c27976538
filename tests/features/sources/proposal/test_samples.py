"""What a later file of a table alone shows is seen, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from features.sources.loaders import loader
from features.sources.propose import propose_config

WHO = [f"{n % 9 + 1}" for n in range(60)]


def month(n: int, form: str = "%d.%m.%Y", **columns: Any) -> pd.DataFrame:
    days = pd.date_range(f"2023-{n:02}-01", periods=60, freq="6h").strftime(form)
    numbers = [f"{n}{k:03}" for k in range(60)]
    own = {"Bestellnummer": numbers, "Kunde": WHO, "Bestelldatum": days, "Betrag": "10,50", "Status": "bezahlt"}
    return pd.DataFrame({**own, **columns})


def proposed(folder: Path, **frames: pd.DataFrame) -> tuple[dict[str, Any], str]:
    paths = []
    for name, frame in frames.items():
        paths.append(folder / f"{name}.csv")
        frame.to_csv(paths[-1], index=False, sep=";")
    text, _ = propose_config(paths, "shop")
    content = yaml.safe_load(text)
    loader("files").load(content["source"]["options"])
    return content, text


def test_a_state_that_only_a_later_month_has_is_left_out_and_a_currency_is_told(tmp_path: Path) -> None:
    later = month(2, Status=["storniert"] + ["bezahlt"] * 59, Betrag="10,50 CHF")
    content, text = proposed(tmp_path, orders_1=month(1), orders_2=later)
    orders = content["source"]["options"]["orders"]
    assert orders["path"] == [str(tmp_path / f"orders_{n}.csv") for n in (1, 2)]
    assert orders["where"] == {"Status": {"not": ["storniert"]}} and "leaves out 1 of 120 rows" in text
    assert content["currency"] == "CHF"


def test_a_later_month_decides_whether_days_come_first(tmp_path: Path) -> None:
    first, second = month(1, "%d/%m/%Y"), month(2, "%d/%m/%Y")
    few = first.assign(Bestelldatum="03/01/2023")
    content, text = proposed(tmp_path, a=few, b=second)
    assert content["source"]["options"]["orders"]["times"] == {"ordered_at": {"format": "%d/%m/%Y"}}
    assert "AMBIGUOUS" not in text


def test_months_whose_dates_are_written_otherwise_are_entries_of_their_own(tmp_path: Path) -> None:
    content, _ = proposed(tmp_path, a=month(1), b=month(2), c=month(3, "%Y-%m-%d %H:%M"))
    entries = content["source"]["options"]["orders"]
    assert [entry["path"] for entry in entries] == [
        [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], str(tmp_path / "c.csv")
    ]  # fmt: skip
    assert [entry.get("times") for entry in entries] == [{"ordered_at": {"format": "%d.%m.%Y"}}, None]
    assert not any("key_prefix" in entry for entry in entries)


def test_months_that_overlap_are_no_lines_of_items_and_get_no_prefix(tmp_path: Path) -> None:
    again = pd.concat([month(1).tail(5).assign(Betrag="11,00"), month(2)], ignore_index=True)
    content, _ = proposed(tmp_path, a=month(1), b=again)
    assert set(content["source"]["options"]["orders"]) == {"path", "columns", "times"}
    content, _ = proposed(tmp_path, a=month(1), b=again.assign(Bestelldatum="2023-01-15"))
    assert not any("key_prefix" in entry for entry in content["source"]["options"]["orders"])


def test_files_whose_encodings_must_be_said_apart_are_entries_of_their_own(tmp_path: Path) -> None:
    for n, encoding in ((1, "utf-8"), (2, "gb18030")):
        month(n, "%Y-%m-%d", Kanal="王芳").to_csv(tmp_path / f"o{n}.csv", index=False, encoding=encoding)
    content = yaml.safe_load(propose_config([tmp_path], "shop")[0])
    entries = content["source"]["options"]["orders"]
    assert "encoding" not in entries[0] and entries[1]["encoding"] != "utf-8"
