"""Who is lapsed gets a chance of return that comes true as often as it says, and that no later outcome has touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from configs.errors import DataError
from configs.settings import Settings, load
from configs.workspace import Workspace
from tests.feature_rows import workspace_of
from training.data.split import plan_as_ofs
from training.fit import reactivation
from training.fit.assembly import FittedModels
from training.model import bundle as bundles
from training.model.bundle import Bundle, Score
from training.model.calibration import Affine
from training.model.proof import manifest
from training.priors.expectation import COLUMNS

HORIZONS, DAY = (30, 60, 90), pd.Timedelta(days=1)
MOMENTS = pd.date_range("2024-01-01", periods=6, freq="30D", tz="UTC")


@pytest.fixture(scope="module")
def settings() -> Settings:
    whole = load("test")
    churn = whole.churn.model_copy(update={"horizon_days": 30, "horizons_days": HORIZONS, "activity_days": 60})
    return whole.model_copy(update={"churn": churn})


def shop(n: int, seed: int, comeback: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Feature rows and labels at `MOMENTS` of customers who order by chance until they leave.

    `comeback` multiplies the rates of order after 60 silent days: another law than the model of orders knows.
    """
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for number in range(n):
        rate, life = rng.gamma(1.0, 1 / 40), rng.exponential(300)
        at, days = 0.0, [float(rng.uniform(-400, -30))]
        while True:
            gap = rng.exponential(1 / rate)
            at = days[-1] + (gap if gap < 60 else 60 + (gap - 60) / comeback)
            if at > min(days[0] + life, 400) or at > 400:
                break
            days.append(at)
        times = np.array(days)
        for place, moment in enumerate(MOMENTS):
            now = 30.0 * place
            past, coming = times[times < now], times[times >= now]
            silent = now - past[-1]
            values = (float(len(past)), silent, now - past[0], 20.0 * len(past))
            key = {"customer_id": f"c{number}", "as_of": moment}
            rows.append(key | dict(zip(COLUMNS, values, strict=True)))
            wait = coming[0] - now if len(coming) else np.inf
            came = {f"returned_{d}": float(wait < d) if silent > 60 else np.nan for d in HORIZONS}
            labels.append(key | came)
    return pd.DataFrame(rows), pd.DataFrame(labels)


def empty_churn_model() -> Bundle:
    return Bundle(
        task="churn", link="sigmoid", scores=(Score("churn", None, Affine()),), features=COLUMNS, categories={},
        schema_hash="", horizon_days=30, trained_through="2024-01-01T00:00:00Z", interval=None,
        quantiles=tuple(np.linspace(0, 1, 101)), reference=pd.DataFrame({"a": [1.0]}), info={},
    )  # fmt: skip


def models_of(final: Bundle, holdout: tuple[pd.Timestamp, ...] = ()) -> FittedModels:
    plan = plan_as_ofs(list(MOMENTS), 30, 2, 1) if holdout else None
    search = None  # not looked at
    return FittedModels(plan, search, final if plan else None, final)  # type: ignore[arg-type]


@pytest.mark.parametrize("comeback", [1.0, 0.3])
def test_a_chance_of_return_comes_true_as_often_as_it_says_also_where_the_law_of_orders_is_another(
    comeback: float, settings: Settings
) -> None:
    rows, labels = shop(700, 1, comeback)
    known = rows.merge(labels, on=["customer_id", "as_of"])
    known = known[known["returned_30"].notna()]
    learned = reactivation._add(empty_churn_model(), known, rows, settings)
    later_rows, later = shop(700, 2, comeback)
    fresh = later_rows.merge(later, on=["customer_id", "as_of"])
    found = reactivation.examine_returns(learned, fresh[fresh["returned_30"].notna()])
    assert set(found) == {"30", "60", "90"}
    for figures in found.values():
        assert figures["mean_probability"] == pytest.approx(figures["share_returned"], abs=0.04)
        assert figures["auc"] > 0.6 and figures["log_loss"] < figures["base_log_loss"]


def test_the_chance_never_falls_with_the_days(settings: Settings) -> None:
    rows, labels = shop(150, 3)
    known = rows.merge(labels, on=["customer_id", "as_of"])
    known = known.assign(returned_60=0.0)  # hostile: fewer return within 60 days than within 30
    chances = reactivation._add(empty_churn_model(), known, rows, settings).reactivation(known)
    assert chances is not None and list(chances) == [30, 60, 90]
    assert (chances[30] <= chances[60]).all() and (chances[60] <= chances[90]).all()
    assert all(((p >= 0) & (p <= 1)).all() for p in chances.values())


