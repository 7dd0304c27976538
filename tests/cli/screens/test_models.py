from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cli.screens.models import champion_screen, search_screen, training_screen, versions_screen

Printed = Callable[[Any], str]
EXAMINED = {
    "version": "churn/3",
    "note": "",
    "as_ofs": ["2017-11-01T00:00:00Z", "2017-12-01T00:00:00Z"],
    "baseline_name": "recency rule",
    "model": {"auc": 0.86214},
    "baseline": {"auc": 0.788},
    "promote": True,
    "reasons": ["AUC 0.86 is at least 0.6"],
    "checks": [{"text": "AUC 0.86 is at least 0.6", "passed": True}],
}


def test_metrics_stand_beside_those_of_the_baseline(printed: Printed) -> None:
    text = printed(training_screen({"churn": EXAMINED}))
    assert "Churn: churn/3 on the untouched moments 2017-11-01, 2017-12-01" in text
    assert "metric model recency rule better is AUC 0.8621 0.7880 higher" in text
    assert "log loss – – lower" in text


def test_the_return_of_lapsed_customers_stands_beside_what_came(printed: Printed) -> None:
    figures = {"customers": 1200.0, "mean_probability": 0.081, "share_returned": 0.078, "auc": None}
    figures |= {"log_loss": 0.27, "base_log_loss": 0.281}
    text = printed(training_screen({"churn": EXAMINED | {"reactivation": {"30": figures}}}))
    assert "Return of lapsed customers" in text
    assert "30 1,200 0.0810 0.0780 – 0.2700 0.2810" in text
    assert "Return" not in printed(training_screen({"churn": EXAMINED | {"reactivation": {}}}))


def test_value_within_longer_horizons_stands_beside_what_came(printed: Printed) -> None:
    figures = {
        "basis": "examined",
        "level": 0.1,
        "moments": 2.0,
        "customers": 900.0,
        "expected": 1234.5,
        "came": 1300.0,
    }
    figures |= {"total_error": -0.05, "total_error_by_length": 0.21, "coverage": 0.913}
    figures |= {"largest_error_at_a_moment": 0.4}
    longer = {"180": figures, "365": {"basis": "unexamined", "level": 0.1, "moments": 0, "customers": 0}}
    value = EXAMINED | {"version": "clv/3", "model": {}, "baseline": {}}
    text = printed(training_screen({"clv": value | {"longer": longer}}))
    assert "180 2 900 1,234 1,300 -5.0% +21.0% +40.0% 91.3%" in text
    assert "365 none yet" in text and "is unexamined" not in text
    once = {"180": figures | {"basis": "unexamined", "why": "one past moment alone shows it: +94% off in total"}}
    doubted = printed(training_screen({"clv": value | {"longer": once}}))
    assert "180 2 900" in doubted
    assert "value within 180 days is unexamined: one past moment alone shows it: +94% off in total" in doubted
    assert "staycast features" in printed(
        training_screen({"clv": value | {"longer": {"left_out": "`staycast features`"}}})
    )
    assert "longer" not in printed(training_screen({"clv": value | {"longer": {}}}))


def test_horizons_of_which_nothing_is_told_are_named_with_the_reason(printed: Printed) -> None:
    left_out = {"horizons_left_out": {"350": "12 customers without the event and 3 with it, 50 needed"}}
    for judged in ({"model": {}, "baseline": {}}, {}):
        text = printed(training_screen({"churn": EXAMINED | {"version": "churn/3"} | judged | left_out}))
        assert "nothing is told within 350 days: 12 customers without the event" in text
    assert "nothing is told" not in printed(training_screen({"churn": EXAMINED | {"version": "churn/3"}}))


PASSED = {"text": "AUC 0.86 is at least 0.6", "passed": True}
FAILED = {"text": "log loss 0.4 is not below 0.3", "passed": False}
DOUBT = {"text": "AUC 0.61, by chance perhaps", "passed": True, "verdict": "cannot tell"}
PRIOR = {"version": "churn/4", "basis": "prior", "reasons": ["not shown to be worse"]}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "✓ AUC 0.86 is at least 0.6 passed every gate: champion"),
        ({"basis": "prior"}, "passed every gate, a prior that trees did not beat on past months: champion"),
        (
            {"checks": [PASSED, DOUBT]},
            "✓ AUC 0.86 is at least 0.6 ? AUC 0.61, by chance perhaps passed every gate, 1 of 2 as the data cannot "
            "tell: champion",
        ),
        (
            {"promote": False, "checks": [PASSED, FAILED]},
            "✓ AUC 0.86 is at least 0.6 ✗ log loss 0.4 is not below 0.3 not promoted",
        ),
        (
            {"promote": False, "checks": [FAILED], "stand_in": {**PRIOR, "promote": True}},
            "not promoted churn/4, a prior alone, answers in its place, as no model that learned serves: not shown to "
            "be worse",
        ),
        (
            {"promote": False, "checks": [FAILED], "stand_in": {**PRIOR, "promote": False}},
            "churn/4, a prior alone, was refused, too: not shown to be worse",
        ),
        (
            {"checks": [PASSED], "ended_release": "canary churn/2 at 5 %"},
            "passed every gate: champion the release canary churn/2 at 5 % ended with it: the champion that it ran "
            "beside serves no longer",
        ),
        (
            {"checks": [FAILED], "basis": "prior"},
            "✗ log loss 0.4 is not below 0.3 did not pass every gate, and serves as nothing else could answer",
        ),
    ],
)
def test_every_gate_and_what_follows_end_the_screen(printed: Printed, changed: dict[str, Any], said: str) -> None:
    assert printed(training_screen({"churn": {**EXAMINED, **changed}})).endswith(said)


