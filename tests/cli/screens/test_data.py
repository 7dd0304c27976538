from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cli.screens.data import check_screen, erasure_screen, ingest_screen, proposal_screen, refresh_screen
from configs.workspace import Workspace

Printed = Callable[[Any], str]


def test_a_table_that_was_grouped_says_from_which_grain(printed: Printed) -> None:
    orders = {"name": "orders", "rows_read": 1200, "rows_used": 1190, "rows_quarantined": 10, "newest": "2024-03-01"}
    passed = {"passed": True, "findings": []}
    lines = {**orders, "grain": "order", "source_grain": "order line", "rows_made": 400}
    result = {"business": "shop", "data_until": "2024-03-01", "tables": [lines], "verdict": passed}
    text = printed(ingest_screen(result, Workspace(Path("here"))))
    assert "orders (400 from one row per order line) 1,200 1,190 10 2024-03-01" in text
    assert "report: here/state/reports/quality/quality.html" in text


def test_a_check_says_what_is_wrong_and_whether_it_is_enough(printed: Printed) -> None:
    problem = {"table": "orders", "column": "amount", "rule": "a number", "rows": 3, "example": "ten", "do": "mend it"}
    tables = [{"name": "orders", "rows_used": 7, "rows_read": 10}]
    enough = [{"model": "churn", "what": "leavers", "found": 20, "needed": 100, "met": False}]
    text = printed(check_screen({"problems": [problem], "tables": tables, "enough": enough}))
    assert "orders: 7 of 10 rows" in text
    assert "orders amount a number 3 ten mend it" in text
    assert "churn leavers 20 100 ✗ too few" in text
    assert "Nothing is wrong." in printed(check_screen({"problems": [], "tables": tables, "enough": enough}))
    doubt = {"table": "orders", "column": "[/x]", "got": "nobody reads it", "todo": "say where"}
    doubted = printed(check_screen({"problems": [], "tables": tables, "enough": enough, "to_look_at": [doubt]}))
    assert "Nothing is wrong." not in doubted
    assert "orders.[/x]: nobody reads it; say where" in " ".join(doubted.split())


def test_an_erasure_says_where_rows_were_and_what_stays(printed: Printed) -> None:
    found = {"ids": 2, "rows": {"tables/orders": 1204}, "not_found": [], "remains": ["copies"]}
    text = printed(erasure_screen(found))
    assert "Erased: 2 ids of persons from rows tables/orders 1,204 What is not removed: - copies" in text
    assert "Nobody" not in text and "nothing more" in printed(erasure_screen(found | {"rows": {}}))
    slip = printed(erasure_screen({"ids": 1, "rows": {}, "not_found": ["k[/x]1"], "remains": ["copies"]}))
    assert "Nobody was found under 'k[/x]1'" in slip and "Erased" not in slip and "nothing more" not in slip
    both = printed(erasure_screen(found | {"not_found": ["k1"]}))
    assert "Nobody was found under 'k1'" in both and "tables/orders 1,204" in both


def test_a_proposal_says_once_what_to_export_instead_of_what_lacks_a_column(printed: Printed) -> None:
    files = [
        {"path": p, "table": "orders", "missing": ["customer_id"], "instead": {"customer_id": "name"}} for p in "ab"
    ]
    none = {"missing": [], "not_used": [], "customers_from": None}
    text = printed(proposal_screen({"config": "x.yaml", "tables": files, "kind": "inactivity", **none}))
    assert "a orders customer_id b orders customer_id name read x.yaml" in text


def test_a_refresh_says_as_of_which_moments_the_rows_are(printed: Printed) -> None:
    moments = {"as_of": "2024-09-05T12:00:01Z", "data_until": "2024-08-31T00:00:00Z", "with_newer_rows": 1}
    text = printed(refresh_screen({**moments, "customers": 900, "touched": 900, "online": 900, "gone": 0}))
    assert "of these as of 2024-08-31T00:00:00Z 899" in text
    assert "of these as of newer rows of their own, up to 2024-09-05T12:00:01Z 1 " in text
