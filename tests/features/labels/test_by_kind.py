"""One end of the data for labels, ready exports and the quality report, however it is set."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pandas as pd
import pytest

from configs.settings import Settings
from features.labels.by_kind import data_end, end_of_known
from features.labels.ready_label import prepare
from features.quality import quality_report

NOW = datetime(2026, 5, 4, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    ("data_until", "utc"),
    [
        (datetime(2018, 1, 1), datetime(2018, 1, 1)),
        (datetime(2018, 1, 1, 10, 30), datetime(2018, 1, 1, 10, 30)),
        (datetime(2018, 1, 1, 10, 30, tzinfo=UTC), datetime(2018, 1, 1, 10, 30)),
        (datetime(2018, 1, 1, 0, 30, tzinfo=timezone(timedelta(hours=2))), datetime(2017, 12, 31, 22, 30)),
        (datetime(2018, 1, 1, 20, tzinfo=timezone(-timedelta(hours=5))), datetime(2018, 1, 2, 1)),
        (datetime(9999, 12, 31), datetime(9999, 12, 31)),
        (pd.Timestamp("2018-01-01 10:30", tz="Asia/Tokyo"), datetime(2018, 1, 1, 1, 30)),
    ],
)
def test_the_end_of_the_data_is_the_same_time_for_all_who_ask(
    settings: Settings, data_until: datetime, utc: datetime
) -> None:
    until = settings.model_copy(update={"data_until": data_until})
    assert end_of_known({}, until) == utc
    profiles = prepare({"profiles": pd.DataFrame({"customer_id": ["a"]})}, until, NOW)["profiles"]
    assert profiles["exported_at"].item() == pd.Timestamp(utc, tz="UTC")
    assert quality_report.describe({}, until)["data_until"] == f"{utc.isoformat()}Z"


def test_without_a_date_that_is_set_the_data_ends_at_the_newest_time_that_tells(settings: Settings) -> None:
    open_ended = settings.model_copy(update={"data_until": None})
    times = [pd.NaT, pd.Timestamp("2024-03-01"), None, pd.Timestamp("2024-05-01 10:00"), pd.Timestamp("2024-04-01")]
    assert data_end(open_ended, times) == datetime(2024, 5, 1, 10)
    assert data_end(open_ended, times, timedelta(microseconds=1)) == datetime(2024, 5, 1, 10, 0, 0, 1)
    assert data_end(open_ended, [pd.NaT, None]) is None
    fixed = settings.model_copy(update={"data_until": datetime(2024, 1, 1)})
    assert data_end(fixed, times, timedelta(microseconds=1)) == datetime(2024, 1, 1)


@pytest.mark.parametrize(
    "now", [NOW, NOW.replace(tzinfo=None), datetime(2026, 5, 5, 1, tzinfo=timezone(timedelta(hours=2)))]
)
def test_an_export_without_a_date_is_of_the_last_midnight_in_utc(settings: Settings, now: datetime) -> None:
    open_ended = settings.model_copy(update={"data_until": None})
    profiles = prepare({"profiles": pd.DataFrame({"customer_id": ["a"]})}, open_ended, now)["profiles"]
    assert profiles["exported_at"].item() == pd.Timestamp("2026-05-04", tz="UTC")
