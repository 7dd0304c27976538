"""Several boosters that differ by their seed alone, as one: the mean of their raw scores."""

from __future__ import annotations

import re
from collections.abc import Sequence

import lightgbm as lgb

TREES_BEGIN = re.compile(r"(?m)^(?=Tree=|end of trees)")
NUMBER, LEAF_VALUES, SIZES = (re.compile(f"(?m)^{name}=(.*)$") for name in ("Tree", "leaf_value", "tree_sizes"))


def averaged(boosters: Sequence[lgb.Booster]) -> lgb.Booster:
    """One booster with the trees of all, every leaf divided by how many boosters there are.

    Its raw scores and its contributions are the means of theirs. They must have the same columns and objective, and no
    linear leaves. It is put together in LightGBM's text format of models (version 4).

    Parameters
    ----------
    boosters
        At least one.
    """
    if len(boosters) == 1:
        return boosters[0]
    parts = [TREES_BEGIN.split(booster.model_to_string()) for booster in boosters]
    (head, *_, end), trees = parts[0], [tree for _, *of_one, _ in parts for tree in of_one]
    trees = [_scaled(NUMBER.sub(f"Tree={n}", tree), len(boosters)) for n, tree in enumerate(trees)]
    head = SIZES.sub("tree_sizes=" + " ".join(str(len(tree)) for tree in trees), head)
    return lgb.Booster(model_str="".join((head, *trees, end)))


def _scaled(tree: str, count: int) -> str:
    def divided(line: re.Match[str]) -> str:
        return "leaf_value=" + " ".join(repr(float(value) / count) for value in line[1].split())

    return LEAF_VALUES.sub(divided, tree)
