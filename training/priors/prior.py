"""What a forecast starts from before trees correct it, or instead of them where there is little to learn from.

A prior is a function of a few columns, in the unit of a raw score (log-odds, or the logarithm of an amount), that can
split what it says exactly between these columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from training.priors.credibility import Credibility
from training.priors.expectation import Expectation
from training.priors.linear import Linear
from training.priors.season import Season


class Prior(Protocol):
    """A function of a few columns of the matrix."""

    kind: ClassVar[str]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns); they sum to it."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Prior:
        """The inverse of `to_dict`."""


@dataclass(frozen=True)
class Sum:
    """Several priors in one: their raw scores add up, and so do the effects of columns."""

    kind: ClassVar[str] = "sum"

    priors: tuple[Prior, ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The raw score, shape (n,)."""
        return np.sum([prior(x) for prior in self.priors], axis=0)

    def split(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The raw score as a base and one effect a column, shape (n, columns)."""
        bases, effects = zip(*(prior.split(x) for prior in self.priors), strict=True)
        return float(sum(bases)), np.sum(effects, axis=0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"priors": [dump(prior) for prior in self.priors]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Sum:
        """The inverse of `to_dict`."""
        loaded = (load(prior) for prior in content["priors"])
        return cls(tuple(prior for prior in loaded if prior is not None))


def terms(prior: Prior | None) -> tuple[Prior, ...]:
    """The priors that add up to one; itself, if it is no sum."""
    if prior is None:
        return ()
    return prior.priors if isinstance(prior, Sum) else (prior,)


KINDS: dict[str, type[Prior]] = {prior.kind: prior for prior in (Credibility, Expectation, Linear, Season, Sum)}


def dump(prior: Prior | None) -> dict[str, Any] | None:
    """As JSON can hold it, with its kind."""
    return {"kind": prior.kind, **prior.to_dict()} if prior else None


def load(content: Mapping[str, Any] | None) -> Prior | None:
    """The inverse of `dump`."""
    if content is None:
        return None
    return KINDS[content["kind"]].from_dict({name: value for name, value in content.items() if name != "kind"})