def test_a_model_that_nothing_can_judge_says_so(printed: Printed) -> None:
    text = printed(training_screen({"clv": {"version": "clv/1", "basis": "hybrid"}}))
    assert text == "Customer value: clv/1, nothing has matured to judge it by basis: hybrid"
    text = printed(
        training_screen({"clv": {"version": "clv/1", "basis": "prior", "unjudged": "moments can judge now"}})
    )
    assert text == "Customer value: clv/1, moments can judge now basis: prior"


def test_a_search_tells_how_far_it_is(printed: Printed) -> None:
    found = {"churn": {"trials": 3, "of": 40, "search": "ab12"}}
    assert printed(search_screen(found)) == "Churn: 3 of 40 trials in search ab12"


def test_versions_stand_with_aliases_and_the_ledger_with_who_and_why(printed: Printed) -> None:
    version = {"model": "churn", "version": "2", "aliases": ["champion"], "tags": {"gates": "passed"}, "run_id": "r7"}
    entry = {"action": "promote", "model": "churn", "version": "2", "by": "ada", "reason": "better"}
    text = printed(versions_screen({"versions": [version], "ledger": [{**entry, "at": "2024-03-01T10:00:00+00:00"}]}))
    assert "churn/2 champion passed r7" in text
    assert "2024-03-01T10:00:00 promote churn/2 ada better" in text


def test_a_figure_that_could_not_be_drawn_is_named_with_the_reason(printed: Printed) -> None:
    why = "plots/gains.png: gains figure: needs at least one customer who left, found none"
    assert f"not drawn: {why}" in printed(training_screen({"churn": EXAMINED | {"figures_left_out": why}}))
    assert "not drawn" not in printed(training_screen({"churn": EXAMINED}))


def test_a_model_that_could_not_be_trained_stands_beside_the_other_with_the_reason(printed: Printed) -> None:
    text = printed(training_screen({"churn": {"untrained": "19 customers"}, "clv": EXAMINED | {"version": "clv/1"}}))
    assert "Churn: could not be trained: 19 customers" in text and "Customer value: clv/1" in text
    assert "Churn: nothing to examine: why" in printed(training_screen({"churn": {"unserved": "why"}}))


def test_the_title_says_on_how_many_customers_a_model_was_judged(printed: Printed) -> None:
    text = printed(training_screen({"churn": EXAMINED | {"customers": 4}}))
    assert "Churn: churn/3 on 4 customers at the untouched moments 2017-11-01, 2017-12-01" in text
    assert "churn/3 on 1 customer at the" in printed(training_screen({"churn": EXAMINED | {"customers": 1}}))
    by_lot = EXAMINED | {"customers": 1204, "note": "by a seeded lot"}
    assert "churn/3 on 1,204 customers held out; no time order" in printed(training_screen({"churn": by_lot}))


def test_a_verdict_on_a_prior_names_what_decided(printed: Printed) -> None:
    by_contest = printed(training_screen({"churn": EXAMINED | {"basis": "prior"}}))
    assert "passed every gate, a prior that trees did not beat on past months: champion" in by_contest
    little = [{"name": "champion_had_no_more", "text": "no champion learned from more", "passed": True}]
    by_rules = printed(training_screen({"churn": EXAMINED | {"basis": "prior", "checks": little}}))
    assert "passed every gate, by the rules for little history: champion" in by_rules


def test_who_serves_is_said_and_which_release_ended_with_it() -> None:
    result = {"model": "churn", "version": "3", "ended_release": None}
    assert champion_screen(result, "again") == "churn/3 is the champion again"
    ended = champion_screen(result | {"ended_release": "shadow churn/2"}, "now")
    assert ended.startswith("churn/3 is the champion now\nthe release shadow churn/2 ended with it")
