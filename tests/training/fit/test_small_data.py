"""With little history the service answers from a prior, says so, and is not surer than it can be."""

from __future__ import annotations

import dataclasses
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from configs.errors import DataError, NotEnoughDataError
from configs.settings import Settings, load
from configs.workspace import Workspace
from features.labels.horizons import neighbour_pairs
from features.schema import Feature, FeatureSchema
from serving.answer.score import basis_of
from training.data.dataset import Dataset, shortage
from training.data.profile import profile
from training.data.split import plan_as_ofs, plan_customers
from training.data.task_rows import in_parts, parted_by_customer, plan_of
from training.fit import recipe
from training.fit.level.own_levels import with_shorter_level
from training.fit.small_data import fit_small_data, form_for, small_data_model_at
from training.judge.examination import examine
from training.model import bundle as bundles
from training.model.proof import manifest
from training.model.tiers import TIERS, tier_edges, tiers
from training.priors.expectation import Expectation, summary_of

ORDERS = ("orders_total", "days_since_last_order", "tenure_days", "spend_total")
SCHEMA = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in ORDERS))
CONTRACT = FeatureSchema(
    (
        Feature("price_now", "subscriptions", "float64", ""),
        Feature("tickets", "interactions", "float64", ""),
        Feature("plan", "subscriptions", "string", ""),
    )
)


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load("test")


def customers_at(n: int, seed: int, as_of: str = "2024-06-01") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    known = rng.uniform(10, 150, n)
    orders = 1 + rng.poisson(known / 20)
    since = np.where(orders == 1, known, rng.uniform(0, 1, n) * known / 2)
    rows = pd.DataFrame(
        dict(zip(ORDERS, (orders.astype(float), since, known, orders * rng.gamma(4, 8, n)), strict=True))
    )
    return rows.assign(customer_id=[f"c{i}" for i in range(n)], as_of=pd.Timestamp(as_of, tz="UTC"))


