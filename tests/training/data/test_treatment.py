"""Who was contacted teaches what the option says, and no more: on made-up companies whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from scipy.special import expit

from configs.errors import ConfigError, NotEnoughDataError
from configs.settings import Settings, Treatment
from configs.workspace import Workspace
from features.labels.inactivity import CONTACTED
from features.schema import Feature, FeatureSchema
from training import metrics
from training.data import treatment
from training.data.dataset import WEIGHT, Dataset, learn_encoder
from training.judge.examination import examine
from training.judge.rolling_origin import train_on
from training.model import catalog
from training.model.bundle import Bundle
from training.registry import runs

OPTIONS: tuple[Treatment, ...] = ("keep", "drop", "weight")
SCHEMA = FeatureSchema(
    (
        Feature("days_since_last_order", "orders", "float64", ""),
        Feature("spend", "orders", "float64", ""),
        Feature("tenure_days", "orders", "float64", ""),
        Feature("region", "customers", "string", ""),
    )
)
MONTHS = pd.date_range("2024-01-01", periods=6, freq="MS", tz="UTC").astype("datetime64[us, UTC]")
KEPT_BY_A_CONTACT = 0.8


def company(customers: int, seed: int, campaigns: bool = True) -> Dataset:
    """Rows whose risk without a contact is known (``truth``); contacts go to those of low risk, and keep 80 %."""
    rng = np.random.default_rng(seed)
    parts = []
    for as_of in MONTHS:
        gap, spend = rng.gamma(2, 10, customers), rng.lognormal(4, 1, customers)
        region = rng.choice(["north", "south", None], customers)
        truth = expit(gap / 12 - 2.2 + 0.8 * (region == "north"))
        chance = np.clip(expit(1.6 - gap / 8 + 0.5 * (spend > 60)), 0.03, 0.9)
        contacted = (rng.random(customers) < chance) & campaigns
        left = (rng.random(customers) < truth) & ~(contacted & (rng.random(customers) < KEPT_BY_A_CONTACT))
        longer = left & (rng.random(customers) < 0.7)
        again = contacted | ((rng.random(customers) < 0.2) & campaigns)
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": [f"c{i}" for i in range(customers)],
                    "as_of": as_of,
                    "days_since_last_order": gap,
                    "spend": spend,
                    "tenure_days": rng.integers(30, 700, customers).astype(float),
                    "region": region,
                    "label": left.astype(float),
                    "churned_60": longer.astype(float),
                    "churned_90": (longer & (rng.random(customers) < 0.7)).astype(float),
                    "contacted": contacted.astype(float),
                    "contacted_60": again.astype(float),
                    "contacted_90": again.astype(float),
                    "truth": truth,
                }
            )
        )
    return Dataset("churn", pd.concat(parts, ignore_index=True), SCHEMA, "made up")


def under(settings: Settings, option: Treatment, **tuning: int) -> Settings:
    churn = settings.churn.model_copy(update={"treatment": option})
    searched = settings.tuning.model_copy(update={"trials": 2, "timeout_seconds": 600, **tuning})
    return settings.model_copy(update={"churn": churn, "tuning": searched})


@pytest.fixture(scope="module")
def data() -> Dataset:
    return company(1500, 1)


@pytest.fixture(scope="module")
def models(data: Dataset, settings: Settings) -> dict[str, Bundle]:
    return {option: train_on(data, under(settings, option), None)[0] for option in OPTIONS}


@pytest.mark.slow
def test_under_weight_the_risk_without_a_contact_is_calibrated_and_under_keep_it_is_told_too_low(
    models: dict[str, Bundle],
) -> None:
    later = company(3000, 2).frame
    without = (np.random.default_rng(3).random(len(later)) < later["truth"]).astype(float)
    result = {option: bundle.predict(bundle.encode(later)) for option, bundle in models.items()}
    error = {option: metrics.expected_calibration_error(without, p) for option, p in result.items()}
    assert error["weight"] < 0.03 < 0.06 < error["keep"]
    assert result["weight"].mean() == pytest.approx(later["truth"].mean(), abs=0.015)
    assert result["keep"].mean() < later["truth"].mean() - 0.06
    assert np.mean((result["weight"] - later["truth"]) ** 2) < 0.5 * np.mean((result["keep"] - later["truth"]) ** 2)


def test_under_keep_the_risk_is_that_of_customers_as_they_are_treated(models: dict[str, Bundle]) -> None:
    later = company(3000, 2).frame
    error = {
        o: metrics.expected_calibration_error(later["label"], b.predict(b.encode(later))) for o, b in models.items()
    }
    assert error["keep"] < 0.02 < error["weight"]


def test_the_spared_weighted_to_all_tell_what_would_come_of_all_without_a_contact(data: Dataset) -> None:
    rows, contacted = data.frame, data.frame[CONTACTED].to_numpy()
    encoder = learn_encoder(rows, SCHEMA)
    p = treatment.propensity(encoder(rows).x, encoder.category_places, rows, contacted)
    weight = treatment.weights(p, contacted, 0.99)
    y, truth = rows["label"].to_numpy(), rows["truth"].to_numpy()
    result = treatment.weighted_metrics(y, truth, weight)
    assert result["churn_rate"] == pytest.approx(truth.mean(), abs=0.015)
    assert rows.loc[contacted == 0, "label"].mean() > truth.mean() + 0.03
    assert result["expected_calibration_error"] < 0.02
    numbers = rows[["days_since_last_order", "spend"]].to_numpy()
    assert treatment.imbalance(numbers, weight) < 0.1 < treatment.imbalance(numbers, (contacted == 0).astype(float))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_without_any_contact_all_options_give_the_same_model_byte_by_byte(
    seed: int, settings: Settings, tmp_path: Path
) -> None:
    quiet = company(150, seed, campaigns=False)
    result = []
    for option in OPTIONS:
        folder = train_on(quiet, under(settings, option, max_trees=15), None)[0].save(tmp_path / option)
        result.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert result[0] == result[1] == result[2]
    assert "bundle.json" in result[0] and "until_60_days.txt" in result[0]


def test_drop_learns_as_if_the_contacted_were_not_there(settings: Settings) -> None:
    data = company(200, 4)
    data = replace(data, frame=data.frame.drop(columns=["churned_60", "churned_90"]))
    without = replace(data, frame=data.frame[data.frame[CONTACTED] == 0].reset_index(drop=True))
    dropped = train_on(data, under(settings, "drop", max_trees=15), None)[0]
    untouched = train_on(without, under(settings, "keep", max_trees=15), None)[0]
    learned = [
        [(score.booster and score.booster.model_to_string(), score.prior, score.affine) for score in bundle.scores]
        for bundle in (dropped, untouched)
    ]
    assert learned[0] == learned[1]
    assert len(dropped.reference) > len(untouched.reference)


def test_neither_contact_nor_weight_is_a_feature_and_the_facts_are_in_the_model(models: dict[str, Bundle]) -> None:
    for option, bundle in models.items():
        assert set(bundle.features) <= set(SCHEMA.names)
        facts = bundle.info["treatment"]
        assert facts["option"] == option
        assert 0.4 < facts["contacted_share"] < 0.7
    facts = models["weight"].info["treatment"]
    assert 0 < facts["effective_sample_size"] < facts["rows_that_teach"] < facts["rows"]
    assert facts["imbalance_after"] < facts["imbalance_before"]
    assert 0 < facts["never_spared"] < 0.03 * facts["rows"]


def test_the_examination_judges_all_rows_and_the_spared_weighted_to_all(
    models: dict[str, Bundle], data: Dataset, settings: Settings
) -> None:
    held_out = company(1000, 5)
    examination = examine(models["weight"], held_out.frame, data.frame, under(settings, "weight"))
    assert (
        examination.untreated["model"]["expected_calibration_error"] < examination.model["expected_calibration_error"]
    )
    assert examination.untreated["model"]["n"] == (held_out.frame[CONTACTED] == 0).sum()
    assert set(examination.to_dict()["untreated"]) == {"model", "baseline"}
    quiet = company(300, 5, campaigns=False)
    assert examine(models["keep"], quiet.frame, data.frame, settings).untreated == {}


def test_nobodys_own_contact_fits_the_own_probability(data: Dataset) -> None:
    rows, contacted = data.at(MONTHS[:2]), data.at(MONTHS[:2])[CONTACTED].to_numpy()
    encoder = learn_encoder(rows, SCHEMA)
    x, own = encoder(rows).x, (rows["customer_id"] == "c7").to_numpy()
    flipped = np.where(own, 1 - contacted, contacted)
    before, after = (treatment.propensity(x, encoder.category_places, rows, c) for c in (contacted, flipped))
    assert np.array_equal(before[own], after[own])
    assert not np.array_equal(before, after)


def test_contacts_past_the_moment_of_knowledge_change_no_weight(data: Dataset, settings: Settings) -> None:
    until = MONTHS[4]
    later = data.frame["as_of"] + pd.Timedelta(days=60) > until
    changed = data.frame.assign(
        contacted_60=np.where(later, 1 - data.frame["contacted_60"], data.frame["contacted_60"])
    )
    names = [WEIGHT, f"{WEIGHT}_60"]
    weighted = [
        treatment.with_treatment_weights(d, tuple(MONTHS[:4]), under(settings, "weight"), until).frame[names]
        for d in (data, replace(data, frame=changed))
    ]
    pd.testing.assert_frame_equal(*weighted, check_exact=True)
    assert (weighted[0].loc[later, f"{WEIGHT}_60"] == 0).all()
    assert (weighted[0].loc[data.frame["as_of"] >= MONTHS[4], WEIGHT] == 0).all()


def test_a_longer_step_teaches_only_who_was_not_contacted_until_its_end(data: Dataset, settings: Settings) -> None:
    frame = treatment.with_treatment_weights(data, tuple(MONTHS), under(settings, "drop"), None).frame
    for days in ("", "_60", "_90"):
        assert ((frame[f"{WEIGHT}{days}"] > 0) == (frame[f"contacted{days}"] == 0)).all()


def test_a_value_model_and_the_data_itself_stay_as_they_are(data: Dataset, settings: Settings) -> None:
    before = data.frame.copy()
    value = replace(data, task="clv")
    assert treatment.with_treatment_weights(value, tuple(MONTHS), under(settings, "drop")) is value
    untouched = treatment.with_treatment_weights(data, tuple(MONTHS), under(settings, "keep"))
    assert untouched.frame is data.frame
    treatment.with_treatment_weights(data, tuple(MONTHS), under(settings, "weight"))
    pd.testing.assert_frame_equal(data.frame, before)


@pytest.mark.parametrize("option", ["drop", "weight"])
def test_contacts_that_nobody_knows_of_cannot_be_left_out(option: Treatment, data: Dataset, settings: Settings) -> None:
    unknown = replace(data, frame=data.frame.assign(contacted=np.nan))
    assert treatment.with_treatment_weights(unknown, tuple(MONTHS), under(settings, "keep")) is unknown
    with pytest.raises(ConfigError, match=rf"churn\.treatment is '{option}'.*needs the table contacts"):
        treatment.with_treatment_weights(unknown, tuple(MONTHS), under(settings, option))


@pytest.mark.parametrize("option", ["drop", "weight"])
def test_if_too_few_were_spared_it_says_so(option: Treatment, data: Dataset, settings: Settings) -> None:
    spared = data.frame.index % 200 == 0
    few = replace(data, frame=data.frame.assign(contacted=np.where(spared, 0.0, 1.0)))
    with pytest.raises(NotEnoughDataError, match=r"at least 50 of each .* set churn.treatment to keep"):
        treatment.with_treatment_weights(few, tuple(MONTHS), under(settings, option))


def test_who_is_never_spared_is_counted() -> None:
    p = np.array([0.99, 0.96, 0.5, 0.1])
    contacted = np.array([1.0, 1, 0, 0])
    weight = treatment.weights(p, contacted, 1.0)
    assert treatment.overlap(p, contacted, weight, np.empty((4, 0)))["never_spared"] == 2


def test_few_contacts_are_no_basis_for_a_model_of_them() -> None:
    rows = pd.DataFrame({"customer_id": [f"c{i}" for i in range(100)], "as_of": MONTHS[0]})
    contacted = (np.arange(100) < 10).astype(float)
    assert (treatment.propensity(np.arange(100.0)[:, None], [], rows, contacted) == 0.1).all()


counts = st.lists(st.tuples(st.integers(0, 1), st.floats(0.01, 0.99), st.integers(0, 3)), min_size=4, max_size=30)


@examples(max_examples=40)
@given(counts)
def test_a_weight_of_three_counts_like_three_rows(rows: list[tuple[int, float, int]]) -> None:
    y, p, w = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    again = np.repeat(np.arange(len(y)), w.astype(int))
    assert treatment.weighted_auc(y, p, w) == pytest.approx(metrics.auc(y[again], p[again]), nan_ok=True)
    assert treatment.weighted_log_loss(y, p, w) == pytest.approx(metrics.log_loss(y[again], p[again]), nan_ok=True)
    ones = np.ones(len(y))
    unweighted = metrics.expected_calibration_error(y, p)
    assert treatment.weighted_calibration_error(y, p, ones) == pytest.approx(unweighted)


@given(st.lists(st.floats(0.0, 0.999), min_size=1, max_size=50), st.floats(0.51, 1.0))
def test_weights_are_of_mean_one_over_the_spared_and_rise_with_the_chance_of_a_contact(
    chances: list[float], quantile: float
) -> None:
    p = np.sort(np.array(chances))
    weight = treatment.weights(p, np.zeros(len(p)), quantile)
    assert weight.mean() == pytest.approx(1)
    assert (np.diff(weight) >= -1e-12).all()
    assert 1 - 1e-9 <= treatment.effective_sample_size(weight) <= len(p) + 1e-9
    assert (treatment.weights(p, np.ones(len(p)), quantile) == 0).all()


@pytest.mark.filterwarnings("ignore::UserWarning:mlflow", "ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_run_keeps_option_share_and_facts_of_both_models(lived: Workspace) -> None:
    version = catalog.champion(lived, "churn") or catalog.versions(lived, "churn")[0]
    documents = runs.documents(lived, version.run_id)
    result = documents["treatment"]
    assert result["option"] == "keep"
    assert 0.1 < result["final"]["contacted_share"] < 0.6
    assert documents["evaluation"]["untreated"]["model"]["n"] > 0
