from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cli.screens.releases import releases_screen

Printed = Callable[[Any], str]
RELEASE = {
    "id": "0123456789abcdef",
    "model": "churn",
    "version": "4",
    "kind": "canary",
    "percent": 12.5,
    "champion": "3",
    "began_at": "2024-03-01T10:00:00.000000Z",
    "changed_at": "2024-03-02T10:00:00.000000Z",
    "by": "ada",
    "reason": "calls go well",
}


def test_a_release_is_told_with_its_share_and_who_decided(printed: Printed) -> None:
    text = printed(releases_screen({"releases": [RELEASE, {**RELEASE, "kind": "shadow", "percent": 0.0}]}))
    assert "churn/4" in text and "12.5 %" in text and "churn/3" in text and "ada" in text and "shadow" in text


def test_where_none_runs_it_says_so(printed: Printed) -> None:
    assert "no release runs" in printed(releases_screen({"releases": []}))