def labelled(task: str, as_ofs: int, n: int = 30) -> Dataset:
    days = pd.date_range("2024-01-01", periods=as_ofs, freq="MS", tz="UTC")
    rng = np.random.default_rng(0)
    parts = [
        customers_at(n, i, str(d.date())).assign(
            label=(rng.random(n) < 0.3) if task == "churn" else rng.gamma(1, 30, n)
        )
        for i, d in enumerate(days)
    ]
    empty = customers_at(n, 0).head(0).assign(label=pd.Series(dtype=float))
    frame = pd.concat(parts, ignore_index=True) if parts else empty
    return Dataset(task, frame.astype({"label": float}), SCHEMA, "made up")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_nothing_has_matured_and_still_every_customer_is_answered(
    task: str, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    asked = customers_at(30, 9)
    built = fit_small_data(settings, labelled(task, 0), None, asked)
    assert built.judged is None
    assert (built.final.basis, built.final.full_season) == ("prior", False)
    back = bundles.load(built.final.save(tmp_path_factory.mktemp("few") / "bundle"))
    matrix = back.encode(asked)
    result = back.predict(matrix)
    assert np.isfinite(result).all()
    assert (result > 0).all()
    assert np.array_equal(result, built.final.predict(matrix))
    parts = back.explain(matrix)
    assert parts.base + parts.effects.sum(axis=1) == pytest.approx(result, rel=1e-9)


def test_a_longer_silence_is_never_likelier_and_no_order_is_certain(settings: Settings) -> None:
    asked = customers_at(40, 3)
    model = fit_small_data(settings, labelled("churn", 0), None, asked).final
    matrix = model.encode(asked)
    left = model.by_horizon(model.survival(matrix, model.predict(matrix)))
    assert list(left) == [30, 60, 90]
    assert len(model.steps) == len(neighbour_pairs(30, [30, 60, 90]))
    every = np.column_stack(list(left.values()))
    assert (np.diff(every, axis=1) <= 0).all()
    assert ((every > 0) & (every < 1)).all()


def test_what_customers_bring_lies_in_the_interval_as_often_as_promised_where_the_model_is_true(
    settings: Settings,
) -> None:
    asked = customers_at(1500, 3)
    model = fit_small_data(settings, labelled("clv", 0), None, asked).final
    prior = model.scores[0].prior
    assert prior is not None
    matrix = model.encode(asked)
    low, high = model.bounds(model.predict(matrix), matrix)
    assert isinstance(prior, Expectation)
    drawn = prior.model.value_quantiles(summary_of(matrix), 90, ((np.arange(40) + 0.5) / 40).tolist(), seed=5)
    inside = ((drawn >= low[:, None]) & (drawn <= high[:, None])).mean(axis=1)
    assert 0.88 <= inside.mean() <= 0.97
    of_tier = np.array(tiers(model.predict(matrix), tier_edges(model, settings.decisions.tiers)))
    for name in TIERS:
        assert 0.87 <= inside[of_tier == name].mean() <= 0.98, name
    assert (high > model.predict(matrix)).mean() > 0.95


def test_with_matured_moments_a_model_of_earlier_ones_is_judged(settings: Settings) -> None:
    data = labelled("churn", 8)
    known = pd.concat([data.frame, customers_at(30, 9, "2024-10-01")], ignore_index=True)
    built = fit_small_data(settings, data, plan_as_ofs(data.as_ofs, 30, 2, 2), known)
    assert built.judged is not None
    assert pd.Timestamp(built.judged.trained_through) < pd.Timestamp(built.final.trained_through)


def contracts(n: int, task: str) -> Dataset:
    rng = np.random.default_rng(1)
    days = pd.date_range("2024-01-01", periods=6, freq="MS", tz="UTC")
    parts = []
    for day in days:
        price, tickets = rng.uniform(10, 90, n), rng.poisson(1.5, n).astype(float)
        left = rng.random(n) < 1 / (1 + np.exp(2 - tickets))
        label = left if task == "churn" else price * 3 * ~left
        rows = {"price_now": price, "tickets": tickets, "plan": "a", "label": label.astype(float)}
        parts.append(pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "as_of": day, **rows}))
    return Dataset(task, pd.concat(parts, ignore_index=True), CONTRACT, "made up")  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_contracts_are_answered_by_a_regression_that_ranks_them(task: str, settings: Settings) -> None:
    data = contracts(30, task)
    kind = settings.churn.model_copy(update={"kind": "contract"})
    own = settings.model_copy(update={"churn": kind})
    assert form_for(data, own).name == {"churn": "churn_linear", "clv": "value_linear"}[task]
    asked = data.newest(data.as_ofs)
    built = fit_small_data(own, data, plan_as_ofs(data.as_ofs, 30, 1, 2), data.frame.assign(contracts_active=1.0))
    model, column = built.final, {"churn": "tickets", "clv": "price_now"}[task]
    result = model.predict(model.encode(asked))
    assert np.corrcoef(result, asked[column])[0, 1] > 0.5
    if task == "churn":
        assert set(model.info["horizons_left_out"]) == {"60", "90"}
    else:
        low, high = model.bounds(result, model.encode(asked))
        assert ((low <= result) & (result <= high)).all()


@pytest.mark.parametrize(("months", "said"), [(6, "no season is known"), (18, "no season repeats"), (30, "")])
def test_a_regression_of_less_than_two_years_of_outcomes_says_that_no_season_repeats(
    settings: Settings, months: int, said: str
) -> None:
    days = pd.date_range("2022-01-01", periods=months, freq="MS", tz="UTC")
    one = contracts(30, "clv").frame.drop_duplicates("customer_id")
    frame = pd.concat([one.assign(as_of=day) for day in days], ignore_index=True)
    data = Dataset("clv", frame, CONTRACT, "made up")
    text = basis_of(small_data_model_at(settings, data, frame.assign(contracts_active=1.0)))["text"]
    assert said in text and ("season" in text) == bool(said)


