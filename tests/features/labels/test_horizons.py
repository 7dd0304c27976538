"""Which horizon is told from which."""

from __future__ import annotations

from features.labels.horizons import neighbour_pairs


def test_each_horizon_but_the_main_one_has_a_neighbour_nearer_to_it() -> None:
    assert neighbour_pairs(60, [90, 30, 14]) == [(30, 60), (14, 30), (90, 60)]
    assert neighbour_pairs(30, [30]) == []
