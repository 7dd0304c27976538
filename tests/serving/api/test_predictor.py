"""What several requests ask for is found in one look, and each gets its own share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pandas as pd
import pytest

from configs.settings import Settings
from serving.answer.arms import takes
from serving.api.predictor import Asked, Found, Predictor
from serving.api.problems import UnavailableError


def predictor(reader: Any, settings: Settings, now: datetime, left: Sequence[str] = ()) -> Predictor:
    return Predictor(reader, settings, lambda: now, lambda ids: {*left} & {*ids})


def test_each_request_gets_its_own_answers_from_one_look_at_the_features(
    models: Any, reader: Any, settings: Settings, now: datetime
) -> None:
    champions = models.current()
    asked = [
        Asked(["c3", "nobody", "c1"], 2, champions),
        Asked(["c1"], 0, champions),
        Asked(["noone"], 5, champions),
    ]
    found = predictor(reader, settings, now)(asked)
    assert reader.asked == [["c3", "nobody", "c1", "c1", "noone"]]
    assert [[a["customer_id"] for a in f.answers] for f in found] == [["c3", "c1"], ["c1"], []]
    assert [f.not_found for f in found] == [["nobody"], [], ["noone"]]
    assert [len(a["clv_reasons"]) for f in found for a in f.answers] == [2, 2, 6]


def test_who_has_left_is_told_apart_from_who_is_unknown(
    models: Any, reader: Any, settings: Settings, now: datetime
) -> None:
    (found,) = predictor(reader, settings, now, ["gone", "c1"])([Asked(["gone", "c1", "nobody"], 1, models.current())])
    assert (found.left, found.not_found, [a["customer_id"] for a in found.answers]) == (["gone"], ["nobody"], ["c1"])


def test_who_was_erased_is_told_among_the_unknown(models: Any, reader: Any, settings: Settings, now: datetime) -> None:
    asked = [Asked(["gone", "c1", "nobody"], 1, models.current()), Asked(["c2"], 1, models.current())]
    found = Predictor(reader, settings, lambda: now, lambda ids: set(), erased=lambda ids: {"gone", "c1"} & {*ids})(
        asked
    )
    assert [(f.not_found, f.erased) for f in found] == [(["gone", "nobody"], ["gone"]), ([], [])]
    whole = Found.together(found)
    assert (len(whole.answers), whole.not_found, whole.erased) == (2, ["gone", "nobody"], ["gone"])


def test_an_alias_is_named_beside_the_person_it_belongs_to(
    models: Any, reader: Any, settings: Settings, now: datetime
) -> None:
    class Aliases:
        def read(self, customer_ids: list[str]) -> pd.DataFrame:
            return reader.read(["c1" if i == "other" else i for i in customer_ids])

    (found,) = predictor(Aliases(), settings, now)([Asked(["other", "c2", "c1"], 1, models.current())])
    assert [(a["customer_id"], a.get("alias")) for a in found.answers] == [("c1", "other"), ("c2", None), ("c1", None)]


def test_what_is_not_asked_for_is_not_computed_and_nothing_is_decided_without_it(
    models: Any, reader: Any, settings: Settings, now: datetime
) -> None:
    champions = models.current()
    ids = [f"c{i}" for i in range(20)]
    asked = [Asked(ids, 1, champions, t) for t in (None, frozenset({"churn"}), frozenset({"clv"}))]
    both, churn, clv = (found.answers for found in predictor(reader, settings, now)(asked))
    assert [a["churn"] for a in churn] == [a["churn"] for a in both] and not any(a["clv"] for a in churn)
    assert [a["clv"] for a in clv] == [a["clv"] for a in both] and not any(a["churn"] for a in clv)
    assert {(tuple(a["targets"]), a["action"]["code"], a["campaign"]) for a in churn + clv} == {
        (("churn",), "undecided", None),
        (("clv",), "undecided", None),
    }
    assert not any("targets" in a or "unserved" in a for a in both)


def test_parts_of_a_list_are_put_together_in_their_order() -> None:
    parts = [Found([{"customer_id": "a"}], ["x"], []), Found([{"customer_id": "b"}], [], ["y"])]
    assert Found.together(parts) == Found([{"customer_id": "a"}, {"customer_id": "b"}], ["x"], ["y"])


def test_what_cannot_be_read_is_said_without_a_customer(
    models: Any, settings: Settings, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def read(self, customer_ids: list[str]) -> pd.DataFrame:
            raise ConnectionError(f"while reading {customer_ids}")

    with pytest.raises(UnavailableError, match="feature store cannot be read"):
        predictor(Broken(), settings, now)([Asked(["c1"], 1, models.current())])
    assert "c1" not in caplog.text


def test_requests_that_began_with_other_models_share_a_look_and_each_ends_with_its_own(
    models: Any, reader: Any, settings: Settings, now: datetime
) -> None:
    old = models.current()
    new = replace(old, churn=replace(old.churn, version="9"))
    asked = [Asked(["c1", "c2"], 1, old), Asked(["c2", "nobody", "c3"], 2, new), Asked(["c3"], 1, old)]
    found = predictor(reader, settings, now)(asked)
    assert len(reader.asked) == 1
    assert [{a["model"]["churn"] for a in f.answers} for f in found] == [
        {old.churn.label},
        {"churn/9"},
        {old.churn.label},
    ]
    assert [[a["customer_id"] for a in f.answers] for f in found] == [["c1", "c2"], ["c2", "c3"], ["c3"]]
    assert [len(a["clv_reasons"]) for f in found for a in f.answers] == [1, 1, 2, 2, 1]


def test_a_list_may_hold_both_arms_of_a_canary_and_comes_in_the_order_asked(
    running: Any, reader: Any, settings: Settings, now: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    champions = running(40.0)
    ids = [f"c{i}" for i in (7, 3, 9, 1, 200, 4, 11, 12)]
    (found,) = predictor(reader, settings, now)([Asked(ids, 2, champions)])
    assert [a["customer_id"] for a in found.answers] == ids
    release = champions.releases["churn"].release
    assert [a["arms"]["churn"] == "canary" for a in found.answers] == [takes(release, i) for i in ids]
    assert {a["arms"]["churn"] for a in found.answers} == {"canary", "champion"}
    kept = {a["model"]["churn"]: a.evidence.context for a in found.answers}
    assert kept["churn/9"].arms == {"churn": {"release": release.id, "arm": "canary"}}
    assert kept["churn/3"].arms == {"churn": {"release": release.id, "arm": "champion"}}
    (value,) = predictor(reader, settings, now)([Asked(ids, 2, champions, frozenset({"clv"}))])
    assert not any("arms" in a for a in value.answers) and not caplog.text


def test_an_alias_is_in_the_arm_of_its_person(running: Any, reader: Any, settings: Settings, now: datetime) -> None:
    champions = running(50.0)
    taken = next(f"c{i}" for i in range(50) if takes(champions.releases["churn"].release, f"c{i}"))
    alias = next(f"a{i}" for i in range(50) if not takes(champions.releases["churn"].release, f"a{i}"))

    class Aliases:
        def read(self, customer_ids: list[str]) -> pd.DataFrame:
            return reader.read([taken if i == alias else i for i in customer_ids])

    (found,) = predictor(Aliases(), settings, now)([Asked([alias], 1, champions)])
    assert (found.answers[0]["alias"], found.answers[0]["arms"]) == (alias, {"churn": "canary"})
