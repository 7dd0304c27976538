"""Who is in a canary's share follows from release and customer alone, and a growing share moves nobody."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configs.errors import RegistryError
from configs.fingerprint import ROOT
from configs.settings import Settings
from serving.answer.arms import answers_by_arm, by_arm, of_customer, place, takes
from serving.answer.champion import Champions, Running
from serving.answer.score import score
from training.model.proof.releases import Release

Beside = Callable[..., Champions]
ONE, OTHER = "0123456789abcdef", "fedcba9876543210"
NOON = datetime.fromisoformat("2024-03-01T12:00:00+00:00")
IDS = [f"customer {n}" for n in range(20_000)]


def canary(percent: float, id_: str = ONE, model: str = "churn") -> Release:
    return Release(id_, model, "9", "canary", percent, "3", "", NOON, NOON, NOON, "ada", "r")


def test_a_place_is_what_sha256sum_says() -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    for customer in ("1349", "жінка", "a:b", " "):
        given_ = f"{ONE}:{customer}".encode()
        said = subprocess.run(["sha256sum"], input=given_, capture_output=True, check=True).stdout.decode()
        assert place(ONE, customer) == int(said[:13], 16) / 2**52


def test_a_place_is_the_same_in_every_process() -> None:
    code = f"from serving.answer.arms import place; print([place({ONE!r}, str(n)) for n in range(50)])"
    other = {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=other, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str([place(ONE, str(n)) for n in range(50)])


@pytest.mark.slow
@given(st.text(max_size=40).filter(lambda t: t.isprintable()), st.floats(0.01, 99.9), st.floats(0.01, 99.9))
def test_a_larger_share_keeps_all_whom_the_smaller_one_took(customer: str, one: float, two: float) -> None:
    assert 0 <= place(ONE, customer) < 1
    small, large = sorted((one, two))
    assert takes(canary(large), customer) or not takes(canary(small), customer)
    assert not takes(replace(canary(large), kind="shadow"), customer)


@pytest.mark.parametrize("percent", [0.5, 5, 20, 50, 97])
@pytest.mark.parametrize("id_", [ONE, OTHER])
def test_a_share_is_as_large_as_it_says_within_what_chance_allows(percent: float, id_: str) -> None:
    share = percent / 100
    taken = sum(takes(canary(percent, id_), i) for i in IDS)
    assert abs(taken - share * len(IDS)) < 4 * math.sqrt(share * (1 - share) * len(IDS))


def test_who_is_in_one_release_says_nothing_of_another() -> None:
    both = pd.crosstab(*([place(id_, i) * 5 // 1 for i in IDS] for id_ in (ONE, OTHER)))
    expected = len(IDS) / 25
    chi_squared = float((((both - expected) ** 2) / expected).to_numpy().sum())
    assert both.shape == (5, 5) and chi_squared < 42.98  # the 99 % quantile of 24 degrees of freedom


def test_each_customer_is_answered_by_the_model_of_its_arm_and_in_the_order_asked(
    running: Beside, customers: pd.DataFrame, settings: Settings, now: datetime
) -> None:
    champions = running(30.0)
    alone = [
        score(customers, models, settings, now, 2) for models in (replace(champions, releases={}), second(champions))
    ]
    mixed = answered(customers, champions, settings, now)
    taken = [takes(champions.releases["churn"].release, i) for i in customers["customer_id"]]
    assert 80 < sum(taken) < 160
    for answer, in_canary, old, new in zip(mixed, taken, *alone, strict=True):
        assert answer["arms"] == {"churn": "canary" if in_canary else "champion"}
        assert answer["model"]["churn"] == ("churn/9" if in_canary else "churn/3")
        due = new if in_canary else old
        for part in ("customer_id", "churn", "clv", "reasons", "clv_reasons", "action", "stage"):
            assert answer[part] == due[part]
    assert [a["customer_id"] for a in mixed] == customers["customer_id"].tolist()


def second(champions: Champions) -> Champions:
    """The champions, the release in the place of one."""
    return replace(champions, churn=champions.releases["churn"].model, releases={})


def answered(frame: pd.DataFrame, champions: Champions, settings: Settings, now: datetime, **more: Any) -> list[Any]:
    def answer(models: Champions, rows: list[int] | None) -> list[dict[str, Any]]:
        return score(frame if rows is None else frame.iloc[rows], models, settings, now, 2)

    return answers_by_arm(frame, champions, answer, **more)


def test_two_canaries_share_customers_by_chance_and_each_model_tells_its_own_arm(running: Beside) -> None:
    champions = running(50.0)
    beside = {**champions.releases, "clv": Running(canary(50.0, OTHER, "clv"), champions.clv)}
    arms = {
        tuple(arm["arm"] for arm in models.arms.values()): len(rows)
        for models, rows in by_arm(replace(champions, releases=beside), IDS)
    }
    assert set(arms) == {(a, b) for a in ("champion", "canary") for b in ("champion", "canary")}
    assert all(abs(n - len(IDS) / 4) < 4 * math.sqrt(len(IDS) * 3 / 16) for n in arms.values())


def test_a_shadow_and_no_release_change_no_answer(
    running: Beside, customers: pd.DataFrame, settings: Settings, now: datetime, champions: Champions
) -> None:
    plain = answered(customers.head(20), champions, settings, now)
    beside = answered(customers.head(20), running(None), settings, now)
    assert [{**a, "prediction_id": ""} for a in beside] == [{**a, "prediction_id": ""} for a in plain]
    assert not any("arms" in a for a in beside)
    assert of_customer(running(None), "c1").churn is champions.churn


def test_whom_a_canary_cannot_answer_the_champion_answers_and_the_others_stay(
    running: Beside, customers: pd.DataFrame, settings: Settings, now: datetime
) -> None:
    champions = running(50.0)
    ids = [i for i in customers["customer_id"] if takes(champions.releases["churn"].release, i)]
    failed: list[Exception] = []

    def answer(models: Champions, rows: list[int] | None) -> list[dict[str, Any]]:
        frame = customers.iloc[rows]
        if models.churn.version == "9" and ids[3] in set(frame["customer_id"]):
            raise RegistryError("no finite number")
        return score(frame, models, settings, now, 2)

    mixed = answers_by_arm(customers, champions, answer, lambda models, error: failed.append(error))
    assert len(failed) == 1 and [a["customer_id"] for a in mixed] == customers["customer_id"].tolist()
    assert {a["customer_id"] for a in mixed if a["arms"]["churn"] == "canary"} == set(ids) - {ids[3]}
    assert next(a for a in mixed if a["customer_id"] == ids[3])["model"]["churn"] == "churn/3"
