"""As-of dates -> the season at each: a value of each index column by day, the same for all customers, and a file of it.

At an as-of date the index rests on what was known at it. A day between two dates gets what was known at the one before
it; the days after the newest, what was known at the newest: a row that is computed for a customer between two builds
reads the season of its day here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd

from configs.settings import Settings
from features.labels.by_kind import Knowledge
from features.labels.horizons import season_pairs
from features.labels.value_sources import TABLES
from features.schema import (
    EVENTS_OF,
    SEASON_COLUMNS,
    SEASON_GAP,
    SEASON_LONGER,
    SEASON_SILENCE,
    SEASON_STEPS,
    SEASON_VALUE,
    SEASON_YEAR,
)
from features.seasons.events import Events
from features.seasons.feasts import feast_days
from features.seasons.history import (
    TRAILING_DAYS,
    History,
    comes_late,
    gap_levels,
    midnight,
    read_history,
    revenue_levels,
    silence_levels,
    step_levels,
    value_levels,
)
from features.seasons.index import LARGEST, MIN_HISTORY_DAYS, Levels, learn_season, step_seasons

SEASON_FILE = "season.json"
DAYS_AHEAD = 400
DIGITS = 6
YEAR_DAYS = 365
VALUE, SILENCE = SEASON_VALUE, SEASON_SILENCE
# What the days ahead are compared with: by the level that is learned from, and by the column.
LEVEL_DAYS = {VALUE: TRAILING_DAYS, SEASON_YEAR: 0}
COLUMN_DAYS = {VALUE: TRAILING_DAYS, SEASON_YEAR: YEAR_DAYS}


@dataclass(frozen=True)
class SeasonCurve:
    """Values of the season columns by day.

    Attributes
    ----------
    first
        The first day, UTC without a zone.
    columns
        By column one value a day since the first; empty: no season is known, and every value is 0.
    weights
        By column how far the season is believed at the newest date, within [0, 1].
    """

    first: datetime
    columns: Mapping[str, Sequence[float]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)

    def at(self, column: str, as_of: datetime) -> float:
        """The value of a column at a moment, a number always; 0 of a day that it does not hold."""
        values, place = self.columns.get(column, ()), (as_of - self.first).days
        value = float(values[place]) if 0 <= place < len(values) else 0.0
        return value if math.isfinite(value) else 0.0

    def fill(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Feature rows with the season of the moment of each."""
        days = rows["as_of"].dt.tz_localize(None)
        moments = {day: day.to_pydatetime() for day in days.unique()}
        own = {c: days.map({d: self.at(c, m) for d, m in moments.items()}) for c in self.columns if c in rows}
        return rows.assign(**{name: values.astype(float) for name, values in own.items()})

    def sql(self, as_ofs: Sequence[datetime]) -> dict[str, str]:
        """By column the SQL of its value from ``as_of``, one of these dates."""
        cases = {
            name: " ".join(f"when timestamp '{as_of.isoformat(' ')}' then {self.at(name, as_of)!r}" for as_of in as_ofs)
            for name in self.columns
        }
        return {name: f"cast(case cast(as_of as timestamp) {case} end as double)" for name, case in cases.items()}

    def save(self, folder: Path) -> None:
        """Write it beside the feature rows."""
        content = {**vars(self), "first": self.first.isoformat()}
        (folder / SEASON_FILE).write_text(json.dumps(content), "utf-8")


def load_curve(folder: Path) -> SeasonCurve:
    """Read what `SeasonCurve.save` wrote; of feature rows without it no season is known."""
    path = folder / SEASON_FILE
    if not path.is_file():
        return SeasonCurve(datetime(1970, 1, 1))
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return SeasonCurve(**{**content, "first": datetime.fromisoformat(content["first"])})


