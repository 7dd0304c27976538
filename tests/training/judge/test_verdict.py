"""The gates on rows: a perfect model is hardly ever refused, a worse one is; champions judge on rows new to them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import lognorm

from configs.errors import RegistryError
from configs.settings import Settings, load
from configs.workspace import Workspace
from training import metrics
from training.data.split import plan_customers
from training.data.task_rows import labelled, plan_of
from training.fit import assembly
from training.judge import gates, verdict
from training.judge.baselines import value_regression_rule
from training.judge.examination import Examination, examine
from training.model import catalog
from training.registry import model_registry

DEFAULT = load("completejourney")


MEASURED = {
    "churn": (metrics.auc, metrics.log_loss, metrics.expected_calibration_error),
    "clv": (metrics.normalised_gini, metrics.mae),
}


def examined(rows: pd.DataFrame, task: str, name: str) -> Examination:
    """An examination with the figures that gates look at."""
    model, baseline = (
        {m.__name__: m(rows["label"], rows[column]) for m in MEASURED[task]} for column in ("forecast", "baseline")
    )
    return Examination(rows, model | {"n": len(rows)}, baseline, {}, pd.DataFrame(), name)


def churn_decision(y: np.ndarray, forecast: np.ndarray, baseline: np.ndarray) -> gates.Decision:
    rows = pd.DataFrame({"customer_id": np.arange(len(y)), "label": y, "forecast": forecast, "baseline": baseline})
    return verdict.judge_examined("churn", examined(rows, "churn", "recency rule"), [], DEFAULT)


@pytest.fixture
def chance_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chance in a calibration error depends on the forecasts alone: computed once for all draws of outcomes."""
    known: dict[bytes, tuple[float, float]] = {}

    def chance(p: pd.Series, customers: pd.Series, seed: int) -> tuple[float, float]:
        key = p.to_numpy().tobytes()
        if key not in known:
            known[key] = metrics.calibration_error_by_chance(p, customers, seed=seed)
        return known[key]

    monkeypatch.setattr(verdict, "calibration_error_by_chance", chance)


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300, 1000])
def test_a_perfect_churn_model_is_refused_once_in_a_hundred_times_at_most(n: int, chance_once: None) -> None:
    rng, refused = np.random.default_rng(n), 0
    for _ in range(3):
        z = logit(0.2) + 1.2 * rng.normal(size=n)
        baseline = expit(z + 0.4 * rng.normal(size=n))
        for _ in range(50):
            refused += not churn_decision((rng.random(n) < expit(z)).astype(float), expit(z), baseline).promote
    assert refused <= 5  # of 150: of 1 %, more are there in one case of a hundred


@pytest.mark.parametrize("kind", ["noisy", "too high", "too bold"])
def test_a_churn_model_that_is_two_per_cent_worse_is_refused_at_5000_rows(kind: str, chance_once: None) -> None:
    n, rng = 5000, np.random.default_rng(1)
    z, noise = logit(0.2) + 1.2 * rng.normal(size=n), rng.normal(size=n)
    p = expit(z)

    def worse(by: float) -> np.ndarray:
        return expit({"noisy": z + by * noise, "too high": z + by, "too bold": z + by * (z - z.mean())}[kind])

    def entropy(q: np.ndarray) -> float:
        return float(-(p * np.log(q) + (1 - p) * np.log1p(-q)).mean())

    forecast = next(worse(by) for by in np.geomspace(0.05, 1, 300) if entropy(worse(by)) >= 1.02 * entropy(p))
    passed = sum(churn_decision((rng.random(n) < p).astype(float), forecast, p).promote for _ in range(20))
    assert passed <= 2


def value_rows(rng: np.random.Generator, n: int, noise: float = 0.0) -> pd.DataFrame:
    """Values that are nothing, or lognormal, by a known law: true means with noise, true intervals, a noisy rule."""
    bought, scale = rng.uniform(0.3, 0.95, n), rng.lognormal(3, 0.6, n)
    y = np.where(rng.random(n) < bought, scale * rng.lognormal(-0.18, 0.6, n), 0.0)

    def quantile(share: float) -> np.ndarray:
        of_buyers = np.clip((share - 1 + bought) / bought, 0, 1)
        return np.where(share < 1 - bought, 0.0, scale * lognorm.ppf(of_buyers, 0.6, scale=np.exp(-0.18)))

    true = bought * scale
    forecast = true * np.exp(noise * rng.normal(size=n))
    rank = pd.Series(forecast).rank(pct=True, ascending=False)
    tier = pd.cut(rank, [0, 0.05, 0.2, 0.5, 1], labels=["diamond", "gold", "silver", "bronze"]).astype(object)
    names = {"label": y, "forecast": forecast, "low": 0.0, "high": quantile(0.9), "tier": tier}
    baseline = true if noise else true * np.exp(0.4 * rng.normal(size=n))
    return pd.DataFrame({"customer_id": np.arange(n), **names, "baseline": baseline})


