"""The date of a migration is no sign-up: the first sign of life is, and it is said."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from configs.settings import Settings
from features.ingest import checked_tables
from features.quality import quality_gate

NOW = datetime(2024, 8, 1, tzinfo=UTC)


@pytest.fixture
def business(settings: Settings) -> Settings:
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": (), "constant": ()})
    return settings.model_copy(update={"columns": columns, "data_until": None})


def tables(signed_up: list[str], recorded: str | None = None) -> dict[str, pd.DataFrame]:
    ids = ["ann", "bob", "cat"]
    customers = pd.DataFrame({"customer_id": ids, "signed_up_at": pd.to_datetime(signed_up)})
    if recorded:
        customers = customers.assign(recorded_at=pd.Timestamp(recorded))
    orders = [("1", "ann", "2023-01-05 09:00"), ("2", "ann", "2024-03-01 09:00"), ("3", "bob", "2024-05-02 01:00")]
    visits = [("v", "ann", "2022-12-24 08:00", "visit")]
    frame = pd.DataFrame(orders, columns=["order_id", "customer_id", "ordered_at"]).assign(amount=5.0)
    contacts = pd.DataFrame(visits, columns=["interaction_id", "customer_id", "occurred_at", "kind"])
    return {"customers": customers, "orders": frame, "interactions": contacts}


def test_who_ordered_before_the_migration_is_known_from_the_first_sign_of_life(
    business: Settings, tmp_path: Path
) -> None:
    raw = tables(["2024-05-02"] * 3, recorded="2024-05-02")
    checked = checked_tables(raw, business, NOW, tmp_path)
    customers = checked["customers"].used.set_index("customer_id")
    assert customers["signed_up_at"].astype(str).str[:10].to_dict() == {
        "ann": "2022-12-24", "bob": "2024-05-02", "cat": "2024-05-02",
    }  # fmt: skip
    assert customers.loc["ann", "recorded_at"] == pd.Timestamp("2022-12-24 08:00")
    assert customers.loc["cat", "recorded_at"] == pd.Timestamp("2024-05-02")
    verdict, _ = quality_gate.judge(checked, business, None, NOW)
    [found] = [f for f in verdict.findings if f.rule == "late_sign_ups"]
    assert found.severity == "warn"
    assert found.got.startswith("1 of 3 customers have orders, contracts or contacts before their sign-up, 1 of them")
    assert found.got.endswith("signed up on 2024-05-02")
    assert raw["customers"]["signed_up_at"].nunique() == 1


def test_a_sign_up_before_the_first_order_stays(business: Settings, tmp_path: Path) -> None:
    checked = checked_tables(tables(["2022-12-25", "2024-05-02", "2024-06-01"]), business, NOW, tmp_path)
    assert [str(t)[:10] for t in checked["customers"].used["signed_up_at"]] == [
        "2022-12-25",
        "2024-05-02",
        "2024-06-01",
    ]
    verdict, _ = quality_gate.judge(checked, business, None, NOW)
    assert not [f for f in verdict.findings if f.rule == "late_sign_ups"]
