"""A prior read back says what it said, whatever its kind."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.priors.credibility import fit_credibility
from training.priors.expectation import fit_expectation
from training.priors.linear import fit_linear
from training.priors.prior import KINDS, Prior, Sum, dump, load
from training.priors.season import Season

ROWS = np.column_stack([np.arange(1, 41) % 7 + 1, np.arange(40) % 30, np.arange(40) + 30, np.arange(40) * 5.0])
OUTCOME = (np.arange(40) % 3 == 0).astype(float)


def priors() -> dict[str, Prior]:
    expectation = fit_expectation(ROWS, (0, 1, 2, 3), "clv", 90)
    assert expectation is not None
    credibility = fit_credibility(ROWS, OUTCOME, (3, 2), 60.0)
    return {
        "sum": Sum((credibility, Season(0, 0.1))),
        "season": Season(0, 0.1, 2.0),
        "credibility": credibility,
        "expectation": expectation,
        "linear": fit_linear(ROWS, OUTCOME, "churn", []),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_prior_read_back_from_json_says_the_same(kind: str) -> None:
    prior = priors()[kind]
    back = load(json.loads(json.dumps(dump(prior))))
    assert back is not None
    assert np.array_equal(back(ROWS), prior(ROWS))
    assert np.array_equal(back.split(ROWS)[1], prior.split(ROWS)[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_prior_is_split_between_its_columns_exactly(kind: str) -> None:
    prior = priors()[kind]
    base, effects = prior.split(ROWS)
    assert effects.shape == ROWS.shape
    assert base + effects.sum(axis=1) == pytest.approx(prior(ROWS), abs=1e-9)


def test_no_prior_stays_none() -> None:
    assert dump(None) is None
    assert load(None) is None
