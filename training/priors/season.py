"""The season of the whole business as a prior: it raises or lowers the raw scores of all customers of a moment alike.

Trees see few moments, each the same for all of its rows, so that a column of moments would name them rather than teach
a season. They start from the index instead, which is learned from all earlier years (`features.seasons`), and learn
what differs between customers from rows brought to one level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from training.priors.level import log_odds_level, smoothed_share

MIN_AMOUNT = 1e-9


@dataclass(frozen=True)
class Season:
    """``base`` plus ``strength`` times one column of the matrix; a missing value adds nothing.

    Attributes
    ----------
    place
        Where the index stands in the matrix.
    strength
        How much of it counts.
    base
        The raw score at an index of 0: where trees start from, unless another prior stands beside this one.
    """

    kind: ClassVar[str] = "season"

    place: int
    strength: float = 1.0
    base: float = 0.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""
        return self.base + self._effect(x)

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns)."""
        out = np.zeros(x.shape)
        out[:, self.place] = self._effect(x)
        return self.base, out

    def _effect(self, x: np.ndarray) -> np.ndarray:
        return self.strength * np.nan_to_num(x[:, self.place])

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Season:
        """The inverse of `to_dict`."""
        return cls(**content)


def fit_seasons(x: np.ndarray, y: np.ndarray, strengths: Mapping[int, float], objective: str) -> list[Season]:
    """Seasons of one or more columns; the first has the base that brings their sum to the level of what came.

    Parameters
    ----------
    x
        Matrix of the rows, shape (n, columns).
    y
        What is learned, in the unit of the objective, shape (n,).
    strengths
        By the place of a column how much of it counts, see `Season`.
    objective
        The LightGBM objective, whose raw score is log-odds (``binary``), the logarithm of a mean (``tweedie``,
        ``gamma``), a mean (``regression``) or a quantile, for which the median stands.
    """
    seasons = [Season(place, strength) for place, strength in strengths.items()]
    index = np.sum([season(x) for season in seasons], axis=0)
    if objective == "binary":
        base = log_odds_level(index, smoothed_share(y))
    elif objective in ("tweedie", "gamma"):
        base = np.log(max(float(y.sum()), MIN_AMOUNT) / float(np.exp(index).sum()))
    else:
        base = np.median(y - index) if objective == "quantile" else np.mean(y - index)
    return [replace(seasons[0], base=float(base)), *seasons[1:]]
