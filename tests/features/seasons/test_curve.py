"""The season at each as-of date, from the orders of shops that are made up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from configs.settings import Clv, Settings, load
from features.labels.by_kind import Knowledge
from features.labels.gaps import Gap
from features.schema import EVENTS_OF, SEASON_COLUMNS, SEASON_GAP, SEASON_LONGER, SEASON_STEPS, SEASON_YEAR
from features.seasons.curve import SILENCE, VALUE, SeasonCurve, load_curve, season_curve
from features.seasons.index import LARGEST

Open = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]
FIRST, DAYS = datetime(2020, 1, 1), 4 * 365
MOMENTS = [datetime(year, month, 1) for year in (2021, 2022, 2023) for month in (4, 10)]


def shop(lag_days: int = 0, until: datetime | None = None, season: float = 0.4) -> dict[str, pd.DataFrame]:
    """A hundred customers who order more often in spring than in autumn, and not one of them leaves."""
    rng = np.random.default_rng(5)
    day = np.arange(DAYS)
    rate = 0.04 * np.exp(season * np.sin(2 * np.pi * (day - 20) / 365.25))
    customer, days = np.nonzero(rng.random((100, DAYS)) < rate)
    orders = pd.DataFrame(
        {"customer_id": [f"c{c}" for c in customer], "ordered_at": FIRST + pd.to_timedelta(days, "D")}
    )
    orders = orders.assign(order_id=[f"o{i}" for i in range(len(orders))], amount=10.0)
    if lag_days:
        orders["recorded_at"] = orders["ordered_at"] + timedelta(days=lag_days)
    orders = orders[orders["ordered_at"] < (until or datetime.max)]
    signed_up = pd.DataFrame({"customer_id": [f"c{c}" for c in range(100)], "signed_up_at": FIRST})
    return {"customers": signed_up, "orders": orders.reset_index(drop=True)}


@pytest.fixture(scope="module")
def settings() -> Settings:
    given = load("test")
    return given.model_copy(update={"clv": given.clv.model_copy(update={"longer_days": (180, 365, 730)})})


@pytest.fixture(scope="module")
def curve(opened: Open, settings: Settings) -> SeasonCurve:
    return season_curve(opened(shop()), MOMENTS, Knowledge(MOMENTS[-1], value_from="orders"), settings)


def test_value_is_up_and_silence_down_before_the_busy_time_once_two_years_are_known(curve: SeasonCurve) -> None:
    assert [curve.at(VALUE, m) for m in MOMENTS[:2]] == [0.0, 0.0]
    spring, autumn = (curve.at(VALUE, datetime(2023, month, 1)) for month in (3, 9))
    assert spring > 0.1
    assert autumn < -0.1
    assert curve.at(SILENCE, datetime(2023, 4, 1)) < 0 < curve.at(SILENCE, datetime(2023, 10, 1))
    assert curve.at(SEASON_GAP, datetime(2023, 3, 1)) < -0.1 < 0.1 < curve.at(SEASON_GAP, datetime(2023, 9, 1))
    assert {VALUE, SEASON_YEAR, SILENCE, SEASON_GAP} <= set(curve.weights) <= set(SEASON_COLUMNS)


def test_a_busy_time_is_followed_by_slack_days_and_a_slack_time_by_busy_ones(curve: SeasonCurve) -> None:
    busy, slack = datetime(2023, 3, 1), datetime(2023, 9, 1)
    for column in SEASON_LONGER:
        assert curve.at(column, busy) < -0.15 < 0.15 < curve.at(column, slack)
        assert curve.at(column, MOMENTS[0]) == 0.0
    # the main horizon holds 90 days: the next step is the main horizon of 90 days later
    later = curve.at(SEASON_YEAR, slack + timedelta(days=90)) - curve.at(SEASON_YEAR, slack)
    assert abs(curve.at(SEASON_LONGER[0], slack) - later) < 0.02


def test_every_longer_horizon_that_settings_permit_has_a_season(settings: Settings, curve: SeasonCurve) -> None:
    days, section = range(1000, 1000 + len(SEASON_LONGER)), settings.clv.model_dump()
    assert len(Clv.model_validate(section | {"longer_days": days}).longer_horizons) == len(SEASON_LONGER)
    with pytest.raises(ValidationError, match="longer_days"):
        Clv.model_validate(section | {"longer_days": [*days, 2000]})
    assert set(SEASON_LONGER) <= set(curve.weights)


def test_no_order_after_a_moment_moves_the_season_at_it(opened: Open, settings: Settings, curve: SeasonCurve) -> None:
    known = Knowledge(MOMENTS[-1], value_from="orders")
    for end in MOMENTS[-2:]:
        past = season_curve(opened(shop(until=end)), [m for m in MOMENTS if m <= end], known, settings)
        for column in (VALUE, SILENCE, *SEASON_LONGER):
            assert past.at(column, end) == curve.at(column, end)


@pytest.mark.slow
def test_an_order_counts_from_its_record_on(opened: Open, settings: Settings) -> None:
    known, end = Knowledge(MOMENTS[-1], value_from="orders"), MOMENTS[-2]
    late = season_curve(opened(shop(lag_days=45)), MOMENTS, known, settings)
    cut = season_curve(opened(shop(lag_days=45, until=end - timedelta(days=44))), MOMENTS[:-1], known, settings)
    assert late.at(VALUE, end) == cut.at(VALUE, end) != 0
    waited = Knowledge(known.until, labels_until=known.until - timedelta(days=45), value_from="orders")
    sure = season_curve(opened(shop(lag_days=45)), MOMENTS, waited, settings)
    plain = season_curve(opened(shop()), MOMENTS, known, settings)
    assert abs(sure.at(VALUE, end) - plain.at(VALUE, end)) < abs(late.at(VALUE, end) - plain.at(VALUE, end))


def test_without_two_years_or_without_a_season_of_the_label_all_is_nothing(opened: Open, settings: Settings) -> None:
    tables, known = opened(shop()), Knowledge(MOMENTS[-1], value_from="fees")
    assert season_curve(tables, MOMENTS[:2], known, settings).columns == {}
    of_silence = {SILENCE, SEASON_GAP, *SEASON_STEPS}
    assert {SILENCE, SEASON_GAP} <= set(season_curve(tables, MOMENTS, known, settings).columns) <= of_silence
    assert season_curve({}, MOMENTS, known, settings).columns == {}


def test_rows_get_the_season_of_their_moment_in_sql_as_in_a_frame_and_it_is_read_back(
    curve: SeasonCurve, tmp_path: Path
) -> None:
    import duckdb

    curve.save(tmp_path)
    assert load_curve(tmp_path) == SeasonCurve(curve.first, *({**d} for d in (curve.columns, curve.weights)))
    assert load_curve(tmp_path / "none").columns == {}
    rows = pd.DataFrame({"as_of": pd.to_datetime(MOMENTS, utc=True), VALUE: 0.0, "other": 1.0})
    filled = load_curve(tmp_path).fill(rows)
    assert filled[VALUE].tolist() == [curve.at(VALUE, m) for m in MOMENTS]
    assert list(filled) == ["as_of", VALUE, "other"]
    stamps = pd.DataFrame({"as_of": MOMENTS})
    query = f"select {curve.sql(MOMENTS)[VALUE]} from stamps order by as_of"
    assert [v for (v,) in duckdb.query(query).fetchall()] == filled[VALUE].tolist() and len(stamps)


def test_an_event_whose_days_are_given_moves_value_before_its_next_time(opened: Open, settings: Settings) -> None:
    raw, known = shop(season=0.0), Knowledge(MOMENTS[1], value_from="orders")
    times = [(datetime(2020, 8, 3), datetime(2020, 8, 30)), (datetime(2021, 4, 5), datetime(2021, 5, 9))]
    during = raw["orders"]["ordered_at"].between(*times[0])
    raw["orders"].loc[during, "amount"] = 60.0
    with_event = season_curve(opened(raw), MOMENTS[:2], known, with_events(settings, *times))
    assert with_event.at(VALUE, MOMENTS[0]) > 0.3
    assert with_event.at(VALUE, datetime(2021, 5, 10)) < -0.3
    assert set(with_event.columns) == {VALUE, SEASON_YEAR, *SEASON_LONGER, *EVENTS_OF.values()}
    for column, of_events in EVENTS_OF.items():  # with less than two years there is nothing else
        assert with_event.columns[of_events] == with_event.columns[column]


def with_events(settings: Settings, *windows: tuple[datetime, datetime]) -> Settings:
    given = {"events": {"sale": tuple((a.date(), b.date()) for a, b in windows)}}
    return settings.model_copy(update={"calendar": settings.calendar.model_validate(given)})


def test_a_column_less_its_events_is_the_season_where_both_together_leave_the_bound(
    opened: Open, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = [(datetime(year, 4, 5), datetime(year, 6, 5)) for year in range(2020, 2024)]
    orders, known, spring = shop()["orders"], Knowledge(MOMENTS[-1], value_from="orders"), datetime(2023, 4, 1)
    inside = pd.concat([orders["ordered_at"].between(*each) for each in times], axis=1).any(axis=1)
    tables = opened(shop() | {"orders": orders.assign(amount=np.where(inside, 400.0, 10.0))})
    held = season_curve(tables, [spring], known, with_events(settings, *times))
    monkeypatch.setattr("features.seasons.curve.LARGEST", 9.0)
    free = season_curve(tables, [spring], known, with_events(settings, *times))
    assert held.at(VALUE, spring) == LARGEST < free.at(VALUE, spring)
    season = free.at(VALUE, spring) - free.at(EVENTS_OF[VALUE], spring)
    assert season > 0.1
    assert held.at(VALUE, spring) - held.at(EVENTS_OF[VALUE], spring) == pytest.approx(season)


@pytest.mark.parametrize("is_sure", [True, False])
def test_an_event_whose_days_are_not_yet_recorded_is_no_closure(
    opened: Open, settings: Settings, is_sure: bool
) -> None:
    raw, as_of = shop(lag_days=3, season=0.0), FIRST + timedelta(days=400)
    ahead = as_of + timedelta(days=5), as_of + timedelta(days=20)
    asked = with_events(settings, (as_of - timedelta(days=3), as_of - timedelta(days=1)), ahead)
    waited = Knowledge(as_of, labels_until=as_of - timedelta(days=3) if is_sure else None, value_from="orders")
    assert season_curve(opened(raw), [as_of], waited, asked).at(VALUE, as_of) == 0.0


def test_an_event_in_a_gap_is_no_closure(opened: Open, settings: Settings) -> None:
    raw, as_of = shop(season=0.0), FIRST + timedelta(days=400)
    gap = Gap("orders", FIRST + timedelta(days=195), FIRST + timedelta(days=215), 10.0)
    inside = raw["orders"]["ordered_at"].between(gap.begins, gap.ends, inclusive="left")
    raw["orders"] = raw["orders"][~inside].reset_index(drop=True)
    earlier = FIRST + timedelta(days=200), FIRST + timedelta(days=202)
    asked = with_events(settings, earlier, (as_of + timedelta(days=5), as_of + timedelta(days=20)))
    known = Knowledge(as_of, gaps={"orders": (gap,)}, value_from="orders")
    assert season_curve(opened(raw), [as_of], known, asked).at(VALUE, as_of) == 0.0


@pytest.mark.parametrize("lag_days", [0, 3])
def test_before_the_first_order_an_event_moves_nothing(opened: Open, settings: Settings, lag_days: int) -> None:
    tables, known = opened(shop(lag_days)), Knowledge(MOMENTS[0], value_from="orders")
    early = [FIRST - timedelta(days=68), FIRST, FIRST + timedelta(days=1)]
    asked = with_events(settings, (datetime(2020, 8, 3), datetime(2020, 8, 30)), (MOMENTS[0], MOMENTS[0]))
    for as_ofs in (early[:1], early[:2], early, [*early, MOMENTS[0]]):
        curve = season_curve(tables, as_ofs, known, asked)
        assert [curve.at(VALUE, moment) for moment in as_ofs[:3]] == [0.0] * len(as_ofs[:3])
        assert np.isfinite([v for values in curve.columns.values() for v in values]).all()


def test_the_sql_writes_no_nan() -> None:
    curve = SeasonCurve(FIRST, {VALUE: [float("nan"), 0.5]})
    assert "nan" not in curve.sql([FIRST, FIRST + timedelta(days=1)])[VALUE]


def test_a_feast_moves_value_before_its_next_time_by_its_name_alone(opened: Open, settings: Settings) -> None:
    raw, known = shop(season=0.0), Knowledge(MOMENTS[1], value_from="orders")
    during = raw["orders"]["ordered_at"].between(datetime(2020, 4, 24), datetime(2020, 5, 23))
    raw["orders"].loc[during, "amount"] = 60.0
    calendar = settings.calendar.model_validate({"events": {}, "feasts": {"ramadan": None}})
    curve = season_curve(opened(raw), MOMENTS[:2], known, settings.model_copy(update={"calendar": calendar}))
    assert curve.at(VALUE, datetime(2021, 4, 1)) > 0.3 > 0.0 > curve.at(VALUE, datetime(2021, 5, 20))