def value_decision(rows: pd.DataFrame) -> gates.Decision:
    return verdict.judge_examined("clv", examined(rows, "clv", "past rate"), [], DEFAULT)


@pytest.mark.slow
@pytest.mark.parametrize("n", [100, 300, 1000])
def test_a_perfect_value_model_is_refused_once_in_a_hundred_times_at_most(n: int) -> None:
    rng = np.random.default_rng(n)
    decisions = [value_decision(value_rows(rng, n)) for _ in range(60)]
    assert sum(not decision.promote for decision in decisions) <= 3


def test_a_value_model_that_is_two_per_cent_worse_is_refused_at_5000_rows() -> None:
    rng = np.random.default_rng(0)
    decisions = [value_decision(value_rows(rng, 5000, noise=0.18)) for _ in range(20)]
    mae = np.array([[c.value / c.limit for c in d.checks if c.name == "beats_baseline_mae"] for d in decisions])
    assert 1.017 < mae.mean() < 1.023
    assert sum(decision.promote for decision in decisions) <= 2


def test_a_perfect_value_of_a_ready_table_is_hardly_ever_refused_where_most_bring_nothing() -> None:
    n, rng, refused = 400, np.random.default_rng(5), 0
    for _ in range(40):
        x = rng.normal(size=(5 * n, 3))
        mean = expit(0.9 * x[:, 0] + 0.5 * x[:, 1] - 4) * np.exp(2.4 + 0.8 * x[:, 2])
        brought = rng.random(5 * n) < expit(0.9 * x[:, 0] + 0.5 * x[:, 1] - 4)
        y = np.where(brought, np.exp(2.4 + 0.8 * x[:, 2]) * rng.lognormal(-0.72, 1.2, 5 * n), 0.0)
        frame = pd.DataFrame(x, columns=["a", "b", "c"])
        rows = pd.DataFrame({"customer_id": np.arange(n), "label": y[:n], "forecast": mean[:n]})
        rows = rows.assign(
            baseline=value_regression_rule(frame[:n], frame[n:], y[n:]), low=0.0, high=np.inf, tier="gold"
        )
        measured = {m.__name__: m for m in (*MEASURED["clv"], metrics.rmse)}
        model, baseline = (
            {k: m(rows["label"], rows[c]) for k, m in measured.items()} for c in ("forecast", "baseline")
        )
        examination = Examination(rows, model | {"n": n}, baseline, {}, pd.DataFrame(), "Poisson regression")
        checks = verdict.judge_examined("clv", examination, [], DEFAULT).checks
        assert "beats_baseline_rmse" in [check.name for check in checks]
        refused += any(not check.passed for check in checks if check.name.startswith("beats"))
    assert refused <= 2  # beside the absolute error 15 of these 40 were


@pytest.fixture(scope="module")
def judged(lived: Workspace):
    """The rows of the lived workspace, an examination of its churn model, and that model."""
    settings = load("test")
    present = catalog.champion(lived, "churn")
    assert present is not None
    _, model = model_registry.bundles(lived, "churn", present.version)
    data = labelled(settings, lived, "churn")
    plan = plan_of(data, settings)
    return data, plan, examine(model, data.at(plan.holdout), data.at(plan.train_for_holdout), settings), model


def judge(judged, champions, settings: Settings | None = None) -> dict[str, gates.Check]:
    data, plan, examination, model = judged
    models = SimpleNamespace(plan=plan, final=model, search=SimpleNamespace(loss=0.3))
    decision = verdict.judge(data, models, examination, champions, settings or load("test"))
    return {check.name: check for check in decision.checks}


