"""The compiled loops over trees; importing this imports the compiler, so it is imported where it is first used."""

from __future__ import annotations

import numpy as np

from training.compiled import compiled
from training.model.trees.text import CATEGORICAL, MOST_FEATURES, ZERO

ROWS_AT_ONCE = 256  # whose decisions at the nodes of one tree fit into a processor's cache, with the tree's tables
DEFAULT_LEFT = 2  # bit of LightGBM's decision_type beside CATEGORICAL; the two above tell what counts as missing
MISSING_IS_ZERO, MISSING_IS_NAN = 1, 2
LARGEST_CODE = 2.0**31
Arrays = tuple[np.ndarray, ...]


@compiled
def _goes_left(value: float, threshold: float, kind: int, words: np.ndarray, first: int, last: int) -> bool:
    """The decision of a node, as LightGBM takes it; `first` and `last` bound its words, where it asks for codes."""
    unknown = np.isnan(value)
    if kind & CATEGORICAL:
        if unknown or value <= -1.0 or value >= LARGEST_CODE:
            return False
        code = int(value)  # towards zero
        word = first + code // 32
        return word < last and (words[word] >> np.uint32(code % 32)) & np.uint32(1) == 1
    missing = kind >> 2 & 3
    default_left = kind & DEFAULT_LEFT != 0
    if missing == MISSING_IS_NAN and unknown:
        return default_left
    known = 0.0 if unknown else value
    if missing == MISSING_IS_ZERO and abs(known) <= ZERO:
        return default_left
    return known <= threshold


@compiled
def scores(matrix: np.ndarray, trees: Arrays, nodes: Arrays, leaf_value: np.ndarray, out: np.ndarray) -> None:
    """Add the leaf of each tree that a row falls into, tree by tree as LightGBM does, to `out`, shape (n,)."""
    node_first, leaf_first = trees
    feature, threshold, kind, code_first, code_last, words, left, right = nodes
    for row in range(len(matrix)):
        total = 0.0
        for tree in range(len(node_first) - 1):
            first = node_first[tree]
            at = 0 if node_first[tree + 1] > first else -1  # a tree of one leaf has no node
            while at >= 0:
                node = first + at
                value = matrix[row, feature[node]]
                goes = _goes_left(value, threshold[node], kind[node], words, code_first[node], code_last[node])
                at = left[node] if goes else right[node]
            total += leaf_value[leaf_first[tree] - at - 1]
        out[row] = total


@compiled
def _decide(columns: np.ndarray, first: int, last: int, nodes: Arrays, goes: np.ndarray) -> None:
    """Whether each row of `columns`, shape (features, rows), goes left at the nodes `first` to `last`: into `goes`."""
    feature, threshold, kind, code_first, code_last, words, _, _ = nodes
    count = columns.shape[1]
    for node in range(first, last):
        value, out, limit = columns[feature[node]], goes[node - first], threshold[node]
        if kind[node] & CATEGORICAL == 0 and kind[node] >> 2 & 3 == MISSING_IS_NAN:  # nearly all, so without a branch
            default_left = kind[node] & DEFAULT_LEFT != 0
            for row in range(count):
                out[row] = value[row] <= limit or (default_left and value[row] != value[row])
        else:
            for row in range(count):
                out[row] = _goes_left(value[row], limit, kind[node], words, code_first[node], code_last[node])


@compiled
def effects(
    columns: np.ndarray,
    trees: Arrays,
    nodes: Arrays,
    most_nodes: int,
    blocks: Arrays,
    steps: Arrays,
    table: np.ndarray,
    phi: np.ndarray,
) -> None:
    """Add the SHAP values of all trees, tree by tree, to `phi`; it and `columns` are of shape (features, rows)."""
    node_first, block_first = trees
    step_first, told_first, told, table_first, bits = blocks
    step_node, step_left, step_bit = steps
    most = min(columns.shape[1], ROWS_AT_ONCE)
    goes, pattern = np.empty((most_nodes, most), dtype=np.bool_), np.empty(most, dtype=np.int32)
    for start in range(0, columns.shape[1], ROWS_AT_ONCE):
        some, of_some = columns[:, start : start + ROWS_AT_ONCE], phi[:, start : start + ROWS_AT_ONCE]
        count = some.shape[1]
        for tree in range(len(node_first) - 1):
            _decide(some, node_first[tree], node_first[tree + 1], nodes, goes)
            for block in range(block_first[tree], block_first[tree + 1]):
                pattern[:count] = (1 << bits[block]) - 1
                for step in range(step_first[block], step_first[block + 1]):
                    left, bit, of_node = step_left[step], np.int32(1 << step_bit[step]), goes[step_node[step]]
                    for row in range(count):
                        pattern[row] &= ~(bit if of_node[row] != left else np.int32(0))
                at, patterns = table_first[block], 1 << bits[block]
                for place in range(told_first[block], told_first[block + 1]):
                    of_feature = of_some[told[place]]
                    for row in range(count):
                        of_feature[row] += table[at + pattern[row]]
                    at += patterns


@compiled
def fill(table: np.ndarray, leaves: Arrays, parts: Arrays, knots: Arrays) -> None:
    """Add to the tables of all blocks what each leaf does to the features of its path, by every pattern of a block.

    Of a part, a feature on the path of a leaf: the share of the rows that go the leaf's way at its decisions, the bits
    that a pattern has set and those it has not where a row goes that way, and the place among the block's features.
    """
    value, first, table_first, bits = leaves
    share, is_set, is_unset, place = parts
    points, weights = knots
    goes, factor, before = np.empty(MOST_FEATURES), np.empty(MOST_FEATURES), np.empty(MOST_FEATURES + 1)
    split = np.empty(MOST_FEATURES)
    for leaf in range(len(value)):
        start, count = first[leaf], first[leaf + 1] - first[leaf]
        for pattern in range(1 << bits[leaf]):
            for i in range(count):
                holds = pattern & is_set[start + i] == is_set[start + i] and pattern & is_unset[start + i] == 0
                goes[i], split[i] = (1.0 if holds else 0.0), 0.0
            for knot in range(count // 2 + 1):
                t, weight = points[count, knot], weights[count, knot]
                before[0] = 1.0
                for i in range(count):
                    factor[i] = goes[i] * t + share[start + i] * (1 - t)
                    before[i + 1] = before[i] * factor[i]
                behind = weight
                for i in range(count - 1, -1, -1):
                    split[i] += before[i] * behind
                    behind *= factor[i]
            for i in range(count):
                at = table_first[leaf] + (place[start + i] << bits[leaf]) + pattern
                table[at] += value[leaf] * (goes[i] - share[start + i]) * split[i]
