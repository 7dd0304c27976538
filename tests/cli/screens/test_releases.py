from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.screens.releases import releases_screen

Printed = Callable[[Any], str]
ARM = {
    "model": "churn/3",
    "answers": 12345,
    "customers": 1200,
    "errors": 0,
    "dropped": 7,
    "latency_ms": {"calls": 9, "customers_per_call": 1.5, "p50": 7.25, "p95": 9.0, "p99": 11.5},
    "scores": {"mean": 0.25, "p10": 0.05, "p50": 0.2, "p90": 0.5},
    "outcomes": {"text": "not known yet"},
}
RELEASE = {
    "model": "churn",
    "version": "4",
    "kind": "canary",
    "percent": 12.5,
    "since": "2024-03-01T10:00:00.000000Z",
    "changed_at": "2024-03-02T10:00:00.000000Z",
    "ended_at": None,
    "ended": "",
    "by": "ada",
    "reason": "calls go well",
    "of_newest": None,
    "notice": "",
    "arms": {"champion": ARM, "canary": {**ARM, "model": "churn/4", "latency_ms": None, "scores": None}},
    "verdict": "too few answers to tell",
}


def test_both_arms_are_told_side_by_side_with_the_verdict_and_who_decided(printed: Printed) -> None:
    text = printed(releases_screen({"releases": [RELEASE]}))
    assert "churn/4: canary, 12.5 %" in text and "12,345" in text and "not known yet" in text
    assert "too few answers to tell" in text and "decided by ada 2024-03-02T10:00: calls go well" in text
    assert "0.0500 to 0.5000" in text and "newest" not in text


def test_one_that_ended_says_how_and_one_that_does_not_answer_why(printed: Printed) -> None:
    ended = {**RELEASE, "kind": "shadow", "ended_at": "2024-04-01T10:00:00.000000Z", "ended": "promote"}
    text = printed(releases_screen({"releases": [{**ended, "notice": "it does not answer", "of_newest": 50000}]}))
    assert "shadow" in text and "ended 2024-04-01T10:00 (promote)" in text and "it does not answer" in text
    assert "of the newest 50,000 answers" in text


def test_where_none_runs_it_says_so(printed: Printed) -> None:
    assert "no release runs" in printed(releases_screen({"releases": []}))
