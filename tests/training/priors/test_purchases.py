"""When customers order: published results, known truth, tiny and odd data, and what must hold for every history."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configs.errors import NotEnoughDataError
from tests.data import DATA
from training.priors.order_model import summarise
from training.priors.purchases import PurchaseModel, PurchasePrior, fit_purchases

TRUE = {"r": 0.7, "alpha": 40.0, "s": 0.8, "beta": 60.0}
HORIZONS = [1, 30, 60, 90, 365]


def simulate(n, seed, watched=365, ahead=90, r=0.7, alpha=40.0, s=0.8, beta=60.0):
    """Histories of customers who begin evenly over the first 100 days, and their orders in the days ahead."""
    rng = np.random.default_rng(seed)
    age = watched - rng.integers(0, 100, n).astype(float)
    rate, life = rng.gamma(r, 1 / alpha, n), rng.exponential(1 / rng.gamma(s, 1 / beta, n))
    x, t_x, coming = np.zeros(n), np.zeros(n), np.zeros(n)
    for i in range(n):
        end = min(life[i], age[i] + ahead)
        times = np.sort(rng.uniform(0, end, rng.poisson(rate[i] * end)))
        past = times[times < age[i]]
        x[i], t_x[i], coming[i] = len(past), past[-1] if len(past) else 0.0, len(times) - len(past)
    return (x, t_x, age), coming


@pytest.fixture(scope="module")
def fitted():
    history, coming = simulate(4000, 1)
    return fit_purchases(*history), history, coming


def test_the_published_cdnow_fit_is_reproduced_without_a_prior():
    if not (DATA / "CDNOW_sample.txt").is_file():
        pytest.skip(f"CDNOW_sample.txt is not in {DATA}")
    names = ["customer_id", "sample_id", "ordered_at", "quantity", "amount"]
    orders = pd.read_csv(DATA / "CDNOW_sample.txt", sep=r"\s+", names=names, parse_dates=["ordered_at"])
    rows = summarise(orders, pd.Timestamp("1997-10-01"))
    x, age = rows["repeats"], np.floor(rows["age_days"])
    m = fit_purchases(x, rows["recency_days"], age, prior=PurchasePrior.flat())
    assert m.log_likelihood + x.sum() * np.log(7) == pytest.approx(-9594.98, abs=0.01)
    assert (m.r, m.alpha / 7, m.s, m.beta / 7) == pytest.approx((0.553, 10.58, 0.606, 11.67), rel=0.002)
    assert m.expected_orders(x, rows["recency_days"], age, 273).sum() / 1882 - 1 == pytest.approx(-0.115, abs=0.001)
    assert m.dropout_identifiable and m.agreeing_starts == 3


def test_the_true_parameters_lie_within_three_posterior_deviations(fitted):
    m, _, _ = fitted
    true = np.log([TRUE["r"], TRUE["r"] / TRUE["alpha"], TRUE["s"], TRUE["s"] / TRUE["beta"]])
    assert (np.abs(m.logs - true) < 3 * np.sqrt(np.diag(m.covariance))).all()
    assert m.dropout_identifiable


def test_no_order_comes_as_often_as_it_is_told_in_every_fifth(fitted):
    m, history, coming = fitted
    result = m.p_none(*history, [90])[:, 0]
    for part in np.array_split(np.argsort(result), 5):
        assert np.mean(coming[part] == 0) == pytest.approx(result[part].mean(), abs=0.05)


def test_the_total_is_met_and_draws_have_the_expected_mean(fitted):
    m, history, coming = fitted
    expected = m.expected_orders(*history, 90)
    assert expected.sum() == pytest.approx(coming.sum(), rel=0.06)
    drawn = m.sample(*history, 90, np.random.default_rng(0), 50)
    assert drawn.mean() == pytest.approx(expected.mean(), rel=0.02)
    assert np.mean(drawn == 0) == pytest.approx(m.p_none(*history, [90]).mean(), abs=0.01)


def test_weights_and_repeated_rows_are_the_same():
    x, t_x, age = np.array([0, 1, 3]), np.array([0, 50, 80]), np.array([100, 120, 90])
    n = np.array([20, 7, 4])
    once, often = fit_purchases(x, t_x, age, n), fit_purchases(*(np.repeat(v, n) for v in (x, t_x, age)))
    assert once == often


ODD = {
    "one customer": ([0], [0], [100]),
    "one customer of today": ([0], [0], [0]),
    "five": ([0, 0, 1, 2, 5], [0, 0, 10, 30, 100], [20, 50, 30, 100, 120]),
    "thirty": tuple(v[:30] for v in simulate(30, 2)[0]),
    "all ordered once": (np.zeros(500), np.zeros(500), np.arange(500)),
    "all still order": (np.full(200, 10), np.full(200, 300), np.full(200, 301)),
    "all gone": (np.full(50, 20), np.full(50, 30), np.full(50, 3000)),
    "thousands of orders": ([5000, 1], [300, 3], [4000, 4]),
    "one order in ten years": ([1], [3650], [3651]),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_and_tiny_data_give_a_finite_model(name):
    m = fit_purchases(*ODD[name])
    assert np.isfinite([m.r, m.alpha, m.s, m.beta, m.log_likelihood, *np.ravel(m.covariance)]).all()
    assert min(m.r, m.alpha, m.s, m.beta) > 0
    assert m.agreeing_starts >= 2
    for result in (m.p_alive(*ODD[name]), m.expected_orders(*ODD[name], 90), m.p_none(*ODD[name], HORIZONS)):
        assert np.isfinite(result).all() and (result >= 0).all()


@pytest.mark.parametrize("name", ["one customer", "five", "all ordered once", "all still order"])
def test_the_model_says_that_leaving_cannot_be_told_and_is_never_sure_of_those_who_stay(name):
    m = fit_purchases(*ODD[name])
    assert not m.dropout_identifiable
    assert "rests on the prior" in m.reason
    assert (m.p_alive(*ODD[name])[np.asarray(ODD[name][2]) > 0] < 1).all()


def test_no_customer_is_refused():
    with pytest.raises(NotEnoughDataError, match="at least one customer"):
        fit_purchases([], [], [])


def test_fewer_customers_leave_the_parameters_more_open():
    small, large = (fit_purchases(*simulate(n, 3)[0]) for n in (30, 1000))
    assert np.trace(small.covariance) > 3 * np.trace(large.covariance)


def test_a_believed_life_changes_what_the_data_cannot_tell():
    short, long = (fit_purchases([0], [0], [100], prior=PurchasePrior(life_days=d)) for d in (30, 3000))
    assert short.p_alive(0, 0, 100)[0] < 0.5 < long.p_alive(0, 0, 100)[0]


def test_json_holds_the_model(fitted):
    assert PurchaseModel.from_dict(json.loads(json.dumps(fitted[0].to_dict()))) == fitted[0]


REST = (True, "", ((0.0,) * 4,) * 4, 0.0, 0.0, 1.0, 3)
models = st.builds(
    lambda *v: PurchaseModel(*np.exp([v[0], v[0] - v[1], v[2], v[2] - v[3]]).tolist(), *REST),
    st.floats(-3, 3), st.floats(-8, 0), st.floats(-3, 3), st.floats(-9, -1),
)  # fmt: skip
histories = st.tuples(st.integers(0, 400), st.integers(0, 1500), st.floats(0.5, 2000)).map(
    lambda v: (v[0], v[1] if v[0] else 0, (v[1] if v[0] else 0) + v[2])
)


@settings(max_examples=80)
@given(models, histories, st.lists(st.floats(0.5, 3650), min_size=2, max_size=6))
def test_for_any_model_and_history_everything_is_finite_and_never_turns_back_with_time(m, history, horizons):
    rising = sorted(horizons)
    alive, none, orders = m.p_alive(*history), m.p_none(*history, rising)[0], m.expected_orders(*history, rising)[0]
    assert 0 <= alive[0] <= 1
    assert np.isfinite([*none, *orders]).all()
    assert (np.diff(none) <= 0).all() and none[0] <= 1 and none[-1] >= 1 - alive[0] - 1e-9
    assert (np.diff(orders) >= -1e-12 * orders[-1]).all() and orders[0] >= 0
    assert (1 - none <= orders + 1e-9).all()


@settings(max_examples=100)
@given(models, st.integers(0, 60), st.integers(0, 500), st.floats(1, 500), st.floats(1, 500))
def test_longer_silence_never_raises_p_alive_and_one_order_is_never_sure(m, x, recency, silence, more):
    last = recency if x else 0
    first, later = m.p_alive(x, last, last + silence)[0], m.p_alive(x, last, last + silence + more)[0]
    assert later <= first + 1e-12
    if x == 0 and m.s / (m.beta + silence) > 1e-9:
        assert first < 1


@settings(max_examples=50)
@given(st.permutations(HORIZONS))
def test_the_order_of_the_horizons_changes_nothing(horizons):
    m = PurchaseModel(0.6, 74.0, 0.7, 80.0, *REST)
    result = dict(zip(horizons, m.p_none(2, 50, 100, horizons)[0], strict=True))
    assert [result[h] for h in HORIZONS] == m.p_none(2, 50, 100, HORIZONS)[0].tolist()
