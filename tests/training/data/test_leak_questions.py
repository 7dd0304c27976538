"""What a training would ask is asked by the check, by the same rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.schema import Feature, FeatureSchema
from features.sufficiency import LabelledRows, check_source
from training.data.leak_questions import leak_questions

Business = Callable[..., Settings]


def of_kind(settings: Settings, kind: str, options: dict[str, object], constant: tuple[str, ...] = ()) -> Settings:
    columns = settings.columns.model_copy(
        update={"attributes": constant, "constant": constant, "sensitive": (), "exclude": ()}
    )
    return settings.model_copy(
        update={
            "source": settings.source.model_copy(update={"loader": "files", "options": options}),
            "columns": columns, "churn": settings.churn.model_copy(update={"kind": kind}), "data_until": None,
        }
    )  # fmt: skip


@pytest.fixture
def bank(tmp_path: Path, settings: Settings) -> Settings:
    """A French bank: complaints are only ever seen with leavers, the balance says a little."""
    rng, n = np.random.default_rng(3), 1200
    left = rng.random(n) < 0.25
    rows = pd.DataFrame(
        {
            "customer_id": [f"{i:05}" for i in range(n)],
            "label": np.where(left, "Oui", "Non"),
            "solde": (rng.normal(100, 20, n) + 8 * left).round(2),
            "motif": np.where(left & (rng.random(n) < 0.3), "réclamation", "aucun"),
            "ville": rng.choice(["Lyon", "Nice"], n),
        }
    )
    rows.to_csv(tmp_path / "clients.csv", index=False)
    return of_kind(settings, "label", {"profiles": {"path": str(tmp_path / "clients.csv")}})


def test_a_value_seen_with_leavers_alone_is_named_with_the_keys_that_answer(bank: Settings) -> None:
    result = check_source(bank, ask=leak_questions)
    assert [(q["column"], q["kind"]) for q in result["asked"]] == [("motif", "part")]
    assert "'réclamation'" in result["asked"][0]["got"]
    assert "columns.exclude" in result["asked"][0]["todo"] and "known_before: [motif]" in result["asked"][0]["todo"]
    assert result["refused_for"] == []
    known = bank.model_copy(update={"leaks": bank.leaks.model_copy(update={"known_before": ("motif",)})})
    assert check_source(known, ask=leak_questions)["asked"] == []


def test_so_is_an_attribute_that_only_those_who_stayed_were_asked_for(tmp_path: Path, settings: Settings) -> None:
    rng, n = np.random.default_rng(4), 400
    days = pd.date_range("2023-01-01", periods=400)
    stays = rng.random(n) < 0.6
    last = np.where(stays, 400, rng.integers(80, 360, n))
    rows = [
        (f"o{i}-{d}", f"k{i}", f"{days[d]:%Y-%m-%d}", 5) for i in range(n) for d in range(i % 20, last[i], 20)
    ]  # every 20 days, up to the end or to some day before
    pd.DataFrame(rows, columns=["order_id", "customer_id", "ordered_at", "amount"]).to_csv(tmp_path / "o.csv")
    people = pd.DataFrame({"customer_id": [f"k{i}" for i in range(n)], "signed_up_at": "2022-12-01"})
    people["Hobby"] = np.where(stays, rng.choice(["Chor", "Ski"], n), None)
    people["Stadt"] = rng.choice(["Ulm", "Bonn"], n)
    people.to_csv(tmp_path / "c.csv", index=False)
    options = {"customers": {"path": str(tmp_path / "c.csv")}, "orders": {"path": str(tmp_path / "o.csv")}}
    shop = of_kind(settings, "inactivity", options, ("Hobby", "Stadt"))
    churn = shop.churn.model_copy(update={"activity_days": 250, "horizon_days": 30})
    asked = check_source(shop.model_copy(update={"churn": churn}), ask=leak_questions)["asked"]
    assert [(q["column"], q["kind"]) for q in asked] == [("Hobby", "missing")]


def test_a_name_of_what_came_after_is_asked_about_once_by_either_model_and_with_few_rows(settings: Settings) -> None:
    schema = FeatureSchema((Feature("spend_90d_after", "profiles", "float64", ""),))
    rows = pd.DataFrame({"customer_id": ["a", "b"], "as_of": pd.Timestamp("2024-01-01"), "spend_90d_after": [1.0, 2.0]})
    ready = of_kind(settings, "label", {})
    for outcomes in ({"label": [0.0, 1.0], "clv": [0.0, 9.0]}, {"label": [0.0, 0.0]}):
        asked = leak_questions(LabelledRows(rows.assign(**outcomes), schema), ready)
        assert [(q["column"], q["kind"]) for q in asked] == [("spend_90d_after", "name")]


def test_the_proof_from_the_values_is_asked_before_what_the_name_says(settings: Settings) -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"customer_id": [f"k{i}" for i in range(600)], "as_of": pd.Timestamp("2024-01-01")})
    rows = rows.assign(label=(rng.random(600) < 0.4).astype(float), clv=rng.lognormal(size=600))
    rows["spend_90d_after"] = rows["label"] + rng.normal(0, 0.01, 600)
    schema = FeatureSchema((Feature("spend_90d_after", "profiles", "float64", ""),))
    asked = leak_questions(LabelledRows(rows, schema), of_kind(settings, "label", {}))
    assert [q["kind"] for q in asked] == ["values", "name"] and "it alone tells the label" in asked[0]["got"]
