"""A season of two cycles that no labelled moment knew counts as far as its years agree, and only where it helps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import SEASON_VALUE, Feature, FeatureSchema
from features.seasons.curve import DAYS_AHEAD, SeasonCurve
from training.data.dataset import Dataset
from training.fit.boosters import TWEEDIE, Member
from training.fit.level.unjudged import in_season, unjudged_season, with_lent_season, with_season_facts
from training.fit.search import SearchResult

MOMENTS = pd.date_range("2022-01-01", periods=24, freq="MS", tz="UTC")
CUSTOMERS, COLUMNS = 60, ("gap", SEASON_VALUE)


def wave(days: np.ndarray) -> np.ndarray:
    return 0.8 * np.sin(2 * np.pi * days / 365.25)


def two_years(real: float, known: int = 0) -> Dataset:
    """Two years of moments, of which the last `known` knew the season; outcomes move `real` times as much."""
    rng = np.random.default_rng(0)
    day = np.repeat(((MOMENTS - MOMENTS[0]) / pd.Timedelta(days=1)).to_numpy(), CUSTOMERS)
    number = np.repeat(np.arange(24), CUSTOMERS)
    gap = rng.gamma(2, 1, len(day))
    frame = pd.DataFrame({"customer_id": np.tile(np.arange(CUSTOMERS), 24), "as_of": np.repeat(MOMENTS, CUSTOMERS)})
    frame = frame.assign(gap=gap, **{SEASON_VALUE: np.where(number >= 24 - known, wave(day), 0.0)})
    frame["label"] = rng.poisson(3 * np.exp(-gap / 3 + real * wave(day))) * 10.0
    schema = FeatureSchema(tuple(Feature(name, "orders", "float64", "") for name in COLUMNS))
    return Dataset("clv", frame, schema, "made up")


@pytest.fixture
def lends(workspace: Workspace) -> Workspace:
    """Features whose season was first known at the end of the two years, and half believed."""
    days = 730 + DAYS_AHEAD
    values = np.where(np.arange(days) >= 730, wave(np.arange(days)), 0.0)
    workspace.features.mkdir(parents=True, exist_ok=True)
    SeasonCurve(datetime(2022, 1, 1), {SEASON_VALUE: values.tolist()}, {SEASON_VALUE: 0.5}).save(workspace.features)
    return workspace


def test_a_season_that_no_past_moment_knew_counts_as_far_as_its_years_agree(
    lends: Workspace, settings: Settings
) -> None:
    data = with_lent_season(two_years(1.0), lends)
    sure, half = (unjudged_season(data, data.as_ofs, settings, {SEASON_VALUE: agreement}) for agreement in (1.0, 0.5))
    assert sure is not None and half is not None
    assert 0.75 < sure["season"] < 1.2
    assert half["season"] == pytest.approx(sure["season"] / 2, abs=0.01)


def test_where_past_moments_would_have_come_no_nearer_none_counts(lends: Workspace, settings: Settings) -> None:
    data = with_lent_season(two_years(-1.0), lends)
    assert unjudged_season(data, data.as_ofs, settings, {SEASON_VALUE: 1.0}) == {}


def test_a_season_is_lent_only_where_the_newest_moment_knows_one_and_no_past_one_can_judge_it(
    lends: Workspace, settings: Settings
) -> None:
    short, long = two_years(1.0, known=2), two_years(1.0, known=3)
    assert with_lent_season(short, lends).lent is not None
    for data in (long, replace(short, task="churn"), replace(short, by="part")):
        assert with_lent_season(data, lends) is data
    (lends.features / "season.json").unlink()
    assert with_lent_season(short, lends) is short
    assert unjudged_season(short, short.as_ofs, settings, {}) is None


def test_what_is_lent_takes_the_place_of_what_the_folds_knew() -> None:
    kept = SearchResult((Member(TWEEDIE, {"season_year": 0.5, "num_leaves": 8}, {}),), 1.0, 1.0, SimpleNamespace())  # type: ignore[arg-type]
    assert in_season(kept, None) is kept
    assert in_season(kept, {"season": 0.3}).members[0].params == {"season_year": 0.0, "num_leaves": 8, "season": 0.3}


@dataclass(frozen=True)
class Told:
    """A model with what people are told of it."""

    info: dict[str, object]


def test_people_are_told_whether_a_known_season_counts_and_could_be_judged() -> None:
    unknown, known = two_years(1.0), two_years(1.0, known=12)

    def told(data: Dataset, unjudged: dict[str, float] | None, **info: object) -> dict[str, object]:
        return dict(with_season_facts(Told(info), data, unjudged).info)  # type: ignore[arg-type]

    assert told(unknown, None) == told(replace(known, by="part"), None) == {}
    assert told(known, None) == {"season": False}
    assert told(known, None, season=True) == {"season": True}
    assert told(unknown, {"season": 0.5}, season=True) == {"season": True, "season_unjudged": True}
    assert told(unknown, {}) == {"season": False, "season_unjudged": True}
