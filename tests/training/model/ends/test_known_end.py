from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from serving.answer.event_time import event_days, with_known_end
from training.model.bundle import Bundle, HorizonModel, Score
from training.model.calibration import Affine
from training.model.ends.known_end import (
    END_COLUMNS,
    NOTICE_COLUMNS,
    PRICE,
    Fees,
    PastEnds,
    known_ends,
    paid_no_more,
)
from training.model.intervals import Interval

MONTH = 30.4375
FEATURES = (*END_COLUMNS, PRICE)
OPEN = [1.0, 0.0, 0.0, np.nan, 0.0, 30.0]


def row(end: float, active: float = 1.0, noticed: float = 1.0, booked: float = 0.0, paused: float = 0.0) -> list[float]:
    return [active, noticed, booked, end, paused, 30.0]


def churn(p: float, beyond: dict[int, float], past: dict[str, int] | None = None) -> Bundle:
    """A model that says the same of everybody: `p` within 31 days, and chances of staying on until later days."""
    steps = {d: Score(f"until_{d}", None, Affine(0.0, float(logit(chance)))) for d, chance in beyond.items()}
    return Bundle(
        "churn", "sigmoid", (Score("churn", None, Affine(0.0, float(logit(p)))),), FEATURES, {}, "", 31,
        "2024-01-01T00:00:00Z", None, (0.0,) * 101, pd.DataFrame(), {"known_ends": past or {}}, "end",
        tuple(HorizonModel(days, score) for days, score in steps.items()),
    )  # fmt: skip


def value(expected: float, rate: float = 0.0) -> Bundle:
    """A model that says the same of everybody, of fees alone over 90 days."""
    interval = Interval(0.9, (), (0.5,), (2.0,), 0.0, 0.0, from_zero=True, quantiles=((0.6,), (1.0,), (1.8,)))
    return Bundle(
        "clv", "exp", (Score("value", None, Affine(0.0, float(np.log(expected)))),), FEATURES, {}, "", 90,
        "2024-01-01T00:00:00Z", interval, (0.0,) * 101, pd.DataFrame(), {"annual_discount_rate": rate}, "end",
        full_price=90 / MONTH,
    )  # fmt: skip


def test_an_end_far_ahead_is_no_leaving_before_it_whatever_was_learned_of_short_notices() -> None:
    model, matrix = churn(0.924, {60: 0.98, 90: 0.99}), np.array([row(214.0), OPEN])
    p = model.predict(matrix)
    assert p == pytest.approx([0.01, 0.924])
    curve = model.survival(matrix, p)
    assert all(of_horizon[0] == pytest.approx(0.01) for of_horizon in model.by_horizon(curve).values())
    told = dict(zip(FEATURES, matrix[0], strict=True))
    left = {days: float(chances[0]) for days, chances in model.by_horizon(curve).items()}
    assert event_days(told, float(model.event_days(curve)[0]), "contract", left) == 214.0
    explained = model.explain(matrix)
    assert explained.base + explained.effects.sum(axis=1) == pytest.approx(p)
    assert explained.effects[0, FEATURES.index("days_to_end")] == pytest.approx(0.01 - 0.924)


def test_a_known_end_within_the_horizon_makes_leaving_near_certain_where_nothing_was_learned_of_it() -> None:
    model = churn(0.1, {60: 0.9, 90: 0.9})
    assert model.predict(np.array([row(20.0), row(20.0, booked=1.0), row(20.0, active=2.0)])) == pytest.approx(
        [0.95, 0.1, 0.1]  # what is booked, and another contract, go on
    )


@given(
    end=st.floats(0, 400),
    p=st.floats(0.001, 0.999),
    near=st.floats(0.001, 0.999),
    far=st.floats(0.001, 0.999),
    counts=st.tuples(*[st.integers(0, 2000)] * 4),
    active=st.integers(1, 3),
    noticed=st.integers(1, 3),
)
def test_chances_rise_with_the_horizon_agree_with_the_day_expected_and_stay_small_before_the_known_end(
    end: float, p: float, near: float, far: float, counts: tuple[int, int, int, int], active: int, noticed: int
) -> None:
    beyond, earlier, within, kept = counts
    past = PastEnds(beyond, min(earlier, beyond), within, min(kept, within))
    model = churn(p, {14: near, 60: near, 90: far}, past.to_dict())
    matrix = np.array([row(end, float(active), float(min(noticed, active)))])
    curve = model.survival(matrix, model.predict(matrix))
    left = {days: float(chances[0]) for days, chances in model.by_horizon(curve).items()}
    assert (np.diff(list(left.values())) >= 0).all()
    assert left[31] == model.predict(matrix)[0]
    assert all(chance <= past.share_earlier + 1e-12 for days, chance in left.items() if days <= end)
    told = dict(zip(FEATURES, matrix[0], strict=True))
    days = event_days(told, float(model.event_days(curve)[0]), "contract", left)
    if past.share_earlier < 0.5:
        later = days if not np.isnan(days) else np.inf
        assert all((chance >= 0.5 - 1e-9) or horizon <= later for horizon, chance in left.items())
        assert all((chance < 0.5 + 1e-9) or horizon >= later - 1e-6 for horizon, chance in left.items())


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_where_many_known_ends_were_learned_from_the_model_counts_and_few_come_to_their_share(share: float) -> None:
    many = PastEnds(within=5000, kept=int(5000 * share)).to_dict()
    assert churn(share, {}, many).predict(np.array([row(20.0)]))[0] == pytest.approx(share, abs=0.001)
    few = PastEnds(within=20, kept=int(20 * share))
    own = (20 * 0.1 + 50 * few.share_kept) / 70
    assert churn(0.1, {}, few.to_dict()).predict(np.array([row(20.0)]))[0] == pytest.approx(own)


