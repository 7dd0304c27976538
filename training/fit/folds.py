"""The rows of one fold as models take them, and the blocks of customers over which differences are told from chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from training.data.dataset import Encoder, Matrix
from training.priors.expectation import Expectation
from training.priors.linear import Linear

BLOCKS = 50


@dataclass(frozen=True)
class FoldData:
    """Encoded rows of one fold, with the encoder that was learned from its training rows.

    ``block`` puts every customer of the validation rows into one of 50 blocks, the same in all folds, shape (n,).
    ``expectation`` is the model of orders of the training rows, where orders are known; ``linear`` their regression.
    ``keys`` names the customer and the as-of date of each validation row. ``season_params`` says as parameters
    of a model how much the season of the business counts, see `training.fit.level.season`.
    """

    train: Matrix
    valid: Matrix
    encoder: Encoder
    block: np.ndarray
    expectation: Expectation | None = None
    linear: Linear | None = None
    keys: pd.DataFrame | None = None
    season_params: Mapping[str, float] = field(default_factory=dict)


def blocks_of(customer_ids: Sequence[str]) -> np.ndarray:
    """The block of each customer, by a hash of the id, shape (n,)."""
    return (pd.util.hash_array(np.asarray(customer_ids, dtype=object)) % BLOCKS).astype(int)
