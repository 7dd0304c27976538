"""The level that the newest months show, which no outcome of the whole horizon knows yet.

A value model learns from moments whose horizon has passed. Of the moments since, 30 or 60 days are known: what came of
them, over what the model expects of so many days by the model of orders, moves its level, believed as far as few
moments tell (`training.priors.level`).

A single month may say more of a season than of the level. So past moments decide: at up to twelve of them plain trees,
which knew nothing later, are set right by the months before the moment alone, by a share of the move that outcomes
known at that moment ask for. Only where this brought totals nearer beyond chance is a move made; else the level stays.
Outcomes of moments less than a horizon apart overlap, for which the test allows (Diebold and Mariano 1995, with the
correction for few moments of Harvey, Leybourne and Newbold 1997).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.inactivity import value_column
from training.data.dataset import Dataset, has_fees
from training.data.split import AsOfs, matured
from training.data.task_rows import labels_of
from training.fit.assembly import Forecast, forecaster
from training.fit.boosters import Fitted
from training.fit.level.season import MOST_ROWS, fit_plain_trees, has_season, learn_some
from training.fit.value.law import order_growth_at
from training.model.encoding import encode
from training.priors.expectation import COLUMNS
from training.priors.growth import OrderGrowth
from training.priors.level import log_ratio, shrunk

MOMENTS, LEAST_MOMENTS = 12, 6
USUAL, SD = 0.5, 0.3
SURE = 0.95
MOST = float(np.log(2))
SEASON = "the season of the business counts, which a few months cannot be told from"
CONTRACTS = "contracts bring what their prices say, which a month does not tell better"
FEW = f"fewer than {LEAST_MOMENTS} past moments show what it would have brought"
NO_DATES = "no dates can judge"
NOT_BUILT = "the value of single months is not known, or what customers ordered"


@dataclass(frozen=True)
class History:
    """Feature rows and labels of all customers at all as-of dates, and the labelled rows of values.

    ``growths`` and ``errors`` hold by moment what was computed: it rests on nothing later than the moment's outcome, so
    the model that is judged and the one that serves share it.
    """

    rows: pd.DataFrame
    labels: pd.DataFrame
    data: Dataset
    settings: Settings
    growths: dict[pd.Timestamp, OrderGrowth | None] = field(default_factory=dict)
    errors: dict[pd.Timestamp, tuple[float, float] | None] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: pd.DataFrame, workspace: Workspace, data: Dataset, settings: Settings) -> History | None:
        """Of feature rows and the labels of a workspace; None for a task that forecasts no values."""
        return cls(rows, labels_of(workspace), data, settings) if data.task == "clv" else None

    @property
    def left_out(self) -> str:
        """Why the newest months tell nothing here; empty: they may."""
        if self.data.by != "as_of":
            return NO_DATES
        if has_fees(self.rows) and self.settings.clv.contracts != "orders":
            return CONTRACTS
        steps = {value_column(days) for days in self.settings.clv.step_horizons}
        return "" if steps and steps <= set(self.labels) and set(COLUMNS) <= set(self.rows) else NOT_BUILT


def recent_level(
    history: History | None, fitted: Fitted, until: pd.Timestamp | None, forecast: Forecast
) -> tuple[float, dict[str, Any]]:
    """By how much the logarithm of a value model's forecasts is moved, and what past moments showed of such moves.

    Parameters
    ----------
    history
        What is known; None: no values are forecast.
    fitted
        The model.
    until
        No outcome past this moment may be seen; None: all that is known.
    forecast
        The calibrated model's forecasts of feature rows, in currency.
    """
    if history is None:
        return 0.0, {}
    if why := history.left_out or (SEASON if has_season(fitted) else ""):
        return 0.0, {"left_out": why}
    now = history.rows["as_of"].max() if until is None else until
    moments, errors = past_errors(history, now)
    if not moments:
        return 0.0, {"left_out": FEW}
    strength = proven_share(moments, errors, history.settings.clv.horizon_days)
    shift = shift_at(now, forecast, history) if strength else None
    if shift is None:
        return 0.0, {"moments": len(errors), "share": 0.0}
    by = strength * shift
    return by, {"moments": len(errors), "share": strength, "factor": float(np.exp(by))}


def past_moves(
    facts: Mapping[str, Any], rows: pd.DataFrame, labels: pd.DataFrame, data: Dataset, settings: Settings
) -> Callable[[pd.Timestamp, Forecast], float]:
    """By how much a model of a past moment is moved by the months before it, by the share that `facts` tell."""
    history, strength = History(rows, labels, data, settings), float(facts.get("share", 0.0))
    return lambda moment, forecast: strength * (shift_at(moment, forecast, history) or 0.0) if strength else 0.0


def past_errors(history: History, now: pd.Timestamp) -> tuple[AsOfs, np.ndarray]:
    """Past moments, the oldest first, and how far plain trees missed the level, as they were and moved; (moments, 2).

    None where there are fewer than can prove anything.
    """
    data, days = history.data, history.settings.clv.horizon_days
    known = {v: matured(data.as_ofs, days, by=v) for v in matured(data.as_ofs, days, by=now)}
    moments = [v for v, before in known.items() if (data.at(before)["label"] > 0).sum() > 1][-MOMENTS:]
    if len(moments) < LEAST_MOMENTS:
        return (), np.zeros((0, 2))
    for moment in moments:
        if moment not in history.errors:
            history.errors[moment] = _errors_at(moment, known[moment], history)
    there = {v: error for v in moments if (error := history.errors[v]) is not None}
    return tuple(there), np.array([*there.values()]).reshape(-1, 2)


def _errors_at(moment: pd.Timestamp, known: AsOfs, history: History) -> tuple[float, float] | None:
    data = history.data
    forecast, asked = _plain_trees(data, known, history.settings), data.at([moment])
    shift, came = shift_at(moment, forecast, history), float(asked["label"].sum())
    expected = float(forecast(asked).sum())
    if shift is None or came <= 0 or expected <= 0:
        return None
    error = float(np.log(expected / came))
    return error, error + shift


def proven_share(moments: AsOfs, errors: np.ndarray, horizon_days: int) -> float:
    """The share of a move that is made: 0 unless shares by what was known at each moment lowered errors beyond chance.

    Parameters
    ----------
    moments
        The oldest first.
    errors
        Of the logarithm of the total at each, without a move and with all of it, shape (moments, 2).
    horizon_days
        Days until a moment's outcome is known.

    Examples
    --------
    >>> dates, off = tuple(pd.date_range("2024-01-01", periods=8, freq="30D")), np.array([0.3, 0.2, 0.3, 0.25] * 2)
    >>> proven_share(dates, np.column_stack([off, off - 0.25]), 90) > 0.8
    True
    >>> proven_share(dates, np.column_stack([off, off + 0.25]), 90)
    0.0
    """
    if len(moments) < LEAST_MOMENTS:
        return 0.0
    dates, horizon = pd.DatetimeIndex(moments), pd.Timedelta(days=horizon_days)
    then = [share(errors[dates + horizon <= moment]) for moment in moments]
    moved = errors[:, 0] + np.array(then) * (errors[:, 1] - errors[:, 0])
    overlap = int(np.ceil(horizon / pd.Series(dates).diff().median()))
    return share(errors) if beyond_chance(errors[:, 0] ** 2 - moved**2, overlap) else 0.0


def beyond_chance(gains: np.ndarray, overlap: int) -> bool:
    """Whether gains at moments, of which so many in a row overlap, have a mean above 0 beyond chance.

    Student's t has as many degrees of freedom as if only those counted that do not overlap; with one for each moment
    the test would err twice as often as it says.

    >>> beyond_chance(np.array([0.1, 0.12, 0.09, 0.1, 0.11, 0.1, 0.1, 0.1]), 3)
    True
    >>> beyond_chance(np.array([0.4, 0.3, 0.2, -0.1, -0.1, -0.1, -0.1, 0.0]), 3)
    False
    """
    n, off = len(gains), gains - gains.mean()
    few = (n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / n
    if overlap >= n or few <= 0:
        return False
    together = sum((1 - lag / overlap) * float(off[lag:] @ off[:-lag]) for lag in range(1, overlap))
    variance = max((float(off @ off) + 2 * together) / n**2, 1e-12)
    return bool(gains.mean() * np.sqrt(few / variance) > student.ppf(SURE, max(n / overlap - 1, 1)))


def share(errors: np.ndarray) -> float:
    """The share of a move that brings errors nearest to 0 by least squares, held to a half as far as few tell.

    >>> share(np.zeros((0, 2))), share(np.array([[0.1, 0.4], [-0.1, -0.4]]))
    (0.5, 0.0)
    """
    if not len(errors):
        return USUAL
    without, gain = errors[:, 0], errors[:, 0] - errors[:, 1]
    weight = max(float(gain @ gain), 1e-12)
    left = float(np.mean((without - np.clip(without @ gain / weight, 0, 1) * gain) ** 2))
    held = left / SD**2
    strength = float(np.clip((without @ gain + held * USUAL) / (weight + held), 0, 1))
    return round(strength, 2) if np.square(without - strength * gain).sum() < np.square(without).sum() else 0.0


def shift_at(moment: pd.Timestamp, forecast: Forecast, history: History) -> float | None:
    """By how much the newest months before a moment say that a forecast's logarithm must be raised; None: they do not.

    Months whose whole horizon was known at the moment do not count: the model learned from them.
    """
    clv, shifts = history.settings.clv, []
    for recent in sorted(history.rows["as_of"].unique()):
        passed = (moment - recent) / pd.Timedelta(days=1)
        steps = [days for days in clv.step_horizons if days <= passed]
        growth = _growth_at(recent, history) if steps and passed < clv.horizon_days else None
        if growth is None:
            continue
        column = value_column(steps[-1])
        labels = history.labels.loc[history.labels["as_of"] == recent, ["customer_id", column]].dropna()
        rows = history.rows[history.rows["as_of"] == recent].merge(labels, on="customer_id", validate="1:1")
        if len(rows) < 2:
            continue
        rows = rows.sample(min(len(rows), MOST_ROWS), random_state=history.settings.tuning.seed)
        expected = forecast(rows)
        after = growth.increments(encode(rows, growth.columns, {}), expected, (steps[-1], clv.horizon_days))[:, 0]
        shifts.append(log_ratio(expected / (1.0 + after), rows[column].to_numpy(np.float64)))
    found = [each for each in shifts if each is not None]
    if not found:
        return None
    return float(np.clip(shrunk(*(np.asarray(column) for column in zip(*found, strict=True)))[0], -MOST, MOST))


def _growth_at(moment: pd.Timestamp, history: History) -> OrderGrowth | None:
    """The law by which value comes within the horizon, as of a moment; None where nobody had ordered."""
    if moment not in history.growths:
        history.growths[moment] = order_growth_at(moment, history.rows, history.settings)
    return history.growths[moment]


def _plain_trees(data: Dataset, known: AsOfs, settings: Settings) -> Forecast:
    """Forecasts of plain trees at the level of what they learned from."""
    learned, encoder = learn_some(data, known, settings.tuning.seed)
    fitted, affine = fit_plain_trees(data.task, learned, encoder, settings.tuning.seed)
    return forecaster(fitted, encoder, affine)