@pytest.mark.slow
def test_every_champion_of_the_year_judges_and_a_better_one_of_the_past_refuses(judged) -> None:
    model = judged[3]
    checks = judge(judged, [("churn/9", model, model), ("churn/4", model, model)])
    assert checks["not_worse_than_champion"].verdict == checks["not_worse_than_past_champions"].verdict == "passed"
    timid = replace(judged[2], rows=judged[2].rows.assign(forecast=0.5), model={**judged[2].model, "log_loss": 0.6931})
    refused = judge((*judged[:2], timid, model), [("churn/9", model, model), ("churn/4", model, model)])
    assert refused["not_worse_than_past_champions"].verdict == "failed"
    assert "churn/4" in refused["not_worse_than_past_champions"].text


def test_a_champion_that_learned_from_the_hold_out_or_forecasts_something_else_does_not_judge(judged) -> None:
    _, plan, _, model = judged
    late = replace(model, trained_through=str(max(plan.holdout)))
    other = replace(model, horizon_days=model.horizon_days + 1)
    assert "not_worse_than_champion" not in judge(judged, [("a", late, late), ("b", other, other)])
    assert "not_worse_than_champion" in judge(judged, [("a", late, model)])  # by its twin that has not seen them


def test_with_little_data_the_deviance_of_the_same_rows_stands_beside_the_absolute_error() -> None:
    rng, n = np.random.default_rng(3), 400
    true = rng.lognormal(3, 1, n)
    y = np.where(rng.random(n) < 0.3, true / 0.3, 0.0)
    rows = pd.DataFrame({"customer_id": np.arange(n), "label": y, "forecast": true, "baseline": 0.05 * true})
    examination = replace(examined(rows, "clv", "past rate"), margins={"mae": (1.0, 9.0), "rmse": (-9.0, -1.0)})
    models = SimpleNamespace(plan=None)
    fallen = (("clv/1", SimpleNamespace(chosen_on_folds=False), None),)
    decision = verdict.judge(None, models, examination, fallen, DEFAULT)  # type: ignore[arg-type]
    assert decision.promote and decision.in_doubt == ("not_worse_mae",)


def test_customers_held_out_are_examined_by_a_model_that_held_out_the_same_alone() -> None:
    rows = pd.DataFrame({"customer_part": [0], "as_of": [pd.Timestamp("2024-01-01")]})
    same = SimpleNamespace(info={"holdout": assembly.holdout_rule(DEFAULT)})
    verdict.require_unseen(same, rows, "clv/1", DEFAULT)  # type: ignore[arg-type]
    for other in ({"holdout": None}, {"holdout": "share 0.5, seed 1"}):
        seen = SimpleNamespace(info=other, learned_until=pd.Timestamp("2024-01-02"))
        with pytest.raises(RegistryError, match="may have learned from"):
            verdict.require_unseen(seen, rows, "clv/1", DEFAULT)  # type: ignore[arg-type]
        before = SimpleNamespace(info=other, learned_until=pd.Timestamp("2024-01-01"))
        verdict.require_unseen(before, rows, "clv/1", DEFAULT)  # type: ignore[arg-type]  # nothing so late taught it


BY_CUSTOMERS = {"holdout": assembly.holdout_rule(DEFAULT)}


def champion(until: str, info: dict[str, object], through: str = "2024-01-01") -> SimpleNamespace:
    return SimpleNamespace(learned_until=pd.Timestamp(until), trained_through=through, info=info)


@pytest.mark.parametrize(
    ("info", "customers_judge", "twin_through", "why"),
    [
        (
            BY_CUSTOMERS,
            False,
            "2024-01-01",
            "customers held out judged it, as no later moment could; moments from 2024-0",
        ),
        ({"holdout": None}, False, "2024-01-01", "nothing could judge it when it was trained; moments from 2024-02-01"),
        ({}, True, "2024-01-01", "it held out no customers, and those who judge today may have taught it"),
        (BY_CUSTOMERS, True, "2024-01-01", ""),
        ({"holdout": "share 0.5, seed 1"}, True, "2024-01-01", ""),  # another setting is an error
        ({"holdout": None}, False, "2023-10-01", ""),  # so are features rebuilt on less data
    ],
)
def test_a_champion_of_when_something_else_judged_is_not_judged_and_says_why_and_the_way_on(
    info: dict[str, object], customers_judge: bool, twin_through: str, why: str
) -> None:
    rows = pd.DataFrame({"as_of": [pd.Timestamp("2024-02-01")], **({"customer_part": [0]} if customers_judge else {})})
    serving, judged = champion("2024-05-30", info), champion("2024-05-30", info, twin_through)
    said = verdict.why_unjudged(serving, judged, rows, DEFAULT)  # type: ignore[arg-type]
    assert said.startswith(why) and bool(said) == bool(why) and ("run `staycast train`" in said) == bool(why)
    early = champion("2024-02-01", info)
    assert verdict.has_not_seen(early, rows, DEFAULT)  # type: ignore[arg-type]
    assert not verdict.why_unjudged(early, early, rows, DEFAULT)  # type: ignore[arg-type]


