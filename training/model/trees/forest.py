"""A booster as arrays: raw scores as LightGBM gives them, and SHAP values from tables of the patterns of its decisions.

LightGBM walks every leaf of every tree for every row. But a row enters a tree only by the decisions at its nodes, and
the few nodes of a small tree have few patterns: the values of all patterns are computed once, by the formula that
LightGBM follows (Lundberg et al. 2020, path-dependent), and a row then looks them up. A tree of many nodes is cut into
blocks, subtrees whose patterns have one bit for each feature on the path to them and one for each node in them.

For a leaf of value v, whose path asks features with the shares z_i of the rows of a node that go its way, and o_i = 1
where the row goes it too, else 0, the value of feature j is

    v (o_j - z_j) * integral_0^1 product over i != j of (o_i t + z_i (1 - t)) dt

and the integrand is a polynomial, for which Gauss-Legendre quadrature is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.model.trees.text import MOST_FEATURES, Tree, read_trees

BITS = 7  # of a pattern, at most, where a path is no longer: the tables of a tree stay in a processor's cache
Path = tuple[tuple[int, bool], ...]
Arrays = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class _Leaf:
    """One leaf of a block: its value, and for each feature on its path the share, both masks and its place."""

    value: float
    parts: tuple[tuple[float, int, int, int], ...]


@dataclass(frozen=True)
class _Block:
    """A subtree with the path to it: its features, its leaves, and the decisions that a bit of a pattern stands for."""

    bits: int
    steps: tuple[tuple[int, bool, int], ...]
    features: tuple[int, ...]
    leaves: tuple[_Leaf, ...]


class Forest:
    """All trees of one booster.

    Parameters
    ----------
    trees
        In the order in which their values are added.
    features
        How many columns a row has.
    """

    def __init__(self, trees: Sequence[Tree], features: int) -> None:
        self._trees, self._features = tuple(trees), features
        words = [tree.words for tree in trees]
        starts = np.cumsum([0, *map(len, words)])
        bounds = [[edges + start for edges in tree.code_bounds] for tree, start in zip(trees, starts, strict=False)]
        self._node_first = np.cumsum([0, *(len(tree.feature) for tree in trees)])
        self._leaf_first = np.cumsum([0, *(len(tree.value) for tree in trees)])
        self._most_nodes = max((len(tree.feature) for tree in trees), default=0)
        self._value = _joined([tree.value for tree in trees], np.float64)
        self._nodes: Arrays = (
            _joined([tree.feature for tree in trees], np.int32),
            _joined([tree.threshold for tree in trees], np.float64),
            _joined([tree.kind for tree in trees], np.int32),
            _joined([first for first, _ in bounds], np.int64),
            _joined([last for _, last in bounds], np.int64),
            _joined(words, np.uint32),
            _joined([tree.left for tree in trees], np.int32),
            _joined([tree.right for tree in trees], np.int32),
        )

    @classmethod
    def of(cls, model: str) -> Forest | None:
        """From LightGBM's text of a model; None where it holds what is not read here.

        These are linear trees, means of trees, several classes, and paths of more than a dozen features.

        Raises
        ------
        RegistryError
            A tree is damaged.
        """
        found = read_trees(model)
        return None if found is None or any(tree.most_features > MOST_FEATURES for tree in found[0]) else cls(*found)

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """The raw scores, shape (n,), to the last bit those of LightGBM."""
        from training.model.trees import kernel

        self._require_columns(matrix)
        out = np.empty(len(matrix))
        kernel.scores(_plain(matrix), (self._node_first, self._leaf_first), self._nodes, self._value, out)
        return out

    def effects(self, matrix: np.ndarray) -> np.ndarray:
        """SHAP values of the raw score, shape (n, features); of a row the same whatever rows are beside it."""
        from training.model.trees import kernel

        self._require_columns(matrix)
        columns = _plain(matrix.T)
        phi, (block_first, blocks, steps, table) = np.zeros(columns.shape), self._tables
        trees = (self._node_first, block_first)
        kernel.effects(columns, trees, self._nodes, self._most_nodes, blocks, steps, table, phi)
        return np.ascontiguousarray(phi.T)

    def _require_columns(self, matrix: np.ndarray) -> None:
        if matrix.shape[1] != self._features:
            raise ValueError(f"rows of {matrix.shape[1]} columns, the trees ask for {self._features}")

    @cached_property
    def _tables(self) -> tuple[np.ndarray, Arrays, Arrays, np.ndarray]:
        """First block of each tree; of blocks their parts; the steps of bits; and the values of all patterns."""
        from training.model.trees import kernel

        of_tree = [list(_blocks(tree, 0, ())) if len(tree.feature) else [] for tree in self._trees]
        blocks = [block for some in of_tree for block in some]
        bits = np.array([block.bits for block in blocks], dtype=np.int64)
        width = np.array([len(block.features) for block in blocks], dtype=np.int64)
        table_first = np.cumsum([0, *((1 << bits) * width)])
        table = np.zeros(table_first[-1])
        leaves = [(leaf, number) for number, block in enumerate(blocks) for leaf in block.leaves]
        of_leaf = np.array([number for _, number in leaves], dtype=np.int64)
        parts = [part for leaf, _ in leaves for part in leaf.parts]
        share, *masks = zip(*parts, strict=True) if parts else ((), (), (), ())
        kernel.fill(
            table,
            (
                np.array([leaf.value for leaf, _ in leaves], dtype=np.float64),
                np.cumsum([0, *(len(leaf.parts) for leaf, _ in leaves)]),
                table_first[of_leaf],
                bits[of_leaf],
            ),
            (np.array(share, dtype=np.float64), *(np.array(each, dtype=np.int64) for each in masks)),
            _knots(),
        )
        steps = [step for block in blocks for step in block.steps]
        node, left, bit = zip(*steps, strict=True) if steps else ((), (), ())
        of_blocks = (
            np.cumsum([0, *(len(block.steps) for block in blocks)]),
            np.cumsum([0, *width]),
            np.array([feature for block in blocks for feature in block.features], dtype=np.int32),
            table_first,
            bits,
        )
        of_steps = (np.array(node, dtype=np.int32), np.array(left, dtype=np.bool_), np.array(bit, dtype=np.int32))
        return np.cumsum([0, *map(len, of_tree)]), of_blocks, of_steps, table


def _plain(matrix: np.ndarray) -> np.ndarray:
    """Of the one kind that the loops are compiled for: compiling them for another takes seconds."""
    return np.require(matrix, np.float64, ("C_CONTIGUOUS", "WRITEABLE"))


def _joined(parts: Sequence[np.ndarray], kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(kind)


def _knots() -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of the quadrature between 0 and 1, by how many features a path has."""
    points, weights = np.zeros((2, MOST_FEATURES + 1, MOST_FEATURES // 2 + 1))
    for count in range(MOST_FEATURES + 1):
        order = count // 2 + 1
        at, of = np.polynomial.legendre.leggauss(order)
        points[count, :order], weights[count, :order] = (at + 1) / 2, of / 2
    return points, weights


def _blocks(tree: Tree, root: int, path: Path) -> Iterator[_Block]:
    """Subtrees that together hold every leaf below a node, each once."""
    inner = tree.nodes_below(root)
    if root < 0 or len({tree.feature[number] for number, _ in path}) + len(inner) <= BITS:
        yield _block(tree, root, path, inner)
        return
    yield from _blocks(tree, int(tree.left[root]), (*path, (root, True)))
    yield from _blocks(tree, int(tree.right[root]), (*path, (root, False)))


def _block(tree: Tree, root: int, path: Path, inner: Sequence[int]) -> _Block:
    own = list(dict.fromkeys(int(tree.feature[number]) for number, _ in path))
    bit_of_own = {feature: bit for bit, feature in enumerate(own)}
    bit_of = {number: len(own) + bit for bit, number in enumerate(inner)}
    features = tuple(dict.fromkeys([*own, *(int(tree.feature[number]) for number in inner)]))
    place = {feature: at for at, feature in enumerate(features)}

    def leaf(number: int, whole: Path) -> _Leaf:
        shares: dict[int, float] = {}
        masks = {feature: [1 << bit, 0] for feature, bit in bit_of_own.items()}
        for node, is_left in whole:
            feature = int(tree.feature[node])
            shares[feature] = shares.get(feature, 1.0) * tree.share(node, is_left)
            if node in bit_of:
                masks.setdefault(feature, [0, 0])[0 if is_left else 1] |= 1 << bit_of[node]
        parts = tuple((share, masks[f][0], masks[f][1], place[f]) for f, share in shares.items())
        return _Leaf(float(tree.value[number]), parts)

    steps = [(node, is_left, bit_of_own[int(tree.feature[node])]) for node, is_left in path]
    steps += [(node, True, bit) for node, bit in bit_of.items()]
    return _Block(len(own) + len(inner), tuple(steps), features, tuple(leaf(*each) for each in tree.leaves(root, path)))