def test_past_ends_are_counted_by_customer_before_and_behind_the_horizon() -> None:
    ends = {"a": [10.0, 1], "b": [20.0, 0], "c": [31.0, 0], "d": [90.0, 1], "e": [np.nan, 1], "a2": [5.0, 1]}
    frame = pd.DataFrame([(i[0], 1.0, 1.0, 0.0, *of) for i, of in ends.items()])
    frame.columns = pd.Index(["customer_id", *NOTICE_COLUMNS, "label"])
    others = frame.iloc[[0, 0]].assign(customer_id=["x", "y"], contracts_active=[2.0, 0.0])
    rows = pd.concat([frame, others], ignore_index=True)
    assert PastEnds.of(rows, 31, rows["label"] == 1) == PastEnds(beyond=2, earlier=1, within=2, kept=1)
    assert PastEnds.of(rows[["label"]], 31, rows["label"] == 1) == PastEnds()


def test_fees_that_are_known_to_run_are_not_forecast_away_and_effects_sum_to_the_value() -> None:
    matrix = np.array([row(214.0), row(30.0), row(214.0, 2.0, 2.0), row(214.0, 2.0, 1.0), row(214.0, paused=1.0), OPEN])
    model, full = value(34.0), 30 * 90 / MONTH
    least, rest = 30 * 30 / MONTH, 30 * 60 / MONTH
    found = model.predict(matrix)
    assert found == pytest.approx([full, least + 0.05 * rest, full, 34.0, 34.0, 34.0])
    low, high = model.bounds(found, matrix)
    assert low[[0, 2]] == pytest.approx(full) and high[0] == pytest.approx(full)
    assert (low <= found).all() and (found <= high).all() and low[1] >= least - 1e-9
    at = model.value_quantiles(found, matrix)
    assert at[10][0] == at[90][0] == pytest.approx(full) and at[10][1] == pytest.approx(least)
    explained = model.explain(matrix)
    assert explained.base + explained.effects.sum(axis=1) == pytest.approx(found)


def test_known_fees_are_discounted_as_the_label_is() -> None:
    k, days = np.log(1.1) / 365.25, np.arange(90_000) / 1000
    by_hand = 30 / MONTH * np.exp(-k * days).sum() / 1000
    assert value(34.0, rate=0.1).predict(np.array([row(214.0)]))[0] == pytest.approx(by_hand, rel=1e-4)


def test_whoever_paid_no_more_than_the_fees_until_the_end_left_with_it() -> None:
    rows = pd.DataFrame({"price_now": [MONTH, MONTH], "days_to_end": [20.0, 20.0]})
    assert paid_no_more(rows, pd.Series([20.0, 21.0]), Fees(1 / MONTH)).tolist() == [True, False]


def test_a_model_that_never_kept_how_many_contracts_there_are_takes_none_for_the_only_one() -> None:
    ends = known_ends(np.array([[20.0]]), ("days_to_end",), {})
    assert ends is not None and ends.probability(
        np.array(
            [
                0.3,
            ]
        ),
        31,
    ).tolist() == [0.3]
    assert known_ends(np.array([[np.nan]]), ("days_to_end",), {}) is None
    assert known_ends(np.array([[1.0]]), ("x",), {}) is None


def test_an_answer_says_that_the_end_is_known_and_when() -> None:
    told = dict(zip(FEATURES, row(214.0), strict=True)) | {"as_of": pd.Timestamp("2026-11-28", tz="UTC")}
    basis = with_known_end({"text": "Trees."}, told, churn(0.9, {}))
    assert basis["text"].startswith("Trees. A contract is under notice and ends on 2027-06-30: that is known")
    assert with_known_end({"text": "Trees."}, told, replace(churn(0.9, {}), event="order"))["text"] == "Trees."
    assert "2027-06-30" in with_known_end({"text": ""}, told, value(34.0))["text"]
    assert with_known_end({"text": ""}, told | {"contracts_active": 2.0}, value(34.0))["text"] == ""
