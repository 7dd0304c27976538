"""Reasons: what is listed for a risk raises it, one fact is one reason, and together they sum to the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from features.columns.topics import TEXTS, TOPICS, told_by, topic_of
from serving.answer.champion import Champions
from serving.answer.reasons import reasons
from serving.answer.score import score
from training.model.bundle import Bundle


@pytest.fixture
def told(champions: Champions, customers: pd.DataFrame) -> Any:
    bundle, some = champions.churn.bundle, customers.head(60)
    matrix, rows = bundle.encode(some), some.to_dict("records")

    def tell(top: int, only_raising: bool = False, currency: str = "EUR") -> list[list[dict[str, Any]]]:
        return reasons(bundle, matrix, rows, [top] * 60, currency, [only_raising] * 60)

    return tell


def test_the_reasons_of_all_topics_sum_to_what_all_columns_sum_to(told: Any) -> None:
    for by_topic, by_column in zip(told(100), told(0), strict=True):
        total = sum(reason["effect"] for reason in by_column)
        sizes = sum(abs(reason["effect"]) for reason in by_column)
        assert sum(reason["effect"] for reason in by_topic) == pytest.approx(total, abs=1e-3 * sizes)


def test_columns_of_one_topic_are_one_reason_whose_effect_is_the_sum_of_theirs(told: Any) -> None:
    for by_topic, by_column in zip(told(100), told(0), strict=True):
        effects = {reason["feature"]: reason["effect"] for reason in by_column}
        topics = [topic_of(reason["feature"]) for reason in by_topic]
        assert len(topics) == len(set(topics))
        for reason in by_topic:
            assert {topic_of(name) for name in reason["features"]} == {topic_of(reason["feature"])}
            assert reason["effect"] == pytest.approx(sum(effects[name] for name in reason["features"]))
            most = max(reason["features"], key=lambda name: effects[name] * np.sign(reason["effect"]))
            lead = told_by(topic_of(most))
            assert reason["feature"] == (lead if lead in reason["features"] else most) == reason["features"][0]


def test_the_value_of_a_reason_is_of_the_column_that_its_text_tells(told: Any, customers: pd.DataFrame) -> None:
    rhythms = 0
    for of_customer, row in zip(told(100), customers.head(60).to_dict("records"), strict=True):
        for reason in of_customer:
            if topic_of(reason["feature"]) == "rhythm":
                rhythms += 1
                assert reason["feature"] == "days_since_last_order"
                assert reason["value"] == pytest.approx(row["days_since_last_order"])
    assert rhythms > 30


def test_who_ordered_and_spent_nothing_lately_is_told_once() -> None:
    assert topic_of("orders_30d") == topic_of("spend_90d") == topic_of("mean_order_recent_90d") == topic_of("units_30d")


def test_the_direction_is_the_sign_of_the_effect_in_a_word(told: Any) -> None:
    found = [reason for of_customer in told(0) for reason in of_customer]
    assert {(np.sign(reason["effect"]), reason["direction"]) for reason in found} <= {
        (1.0, "raises"),
        (-1.0, "lowers"),
        (0.0, "neither"),
    }
    assert {reason["direction"] for reason in found} >= {"raises", "lowers"}


def test_where_only_what_raises_is_asked_the_largest_of_that_are_told(told: Any) -> None:
    for raising, all_topics in zip(told(2, only_raising=True), told(100), strict=True):
        assert raising == [reason for reason in all_topics if reason["direction"] == "raises"][:2]


def test_what_does_next_to_nothing_is_no_reason_but_stands_among_all_columns(told: Any) -> None:
    for by_topic, by_column in zip(told(100), told(0), strict=True):
        sizes = sum(abs(reason["effect"]) for reason in by_column)
        assert all(abs(reason["effect"]) > 1e-4 * sizes for reason in by_topic)
        assert len(by_column) == 6


def test_who_is_at_high_risk_is_given_no_reason_against_leaving(
    champions: Champions, settings: Settings, now: Any, customers: pd.DataFrame
) -> None:
    answers = [a for a in score(customers, champions, settings, now, 5) if a["churn"]]
    risky = [a for a in answers if a["churn"]["band"] in ("high", "critical")]
    others = [a for a in answers if a["churn"]["band"] in ("low", "watch")]
    assert {reason["direction"] for a in risky for reason in a["reasons"]} == {"raises"}
    assert {reason["direction"] for a in others for reason in a["reasons"]} == {"raises", "lowers"}


def test_amounts_carry_the_currency_and_without_amounts_none(told: Any) -> None:
    texts = [reason["text"] for of_customer in told(0, currency="CNY") for reason in of_customer]
    spent = [text for text in texts if text.startswith("Spent")]
    assert spent and all(" CNY" in text for text in spent)
    counted = [reason["text"] for of_customer in told(0, currency="XXX") for reason in of_customer]
    assert not [text for text in counted if "XXX" in text or "Spent" in text]


def test_who_asks_for_no_reason_gets_none_beside_those_who_do(
    champions: Champions, customers: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle, some = champions.churn.bundle, customers.head(3)
    matrix, rows = bundle.encode(some), some.to_dict("records")
    found = reasons(bundle, matrix, rows, [None, 2, 0], "EUR")
    assert [len(of_customer) for of_customer in found] == [0, 2, 6]
    monkeypatch.setattr(Bundle, "explain", lambda *arguments: pytest.fail("nobody asked"))
    assert reasons(bundle, matrix, rows, [None] * 3, "EUR") == [[], [], []]


def test_every_named_column_belongs_to_one_topic_and_texts_are_of_topics() -> None:
    named = [column for columns in TOPICS.values() for column in columns]
    assert len(named) == len(set(named)) and set(TEXTS) <= set(TOPICS)
