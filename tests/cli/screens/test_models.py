from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cli.screens.models import search_screen, training_screen, versions_screen

Printed = Callable[[Any], str]
EXAMINED = {
    "version": "churn/3",
    "note": "",
    "as_ofs": ["2017-11-01T00:00:00Z", "2017-12-01T00:00:00Z"],
    "baseline_name": "recency rule",
    "model": {"auc": 0.86214},
    "baseline": {"auc": 0.788},
    "promote": True,
    "reasons": ["fewer than 100 leavers"],
}


def test_metrics_stand_beside_those_of_the_baseline(printed: Printed) -> None:
    text = printed(training_screen({"churn": EXAMINED}))
    assert "Churn: churn/3 on the untouched moments 2017-11-01, 2017-12-01" in text
    assert "metric model recency rule better is AUC 0.8621 0.7880 higher" in text
    assert "log loss – – lower" in text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "passed every gate: champion"),
        ({"promote": False}, "not promoted: fewer than 100 leavers"),
        ({"basis": "prior"}, "champion, by the rules for little history: fewer than 100 leavers"),
    ],
)
def test_the_verdict_of_the_gates_ends_the_screen(printed: Printed, changed: dict[str, Any], said: str) -> None:
    assert printed(training_screen({"churn": {**EXAMINED, **changed}})).endswith(said)


def test_a_model_that_nothing_can_judge_says_so(printed: Printed) -> None:
    text = printed(training_screen({"clv": {"version": "clv/1", "basis": "hybrid"}}))
    assert text == "Customer value: clv/1, nothing has matured to judge it by basis: hybrid"


def test_a_search_tells_how_far_it_is(printed: Printed) -> None:
    found = {"churn": {"trials": 3, "of": 40, "search": "ab12"}}
    assert printed(search_screen(found)) == "Churn: 3 of 40 trials in search ab12"


def test_versions_stand_with_aliases_and_the_ledger_with_who_and_why(printed: Printed) -> None:
    version = {"model": "churn", "version": "2", "aliases": ["champion"], "tags": {"gates": "passed"}, "run_id": "r7"}
    entry = {"action": "promote", "model": "churn", "version": "2", "by": "ada", "reason": "better"}
    text = printed(versions_screen({"versions": [version], "ledger": [{**entry, "at": "2024-03-01T10:00:00+00:00"}]}))
    assert "churn/2 champion passed r7" in text
    assert "2024-03-01T10:00:00 promote churn/2 ada better" in text
