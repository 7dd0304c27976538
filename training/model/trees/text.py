"""Trees as LightGBM writes them into the text of a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from configs.errors import RegistryError

CATEGORICAL = 1  # bit of a decision's kind
MOST_FEATURES = 12  # on the path to one leaf, of trees that are read
ZERO = np.float64(np.float32(1e-35))  # LightGBM takes what is no larger for zero


@dataclass(frozen=True)
class Tree:
    """One tree; the first node is its root, and a child below zero is a leaf, ``~child``.

    Attributes
    ----------
    feature, threshold, kind, left, right, count
        Of each node: the column asked, the largest value that goes left, LightGBM's ``decision_type``, the children,
        and how many rows were learned from there.
    words, code_bounds
        Bits of the codes that go left, and the first and last word of each node that asks for codes.
    value, leaf_count
        Of each leaf.
    """

    feature: np.ndarray
    threshold: np.ndarray
    kind: np.ndarray
    left: np.ndarray
    right: np.ndarray
    count: np.ndarray
    words: np.ndarray
    code_bounds: tuple[np.ndarray, np.ndarray]
    value: np.ndarray
    leaf_count: np.ndarray

    def is_whole(self, features: int) -> bool:
        """Whether decisions ask for these columns alone, and every node and leaf is led to once, from before it."""
        nodes, leaves = len(self.kind), len(self.value)
        lengths = {len(each) for each in (self.feature, self.threshold, self.left, self.right, self.count)}
        children = np.concatenate([self.left, self.right])
        if lengths != {nodes} or len(self.leaf_count) != leaves or leaves != nodes + 1:
            return False
        led_to = np.sort(children).tolist() == [*range(-leaves, 0), *range(1, nodes)] if nodes else True
        onward = bool(np.all((children < 0) | (children > np.tile(np.arange(nodes), 2))))
        asked = bool(np.all((self.feature >= 0) & (self.feature < features)))
        first, last = self.code_bounds
        coded = bool(np.all((first >= 0) & (first <= last) & (last <= len(self.words))))
        return led_to and onward and asked and coded

    @property
    def most_features(self) -> int:
        """How many columns are asked on the way to one leaf, at most."""
        return max((len({int(self.feature[n]) for n, _ in path}) for _, path in self.leaves(*self._root)), default=0)

    @property
    def _root(self) -> tuple[int, tuple[()]]:
        return (0 if len(self.feature) else -1), ()

    def share(self, node: int, is_left: bool) -> float:
        """Of the rows at a node those that went to one side."""
        child = int((self.left if is_left else self.right)[node])
        rows = self.count[child] if child >= 0 else self.leaf_count[~child]
        return float(rows / self.count[node])

    def nodes_below(self, root: int) -> list[int]:
        """A node and all nodes below it; of a leaf none."""
        if root < 0:
            return []
        return [root, *self.nodes_below(int(self.left[root])), *self.nodes_below(int(self.right[root]))]

    def leaves(
        self, root: int, path: tuple[tuple[int, bool], ...]
    ) -> Iterator[tuple[int, tuple[tuple[int, bool], ...]]]:
        """Every leaf below a node, with the whole path to it: nodes, and whether it goes left there."""
        if root < 0:
            yield ~root, path
            return
        yield from self.leaves(int(self.left[root]), (*path, (root, True)))
        yield from self.leaves(int(self.right[root]), (*path, (root, False)))


def read_trees(model: str) -> tuple[list[Tree], int] | None:
    """The trees of a model, and how many columns it asks for; None where it is no sum of trees of constants.

    It may be a mean of trees, have linear ones, or several classes.

    Raises
    ------
    RegistryError
        A tree is damaged: a decision leads nowhere, or asks for a column that there is not.
    """
    head, *texts = model.split("\nend of trees")[0].split("\nTree=")
    facts, found = _fields(head), [_fields(text) for text in texts]
    if "average_output" in head.splitlines() or facts.get("num_tree_per_iteration") != "1":
        return None
    if any(text.get("is_linear", "0") != "0" for text in found):
        return None
    features = int(facts["max_feature_idx"]) + 1
    trees = [_tree(text) for text in found]
    for number, tree in enumerate(trees):
        if not tree.is_whole(features):
            raise RegistryError(f"tree {number} of a booster is damaged: train the model again")
    return trees, features


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _tree(text: dict[str, str]) -> Tree:
    def numbers(name: str, kind: type = np.int64) -> np.ndarray:
        return np.array(text.get(name, "").split(), dtype=kind)

    kinds, thresholds, edges = numbers("decision_type"), numbers("threshold", np.float64), numbers("cat_boundaries")
    by_codes = kinds & CATEGORICAL == 1
    bounds = np.zeros((2, len(kinds)), dtype=np.int64)
    if by_codes.any():
        which = thresholds[by_codes].astype(np.int64)
        bounds[:, by_codes] = edges[which], edges[which + 1]
    return Tree(
        feature=numbers("split_feature"),
        threshold=_beside_zero(thresholds),
        kind=kinds,
        left=numbers("left_child"),
        right=numbers("right_child"),
        count=numbers("internal_count", np.float64),
        words=numbers("cat_threshold"),
        code_bounds=(bounds[0], bounds[1]),
        value=numbers("leaf_value", np.float64),
        leaf_count=numbers("leaf_count", np.float64),
    )


def _beside_zero(thresholds: np.ndarray) -> np.ndarray:
    """The same decisions of rows whose values next to zero were not made zero, as LightGBM does before it asks."""
    edges = np.where(thresholds < 0, np.nextafter(-ZERO, -np.inf), ZERO)
    return np.where(np.abs(thresholds) <= ZERO, edges, thresholds)