@pytest.mark.parametrize("returned", [0.0, 1.0, np.nan])
def test_a_finite_map_comes_of_one_kind_of_outcome_or_of_none(returned: float) -> None:
    score = np.linspace(-2, 6, 30)
    fitted = reactivation.fit_return(score, np.full(30, returned))
    assert np.isfinite([fitted.slope, fitted.intercept]).all() and fitted.slope <= 0
    if np.isnan(returned):
        assert (fitted.slope, fitted.intercept) == (-1.0, 0.0)


def test_a_longer_expected_silence_never_tells_of_a_return() -> None:
    score = np.linspace(-2, 6, 2_000)
    assert reactivation.fit_return(score, (score > 2).astype(float)).slope == 0.0


def test_the_judged_model_knows_nothing_of_the_hold_out(tmp_path: Path, settings: Settings) -> None:
    rows, labels = shop(60, 4)
    models = models_of(empty_churn_model(), tuple(MOMENTS[-1:]))
    assert models.plan is not None
    begins = min(models.plan.holdout)
    kept = reactivation.with_reactivation(models, settings, workspace_of(tmp_path / "a", rows, labels))
    late = labels["as_of"] + 30 * DAY > begins
    other = labels.assign(**{f"returned_{d}": labels[f"returned_{d}"].where(~late, 1.0) for d in HORIZONS})
    other[[f"returned_{d}" for d in HORIZONS]] = other[[f"returned_{d}" for d in HORIZONS]].where(
        labels["returned_30"].notna()
    )
    changed = reactivation.with_reactivation(models, settings, workspace_of(tmp_path / "b", rows, other))
    assert kept.judged is not None and changed.judged is not None
    assert [m.score.affine for m in kept.judged.returns] == [m.score.affine for m in changed.judged.returns]
    assert [m.score.affine for m in kept.final.returns] != [m.score.affine for m in changed.final.returns]
    assert kept.final.info["reactivation"]["moments"] > kept.judged.info["reactivation"]["moments"]


def test_labels_of_an_older_build_leave_it_out_and_say_why(tmp_path: Path, settings: Settings) -> None:
    rows, labels = shop(20, 5)
    place = workspace_of(tmp_path, rows, labels[["customer_id", "as_of"]])
    final = reactivation.with_reactivation(models_of(empty_churn_model()), settings, place).final
    assert final.returns == () and "staycast features" in final.info["reactivation"]["left_out"]


def test_a_value_model_and_a_business_of_contracts_have_none(tmp_path: Path, settings: Settings) -> None:
    contract = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    for models, of in (
        (models_of(empty_churn_model()), contract),
        (models_of(replace(empty_churn_model(), task="clv")), settings),
    ):
        assert reactivation.with_reactivation(models, of, Workspace(tmp_path)) is models


def test_a_saved_model_tells_the_same_chances_and_an_older_one_none(tmp_path: Path, settings: Settings) -> None:
    rows, labels = shop(100, 6)
    known = rows.merge(labels, on=["customer_id", "as_of"])
    made = reactivation._add(empty_churn_model(), known, rows, settings)
    again = bundles.load(made.save(tmp_path / "bundle"))
    before, after = made.reactivation(known), again.reactivation(known)
    assert before is not None and after is not None
    assert all((before[days] == after[days]).all() for days in before)
    path = tmp_path / "bundle" / "bundle.json"
    content = path.read_text("utf-8").replace('"returns"', '"of_another_time"')
    path.write_text(content, "utf-8")
    manifest.seal(path.parent)
    assert bundles.load(tmp_path / "bundle").reactivation(known) is None


def test_the_map_is_that_of_the_law_it_was_drawn_from() -> None:
    rng = np.random.default_rng(7)
    score = rng.normal(2, 1, 30_000)
    fitted = reactivation.fit_return(score, (rng.random(30_000) < expit(-0.5 * score + 0.4)).astype(float))
    assert (fitted.slope, fitted.intercept) == (pytest.approx(-0.5, abs=0.05), pytest.approx(0.4, abs=0.1))


def test_a_score_that_is_no_number_is_refused_and_leaves_out_the_chance_with_its_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="gives 1 of 2 lapsed customers no finite chance"):
        reactivation.fit_return(np.array([1.0, np.inf, np.nan]), np.array([0.0, 1.0, np.nan]))
    rows, labels = shop(30, 1)
    lapsed = rows.merge(labels, on=["customer_id", "as_of"]).dropna(subset=["returned_30"])
    monkeypatch.setattr(reactivation, "_raw", lambda prior, x: np.full(len(x), np.inf))
    model = reactivation._add(empty_churn_model(), lapsed, rows, settings)
    assert not model.returns and "no finite chance" in model.info["reactivation"]["left_out"]
