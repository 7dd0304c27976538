"""The model of orders as a function of four columns: it says what the model says, and splits it fairly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from configs.settings import Settings
from features.schema import Feature, FeatureSchema
from training.data.dataset import Dataset
from training.data.split import Fold
from training.fit.assembly import fold_data
from training.priors.expectation import COLUMNS, Expectation, fit_expectation, summary_of

PLACES = (0, 1, 2, 3)


def customers(n: int = 200, seed: int = 0) -> np.ndarray:
    """Orders, days since the last, days known, and what was spent."""
    rng = np.random.default_rng(seed)
    known = rng.uniform(20, 400, n)
    orders = 1 + rng.poisson(known * rng.gamma(2, 0.01, n))
    since = np.where(orders == 1, known, rng.uniform(0, 1, n) * known / 2)
    return np.column_stack([orders, since, known, orders * rng.gamma(4, 10, n)])


def fitted(task: str, x: np.ndarray) -> Expectation:
    result = fit_expectation(x, PLACES, task, 90)
    assert result is not None
    return result


def test_it_says_what_the_model_of_orders_says() -> None:
    x = customers()
    value, leaves = fitted("clv", x), fitted("churn", x)
    assert np.exp(value(x)) == pytest.approx(value.model.value(summary_of(x), 90))
    assert expit(leaves(x)) == pytest.approx(leaves.model.p_none(summary_of(x), [90])[:, 0])


def test_one_order_is_no_certainty_of_life() -> None:
    x = customers()
    alive = fitted("churn", x).model.p_alive(summary_of(np.array([[1.0, 300.0, 300.0, 20.0]])))
    assert 0 < alive[0] < 0.99


def test_columns_that_tell_the_same_of_two_customers_have_the_same_effects() -> None:
    x = customers()
    _, effects = fitted("clv", x).split(np.vstack([x[3], x[3]]))
    assert np.array_equal(effects[0], effects[1])


@pytest.mark.parametrize("task", ["clv", "churn"])
def test_a_customer_alone_is_explained_as_among_others_bit_for_bit(task: str) -> None:
    x = customers()
    prior = fitted(task, x)
    _, together = prior.split(x)
    assert all(np.array_equal(prior.split(x[i : i + 1])[1][0], together[i]) for i in range(0, len(x), 20))


def test_a_column_at_the_middle_customer_has_no_effect() -> None:
    x = customers()
    prior = fitted("clv", x)
    asked = np.array([prior.reference])
    base, effects = prior.split(asked)
    assert effects == pytest.approx(np.zeros((1, 4)))
    assert base == pytest.approx(prior(asked)[0])


def test_more_spent_in_the_same_orders_is_worth_more_and_a_longer_silence_less() -> None:
    x = customers()
    value = fitted("clv", x)
    asked = np.array([[5, 20, 300, 100.0], [5, 20, 300, 500.0], [5, 250, 300, 100.0]])
    usual, rich, silent = value(asked)
    assert rich > usual > silent


def test_who_never_ordered_is_worth_no_more_than_the_least() -> None:
    x = customers()
    value = fitted("clv", x)
    never = value(np.array([[0.0, np.nan, 100.0, 0.0], [np.nan, np.nan, np.nan, np.nan]]))
    assert (never == value(x).min()).all()


def test_nobody_with_an_order_makes_no_model() -> None:
    assert fit_expectation(np.zeros((30, 4)), PLACES, "clv", 90) is None


def test_steps_lead_from_one_horizon_to_the_next() -> None:
    x = customers()
    main = fitted("churn", x)
    none = main.model.p_none(summary_of(x), [30, 90, 180])
    longer, shorter = expit(main.conditional_on(180, 90)(x)), expit(main.conditional_on(30, 90)(x))
    assert none[:, 1] * longer == pytest.approx(none[:, 2], rel=1e-4)
    assert none[:, 1] + (1 - none[:, 1]) * shorter == pytest.approx(none[:, 0], rel=1e-4)


def test_a_search_by_groups_of_customers_knows_the_model_of_orders(settings: Settings) -> None:
    date = pd.Timestamp("2024-06-01", tz="UTC")
    frame = pd.DataFrame(customers(), columns=COLUMNS).assign(
        customer_id=[f"c{i}" for i in range(200)], as_of=date, label=1.0, part=np.arange(200) % 2
    )
    schema = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in COLUMNS))
    by_part = Dataset("clv", frame, schema, "made up", by="part")
    (fold,) = fold_data(by_part, [Fold((0,), 1)], settings)
    assert fold.expectation is not None
    assert (fold.expectation(fold.valid.x) > 0).all()