def season_curve(
    tables: Mapping[str, ir.Table], as_ofs: Sequence[datetime], knowledge: Knowledge, settings: Settings
) -> SeasonCurve:
    """Learn the season at every as-of date.

    Value has one where it is made of orders alone, silence where who orders nothing counts as having left. With less
    than two years of orders there is none. Events of ``calendar`` move value once one of their times is over and
    recorded: their effects are taken out of what the season is learned from. Before the first order all is 0.

    Parameters
    ----------
    tables
        Checked tables by name, events included.
    as_ofs
        The as-of dates, rising, UTC without a zone.
    knowledge
        Where orders are missing, and what value is made of.
    settings
        Of the business.
    """
    midnights = [midnight(as_of) for as_of in as_ofs]
    nothing = SeasonCurve(midnights[0])
    if "orders" not in tables or settings.churn.kind == "label":
        return nothing
    first = pd.Timestamp(tables["orders"].ordered_at.min().execute())
    calendar = settings.calendar
    until = midnights[-1] + timedelta(days=2 * DAYS_AHEAD)
    given = calendar.windows | ({} if pd.isna(first) else feast_days(calendar.feasts, first.year, until.year))
    least = 1 if given else MIN_HISTORY_DAYS
    if pd.isna(first) or (midnights[-1] - first.normalize()).days < least:
        return nothing
    gaps, late = knowledge.gaps.get("orders", ()), comes_late(tables["orders"])
    newest = read_history(tables, first.to_pydatetime(), midnights[-1], gaps)
    levels = _levels(newest, knowledge, settings)
    events = Events({name: [_days_since(newest.first, window) for window in given[name]] for name in given})
    size = (midnights[-1] - midnights[0]).days + DAYS_AHEAD
    columns = {name: np.zeros(size) for name in SEASON_COLUMNS}
    weights = dict.fromkeys(SEASON_COLUMNS, 0.0)
    for begins, ends in zip(midnights, [*midnights[1:], midnights[-1] + timedelta(days=DAYS_AHEAD)], strict=True):
        known = (begins - newest.first).days
        if known < least:
            continue
        history = read_history(tables, first.to_pydatetime(), begins, gaps) if late else newest
        if late:  # what was recorded since counts not yet
            levels = _levels(history, knowledge, settings)
        place = np.arange((begins - midnights[0]).days, (ends - midnights[0]).days)
        for name, own in levels.items():
            days = place + (midnights[0] - newest.first).days
            effects = events.effects(history.revenue, known - _waits(knowledge)) if name in COLUMN_DAYS else {}
            ahead = settings.clv.horizon_days
            quiet = events.exposure(effects, np.arange(len(own.values)), LEVEL_DAYS.get(name, 0), ahead)
            season = learn_season(replace(own, values=own.values - quiet), known)
            moved = np.clip(events.exposure(effects, days, COLUMN_DAYS.get(name, 0), ahead), -LARGEST, LARGEST)
            usual = season.index(days).round(DIGITS)
            columns[name][place] = np.clip(usual + moved, -LARGEST, LARGEST).round(DIGITS)
            if name in EVENTS_OF:  # what is left of the bound, so that column less events is the season
                columns[EVENTS_OF[name]][place] = (columns[name][place] - usual).round(DIGITS)
            weights[name] = round(season.weight, DIGITS)
            if name == SEASON_YEAR:
                longer = settings.clv.longer_horizons
                further = np.arange(days[0], days[-1] + 1 + max(longer, default=0))
                index = season.index(further) + events.exposure(effects, further, LEVEL_DAYS[name], ahead)
                steps = step_seasons(np.clip(index, -LARGEST, LARGEST), len(days), (ahead, *longer))
                for column, values in zip(SEASON_LONGER, steps, strict=False):
                    columns[column][place] = values.round(DIGITS)
                    weights[column] = weights[name]
    learned = {name: values.tolist() for name, values in columns.items() if values.any()}
    return SeasonCurve(midnights[0], learned, {name: weights[name] for name in learned})


def _days_since(first: datetime, window: tuple[date, date]) -> tuple[int, int]:
    begins, ends = ((day - first.date()).days for day in window)
    return begins, ends


def _levels(history: History, knowledge: Knowledge, settings: Settings) -> dict[str, Levels]:
    """The levels of the season columns that this business has, known once all of their days is surely recorded."""
    churn, out = settings.churn, dict[str, Levels]()
    if settings.clv.forecast and TABLES[knowledge.value_from] == ("orders",):
        out[VALUE] = value_levels(history, settings.clv.horizon_days)
        out[SEASON_YEAR] = revenue_levels(history, settings.clv.horizon_days)
    if churn.kind == "inactivity":
        out[SEASON_GAP] = gap_levels(history, churn.horizon_days)
        out[SILENCE] = silence_levels(history, churn.horizon_days, churn.activity_days)
        steps = season_pairs(churn.horizon_days, churn.all_horizons)
        for name, (days, near) in zip(SEASON_STEPS, steps, strict=False):
            out[name] = step_levels(history, days, near, churn.activity_days)
    return {name: replace(own, ahead_days=own.ahead_days + _waits(knowledge)) for name, own in out.items()}


def _waits(knowledge: Knowledge) -> int:
    """How many days it takes until all of a day is surely recorded."""
    return math.ceil((knowledge.until - (knowledge.labels_until or knowledge.until)) / timedelta(days=1))
