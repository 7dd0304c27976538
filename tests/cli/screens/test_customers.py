from __future__ import annotations

from cli.screens.customers import campaign_lines


def test_a_campaign_says_whom_to_contact_in_one_line() -> None:
    campaign = {"contacts": 1204, "expected_profit": 5310.4, "lowest_probability": 0.121}
    campaign |= {"low": 1200.2, "high": 9800.9, "coverage": 0.9}
    (line,) = campaign_lines({"campaign": campaign}, "USD")
    assert "contact 1,204 customers, expected profit 5,310 USD" in line.plain
    assert "90% range of what comes: 1,200 to 9,801" in line.plain
    assert "the lowest probability among them is 12%" in line.plain


def test_without_a_campaign_nothing_is_said() -> None:
    assert campaign_lines({"campaign": None}, "USD") == ()


def test_costs_that_nobody_is_worth_are_said_in_one_line() -> None:
    (line,) = campaign_lines({"campaign": {"contacts": 0, "expected_profit": 0, "lowest_probability": None}}, "USD")
    assert "nobody" in line.plain
