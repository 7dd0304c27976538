from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import lightgbm as lgb
import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as effort
from hypothesis import strategies as st
from scipy.special import expit
from ulid import ULID

from configs.errors import NotReadyError, RegistryError
from configs.settings import Settings
from serving.answer.champion import Champions
from serving.answer.horizons import chances_text, values_text
from serving.answer.score import basis_of, new_id, score
from serving.api.schema.answers import Answer
from training.model.bundle import Bundle
from training.model.longer import LongerValue
from training.priors.growth import ContractGrowth

quick = effort(max_examples=15)
seeds = st.integers(0, 10_000)


def without_ids(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in a.items() if k != "prediction_id"} for a in answers]


@quick
@given(seed=seeds)
def test_base_and_effects_sum_to_what_is_served(
    seed: int,
    champions: Champions,
    settings: Settings,
    now: datetime,
    make_customers: Callable[[int, int], pd.DataFrame],
) -> None:
    for answer in score(make_customers(30, seed), champions, settings, now, top_reasons=0):
        if answer["churn"]:
            total = champions.churn.base + sum(r["effect"] for r in answer["reasons"])
            assert total == pytest.approx(answer["churn"]["probability"], abs=1e-12)
        total = champions.clv.base + sum(r["effect"] for r in answer["clv_reasons"])
        assert total == pytest.approx(answer["clv"]["expected"], rel=1e-12)


@quick
@given(seed=seeds, top=st.integers(0, 8))
def test_answers_keep_to_their_schema_as_python_and_as_json(
    seed: int,
    top: int,
    champions: Champions,
    settings: Settings,
    now: datetime,
    make_customers: Callable[[int, int], pd.DataFrame],
) -> None:
    for answer in score(make_customers(20, seed), champions, settings, now, top):
        assert Answer.model_validate(answer).model_dump(exclude_unset=True) == answer
        assert orjson.loads(orjson.dumps(answer)) == answer