def test_without_orders_and_without_an_outcome_nothing_is_made_up(settings: Settings) -> None:
    data = contracts(30, "clv")
    nothing = dataclasses.replace(data, frame=data.frame.head(0))
    with pytest.raises(NotEnoughDataError, match="no outcome is known yet"):
        fit_small_data(settings, nothing, None, data.newest(data.as_ofs))
    poor = dataclasses.replace(data, frame=data.frame.assign(label=0.0))
    with pytest.raises(NotEnoughDataError, match=r"no customer has brought anything yet"):
        fit_small_data(settings, poor, None, data.newest(data.as_ofs))


def left_and_stayed(n: int, seed: int, days: int, horizon: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Customers of a company, some of whom have left for good, as rows of one moment; and who orders nothing more."""
    rng = np.random.default_rng(seed)
    rows, nothing = [], []
    for i in range(n):
        began, pace, stays = rng.uniform(0, days - 10), rng.gamma(2.0, 0.02), rng.exponential(120.0)
        gaps = rng.exponential(1 / pace, 200)
        times = np.concatenate([[0.0], np.cumsum(gaps)])
        times = began + times[times <= stays]
        seen, coming = times[times < days], times[(times >= days) & (times < days + horizon)]
        since, tenure = days - seen[-1], days - seen[0]
        rows.append((float(len(seen)), since, tenure, 30.0 * len(seen), f"c{i}"))
        nothing.append(len(coming) == 0)
    frame = pd.DataFrame(rows, columns=[*ORDERS, "customer_id"]).assign(as_of=pd.Timestamp("2024-06-01", tz="UTC"))
    return frame, np.array(nothing)


def test_churn_told_from_little_history_is_neither_too_low_nor_too_high(settings: Settings) -> None:
    misses = []
    for seed in range(4):
        known, nothing = left_and_stayed(400, seed, 360, 30)
        model = fit_small_data(settings, labelled("churn", 0), None, known).final
        asked = known["days_since_last_order"] <= settings.churn.activity_days
        misses.append(model.predict(model.encode(known[asked])).mean() - nothing[asked].mean())
    assert abs(np.mean(misses)) < 0.04


def test_orders_that_bring_nothing_are_no_value_to_forecast(settings: Settings) -> None:
    for amount in (0.0, -5.0):
        with pytest.raises(DataError, match=r"net revenue of -?\d+\.00 in total"):
            fit_small_data(settings, labelled("clv", 0), None, customers_at(30, 9).assign(spend_total=amount))


def test_an_infinite_feature_of_whom_is_asked_is_refused(settings: Settings) -> None:
    asked = customers_at(30, 9)
    asked.loc[3, "spend_total"] = np.inf
    with pytest.raises(DataError, match=r"spend_total that is not a finite number .* customer 'c3'"):
        fit_small_data(settings, labelled("clv", 0), None, asked)


def test_one_buyer_among_thirty_is_answered(settings: Settings) -> None:
    asked = customers_at(30, 9)
    asked.loc[1:, list(ORDERS)] = (0.0, np.nan, np.nan, 0.0)
    model = fit_small_data(settings, labelled("clv", 0), None, asked).final
    assert (model.predict(model.encode(asked)) > 0).all()


def test_contracts_without_a_number_that_varies_are_told_the_rate(settings: Settings) -> None:
    data = contracts(30, "churn")
    flat = dataclasses.replace(data, frame=data.frame.assign(price_now=20.0, tickets=1.0))
    flat.frame["plan"] = np.where(np.arange(len(flat.frame)) % 2, "a", "b")
    own = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    model = fit_small_data(own, flat, None, flat.frame.assign(contracts_active=1.0)).final
    result = model.predict(model.encode(flat.newest(flat.as_ofs)))
    assert result == pytest.approx(flat.frame["label"].mean(), abs=0.01)


def test_customers_of_a_ready_table_are_compared_with_those_who_were_asked_about_not_with_who_left(
    settings: Settings, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = contracts(60, "churn").frame
    frame = frame[frame["as_of"] == frame["as_of"].max()].reset_index(drop=True).assign(part=np.arange(60) % 3)
    rows = pd.concat([frame, frame.head(20).assign(customer_id=[f"unlabelled {i}" for i in range(20)])])
    left = set(frame["customer_id"][frame["label"] == 1])
    monkeypatch.setattr(recipe, "feature_rows", lambda _: rows)
    monkeypatch.setattr(recipe, "known_to_have_left", lambda _: left)
    own = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "label"})})
    own = own.model_copy(update={"minimum": own.minimum.model_copy(update={"below": "prior"})})
    data = Dataset("churn", frame, CONTRACT, "made up", by="part")
    model = recipe.search_and_fit(own, workspace, data, lambda *_: None, workspace).final
    asked = recipe.population(workspace, "churn", own)
    assert 0 < len(left) < 60 and len(model.reference) == len(asked) == 80 - len(left)
    forecast = model.predict(model.encode(asked))
    told = profile(asked[list(model.features)].assign(prediction=forecast))
    assert model.reference["prediction"].to_numpy() == pytest.approx(told["prediction"].to_numpy())
    assert model.quantiles[-1] == pytest.approx(forecast.max())


@pytest.mark.slow
def test_a_regression_of_few_is_as_sure_as_it_is_of_customers_it_did_not_learn_from(settings: Settings) -> None:
    own = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    columns = [f"x{i}" for i in range(12)]
    schema = FeatureSchema(tuple(Feature(name, "subscriptions", "float64", "") for name in columns))
    inside = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(130, 12)) * 20 + 60
        frame = pd.DataFrame(x, columns=columns).assign(
            customer_id=[f"c{i}" for i in range(130)],
            as_of=pd.Timestamp("2024-06-01", tz="UTC"),
            label=np.exp(x[:, 0] / 20 + rng.normal(size=130) * 0.5),
            contracts_active=1.0,
        )
        data = Dataset("clv", frame.head(30), schema, "made up")
        model = fit_small_data(own, data, None, frame.head(30)).final
        new = frame.tail(100)
        low, high = model.bounds(model.predict(model.encode(new)), model.encode(new))
        inside.append(((low <= new["label"]) & (new["label"] <= high)).mean())
    assert np.mean(inside) > 0.9


def test_a_handful_of_customers_is_refused_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(NotEnoughDataError, match=r"5 customers .* needs 20: .* minimum.few_customers"):
        fit_small_data(settings, labelled("clv", 0), None, customers_at(5, 0))


def test_what_trees_lack_is_counted(settings: Settings) -> None:
    lack = shortage(labelled("churn", 2), settings.minimum)
    assert lack[0] == "30 customers at the newest labelled moment, 200 are needed"
    assert lack[1] == "2 labelled moments, 4 are needed"
    assert any("customers who left" in single for single in lack)


@pytest.mark.parametrize(("task", "came"), [("churn", 0.8), ("clv", 0.4)])
def test_the_level_of_a_prior_follows_what_past_moments_showed(task: str, came: float, settings: Settings) -> None:
    data, asked = labelled(task, 4, n=150), customers_at(150, 9, "2024-10-01")
    known = pd.concat([data.frame, asked], ignore_index=True)
    before = fit_small_data(settings, dataclasses.replace(data, frame=data.frame.head(0)), None, known).final
    prior = before.scores[0].prior
    assert prior is not None
    matrix = before.encode(data.frame)
    label = np.full(len(matrix), 0.0)
    label[: int(came * len(label))] = 1.0
    label = np.random.default_rng(0).permutation(label) if task == "churn" else came * np.exp(prior(matrix))
    taught = dataclasses.replace(data, frame=data.frame.assign(label=label))
    after = fit_small_data(settings, taught, None, known).final
    first, then = (bundle.predict(bundle.encode(asked)) for bundle in (before, after))
    if task == "churn":
        assert first.mean() < 0.6 < 0.7 < then.mean() < came + 0.05
        return
    assert then.sum() / first.sum() == pytest.approx(came, abs=0.15)
    widths = [np.subtract(*b.bounds(b.predict(b.encode(asked)), b.encode(asked))[::-1]) for b in (before, after)]
    assert widths[1].mean() < widths[0].mean()


def test_under_drop_the_level_is_that_of_customers_who_were_not_contacted(settings: Settings) -> None:
    data, asked = labelled("churn", 4, n=150), customers_at(150, 9, "2024-10-01")
    contacted = np.arange(len(data.frame)) % 2
    label = np.where(contacted == 1, 0.0, (np.random.default_rng(1).random(len(contacted)) < 0.7))
    data = dataclasses.replace(data, frame=data.frame.assign(label=label, contacted=contacted))
    known = pd.concat([data.frame, asked], ignore_index=True)
    means = {}
    for option in ("keep", "drop"):
        churn = settings.churn.model_copy(update={"treatment": option})
        model = fit_small_data(settings.model_copy(update={"churn": churn}), data, None, known).final
        means[option] = model.predict(model.encode(asked)).mean()
    assert means["keep"] < 0.4 < 0.55 < means["drop"]


def under_drop(settings: Settings, kind: str = "inactivity") -> Settings:
    return settings.model_copy(update={"churn": settings.churn.model_copy(update={"treatment": "drop", "kind": kind})})


def test_under_drop_a_regression_of_contracts_learns_from_customers_who_were_not_contacted(settings: Settings) -> None:
    data = contracts(60, "churn")
    contacted = (np.arange(len(data.frame)) % 2).astype(float)
    label = np.where(contacted == 1, 0.0, np.random.default_rng(1).random(len(contacted)) < 0.7)
    frame, own = data.frame.assign(label=label, contacted=contacted), under_drop(settings, "contract")
    rows = data.frame.assign(contracts_active=1.0)
    model = fit_small_data(own, dataclasses.replace(data, frame=frame), None, rows).final
    assert 0.55 < model.predict(model.encode(rows)).mean() < 0.85
    everybody = dataclasses.replace(data, frame=frame.assign(contacted=1.0))
    with pytest.raises(NotEnoughDataError, match=r"all 360 rows .* contacted .* set churn.treatment to keep"):
        fit_small_data(own, everybody, None, rows)


def test_under_drop_the_level_of_a_shorter_horizon_is_that_of_customers_who_were_not_contacted(
    settings: Settings,
) -> None:
    rows, labels = shorter_outcomes(0.7)
    contacted = (np.arange(len(labels)) % 2).astype(float)
    came_back = labels["churned_90"].where((contacted == 0) | labels["churned_90"].isna(), 0.0)
    known = labels.assign(churned_90=came_back, contacted_90=contacted, contacted_30=contacted)
    asked = rows[rows["as_of"] == rows["as_of"].max()].reset_index(drop=True)
    own = under_drop(of_a_long_horizon(settings))
    plain = fit_small_data(own, labelled("churn", 0), None, rows).final
    leveled = [with_shorter_level(plain, own, rows, part, asked) for part in (known, known[known["contacted_90"] == 0])]
    assert leveled[0].scores == leveled[1].scores != plain.scores


def test_the_less_is_known_of_the_level_of_churn_the_wider_is_the_range_of_a_campaign(settings: Settings) -> None:
    asked, data = customers_at(150, 9, "2024-10-01"), labelled("churn", 4, n=150)
    known = pd.concat([data.frame[asked.columns], asked], ignore_index=True)
    moments = [dataclasses.replace(data, frame=data.at(data.as_ofs[:n])) for n in (0, 1, 4)]
    sds = [fit_small_data(settings, own, None, known).final.level_sd for own in moments]
    assert sds[0] > sds[1] > sds[2] > 0.1
    rows, labels = shorter_outcomes(0.7)
    long = of_a_long_horizon(settings)
    plain = fit_small_data(long, labelled("churn", 0), None, rows).final
    newest = rows[rows["as_of"] == rows["as_of"].max()].reset_index(drop=True)
    assert with_shorter_level(plain, long, rows, labels, newest).level_sd >= plain.level_sd == sds[0]
    own = settings.model_copy(update={"churn": settings.churn.model_copy(update={"kind": "contract"})})
    fees = contracts(60, "churn")
    assert fit_small_data(own, fees, None, fees.frame.assign(contracts_active=1.0)).final.level_sd > 0.1


def test_without_a_past_moment_the_interval_of_values_is_widest(settings: Settings) -> None:
    asked, data = customers_at(150, 9, "2024-10-01"), labelled("clv", 1, n=150)
    known = pd.concat([data.frame[asked.columns], asked], ignore_index=True)
    prior = fit_small_data(settings, dataclasses.replace(data, frame=data.frame.head(0)), None, known).final
    expected = prior.predict(prior.encode(data.frame))
    widths = {}
    for name, count in (("nothing", 0), ("a moment", len(data.frame))):
        own = dataclasses.replace(data, frame=data.frame.assign(label=expected).head(count))
        model = fit_small_data(settings, own, None, known).final
        low, high = model.bounds(model.predict(model.encode(asked)), model.encode(asked))
        widths[name] = ((high - low) / model.predict(model.encode(asked))).mean()
    assert widths["nothing"] > widths["a moment"]


def test_a_level_that_was_learned_from_outcomes_counts_them_as_seen(settings: Settings) -> None:
    data = labelled("churn", 4, n=150)
    model = fit_small_data(settings, data, None, customers_at(150, 9, "2024-04-02")).final
    assert model.learned_until == pd.Timestamp("2024-04-01", tz="UTC") + pd.Timedelta(days=30)


@pytest.mark.parametrize("task", ["churn", "clv"])
def test_a_prior_is_judged_by_customers_it_has_not_seen_where_no_later_moment_can_judge(
    task: str, settings: Settings
) -> None:
    short = settings.model_copy(
        update={
            "clv": settings.clv.model_copy(update={"horizon_days": 90}),
            "churn": settings.churn.model_copy(update={"horizon_days": 90}),
        }
    )
    data, asked = parted_by_customer(labelled(task, 2), short), customers_at(30, 9)
    plan = plan_of(data, short)
    built = fit_small_data(short, data, plan, pd.concat([data.frame[asked.columns], asked]))
    assert built.judged is not None and built.judged.trained_through == "2024-02-01T00:00:00+00:00"
    assert built.final.trained_through == "2024-06-01T00:00:00+00:00"
    examination = examine(built.judged, data.at(plan.holdout), data.at(plan.train_for_holdout), short)
    assert "customers were held out" in examination.note and 0 < len(examination.rows) < 30
    assert "how the level differs between moments is not tested" in basis_of(built.final)["text"]
    others = data.frame[~data.frame["customer_id"].isin(examination.rows["customer_id"])]
    again = fit_small_data(short, data, plan, others[asked.columns]).judged
    assert again is not None and again.scores == built.judged.scores  # whoever is held out taught it nothing


READY = FeatureSchema((Feature("past", "profiles", "float64", ""), Feature("plan", "profiles", "string", "")))


def ready(n: int, brought: float, seed: int, settings: Settings) -> Dataset:
    """One row a customer of a table without dates: most bring nothing, a few much."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({"customer_id": [f"c{i}" for i in range(n)], "as_of": pd.Timestamp("2024-06-01", tz="UTC")})
    rows = rows.assign(past=rng.poisson(3, n).astype(float), plan=rng.choice(["a", "b"], n))
    rows = rows.assign(label=np.where(rng.random(n) < brought, rng.lognormal(3, 1.5, n), 0.0))
    return Dataset("clv", in_parts(rows, READY.names, settings), READY, "", "part")


@pytest.mark.slow
@pytest.mark.parametrize("n", [20, 60, 150])
def test_values_of_a_ready_table_are_answered_by_a_regression(n: int) -> None:
    settings = load("telco")
    for seed in range(3):
        data = ready(n, 0.3, seed, settings)
        if data.frame["label"].sum() <= 0:
            continue
        rows = data.frame.drop(columns=["label", "part"])
        models = fit_small_data(settings, data, plan_customers(5), rows)
        final = models.final
        expected = final.predict(final.encode(rows))
        low, high = final.bounds(expected, final.encode(rows))
        assert ((low <= expected) & (expected <= high) & (low >= 0)).all() and np.isfinite(expected).all()
        assert final.basis == "prior" and final.info["form"] == "value_linear" and final.full_season


def test_values_that_leave_nothing_to_judge_by_are_answered_all_the_same() -> None:
    settings = load("telco")
    data = ready(60, 0.0, 0, settings)
    with pytest.raises(NotEnoughDataError, match=r"no customer has brought anything yet.*give realised_value of more"):
        fit_small_data(settings, data, plan_customers(5), data.frame)
    of_one = data.frame["label"].where(data.frame["part"] != 0, 50.0)  # all who gave are held out
    models = fit_small_data(
        settings, dataclasses.replace(data, frame=data.frame.assign(label=of_one)), plan_customers(5), data.frame
    )
    assert models.judged is None and models.plan is None
    assert models.final.predict(models.final.encode(data.frame)).max() > 0


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.1, 0.4])
def test_what_was_paid_back_lowers_the_level_of_a_regression_and_of_what_it_is_compared_with(share: float) -> None:
    settings, rng = load("telco"), np.random.default_rng(1)
    data = ready(300, 0.6, 1, settings)
    label = np.where(rng.random(300) < share, -20.0, data.frame["label"])
    data = dataclasses.replace(data, frame=data.frame.assign(label=label))
    models = fit_small_data(settings, data, plan_customers(5), data.frame)
    expected = models.final.predict(models.final.encode(data.frame))
    assert expected.sum() == pytest.approx(label.sum(), rel=0.01) and (expected >= 0).all()
    low, high = models.final.bounds(expected, models.final.encode(data.frame))
    assert ((low <= expected) & (expected <= high)).all()
    assert models.judged is not None
    held_out, learned = data.at(models.plan.holdout), data.at(models.plan.train_for_holdout)
    mean = len(held_out) * learned["label"].mean()
    rows = examine(models.judged, held_out, learned, settings).rows
    assert 0.4 * mean < rows["forecast"].sum() < 2.5 * mean and 0.4 * mean < rows["baseline"].sum() < 2.5 * mean


