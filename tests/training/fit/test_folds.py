"""A customer's rows are in one block, the same in every fold."""

from __future__ import annotations

import numpy as np

from training.fit.folds import BLOCKS, blocks_of


def test_a_customer_is_in_the_same_block_whoever_else_is_asked_about_and_blocks_are_of_like_size() -> None:
    ids = [f"customer {n}" for n in range(5_000)]
    blocks = blocks_of(ids)
    assert np.array_equal(blocks_of(ids[::-1]), blocks[::-1])
    counts = np.bincount(blocks, minlength=BLOCKS)
    assert len(counts) == BLOCKS and counts.min() > 60