def test_where_nothing_is_dated_a_model_that_held_nobody_out_is_not_judged_whatever_its_date() -> None:
    rows, model = pd.DataFrame({"as_of": [pd.Timestamp("2024-02-01")]}), champion("2024-01-01", {"holdout": None})
    telco = load("telco")
    assert not verdict.has_not_seen(model, rows, telco)  # type: ignore[arg-type]
    assert "held out no customers" in verdict.why_unjudged(model, model, rows, telco)  # type: ignore[arg-type]


def test_the_rule_of_dated_customers_names_no_twins_and_earlier_models_that_did_are_of_the_same_rule() -> None:
    assert "twins" not in assembly.holdout_rule(DEFAULT)
    assert assembly.holdout_rule(load("telco")).endswith(", twins together")

    def alike(rule: str | None, settings: Settings) -> bool:
        return assembly.held_out_alike(SimpleNamespace(info={"holdout": rule}), settings)  # type: ignore[arg-type]

    dated = assembly.holdout_rule(DEFAULT)
    assert alike(dated, DEFAULT) and alike(f"{dated}, twins together", DEFAULT) and not alike(None, DEFAULT)
    telco = assembly.holdout_rule(load("telco"))
    assert alike(telco, load("telco")) and not alike(telco.removesuffix(", twins together"), load("telco"))


@pytest.mark.parametrize(("task", "prior"), [("churn", 0.9), ("churn", 1.1), ("clv", 0.9), ("clv", 1.1)])
def test_a_candidate_in_doubt_is_held_against_the_prior_of_its_plan_by_a_proper_loss(
    task: str, prior: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng, n = np.random.default_rng(4), 300
    true = rng.uniform(0.1, 0.9, n)
    y = (rng.random(n) < true).astype(float) if task == "churn" else rng.exponential(true)
    rows = pd.DataFrame({"customer_id": np.arange(n), "label": y, "forecast": np.full(n, y.mean() * 1.02)})
    other = true if prior < 1 else np.full(n, y.mean() * 1.3)
    doubt = gates.Check(
        "beats_baseline_mae" if task == "clv" else "beats_baseline_log_loss", 2.0, 1.0, "cannot tell", ""
    )
    monkeypatch.setattr(assembly, "forecast", lambda bundle, rows: pd.DataFrame({"forecast": other}))
    data = SimpleNamespace(task=task, at=lambda parts: rows)
    models = SimpleNamespace(plan=SimpleNamespace(holdout=(0,)))
    decision = verdict.lean_to_prior(
        gates.Decision(True, (doubt,), ()),
        data,  # type: ignore[arg-type]
        models,  # type: ignore[arg-type]
        Examination(rows, {}, {}, {}, pd.DataFrame(), "rule"),
        SimpleNamespace(judged=object()),  # type: ignore[arg-type]
    )
    assert decision.promote == (prior > 1)


def test_where_nothing_is_dated_a_champion_judges_by_the_model_that_left_the_same_customers_out(judged) -> None:
    data, plan, examination, model = judged
    telco = load("telco")
    unseen = replace(model, info={**model.info, "holdout": assembly.holdout_rule(telco)})
    parts = replace(data, frame=data.frame.assign(part=data.frame["as_of"].isin(plan.holdout).map({True: 0, False: 1})))
    of_parts = (replace(parts, by="part"), plan_customers(2), examination, model)
    horizon = telco.churn.model_copy(update={"horizon_days": model.horizon_days})
    settings = telco.model_copy(update={"churn": horizon})
    flattered = replace(unseen, basis="prior")  # the one that serves has learned from all customers
    checks = judge(of_parts, [("churn/1", flattered, unseen)], settings)
    assert "not_worse_than_champion" in checks
    seen = replace(model, info={**model.info, "holdout": "share 0.5, seed 9, twins together"})
    assert "not_worse_than_champion" not in judge(of_parts, [("churn/1", unseen, seen)], settings)