def test_where_more_was_paid_back_than_brought_it_is_said_so() -> None:
    settings = load("telco")
    data = ready(60, 0.0, 0, settings)
    frame = data.frame.assign(label=np.where(np.arange(60) < 18, 10.0, -20.0))
    with pytest.raises(NotEnoughDataError, match=r"18 of 60 rows have brought something, and -660\.00 in total"):
        fit_small_data(settings, dataclasses.replace(data, frame=frame), plan_customers(5), frame)


def of_a_long_horizon(settings: Settings) -> Settings:
    churn = settings.churn.model_copy(
        update={"horizon_days": 350, "horizons_days": (30, 90, 500), "activity_days": 120}
    )
    return settings.model_copy(update={"churn": churn})


def shorter_outcomes(share: float, n: int = 200) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of five moments, the outcomes of 30 days known at four of them and of 90 days at two."""
    days = pd.date_range("2024-01-01", periods=5, freq="MS", tz="UTC")
    rows = pd.concat([customers_at(n, i, str(d.date())) for i, d in enumerate(days)], ignore_index=True)
    lot = np.random.default_rng(1).random(len(rows)) < share
    labels = rows[["customer_id", "as_of"]].assign(churned=np.nan)
    for horizon, until in ((30, days[3]), (90, days[1])):
        labels[f"churned_{horizon}"] = np.where(rows["as_of"] <= until, lot.astype(float), np.nan)
    return rows, labels


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_a_horizon_that_nobody_has_seen_the_end_of_takes_the_level_of_the_longest_that_somebody_has(
    share: float, settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    long, (rows, labels) = of_a_long_horizon(settings), shorter_outcomes(share)
    plain = fit_small_data(long, labelled("churn", 0), None, rows).final
    asked = rows[rows["as_of"] == rows["as_of"].max()].reset_index(drop=True)
    learned = with_shorter_level(plain, long, rows, labels, asked)
    assert (learned.info["learned_horizon_days"], learned.info["learned_moments"]) == (90, 2)

    def curve(model: bundles.Bundle) -> dict[int, np.ndarray]:
        matrix = model.encode(asked)
        return model.by_horizon(model.survival(matrix, model.predict(matrix)))

    before, after = curve(plain), curve(learned)
    assert list(after) == [30, 90, 350, 500] and abs(after[90].mean() - share) < abs(before[90].mean() - share)
    assert abs(after[90].mean() - share) < 0.1
    assert all((after[a] >= after[b]).all() for a, b in pairwise(after))  # no order by a later day is less likely
    np.testing.assert_array_equal(after[350], learned.predict(learned.encode(asked)))
    assert learned.percentile(after[350]).max() >= 99 and learned.percentile(after[350]).min() <= 1
    back = bundles.load(learned.save(tmp_path_factory.mktemp("long") / "bundle"))
    np.testing.assert_array_equal(np.column_stack([*curve(back).values()]), np.column_stack([*after.values()]))
    assert "the level is that of 90 days, learned at 2 moments" in basis_of(back)["text"]


def test_where_no_shorter_horizon_has_passed_either_the_prior_stays_as_it_is(settings: Settings) -> None:
    long, (rows, labels) = of_a_long_horizon(settings), shorter_outcomes(0.3, 40)
    plain = fit_small_data(long, labelled("churn", 0), None, rows).final
    unknown = labels.assign(churned_30=np.nan, churned_90=np.nan)
    assert with_shorter_level(plain, long, rows, unknown, rows) is plain
    assert with_shorter_level(plain, long, rows, labels[["customer_id", "as_of"]], rows) is plain


def test_a_training_without_an_outcome_of_its_horizon_takes_the_level_of_a_shorter_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, (rows, labels), place = of_a_long_horizon(settings), shorter_outcomes(0.3, 60), Workspace(tmp_path)
    place.features.mkdir(parents=True)
    rows.to_parquet(place.features / "rows.parquet")
    labels.to_parquet(place.features / "labels.parquet")
    monkeypatch.setattr(recipe, "rows_of_stayers", lambda workspace: rows)
    final = recipe.fit_prior(long, place, labelled("churn", 0), "too little").final
    assert final.info["learned_horizon_days"] == 90 and final.info["why"] == "too little"
    some = parted_by_customer(labelled("churn", 2), long)
    assert "learned_horizon_days" not in recipe.fit_prior(long, place, some, "too little").final.info


def test_a_bundle_without_the_word_direct_reads_as_one_of_steps(
    settings: Settings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = fit_small_data(settings, labelled("churn", 0), None, customers_at(30, 9)).final.save(
        tmp_path_factory.mktemp("older") / "bundle"
    )
    content = json.loads((folder / "bundle.json").read_text("utf-8"))
    older = [{name: value for name, value in step.items() if name != "direct"} for step in content["steps"]]
    assert older and older != content["steps"]
    (folder / "bundle.json").write_text(json.dumps(content | {"steps": older}), "utf-8")
    manifest.seal(folder)
    assert not any(step.direct for step in bundles.load(folder).steps)
