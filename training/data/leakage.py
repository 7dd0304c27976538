"""Columns that know the label: found by name, before a model learns from them.

A column can leak in three ways. Its *values* tell the label: a status that is set when a customer leaves, days to the
next order. Or its *being filled* does: an attribute that only those who stayed were asked for. Or a *part* of it does:
one value, or one range of an attribute's numbers, is only ever seen with customers who left, as a complaint that is
filed at the notice. All look like a wonderful feature, and are worth nothing when it counts. A *name* that speaks of
what came after (`revenue_next_90d`) is asked about however little the column tells, beside what its values prove.

None of this is sure: what was truly known beforehand may tell as much. So a training stops with the question, and
`leaks.known_before` answers it for good.

Every column is judged alone, as a rule learned on the earlier dates and tried on the later ones, so that a column
that merely follows the past does not look good: values are cut into 20 bins (a missing value, and each of the
commonest values of a text, are bins of their own), each bin scores by its mean label. The plain behavioural columns,
computed by our own code from what was known as of the date, show how well one honest column can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from configs.errors import StaycastError
from configs.settings import Leaks
from features.schema import FeatureSchema
from features.sources.proposal.time_in_names import time_told
from training.metrics import auc

BINS, MIN_GROUP, Z = 20, 50, 5.0
PART_ROWS, PURE, OF_LEAVERS, BY_CHANCE = 20, 0.99, 0.05, 1e-9
PEERS = 5
COPIED_ROWS, COPIED = 10, 0.9


class LeakError(StaycastError):
    """A column predicts the label too well to be honest."""


@dataclass(frozen=True)
class Leak:
    """Suspicious: which column, what kind (``name``, ``values``, ``missing``, ``part``), what was got, and expected."""

    column: str
    kind: str
    got: str
    expected: str

    @property
    def text(self) -> str:
        """The suspicion in one sentence."""
        return f"{self.column}: {self.got}, expected {self.expected}"

    def to_dict(self) -> dict[str, str]:
        """As JSON can hold it."""
        return asdict(self)


def find_leaks(rows: pd.DataFrame, schema: FeatureSchema, limits: Leaks, by: str = "as_of") -> list[Leak]:
    """Name every column that alone predicts the label suspiciously well.

    Parameters
    ----------
    rows
        Labelled rows: `by`, the features of `schema`, and ``label`` (0/1, or an amount, of which it is asked whether
        it is above the middle, and in a table without dates whether it is more than nothing).
    schema
        Which columns there are, and from which table each comes.
    limits
        ``leaks`` of the settings. Of an amount more is known beforehand (who spends, goes on spending): there
        `min_auc` lies half as far from one.
    by
        The column that splits earlier from later rows.

    Returns
    -------
    list of Leak
        In the order of the schema, what a column holds before what its name says; if one of the halves holds fewer
        than 50 rows of either label, only columns without a date whose names speak of what came after, and those of a
        table without dates that follow the amount, or of which a part comes with amounts alone.
    """
    is_flag = set(rows["label"].unique()) <= {0.0, 1.0}
    leaks = _by_halves(rows, schema, limits, by, target(rows["label"]), is_flag)
    if by == "part" and not is_flag:
        brought = (rows["label"] > 0).to_numpy()
        further = _by_halves(rows, schema, limits, by, brought, is_flag)
        further += _copies(rows[list(schema.names)], rows["label"])
        if brought.mean() < 0.5:  # where most bring something, many an honest column knows who does
            further += _by_part(rows[_attributes(schema)], brought)
        for leak in further:
            leaks += _others([leak], leaks)
    return in_order(leaks + by_name(schema), schema)


def in_order(leaks: Iterable[Leak], schema: FeatureSchema) -> list[Leak]:
    """In the order of the schema, each once, what a column holds before what its name says: the proof goes first."""
    return sorted(dict.fromkeys(leaks), key=lambda leak: (schema.names.index(leak.column), leak.kind == "name"))


def by_name(schema: FeatureSchema) -> list[Leak]:
    """Columns without a date whose names speak of what came after, however little of it they tell."""
    told = {name: time_told(name) for name in _attributes(schema)}
    expected = "a column of what was known then"
    return [Leak(name, "name", told_.text, expected) for name, told_ in told.items() if told_ and told_.is_asked]


def _others(leaks: Sequence[Leak], known: Sequence[Leak]) -> list[Leak]:
    """Those of columns that are not asked about already."""
    return [leak for leak in leaks if leak.column not in {other.column for other in known}]


def _attributes(schema: FeatureSchema) -> list[str]:
    return [f.name for f in schema.features if f.table in ("customers", "profiles")]


def _by_halves(
    rows: pd.DataFrame, schema: FeatureSchema, limits: Leaks, by: str, y: np.ndarray, is_flag: bool
) -> list[Leak]:
    """Columns that know a label of true and false, `y`, shape (n,); none where a half holds few of either."""
    ranks = rows[by].rank(method="dense").to_numpy()
    later = ranks > np.median(ranks) if (ranks > np.median(ranks)).mean() > 0.2 else ranks >= np.median(ranks)
    if min(_rarer_count(y[~later]), _rarer_count(y[later])) < MIN_GROUP:
        return []
    gini = {name: single_gini(rows[name], y, later) for name in schema.names}
    attributes = _attributes(schema)
    floor = limits.min_auc if is_flag else (1 + limits.min_auc) / 2
    leaks = _by_values(gini, attributes, 2 * floor - 1, limits.lead) + _by_missing(rows[attributes], y, limits)
    found = {leak.column for leak in leaks}
    return leaks + (_by_part(rows[[name for name in attributes if name not in found]], y) if is_flag else [])


def require_no_leaks(leaks: Sequence[Leak], accepted: Sequence[str] = ()) -> None:
    """Stop if a column leaks that nobody has accepted.

    Raises
    ------
    LeakError
        Names every such column, what was got and how to go on.
    """
    unaccepted = [leak for leak in leaks if leak.column not in accepted]
    if unaccepted:
        names = ",".join(dict.fromkeys(leak.column for leak in unaccepted))
        raise LeakError(
            f"{len(unaccepted)} suspicion{'s' if len(unaccepted) > 1 else ''} that a column knows the label: "
            f"{'; '.join(leak.text for leak in unaccepted)}. {question(unaccepted)}, or go on this once with "
            f'--accept-leaks {names} --reason "..."'
        )


def question(leaks: Sequence[Leak]) -> str:
    """What is asked of suspicious columns, with the keys that answer."""
    names = ", ".join(dict.fromkeys(leak.column for leak in leaks))
    return (
        "Was it known before the customer left? If not, take it out of columns.attributes, or of a ready table by "
        f"columns.exclude. If it was, write leaks.known_before: [{names}]"
    )


def target(label: pd.Series) -> np.ndarray:
    """The label as true or false, shape (n,): itself, or, of an amount, whether it lies above the middle."""
    values = label.to_numpy(np.float64)
    return values > 0.5 if set(np.unique(values)) <= {0.0, 1.0} else values > np.median(values)


def single_gini(values: pd.Series, y: np.ndarray, later: np.ndarray) -> float:
    """Gini coefficient (``2 AUC - 1``) on the later rows of what one column alone teaches on the earlier ones."""
    bins = _bins(values, ~later)
    rate = pd.Series(y[~later]).groupby(bins[~later]).agg(["sum", "count"])
    smooth = (rate["sum"] + 10 * y[~later].mean()) / (rate["count"] + 10)
    score = pd.Series(bins[later]).map(smooth).fillna(y[~later].mean())
    return 2 * auc(y[later], score) - 1


def _by_values(gini: dict[str, float], attributes: list[str], floor: float, lead: float) -> list[Leak]:
    leaks = []
    for name, own_gini in gini.items():
        others = sorted((g for other, g in gini.items() if other != name and other not in attributes), reverse=True)
        usual = others[PEERS - 1] if len(others) >= PEERS else 0.0
        limit = max(floor, usual + lead * (1 - usual))
        if own_gini > limit:
            got = f"it alone tells the label with an AUC of {(1 + own_gini) / 2:.3f} on later moments"
            leaks.append(Leak(name, "values", got, f"at most {(1 + limit) / 2:.3f} from what plain columns show"))
    return leaks


def _copies(attributes: pd.DataFrame, label: pd.Series) -> list[Leak]:
    """Numbers that are the amount itself, perhaps times a constant, where it is not zero, and nothing where it is.

    So are numbers that rank as it does there. A price that is known beforehand is no copy: who brings nothing has one,
    too. Where all bring something, only the very amount is one.
    """
    leaks, amount = [], label.to_numpy(np.float64)
    some = amount != 0
    if some.sum() < COPIED_ROWS or len(np.unique(amount[some])) < PEERS:
        return []
    amounts = pd.Series(amount[some])
    for name, values in attributes.select_dtypes("number").items():
        numbers = np.nan_to_num(values.to_numpy(np.float64))
        ratio = numbers[some] / amount[some]
        usual = float(np.median(ratio))
        same = float(np.isclose(ratio, usual, rtol=0.01, atol=0).mean()) if usual else 0.0
        nothing = float((numbers[~some] == 0).mean()) if (~some).sum() >= COPIED_ROWS else float(usual == 1)
        varies = len(np.unique(numbers[some])) >= PEERS and (~some).sum() >= COPIED_ROWS
        alike = float(amounts.corr(pd.Series(numbers[some]), method="spearman")) if varies else 0.0
        if nothing >= COPIED and max(same, alike) >= COPIED:
            got = f"it is {usual:.4g} times the amount in {same:.1%} of the rows that have one"
            if same < COPIED:
                got = f"it ranks the {len(amounts):,} rows with an amount as that does (correlation {alike:.3f})"
            leaks.append(Leak(str(name), "values", got, "a number that does not follow from what came"))
    return leaks


def _by_missing(attributes: pd.DataFrame, y: np.ndarray, limits: Leaks) -> list[Leak]:
    """Attributes without a date whose being filled tells the label."""
    leaks = []
    for name in attributes:
        missing = attributes[name].isna().to_numpy()
        if min(missing.sum(), (~missing).sum()) < MIN_GROUP:
            continue
        p, q, whole = y[missing].mean(), y[~missing].mean(), y.mean()
        z = abs(p - q) / np.sqrt(whole * (1 - whole) * (1 / missing.sum() + 1 / (~missing).sum()))
        high, low = max(p, q), max(min(p, q), 1 / len(y))
        if z > Z and high > limits.missing_ratio * low:
            got = f"the label holds for {q:.1%} of the rows where it is filled and {p:.1%} where it is empty"
            leaks.append(Leak(str(name), "missing", got, f"shares within a factor of {limits.missing_ratio:g}"))
    return leaks


def _by_part(attributes: pd.DataFrame, y: np.ndarray) -> list[Leak]:
    """Attributes without a date of which one value or range comes with the label alone, too often to be chance."""
    leaks, whole = [], y.mean()
    for name in attributes:
        for bins in _binnings(attributes[name]):
            rate = pd.Series(y).groupby(bins).agg(["sum", "count"])
            many = (rate["count"] >= PART_ROWS) & (rate["sum"] >= OF_LEAVERS * y.sum())
            by_chance = rate["count"] * np.log(max(whole, 1e-300)) > np.log(BY_CHANCE)
            pure = rate[many & ~by_chance & (rate["sum"] >= PURE * rate["count"])]
            if len(pure):
                share, where = pure["sum"].sum() / pure["count"].sum(), _part(attributes[name], bins, pure.index)
                got = f"the label holds for {share:.1%} of the {int(pure['count'].sum()):,} rows with {where}"
                leaks.append(Leak(str(name), "part", got, f"nearer to the {whole:.1%} of all rows"))
                break
    return leaks


def _binnings(values: pd.Series) -> Iterator[np.ndarray]:
    """Ways to cut an attribute: each value of few, ranges of numbers, and less and more than the usual one."""
    everywhere = np.ones(len(values), dtype=bool)
    if values.nunique() <= BINS:
        yield pd.factorize(values)[0]
        return
    yield _bins(values, everywhere)
    if pd.api.types.is_numeric_dtype(values) and (values == (usual := values.mode().iloc[0])).mean() >= 0.5:
        yield np.where(values.isna(), -1, np.sign(values - usual)).astype(np.int64)


def _part(values: pd.Series, bins: np.ndarray, pure: pd.Index) -> str:
    """What stands in the rows of some bins, in words."""
    known = values[np.isin(bins, pure)].dropna()
    if known.empty:
        return "no value"
    if not pd.api.types.is_numeric_dtype(known):
        return " or ".join(repr(str(value)[:40]) for value in known.unique()[:3])
    low, high = known.min(), known.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _rarer_count(y: np.ndarray) -> int:
    return int(min(y.sum(), (~y).sum()))


def _bins(values: pd.Series, earlier: np.ndarray) -> np.ndarray:
    """Number of the bin of each value, its edges taken from the rows to learn from; -1 for a missing one."""
    if not pd.api.types.is_numeric_dtype(values):
        common = values[earlier].value_counts().index[:BINS]
        return np.where(values.isna(), -1, pd.Index(common).get_indexer(values))
    numbers = values.to_numpy(np.float64)
    known = numbers[earlier & ~np.isnan(numbers)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])) if len(known) else np.array([])
    return np.where(np.isnan(numbers), -1, np.searchsorted(edges, numbers, side="right"))
