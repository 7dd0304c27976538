from __future__ import annotations

import pandas as pd
import pytest

from features.sources.rows.meaning import meaning_column, meaning_columns


@pytest.mark.parametrize(
    ("column", "values", "rule"),
    [
        ("order_state", {"shipped": 90, "Cancelled by customer": 10}, {"not": ["Cancelled by customer"]}),
        ("Bestellstatus", {"geliefert": 90, "storniert": 10}, {"not": ["storniert"]}),
        ("Statut", {"Livrée": 90, "Remboursée": 10}, {"not": ["Remboursée"]}),
        ("Estado", {"entregado": 90, "anulado": 10}, {"not": ["anulado"]}),
        ("订单状态", {"已完成": 90, "已取消": 10}, {"not": ["已取消"]}),
        ("col7", {"ok": 90, "storno": 10}, {"not": ["storno"]}),
        ("es_prueba", {"no": 90, "sí": 10}, {"not": ["sí"]}),
        ("isDeleted", {"False": 90, "True": 10}, {"not": ["True"]}),
        ("Annulée le", {"": 90, "2024-03-02": 1}, {"empty": True}),
    ],
)
def test_a_column_is_told_by_name_or_content_in_five_languages(
    column: str, values: dict[str, int], rule: dict[str, object]
) -> None:
    found = meaning_column(column, values)
    assert found is not None
    assert found.rule == rule


@pytest.mark.parametrize("column", ["status", "Zustand", "Art", "type", "类型"])
def test_a_column_of_states_whose_values_do_not_tell_is_asked_about_without_a_rule(column: str) -> None:
    found = meaning_column(column, {"A": 60, "B": 40})
    assert found is not None
    assert found.rule is None


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("status", {"completed": 100}),
        ("state", {"CA": 60, "NY": 40}),
        ("product", {f"p{n}": 1 for n in range(25)}),
        ("comment", {"please cancel the bag": 1, **{f"text {n}": 1 for n in range(40)}}),
        ("latest_visit", {"2024-01-01": 5, "2024-01-02": 3}),
        ("department", {"retail": 5, "artists": 3}),
        ("Produktart_Nr", {str(n): 3 for n in range(29)}),
    ],
)
def test_other_columns_are_left_in_peace(column: str, values: dict[str, int]) -> None:
    assert meaning_column(column, values) is None


def test_of_a_sample_empty_values_count_as_such() -> None:
    sample = pd.DataFrame({"order": [1, 2, 3, 4], "refunded_at": ["2024-01-01", None, "", None], "paid": [1.0] * 4})
    (found,) = meaning_columns(sample)
    assert (found.column, dict(found.values), found.rule) == ("refunded_at", {"": 3, "2024-01-01": 1}, {"empty": True})