@quick
@given(seed=seeds)
def test_the_order_of_the_customers_does_not_change_an_answer(
    seed: int, champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    mixed = customers.head(100).sample(frac=1, random_state=seed)
    by_id = {a["customer_id"]: a for a in without_ids(score(mixed, champions, settings, now, 3))}
    for answer in without_ids(score(customers.head(100), champions, settings, now, 3)):
        assert by_id[answer["customer_id"]] == answer


def test_a_customer_alone_gets_the_answer_it_gets_among_others(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    together = without_ids(score(customers, champions, settings, now, 5))
    for place in (0, 7, 399):
        alone = without_ids(score(customers.iloc[[place]], champions, settings, now, 5))
        assert alone == [together[place]]


def test_score_does_not_change_its_frame(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    before = customers.copy(deep=True)
    score(customers, champions, settings, now, 5)
    pd.testing.assert_frame_equal(customers, before)


def test_the_probability_is_the_calibrated_score_of_the_booster(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    bundle = champions.churn.bundle
    plain = lgb.Booster(model_str=bundle.scores[0].booster.model_to_string())
    raw = plain.predict(bundle.encode(customers), raw_score=True)
    expected = expit(0.8 * np.asarray(raw) - 0.1)
    for answer, probability in zip(score(customers, champions, settings, now, 5), expected, strict=True):
        if answer["churn"]:
            assert answer["churn"]["probability"] == pytest.approx(probability, abs=1e-12)


def test_who_ordered_last_before_the_activity_window_has_lapsed_and_no_churn(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    frame = customers.head(2).assign(days_since_last_order=[90.0, 90.01], tenure_days=500.0)
    still, gone = score(frame, champions, settings, now, 5)
    assert still["churn"] is not None
    assert 0 < len(still["reasons"]) <= 4  # three of the six columns are of one topic
    assert gone["churn"] is None
    assert gone["reasons"] == []
    assert gone["stage"] == "lapsed"
    assert gone["action"]["code"] == "win_back_offer"
    assert gone["clv"]["expected"] >= 0
    assert 0 < len(gone["clv_reasons"]) <= 4


def test_who_never_ordered_is_a_prospect_and_has_no_churn(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    frame = customers.head(1).assign(days_since_last_order=np.nan, tenure_days=np.nan)
    (answer,) = score(frame, champions, settings, now, 5)
    assert answer["churn"] is None
    assert answer["stage"] == "prospect"


def test_reasons_are_the_largest_effects_and_say_the_customers_own_numbers(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    frame = customers.head(1).assign(days_since_last_order=41.3, median_gap_days=9.0, tenure_days=400.0, region="south")
    (everything,) = score(frame, champions, settings, now, 0)
    (answer,) = score(frame, champions, settings, now, 2)
    assert len(answer["reasons"]) <= 2 == len(answer["clv_reasons"])
    sizes = [abs(r["effect"]) for r in everything["reasons"]]
    assert sizes == sorted(sizes, reverse=True)
    reasons = {r["feature"]: r for r in everything["reasons"]}
    assert set(reasons) == set(champions.churn.bundle.features)
    assert reasons["days_since_last_order"]["text"] == "Last order 41 days ago; usual gap is 9 days"
    assert reasons["days_since_last_order"]["value"] == 41.3
    assert reasons["region"]["value"] == "south"


def test_an_answer_rests_on_the_weaker_of_its_two_models(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    clv = replace(champions.clv, bundle=replace(champions.clv.bundle, basis="prior"))
    answers = score(customers.head(20), replace(champions, clv=clv), settings, now, 1)
    assert {a["churn"]["basis"]["kind"] for a in answers if a["churn"]} == {"model"}
    assert {a["basis"] for a in answers} == {"prior"}


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_finite_number_is_null(
    unknown: float, champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    frame = customers.head(1).assign(days_since_last_order=5.0, median_gap_days=unknown, region=None)
    (answer,) = score(frame, champions, settings, now, 0)
    values = {r["feature"]: r["value"] for r in answer["reasons"]}
    assert values["median_gap_days"] is None
    assert values["region"] is None


def test_features_older_than_the_setting_are_stale(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    limit = timedelta(hours=settings.serving.stale_after_hours)
    as_of = customers["as_of"].iloc[0].to_pydatetime()
    (fresh,) = score(customers.head(1), champions, settings, as_of + limit, 1)
    (stale,) = score(customers.head(1), champions, settings, as_of + limit + timedelta(seconds=1), 1)
    assert fresh["features"] == {"age_seconds": limit.total_seconds(), "stale": False}
    assert stale["features"]["stale"] is True


@pytest.mark.parametrize(("behind", "stale"), [(timedelta(seconds=300), False), (timedelta(seconds=301), True)])
def test_a_clock_that_has_not_reached_the_facts_makes_no_negative_age_and_is_no_reason_to_call_them_fresh(
    champions: Champions, settings: Settings, customers: pd.DataFrame, behind: timedelta, stale: bool
) -> None:
    as_of = customers["as_of"].iloc[0].to_pydatetime()
    (answer,) = score(customers.head(1), champions, settings, as_of - behind, 1)
    assert answer["features"] == {"age_seconds": 0, "stale": stale}


def test_percentile_and_interval_hold_what_they_say(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    answers = score(customers, champions, settings, now, 1)
    values = np.array([a["clv"]["expected"] for a in answers])
    for answer in answers:
        part = answer["clv"]
        assert part["low"] <= part["expected"] <= part["high"]
        assert not any(str(part[name]).startswith("-0.0") and part[name] == 0 for name in ("low", "expected", "high"))
        assert part["percentile"] == pytest.approx(100 * np.mean(values <= part["expected"]), abs=1.5)


def test_an_answer_names_versions_currency_and_horizons(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    (answer,) = score(customers.head(1).assign(days_since_last_order=5.0), champions, settings, now, 1)
    assert answer["model"] == {"churn": "churn/3", "clv": "clv/4"}
    assert answer["as_of"] == "2024-03-01T00:00:00Z"
    assert answer["scored_at"] == "2024-03-01T01:30:00Z"
    assert answer["churn"]["horizon_days"] == 30
    assert answer["clv"]["horizon_days"] == 90
    assert answer["clv"]["currency"] == "USD"
    assert answer["clv"]["coverage"] == 0.9


def test_the_numbers_of_all_horizons_are_told_in_words(
    champions: Champions, settings: Settings, now: datetime, make_customers: Callable[[int, int], pd.DataFrame]
) -> None:
    for answer in score(make_customers(30, 0), champions, settings, now, None):
        churn, clv, chance = (answer[part] for part in ("churn", "clv", "reactivation"))
        if churn:
            assert churn["by_horizon_text"] == chances_text("next_order", churn["by_horizon"])
        if chance:
            assert chance["by_horizon_text"] == chances_text("return", chance["by_horizon"])
        longer = {days: amounts["expected"] for days, amounts in (clv["by_horizon"] or {}).items()}
        assert clv["by_horizon_text"] == values_text({str(clv["horizon_days"]): clv["expected"], **longer}, "USD")


def test_an_answer_says_where_neither_a_season_nor_leaving_can_be_told(champions: Champions) -> None:
    bare = replace(champions.churn.bundle, basis="prior", full_season=False, info={"dropout_identifiable": False})
    basis = basis_of(bare)
    assert (basis["kind"], basis["full_season"]) == ("prior", False)
    assert "no season is known" in basis["text"] and "do not tell whether customers leave for good" in basis["text"]
    once = replace(bare, full_season=True, info={"season_repeats": False})
    assert "less than two years, so no season repeats" in basis_of(once)["text"]
    assert "no season" not in basis_of(replace(once, info={"season_repeats": False, "season": True}))["text"]
    seasonal = basis_of(replace(bare, info={"season": True}))["text"]
    assert "the season of earlier years counts" in seasonal
    assert "no season is known" not in seasonal
    unjudged = basis_of(replace(once, info={"season": True, "season_unjudged": True}))["text"]
    assert "counts as far as they agree: too few past moments knew it to judge it" in unjudged
    not_helpful = basis_of(replace(once, info={"season": False}))["text"]
    assert "brings forecasts of past moments no nearer" in not_helpful
    not_judged = basis_of(replace(once, info={"season": False, "season_unjudged": True}))["text"]
    assert "too few past moments knew a season to judge it" in not_judged and not_helpful != not_judged
    short = basis_of(replace(bare, info={"horizons_left_out": {"350": "50 needed"}}))["text"]
    assert "nothing is told within 350 days: 50 needed" in short
    moved = basis_of(replace(bare, info={"recent_level": {"share": 0.5, "factor": 1.08}}))["text"]
    assert "the newest months" in moved and "by +8.0%" in moved
    fees = LongerValue(90, ContractGrowth(0.002, by_forecast=False), ())
    assert "contracts end at the rate of all, as orders count" in basis_of(replace(bare, longer=fees))["text"]
    own = replace(fees, growth=ContractGrowth(0.002))
    assert "rate of all" not in basis_of(replace(bare, longer=own))["text"]
    sure = basis_of(replace(bare, basis="model", full_season=True, info={}))["text"]
    assert sure == "Trees, learned from this company's outcomes."


def test_ids_are_ulids_of_the_moment_and_differ(now: datetime) -> None:
    made = [new_id(now) for _ in range(100)]
    assert len(set(made)) == 100
    assert {ULID.from_str(i).datetime for i in made} == {now}


def test_no_rows_give_no_answers(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    assert score(customers.head(0), champions, settings, now, 5) == []


def test_a_row_without_as_of_is_refused(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    frame = customers.head(2).assign(as_of=customers["as_of"].head(1))
    with pytest.raises(NotReadyError, match="without as_of"):
        score(frame, champions, settings, now, 5)


def test_a_model_that_gives_no_finite_number_is_refused(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    bundle = champions.clv.bundle
    broken: Bundle = replace(
        bundle, scores=tuple(replace(s, affine=replace(s.affine, intercept=float("inf"))) for s in bundle.scores)
    )
    with pytest.raises(RegistryError, match="gave no finite number for 1 of 1"), np.errstate(all="ignore"):
        score(customers.head(1), replace(champions, clv=replace(champions.clv, bundle=broken)), settings, now, 5)


def test_quantiles_rise_within_the_interval_and_are_the_same_for_one_customer_as_for_many(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    together = [a["clv"] for a in score(customers.head(20), champions, settings, now, 1)]
    for i, part in enumerate(together):
        at = list(part["quantiles"].values())
        assert list(part["quantiles"]) == ["10", "50", "90"]
        assert at == sorted(at) and part["low"] <= at[0] and at[2] <= part["high"]
        (alone,) = score(customers.iloc[[i]], champions, settings, now, 1)
        assert alone["clv"] == part


def test_a_model_of_before_quantiles_were_learned_answers_without_them(
    champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    value = champions.clv
    assert value is not None and value.bundle.interval is not None
    older = replace(value.bundle, interval=replace(value.bundle.interval, quantiles=()))
    before = replace(champions, clv=replace(value, bundle=older))
    (answer,) = score(customers.head(1), before, settings, now, 1)
    assert answer["clv"]["quantiles"] is None
    Answer.model_validate(answer)


def test_without_a_churn_model_value_stage_and_action_are_answered_and_the_reason_is_told(
    champions: Champions, planned: Settings, now: datetime, customers: pd.DataFrame
) -> None:
    alone = replace(champions, churn=None, unserved={"churn": "too few customers"})
    both = score(customers.head(40), champions, planned, now, 3)
    for answer, whole in zip(score(customers.head(40), alone, planned, now, 3), both, strict=True):
        Answer.model_validate_json(orjson.dumps(answer))
        for part in ("clv", "clv_reasons", "stage", "as_of"):
            assert answer[part] == whole[part]
        assert (answer["churn"], answer["reasons"], answer["campaign"], answer["reactivation"]) == (
            None,
            [],
            None,
            None,
        )
        assert answer["model"] == {"churn": None, "clv": "clv/4"} and answer["basis"] == whole["clv"]["basis"]["kind"]
        assert answer["unserved"] == {"churn": "too few customers"} and "unserved" not in whole
        outside = answer["stage"] in ("lapsed", "booked", "prospect")
        assert (answer["action"]["code"] == "undecided") != outside
        assert answer["action"]["code"] in {"undecided", *(rule.code for rule in planned.decisions.actions)}
