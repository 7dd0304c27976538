"""Both arms side by side, on answers whose truth is known."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from serving.release.comparison import compare, psi, psi_by_chance
from serving.release.observations import bucket
from training.model.proof.releases import Release

NOON = datetime.fromisoformat("2024-03-01T12:00:00+00:00")
NONE = pd.DataFrame({"customer_id": [], "outcome": [], "happened_at": pd.to_datetime([], utc=True)})
NO_SHADOW = pd.DataFrame({"prediction_id": pd.Series(dtype=object), "champion": [], "shadow": []})


def release(kind: str = "canary", model: str = "churn") -> Release:
    share = 50.0 if kind == "canary" else 0.0
    return Release("0123456789abcdef", model, "4", kind, share, "3", "", NOON, NOON, NOON, "ada", "r")  # type: ignore[arg-type]


def answers(champion: Any, canary: Any = ()) -> pd.DataFrame:
    """One answer of each customer, those of the champion first."""
    scores = [*champion, *canary]
    at = [pd.Timestamp(NOON) + timedelta(seconds=n) for n in range(len(scores))]
    return pd.DataFrame(
        {
            "prediction_id": [f"p{n}" for n in range(len(scores))],
            "customer_id": [f"c{n}" for n in range(len(scores))],
            "scored_at": pd.to_datetime(pd.Series(at), utc=True),
            "probability": scores,
            "expected": np.nan,
            "churn_model": ["churn/3"] * len(champion) + ["churn/4"] * len(canary),
            "clv_model": None,
        }
    )


def test_the_index_is_the_sum_by_hand() -> None:
    one, other = np.array([0.1] * 3 + [0.9]), np.array([0.1] + [0.9] * 3)
    p, q = np.array([3.5, 1.5]) / 5, np.array([1.5, 3.5]) / 5
    by_hand = sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert psi(one, other, np.array([0.5])) == pytest.approx(by_hand)
    assert psi(one, one, np.array([0.5])) == 0


def test_chance_alone_exceeds_its_bound_about_one_time_in_twenty() -> None:
    rng = np.random.default_rng(1)
    n, m, exceeded = 400, 150, 0
    edges = np.arange(1, 10) / 10
    for _ in range(2000):
        exceeded += psi(rng.random(n), rng.random(m), edges) > psi_by_chance(n, m, 10)
    assert 0.03 < exceeded / 2000 < 0.07


def test_arms_that_differ_are_told_apart_and_those_of_one_model_are_not() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.beta(2, 5, 500), rng.beta(4, 5, 400)
    found = compare(release(), answers(one, other), {}, NO_SHADOW, NONE)
    assert found["verdict"].startswith("the scores differ") and found["psi"] > found["psi_by_chance"]
    test = stats.ttest_ind(other, one, equal_var=False)
    low, high = test.confidence_interval()
    assert found["difference"]["mean"] == pytest.approx(other.mean() - one.mean())
    assert (found["difference"]["low"], found["difference"]["high"]) == pytest.approx((low, high), rel=0.02)
    same = compare(release(), answers(one, rng.beta(2, 5, 400)), {}, NO_SHADOW, NONE)
    assert same["verdict"].startswith("no difference shown")


def test_with_too_few_customers_it_is_said_and_nothing_is_told() -> None:
    rng = np.random.default_rng(3)
    found = compare(release(), answers(rng.random(500), rng.random(99)), {}, NO_SHADOW, NONE)
    assert found["verdict"] == "too few answers to tell: 99 of 100 customers in the arm with fewer"
    assert (found["psi"], found["psi_by_chance"], found["difference"]) == (None, None, None)
    assert found["arms"]["canary"]["customers"] == 99 and found["arms"]["canary"]["scores"]["mean"] > 0
    nobody = compare(release(), answers([], []), {}, NO_SHADOW, NONE)
    assert nobody["arms"]["champion"] == {
        "model": "churn/3",
        "answers": 0,
        "customers": 0,
        "errors": 0,
        "dropped": 0,
        "latency_ms": None,
        "scores": None,
        "outcomes": {"known": 0, "left": 0, "expected": None, "text": "not known yet"},
    }


def test_a_customer_who_is_asked_for_often_counts_once_with_the_newest_score() -> None:
    rng = np.random.default_rng(4)
    frame = answers(rng.random(150), rng.random(150))
    again = frame[frame["churn_model"] == "churn/4"].iloc[[0] * 5000].assign(probability=0.999)
    found = compare(release(), pd.concat([frame, again]), {}, NO_SHADOW, NONE)
    assert (found["arms"]["canary"]["answers"], found["arms"]["canary"]["customers"]) == (5150, 150)
    newest = np.array([0.999, *frame["probability"].iloc[151:]])
    assert found["arms"]["canary"]["scores"]["mean"] == pytest.approx(newest.mean())
    assert sum(found["arms"]["canary"]["scores"]["shares"]) == pytest.approx(1)


def test_a_shadow_is_compared_with_the_answers_to_the_same_customers() -> None:
    rng = np.random.default_rng(5)
    given = answers(rng.beta(2, 5, 300))
    said = (given["probability"] + 0.01 + rng.normal(0, 0.001, 300)).clip(0, 1)
    shadow = pd.DataFrame({"prediction_id": given["prediction_id"], "champion": given["probability"], "shadow": said})
    found = compare(release("shadow"), given, {}, shadow, NONE)
    assert found["difference"]["mean"] == pytest.approx((said - given["probability"]).mean())
    assert 0.0095 < found["difference"]["low"] < 0.01 < found["difference"]["high"] < 0.0105
    assert found["psi_by_chance"] is None and "of the same customers the shadow says +0.0" in found["verdict"]
    newer = given.assign(prediction_id=[f"q{n}" for n in range(300)], probability=0.5)
    dropped = compare(release("shadow"), pd.concat([given, newer]), {}, shadow, NONE)
    assert dropped["difference"] == found["difference"] and dropped["arms"]["champion"]["answers"] == 600
    assert found["arms"]["shadow"]["answers"] == 300 and set(found["arms"]) == {"champion", "shadow"}


def test_times_errors_and_what_was_dropped_are_those_that_were_counted() -> None:
    counts = {"canary": {bucket(0.004): 98, bucket(0.1): 2, "calls": 100, "customers": 250, "errors": 3}}
    arm = compare(release(), answers([0.1], [0.2]), counts, NO_SHADOW, NONE)["arms"]["canary"]
    assert arm["errors"] == 3 and arm["latency_ms"]["customers_per_call"] == 2.5 and arm["latency_ms"]["calls"] == 100
    assert arm["latency_ms"]["p50"] == pytest.approx(4, rel=0.1) and arm["latency_ms"]["p99"] == pytest.approx(
        100, rel=0.1
    )


def test_outcomes_count_of_customers_after_their_first_answer_in_the_arm() -> None:
    frame = answers([0.2] * 4, [0.6] * 4)
    later, before = pd.Timestamp(NOON) + timedelta(days=9), pd.Timestamp(NOON) - timedelta(days=1)
    told = [
        ("c0", "left", before),
        ("c1", "kept", later),
        ("c4", "kept", later),
        ("c4", "left", later),
        ("c5", "left", later),
        ("x", "left", later),
    ]
    outcomes = pd.DataFrame(told, columns=["customer_id", "outcome", "happened_at"])
    arms = compare(release(), frame, {}, NO_SHADOW, outcomes)["arms"]
    champion, canary = arms["champion"]["outcomes"], arms["canary"]["outcomes"]
    assert (champion["known"], champion["left"]) == (1, 0)
    assert (canary["known"], canary["left"], canary["expected"]) == (2, 2, pytest.approx(0.6))
    assert canary["text"] == "of 2 customers it is known: 2 left (100.0%), 60.0% were expected to"
