"""What a training would rest a model on is told from the labels, by the same plan and the same limits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.schema import FeatureSchema
from features.sufficiency import LabelledRows, check_source
from training.data.expected_basis import expected_basis

Expected = Callable[..., dict[str, tuple[str, str]]]


@pytest.fixture
def expected(settings: Settings) -> Expected:
    """What is told of customers looked at each month, the outcome of the newest three unknown."""

    def told(customers: int, months: int, below: str = "prior") -> dict[str, tuple[str, str]]:
        as_ofs = pd.date_range("2022-01-01", periods=months, freq="MS")
        rows = pd.DataFrame({"as_of": as_ofs.repeat(customers), "customer_id": [*range(customers)] * months})
        known = rows["as_of"].isin(as_ofs[: max(0, months - 3)])
        left = np.where(known, rows["customer_id"] % 2, np.nan)
        least = settings.minimum.model_copy(update={"below": below})
        clv = settings.clv.model_copy(update={"horizon_days": 90})
        churn = settings.churn.model_copy(update={"horizons_days": ()})
        business = settings.model_copy(update={"minimum": least, "clv": clv, "churn": churn})
        labelled = LabelledRows(rows.assign(churned=left, clv=left, label=left), FeatureSchema(()))
        return {e["model"]: (e["basis"], e["why"]) for e in expected_basis(labelled, business)}

    return told


def test_a_long_history_of_many_is_answered_by_trees(expected: Expected) -> None:
    assert set(expected(400, 24).values()) == {("trees", "")}


def test_a_season_that_no_past_moment_could_judge_is_said_before_anything_is_built(expected: Expected) -> None:
    said = ("trees", "two years of orders may show a season, and too few past moments knew it to judge it")
    assert [expected(400, months)["clv"] == said for months in (24, 26, 29, 31)] == [False, True, True, False]


def test_too_few_customers_or_moments_are_answered_by_a_prior_with_what_lacks(expected: Expected) -> None:
    assert expected(60, 24)["churn"] == ("prior", "60 customers at the newest labelled moment, 200 are needed")
    basis, why = expected(400, 5)["clv"]
    assert basis == "prior" and why.startswith("2 labelled moments, 4 are needed; no two labelled moments lie 90 days")


def test_moments_that_no_horizon_parts_are_answered_by_a_prior(expected: Expected) -> None:
    basis, why = expected(400, 6)["clv"]
    assert basis == "prior" and why.startswith("3 labelled moments")
    basis, why = expected(400, 8)["clv"]
    assert basis == "trees" and "its search went by customers" in why


def test_nothing_answers_below_what_a_prior_needs_or_where_none_is_wanted(expected: Expected) -> None:
    assert expected(19, 24)["churn"][0] == "none" and "even a prior needs 20" in expected(19, 24)["churn"][1]
    assert expected(60, 24, below="stop")["churn"][0] == "none"


def test_a_history_without_a_moment_says_so_in_the_check(settings: Settings, tmp_path: Path) -> None:
    orders = pd.DataFrame({"order_id": ["a", "b"], "customer_id": ["x", "y"], "amount": [1.0, 2.0]})
    orders.assign(ordered_at=["2024-01-01", "2024-01-09"]).to_csv(tmp_path / "orders.csv", index=False)
    source = settings.source.model_copy(
        update={
            "loader": "files",
            "customers_from": "orders",
            "options": {"orders": {"path": str(tmp_path / "orders.csv")}},
        }
    )
    columns = settings.columns.model_copy(update={"attributes": (), "sensitive": (), "constant": ()})
    business = settings.model_copy(update={"source": source, "columns": columns})
    told = check_source(business, expect=expected_basis)["expected"]
    assert [entry["basis"] for entry in told] == ["none", "none"]
    assert all("hold no moment with" in entry["why"] for entry in told)


def test_the_check_says_that_customers_judge_where_no_later_moment_can(expected: Expected) -> None:
    assert "customers held out at the newest one judged it" in expected(400, 6)["clv"][1]
    assert "customers held out" not in expected(400, 7)["clv"][1]


@pytest.mark.parametrize("values", [[0.0] * 300, [-5.0] * 200 + [2.0] * 100, [np.nan] * 300])
def test_values_of_a_ready_table_that_bring_nothing_are_answered_by_nothing(settings: Settings, values: list) -> None:
    mapping = {"profiles": {"path": "x.csv", "columns": {"realised_value": "Given"}}}
    source = settings.source.model_copy(update={"options": mapping})
    churn = settings.churn.model_copy(update={"kind": "label"})
    business = settings.model_copy(update={"source": source, "churn": churn})
    rows = pd.DataFrame({"customer_id": range(300), "as_of": pd.Timestamp("2024-01-01"), "clv": values})
    labelled = LabelledRows(rows.assign(label=[0.0, 1.0] * 150), FeatureSchema(()))
    churn_told, value_told = expected_basis(labelled, business)
    assert churn_told["basis"] == "trees"
    assert value_told["basis"] == "none" and "see whether realised_value is the right column" in value_told["why"]
    some = LabelledRows(labelled.rows.assign(clv=[0.0] * 270 + [9.0] * 30), FeatureSchema(()))
    basis = expected_basis(some, business)[1]
    assert basis["basis"] == "prior" and basis["why"].startswith("30 labels of customers who brought something")


@pytest.mark.parametrize(
    ("known_days", "said"), [((30, 90), "; 90 days can be learned"), ((30,), "; 30 days"), ((), "")]
)
def test_the_check_names_the_longest_horizon_that_can_be_learned_where_the_one_asked_for_cannot(
    known_days: tuple[int, ...], said: str, settings: Settings
) -> None:
    churn = settings.churn.model_copy(update={"horizon_days": 350, "horizons_days": (30, 90, 500)})
    rows = pd.DataFrame(
        {"customer_id": range(60), "as_of": pd.Timestamp("2024-01-01"), "churned": np.nan, "clv": np.nan}
    )
    rows = rows.assign(**{f"churned_{days}": 1.0 if days in known_days else np.nan for days in (30, 90, 500)})
    business = settings.model_copy(update={"churn": churn})
    entries = expected_basis(LabelledRows(rows.assign(label=np.nan), FeatureSchema(())), business)
    why = {entry["model"]: entry["why"] for entry in entries}
    assert (said in why["churn"]) and ("can be learned" in why["churn"]) == bool(said)
    assert "can be learned" not in why["clv"] and {entry["basis"] for entry in entries} == {"prior"}


def test_churn_counts_the_active_customers_alone_and_without_orders_nothing_known_is_nothing_to_answer(
    settings: Settings,
) -> None:
    rows = pd.DataFrame({"customer_id": range(60), "as_of": pd.Timestamp("2024-01-01")})
    rows = rows.assign(label=np.nan, churned=np.nan, clv=np.nan, active=[True] * 12 + [False] * 48)

    def expected(kind: str, orders: bool = True, **changes: object) -> list[tuple[str, str]]:
        business = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": kind})})
        entries = expected_basis(LabelledRows(rows.assign(**changes), FeatureSchema(()), orders=orders), business)
        return [(entry["basis"], entry["why"]) for entry in entries]

    churn, value = expected("inactivity")
    assert churn[0] == "none" and churn[1].startswith("12 customers") and value[0] == "prior"
    assert [basis for basis, _ in expected("inactivity", active=True)] == ["prior", "prior"]
    assert [basis for basis, _ in expected("contract", active=True)] == ["none", "prior"]
    for told in expected("contract", orders=False, active=True):
        assert told[0] == "none" and "no outcome is known yet" in told[1]
    unpaid = expected("contract", orders=False, active=True, churned=[0.0, 1.0] * 30, label=0.0, clv=0.0)
    assert unpaid[0][0] == "prior" and unpaid[1][0] == "none" and "no customer has brought anything" in unpaid[1][1]
