"""The column that says who left, in ready tables as they are published and kept."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from features.labels.label_column import find_label, tell_label


def rows(**columns: list[Any]) -> pd.DataFrame:
    return pd.DataFrame({"id": [1, 2, 3, 4], "age": [30, 40, 50, 60], **columns})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Exited", [0, 1, 0, 1]),
        ("Exited", ["0.0", "1.0", "0.0", None]),
        ("Churn?", ["True.", "False.", "False.", "True."]),
        ("left", [1, 0, 0, 0]),
        ("Churn Value", [1, 0, 0, 1]),
        ("churn_label", ["Yes", "No", "No", "No"]),
        ("IsChurned", [True, False, False, True]),
        ("Attrition", ["Yes", "No", "No", "No"]),
        ("LeaveOrNot", [1, 0, 0, 1]),
        ("gekündigt", ["ja", "nein", "nein", "ja"]),
        ("Kündigung", ["J", "N", "N", "N"]),
        ("Résilié", ["oui", "non", "non", "non"]),
        ("baja", ["sí", "no", "no", "no"]),
        ("流失", ["是", "否", "否", "否"]),
        ("是否流失", [0, 1, 1, 0]),
        ("отток", [0, 1, 1, 0]),
    ],
)
def test_a_label_is_known_by_its_name_and_by_two_values_that_are_flags(name: str, values: list[Any]) -> None:
    guess = find_label(rows(**{name: values}))
    assert guess is not None and (guess.column, guess.values, guess.score) == (name, {}, 1.0)


@pytest.mark.parametrize(
    ("name", "values", "mapping"),
    [
        (
            "Attrition_Flag",
            ["Existing Customer", "Attrited Customer"],
            {"Attrited Customer": "yes", "Existing Customer": "no"},
        ),
        ("class", ["churned", "not churned"], {"churned": "yes", "not churned": "no"}),
        ("Customer Status", ["Stayed", "Churned"], {"Churned": "yes", "Stayed": "no"}),
        ("客户状态", ["已流失", "未流失"], {"已流失": "yes", "未流失": "no"}),
        ("churn", [-1, 1], {"1": "yes", "-1": "no"}),
    ],
)
def test_values_in_words_are_mapped(name: str, values: list[Any], mapping: dict[str, str]) -> None:
    guess = find_label(rows(**{name: values * 2}))
    assert guess is not None and guess.values == mapping


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Churn Score", [10, 20, 30, 40]),
        ("Churn Reason", ["price", "moved", "price", "moved"]),
        ("left_handed", [0, 1, 0, 1]),
        ("IsActiveMember", [0, 1, 0, 1]),
        ("closed_tickets", [0, 1, 1, 0]),
        ("churn_date", ["2024", "2023", "2024", "2023"]),
        ("status", ["active", "inactive", "active", "inactive"]),
        ("label", ["a", "b", "a", "b"]),
        ("Churn", [1, 1, 1, 1]),
        ("churn", [1, 2, 1, 2]),
    ],
)
def test_what_only_sounds_like_a_label_or_says_no_side_is_none(name: str, values: list[Any]) -> None:
    assert find_label(rows(**{name: values})) is None


def test_the_name_that_says_who_left_comes_before_a_generic_one() -> None:
    guess = find_label(rows(target=[0, 1, 0, 1], Exited=[1, 0, 0, 1]))
    assert guess is not None and guess.column == "Exited"


def test_columns_that_are_the_label_in_other_words_are_named() -> None:
    table = rows(left=[1, 0, 1, 0], label=["Yes", "No", "Yes", "No"], reason=["price", None, "moved", None])
    assert tell_label(table.assign(plan=["a", "b", "b", "b"]), "left") == ["label", "reason"]


@pytest.mark.parametrize("name", ["not_churned", "no_churn", "Not Churned", "nicht_gekündigt", "未流失"])
def test_a_name_that_says_who_stayed_swaps_the_values(name: str) -> None:
    guess = find_label(pd.DataFrame({name: ["1", "0", "1"]}))
    assert guess is not None and guess.values == {"1": "no", "0": "yes"}


@pytest.mark.parametrize("name", ["churn_or_not", "churn_yes_no", "是否流失"])
def test_a_name_that_leaves_both_open_swaps_nothing(name: str) -> None:
    guess = find_label(pd.DataFrame({name: ["1", "0", "1"]}))
    assert guess is not None and guess.values == {}
