"""Moments before a season was known, as they are learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd

from features.schema import Feature, FeatureSchema
from features.seasons.curve import DAYS_AHEAD, SeasonCurve
from features.seasons.index import LARGEST
from training.data.dataset import Dataset
from training.data.early_seasons import lent_seasons, with_early_seasons

MONTHS = pd.date_range("2021-01-01", periods=48, freq="MS", tz="UTC")


def rows(first_known: int = 24) -> pd.DataFrame:
    wave = np.where(np.arange(48) >= first_known, np.sin(2 * np.pi * np.arange(48) / 12).round(6), 0.0)
    return pd.DataFrame({"as_of": np.repeat(MONTHS, 2), "season_value": np.repeat(wave, 2), "spend": 1.0})


def test_moments_before_the_season_was_known_have_that_of_the_same_time_of_later_years() -> None:
    before, table = rows(), rows()
    filled = with_early_seasons(table).groupby("as_of")["season_value"].first()
    pd.testing.assert_frame_equal(table, before)
    np.testing.assert_allclose(filled[:24], np.sin(2 * np.pi * np.arange(24) / 12), atol=1e-5)
    np.testing.assert_array_equal(filled[24:], before.groupby("as_of")["season_value"].first()[24:])


def test_where_no_season_is_known_or_none_of_that_time_nothing_is_filled() -> None:
    assert not with_early_seasons(rows(48))["season_value"].any()
    late = with_early_seasons(rows(46))
    assert set(late.loc[late["season_value"] != 0, "as_of"].dt.month) <= {11, 12}
    plain = rows().drop(columns="season_value")
    assert with_early_seasons(plain) is plain


def test_rows_to_learn_from_are_filled_by_no_later_moment_and_those_to_forecast_not_at_all() -> None:
    schema = FeatureSchema((Feature("season_value", "season", "float64", ""),))
    frame = rows().assign(customer_id=["a", "b"] * 48, label=1.0)
    data = Dataset("clv", frame, schema, "made up")
    assert data.training_rows(MONTHS)["season_value"][2:4].all()
    assert not data.training_rows(MONTHS[:24])["season_value"].any()
    assert not data.at(MONTHS)["season_value"][:48].any()


def test_each_column_is_filled_alone_and_events_stay_with_their_own_moment() -> None:
    number, known = np.arange(48), np.arange(48) >= 24
    event = np.select([number == 3, number == 25, number == 37], [0.7, 0.6, 0.5], 0.0)  # in April, then in February
    wave = np.sin(2 * np.pi * number / 12)
    frame = pd.DataFrame({"as_of": MONTHS, "season_silence": np.where(number >= 30, wave, 0.0).round(6)})
    frame = frame.assign(season_value=(np.where(known, wave, 0.0) + event).round(6), season_value_events=event)
    filled = with_early_seasons(frame)
    np.testing.assert_allclose(filled["season_value"], wave + event, atol=1e-5)
    np.testing.assert_allclose(filled["season_silence"], wave, atol=1e-5)
    np.testing.assert_array_equal(filled["season_value_events"], event)


def test_what_is_filled_beside_an_event_stays_within_the_bound_of_the_index() -> None:
    number = np.arange(48)
    event = np.select([number == 3, number == 8], [1.8, -1.8], 0.0)  # at the height of the season, and in its depth
    wave = np.where(number >= 24, np.sin(2 * np.pi * number / 12), 0.0).round(6)
    frame = pd.DataFrame({"as_of": MONTHS, "season_value": wave + event, "season_value_events": event})
    filled = with_early_seasons(frame)["season_value"]
    assert (filled[3], filled[8]) == (LARGEST, -LARGEST)
    np.testing.assert_allclose(filled[[4, 9]], np.sin(2 * np.pi * np.array([4, 9]) / 12), atol=1e-5)


def test_the_newest_moment_lends_earlier_ones_the_season_of_their_time_of_the_year_without_its_events() -> None:
    day = np.arange(760 + DAYS_AHEAD)
    season = np.where(day >= 760, np.sin(2 * np.pi * day / 365.25), 0.0)
    event = np.where((day >= 800) & (day < 810), 0.5, 0.0)
    columns = {"season_value": (season + event).tolist(), "season_value_events": event.tolist()}
    curve = SeasonCurve(MONTHS[0].tz_localize(None).to_pydatetime(), columns)
    lent = lent_seasons(curve, MONTHS[:24])
    assert list(lent) == ["season_value"]
    expected = np.sin(2 * np.pi * np.asarray((MONTHS[:24] - MONTHS[0]).days) / 365.25)
    np.testing.assert_allclose(lent["season_value"], expected, atol=0.02)  # a year has a quarter of a day more
    filled = with_early_seasons(rows(48)[lambda table: table["as_of"] < MONTHS[24]], lent)
    np.testing.assert_allclose(filled["season_value"][::2], expected, atol=0.02)
    assert lent_seasons(SeasonCurve(curve.first), MONTHS[:24]).empty


def test_what_a_moment_knew_itself_is_not_lent() -> None:
    lent = pd.DataFrame({"season_value": 0.9}, index=MONTHS)
    season = with_early_seasons(rows(), lent).groupby("as_of")["season_value"].first()
    own = rows().groupby("as_of")["season_value"].first()
    assert (season[own == 0] == 0.9).all() and (season[own != 0] == own[own != 0]).all()
