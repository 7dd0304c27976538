"""SHAP values of many rows at once, from tables: what each pattern of decisions in a tree does to each feature.

LightGBM walks every leaf of every tree for every row. But a row enters a tree only by the decisions at its nodes, and
the few nodes of a small tree have few patterns: the values of all patterns are computed once, by the formula that
LightGBM follows (Lundberg et al. 2020, path-dependent), and a row then looks them up. A tree of many nodes is cut into
subtrees, whose patterns have one bit for each feature on the path to them and one for each node in them.

For a leaf of value v, whose path asks features with the shares z_i of the rows of a node that go its way, and o_i = 1
where the row goes it too, else 0, the value of feature j is

    v (o_j - z_j) * integral_0^1 product over i != j of (o_i t + z_i (1 - t)) dt

and the integrand is a polynomial, for which Gauss-Legendre quadrature is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

BITS = 9  # of a pattern: its tables stay in a processor's cache
MOST_BITS = 12
CHUNK = 2048
ZERO = np.float64(np.float32(1e-35))  # LightGBM takes what is no larger for zero
CATEGORICAL, DEFAULT_LEFT = 1, 2  # bits of LightGBM's decision_type; the two above tell what counts as missing
MISSING_IS_ZERO, MISSING_IS_NAN = 1, 2


@dataclass(frozen=True)
class _Node:
    """A decision: whether a value goes left."""

    feature: int
    threshold: float
    default_left: bool
    missing: int
    codes: tuple[int, ...] | None

    def goes_left(self, value: np.ndarray) -> np.ndarray:
        unknown = np.isnan(value)
        if self.codes is not None:
            whole = np.where(unknown, -1, value).astype(np.int64)  # towards zero, as LightGBM does
            return np.isin(whole, self.codes)
        if self.missing == MISSING_IS_NAN:
            return np.where(unknown, self.default_left, value <= self.threshold)
        known = np.where(unknown, 0.0, value)
        left = known <= self.threshold
        return np.where(np.abs(known) <= ZERO, self.default_left, left) if self.missing == MISSING_IS_ZERO else left


@dataclass(frozen=True)
class _Tree:
    """One tree as LightGBM writes it; a child below zero is a leaf."""

    nodes: tuple[_Node, ...]
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray
    leaf_count: np.ndarray
    count: np.ndarray

    def rows(self, child: int) -> float:
        """How many rows were learned from at a node or a leaf."""
        return float(self.count[child] if child >= 0 else self.leaf_count[~child])


@dataclass(frozen=True)
class _Block:
    """A subtree with the path to it.

    Attributes
    ----------
    bits
        For each bit of a pattern the decisions that must all hold, as (number of the node, goes left).
    features
        Those that it says something about.
    table
        By feature and pattern.
    """

    bits: tuple[tuple[tuple[int, bool], ...], ...]
    features: tuple[int, ...]
    table: np.ndarray


@dataclass(frozen=True)
class TreeEffects:
    """The tables of all trees of one booster."""

    trees: tuple[tuple[tuple[_Node, ...], tuple[_Block, ...]], ...]

    @classmethod
    def of(cls, model: str) -> TreeEffects | None:
        """From LightGBM's text of a model; None where it holds what no table can tell.

        These are linear trees, means of trees, several classes, and paths of more than a dozen features.
        """
        head, *texts = model.split("\nend of trees")[0].split("\nTree=")
        facts = _fields(head)
        if "average_output" in head.splitlines() or facts.get("num_tree_per_iteration") != "1":
            return None
        found = []
        for text in map(_fields, texts):
            if text.get("is_linear", "0") != "0":
                return None
            if int(text["num_leaves"]) == 1:
                continue
            tree = _tree(text)
            blocks = list(_blocks(tree, 0, ()))
            if any(len(block.bits) > MOST_BITS for block in blocks):
                return None
            found.append((tree.nodes, tuple(blocks)))
        return cls(tuple(found))

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """SHAP values of the raw score, shape (n, features)."""
        out = np.empty(matrix.shape)
        for start in range(0, len(matrix), CHUNK):
            out[start : start + CHUNK] = self._of_some(matrix[start : start + CHUNK]).T
        return out

    def _of_some(self, matrix: np.ndarray) -> np.ndarray:
        columns = np.ascontiguousarray(matrix.T)
        phi = np.zeros(columns.shape)
        for nodes, blocks in self.trees:
            left = [node.goes_left(columns[node.feature]) for node in nodes]
            for block in blocks:
                pattern = np.zeros(len(matrix), dtype=np.uint16)
                for place, ((number, is_left), *others) in enumerate(block.bits):
                    holds = left[number] if is_left else ~left[number]
                    for other, is_left_too in others:
                        holds = holds & (left[other] if is_left_too else ~left[other])
                    pattern |= holds.astype(np.uint16) << np.uint16(place)
                places = pattern.astype(np.intp)
                for feature, of_pattern in zip(block.features, block.table, strict=True):
                    phi[feature] += of_pattern.take(places, mode="clip")
        return phi


Path = tuple[tuple[int, bool], ...]


def _blocks(tree: _Tree, root: int, path: Path) -> Iterator[_Block]:
    """Subtrees that together hold every leaf below a node, each once."""
    inner = _inner(tree, root)
    own = {tree.nodes[number].feature for number, _ in path}
    if root < 0 or len(own) + len(inner) <= BITS:
        yield _block(tree, root, path, inner)
        return
    yield from _blocks(tree, int(tree.left[root]), (*path, (root, True)))
    yield from _blocks(tree, int(tree.right[root]), (*path, (root, False)))


def _inner(tree: _Tree, root: int) -> list[int]:
    if root < 0:
        return []
    return [root, *_inner(tree, int(tree.left[root])), *_inner(tree, int(tree.right[root]))]


def _block(tree: _Tree, root: int, path: Path, inner: Sequence[int]) -> _Block:
    features = list(dict.fromkeys(tree.nodes[number].feature for number, _ in path))
    of_path = [tuple(step for step in path if tree.nodes[step[0]].feature == f) for f in features]
    place_of = {number: len(features) + place for place, number in enumerate(inner)}
    bits = (*of_path, *(((number, True),) for number in inner))
    told = tuple(dict.fromkeys([*features, *(tree.nodes[number].feature for number in inner)]))
    patterns = np.arange(1 << len(bits))
    holds = (patterns[:, None] >> np.arange(len(bits))) & 1 == 1
    table = np.zeros((len(told), len(patterns)))
    for leaf, whole in _leaves(tree, root, path):
        on_path = list(dict.fromkeys(tree.nodes[number].feature for number, _ in whole))
        goes, shares = np.ones((len(on_path), len(patterns)), dtype=bool), np.ones(len(on_path))
        for place, feature in enumerate(on_path):
            if feature in features:
                goes[place] &= holds[:, features.index(feature)]
        for number, is_left in whole:
            place = on_path.index(tree.nodes[number].feature)
            child = int((tree.left if is_left else tree.right)[number])
            shares[place] *= tree.rows(child) / tree.rows(number)
            if number in place_of:
                goes[place] &= holds[:, place_of[number]] == is_left
        values = tree.value[leaf] * _shapley(goes, shares)
        table[[told.index(feature) for feature in on_path]] += values
    return _Block(bits, told, table)


def _leaves(tree: _Tree, root: int, path: Path) -> Iterator[tuple[int, Path]]:
    """Every leaf below a node, with the whole path to it."""
    if root < 0:
        yield ~root, path
        return
    yield from _leaves(tree, int(tree.left[root]), (*path, (root, True)))
    yield from _leaves(tree, int(tree.right[root]), (*path, (root, False)))


def _shapley(goes: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Shapley values of the product of all features, for a leaf of value 1; shape (features, patterns) as `goes`.

    >>> _shapley(np.array([[True], [True]]), np.array([0.5, 0.5])).tolist()  # of 1 - 0.25, half each
    [[0.375], [0.375]]
    """
    nodes, weights = np.polynomial.legendre.leggauss(len(shares) // 2 + 1)
    t = ((nodes + 1) / 2)[:, None, None]
    factors = goes * t + shares[:, None] * (1 - t)
    others = factors.prod(axis=1, keepdims=True) / factors
    return (goes - shares[:, None]) * np.tensordot(weights / 2, others, axes=1)


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def _tree(text: dict[str, str]) -> _Tree:
    def numbers(name: str, kind: type = np.float64) -> np.ndarray:
        return np.array(text.get(name, "").split(), dtype=kind)

    types, thresholds = numbers("decision_type", np.int64), numbers("threshold")
    edges, words = numbers("cat_boundaries", np.int64), numbers("cat_threshold", np.int64)

    def node(feature: int, kind: int, threshold: float) -> _Node:
        codes = None
        if kind & CATEGORICAL:
            of_node = words[edges[int(threshold)] : edges[int(threshold) + 1]]
            codes = tuple(32 * at + bit for at, word in enumerate(of_node) for bit in range(32) if word >> bit & 1)
        return _Node(feature, threshold, bool(kind & DEFAULT_LEFT), kind >> 2 & 3, codes)

    features = numbers("split_feature", np.int64).tolist()
    nodes = tuple(map(node, features, types.tolist(), thresholds.tolist()))
    left, right = numbers("left_child", np.int64), numbers("right_child", np.int64)
    return _Tree(nodes, left, right, numbers("leaf_value"), numbers("leaf_count"), numbers("internal_count"))
