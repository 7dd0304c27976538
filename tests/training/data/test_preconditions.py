"""Bad input to training: a clear error that says what, where, what was got and what to do, or a stated fallback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import staycast
from configs.errors import DataError, NotEnoughDataError, StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import Feature, FeatureSchema
from training import run
from training.data.dataset import WEIGHT, Dataset, require_enough
from training.data.preconditions import informative_folds, require_learnable, require_values
from training.data.split import Fold, plan_as_ofs
from training.fit.assembly import forecast
from training.judge.rolling_origin import evaluation_as_ofs, train_on
from training.model.bundle import Bundle
from training.model.conformal import fit_interval

NUMBERS = ("days_since_last_order", "tenure_days", "spend_total")
SCHEMA = FeatureSchema(
    (*(Feature(name, "orders", "float64", "") for name in NUMBERS), Feature("region", "customers", "string", ""))
)
MOMENTS = pd.date_range("2024-01-01", periods=6, freq="MS", tz="UTC").astype("datetime64[us, UTC]")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def customers(task: str, as_of: pd.Timestamp, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    since, tenure, spend = rng.uniform(0, 90, 200), rng.uniform(90, 400, 200), rng.gamma(2, 200, 200)
    left = (rng.random(200) < since / 120).astype(float)
    label = left if task == "churn" else (1 - left) * spend / tenure * 30 * rng.gamma(4, 0.25, 200)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(200)],
            "as_of": as_of,
            "days_since_last_order": since,
            "tenure_days": tenure,
            "spend_total": spend,
            "region": rng.choice(["north", "south", None], 200),
            "label": label,
        }
    )


def dataset(task: str, change: Change = lambda frame: frame) -> Dataset:
    frame = pd.concat([customers(task, m, i) for i, m in enumerate(MOMENTS)], ignore_index=True)
    return Dataset(task, change(frame), SCHEMA, "made up")


@pytest.fixture(scope="module")
def quick(settings: Settings) -> Settings:
    update = {"trials": 2, "timeout_seconds": 20, "folds": 2, "max_trees": 20}
    clv = settings.clv.model_copy(update={"horizon_days": 30})
    return settings.model_copy(update={"tuning": settings.tuning.model_copy(update=update), "clv": clv})


def with_one(column: str, value: float) -> Change:
    """One value that is wrong, in the 301st row: customer c100 on 1 February."""
    return lambda frame: frame.assign(**{column: frame[column].where(frame.index != 300, value)})


def alike(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**dict.fromkeys(NUMBERS, 1.0), region="north")


def empty(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**dict.fromkeys(NUMBERS, np.nan), region=None)


BAD: dict[str, tuple[str, Change, type[DataError], str]] = {
    "only leavers": (
        "churn", lambda f: f.assign(label=1.0), NotEnoughDataError,
        r"1200 rows to learn from \(2024-01-01 to 2024-06-01\) hold only customers who left: bring a longer history",
    ),
    "only stayers": (
        "churn", lambda f: f.assign(label=0.0), NotEnoughDataError, "hold only customers who stayed: bring a longer",
    ),
    "constant features, churn": ("churn", alike, DataError, "alike in all 4 columns.*map more columns"),
    "constant features, value": ("clv", alike, DataError, "alike in all 4 columns.*map more columns"),
    "nothing known of anyone": ("churn", empty, DataError, "alike in all 4 columns.*map more columns"),
    "no revenue": ("clv", lambda f: f.assign(label=0.0), DataError, "net revenue of 0.00 in total.*right sign"),
    "negative totals": ("clv", lambda f: f.assign(label=-1.5), DataError, "of -1800.00 in total.*right sign"),
    "returns outweigh purchases": (
        "clv", lambda f: f.assign(label=f["label"] - 200.0), DataError, r"net revenue of -\d+.\d\d in total",
    ),
    "an infinite value": (
        "clv", with_one("label", np.inf), DataError,
        "1 of 1200 rows have a label that is not a finite number, the first that of customer 'c100' at 2024-02-01: inf",
    ),
    "a value past what is a number to boosters": ("clv", with_one("label", 1e200), DataError, "1e\\+200; correct"),
    "a missing label": ("clv", with_one("label", np.nan), DataError, "label that is not a finite number.*nan; correct"),
    "an infinite feature": (
        "churn", with_one("spend_total", -np.inf), DataError,
        "1 of 1200 rows have a spend_total that is not a finite number or none.*'c100' at 2024-02-01: -inf; correct",
    ),
    "a label between": ("churn", with_one("label", 0.5), DataError, r"0 \(stayed\) or 1 \(left\).*0.5; correct"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_from_is_refused_in_words(case: str, quick: Settings) -> None:
    task, change, kind, message = BAD[case]
    with pytest.raises(kind, match=message):
        train_on(dataset(task, change), quick, None)


def sound(bundle: Bundle, data: Dataset) -> pd.DataFrame:
    """The forecasts of all rows, after a check that they can be served."""
    result = forecast(bundle, data.frame)
    assert np.isfinite(result.drop(columns=["customer_id", "as_of"]).to_numpy(np.float64)).all()
    assert (result["forecast"] >= 0).all() and (data.task == "clv" or (result["forecast"] <= 1).all())
    return result


@pytest.mark.slow
@pytest.mark.parametrize("task", ["churn", "clv"])
def test_a_constant_or_empty_column_is_left_out_and_the_rest_teach(task: str, quick: Settings) -> None:
    data = dataset(task, lambda f: f.assign(tenure_days=1.0, region=None))
    bundle, _ = train_on(data, quick, None)
    assert bundle.features == ("days_since_last_order", "spend_total")
    assert sound(bundle, data)["forecast"].nunique() > 5


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_a_category_never_seen_is_read_as_a_missing_one(task: str, quick: Settings) -> None:
    bundle, _ = train_on(dataset(task), quick, None)
    asked = dataset(task).frame
    new, none = (replace(dataset(task), frame=asked.assign(region=region)) for region in ("overseas", None))
    assert np.array_equal(sound(bundle, new)["forecast"], sound(bundle, none)["forecast"])


def test_returns_that_make_some_totals_negative_reach_the_interval_and_not_the_forecast(quick: Settings) -> None:
    data = dataset("clv", lambda f: f.assign(label=f["label"] - 10.0))
    assert (data.frame["label"] < 0).mean() > 0.2 and data.frame["label"].sum() > 0
    bundle, _ = train_on(data, quick, None)
    result = sound(bundle, data)
    assert result["low"].min() < 0 and (result["low"] <= result["forecast"]).all()
    assert bundle.interval is not None and bundle.interval.floor == data.frame["label"].min()


def test_early_moments_with_one_outcome_judge_no_configuration_and_the_rest_teach(quick: Settings) -> None:
    data = dataset("churn", lambda f: f.assign(label=np.where(f["as_of"] < MOMENTS[3], 0.0, f["label"])))
    folds = [Fold(tuple(MOMENTS[: i - 1]), MOMENTS[i]) for i in (3, 4, 5)]
    assert informative_folds(data, folds) == (folds[2],)
    bundle, _ = train_on(data, quick, None)
    result = sound(bundle, data)["forecast"]
    assert result.mean() == pytest.approx(data.frame["label"].mean(), abs=0.05)
    assert result.between(0.001, 0.999).all()


def test_a_month_in_which_everyone_was_contacted_judges_nothing() -> None:
    data = dataset("churn")
    folds = [Fold(tuple(MOMENTS[:n]), MOMENTS[n + 1]) for n in (2, 3)]
    weight = np.where(data.frame["as_of"] == MOMENTS[4], 0.0, 1.0)
    blanket = replace(data, frame=data.frame.assign(**{WEIGHT: weight}))
    assert informative_folds(blanket, folds) == (folds[0],)
    with pytest.raises(NotEnoughDataError, match=r"every customer .* was contacted .* churn.treatment: keep"):
        informative_folds(blanket, folds[1:])


def test_folds_of_which_none_can_teach_say_why(quick: Settings) -> None:
    data = dataset("churn", lambda f: f.assign(label=np.where(f["as_of"] < MOMENTS[5], 0.0, f["label"])))
    require_learnable(data, tuple(MOMENTS))
    with pytest.raises(NotEnoughDataError, match=r"\(2024-01-01 to 2024-05-01\) hold only customers who stayed"):
        train_on(data, quick, None)


def test_where_there_are_no_dates_the_message_names_none() -> None:
    data = replace(dataset("churn", lambda f: f.assign(label=1.0, part=1)), by="part")
    with pytest.raises(NotEnoughDataError, match=r"\(customers not held out\) hold only customers who left"):
        require_learnable(data, (1,))


def test_good_rows_pass_with_features_missing() -> None:
    for task in ("churn", "clv"):
        data = dataset(task, with_one("spend_total", np.nan))
        require_values(data)
        require_learnable(data, tuple(MOMENTS))


def test_a_horizon_longer_than_the_history_is_told_with_what_was_found(quick: Settings) -> None:
    with pytest.raises(NotEnoughDataError, match=r"at least 400 days.*6 labelled moments \(2024-01-01 to 2024-06-01\)"):
        plan_as_ofs(MOMENTS, 400, 1, 2)
    longer = quick.model_copy(update={"churn": quick.churn.model_copy(update={"horizon_days": 400})})
    with pytest.raises(NotEnoughDataError, match=r"400 days after two others.*shorter horizon_days"):
        evaluation_as_ofs(dataset("churn"), longer, 2)


def test_thirty_customers_are_told_with_the_least_that_is_needed(quick: Settings) -> None:
    few = dataset("churn", lambda f: f[f["customer_id"].isin([f"c{i}" for i in range(30)])])
    with pytest.raises(NotEnoughDataError, match=r"30 customers at the newest labelled moment, 200 are needed.*mini"):
        require_enough(few, quick.minimum)
    with pytest.raises(NotEnoughDataError, match="at least 50 matured forecasts, found 30"):
        fit_interval(np.ones(30), np.ones(30), 0.9)


@pytest.fixture
def infinite(fresh: Workspace) -> Workspace:
    """A built workspace with a feature that is infinite at the oldest moment."""
    path = fresh.features / "rows.parquet"
    rows = pd.read_parquet(path)
    days = rows["days_since_last_order"].where(rows["as_of"] > rows["as_of"].min(), np.inf)
    rows.assign(days_since_last_order=days).to_parquet(path, index=False)
    return fresh


def test_training_stops_at_an_infinite_feature_before_anything_is_recorded(few: Settings, infinite: Workspace) -> None:
    with pytest.raises(DataError, match="days_since_last_order that is not a finite number or none"):
        run.train(few, infinite, "churn", "the tests")
    assert not infinite.ledger.exists() and not infinite.tuning.exists()


def test_the_command_line_tells_it_in_one_message(
    infinite: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "churn", "--config", "test", "--workspace", str(infinite.root)]
    monkeypatch.setattr(sys, "argv", ["staycast", *words])
    with pytest.raises(SystemExit) as stop:
        staycast.main()
    result = capsys.readouterr().err
    assert stop.value.code == StaycastError.exit_code
    assert "staycast: churn: " in result and "days_since_last_order that is not a finite" in result
    assert "Traceback" not in result
