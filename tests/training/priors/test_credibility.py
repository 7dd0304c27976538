from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from features.schema import Feature, FeatureSchema
from training.data.dataset import learn_encoder
from training.fit.boosters import HYBRID, TWEEDIE, ScoredRows, calibrate, fit, forms, predict
from training.fit.search import FIRST_TRIAL
from training.metrics import mae
from training.model.bundle import Score
from training.model.calibration import Affine
from training.priors.credibility import fit_credibility

SCHEMA = FeatureSchema(tuple(Feature(n, "orders", "float64", "") for n in ("spend_total", "tenure_days", "noise")))
PARAMS = FIRST_TRIAL | {"prior_days": 30.0, "tweedie_variance_power": 1.5}


def customers(n: int, seed: int) -> pd.DataFrame:
    """Who spends at a rate of their own that differs a hundredfold, seen for some days, for 90 days more."""
    rng = np.random.default_rng(seed)
    rate, days = rng.lognormal(0, 1.5, n), rng.uniform(10, 400, n)
    seen = rng.poisson(rate * days / 5) * 5.0
    coming = rng.poisson(rate * 90 / 5) * 5.0
    noise = rng.normal(size=n)
    return pd.DataFrame({"spend_total": seen, "tenure_days": days, "noise": noise, "label": coming})


def test_the_longer_a_customer_is_known_the_more_the_own_past_counts() -> None:
    x = np.array([[100.0, 100.0], [1000.0, 1000.0], [10.0, 10.0], [np.nan, np.nan]])
    prior = fit_credibility(x, np.full(4, 90.0), (0, 1), 100.0)
    own = np.array([[0.0, 0.0], [0.0, 100.0], [0.0, 10_000.0]])
    rates = np.exp(prior(own)) / np.exp(prior.log_scale)
    assert rates == pytest.approx([prior.rate, prior.rate / 2, prior.rate / 101], rel=1e-6)
    assert np.exp(prior(x)).sum() == pytest.approx(360)


def test_its_two_terms_are_the_whole_of_it() -> None:
    rows = customers(200, 0)[["spend_total", "tenure_days"]].to_numpy()
    prior = fit_credibility(rows, np.ones(200), (0, 1), 60.0)
    base, effects = prior.split(rows)
    assert base + effects.sum(axis=1) == pytest.approx(prior(rows))
    assert effects.mean(axis=0) == pytest.approx(0, abs=1e-9)


def test_trees_that_correct_the_prior_beat_trees_alone_on_heavy_tailed_customers() -> None:
    train, later = customers(2000, 1), customers(2000, 2)
    encoder = learn_encoder(train, SCHEMA)
    errors = {}
    for form in (TWEEDIE, HYBRID):
        fitted = fit(form, encoder(train), encoder, PARAMS, seed=0, trees={"value": 60})
        own = ScoredRows(fitted.raw(encoder(train).x), encoder(train).y, np.zeros(len(train), dtype=int))
        raw = fitted.raw(encoder(later).x)
        errors[form.name] = mae(later["label"], predict(form, raw, calibrate(form, own, own)))
    assert errors["hybrid"] < errors["tweedie"]


def test_a_score_with_a_prior_is_split_into_features_exactly() -> None:
    train = customers(500, 1)
    encoder = learn_encoder(train, SCHEMA)
    fitted = fit(HYBRID, encoder(train), encoder, PARAMS, seed=0, trees={"value": 20})
    score = Score("value", fitted.boosters[0], Affine(1.0, 0.3), fitted.priors[0])
    base, phi = score.split(encoder(train).x)
    assert base + phi.sum(axis=1) == pytest.approx(score(encoder(train).x), rel=1e-9)
    assert score(encoder(train).x) == pytest.approx(fitted.raw(encoder(train).x)[:, 0] + 0.3)


def test_a_prior_is_tried_only_where_spend_and_time_are_known() -> None:
    train = customers(100, 0)
    with_both = learn_encoder(train, SCHEMA)
    without = learn_encoder(train.assign(tenure_days=1.0), SCHEMA)
    assert HYBRID in forms("clv", [with_both]) and HYBRID not in forms("clv", [with_both, without])
