"""Whether a file has one line an item, and how the numbers of an order's lines are combined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from features.sources.proposal.columns import Column


def lines_of(key: Column, numbers: Mapping[str, Column], others: Sequence[Column]) -> dict[str, str]:
    """What ``lines`` would say; empty if a row is an order.

    Parameters
    ----------
    key
        The number of the order.
    numbers
        Columns of numbers, by our names.
    others
        All columns of the file. Rows of one number that are alike in all of them are copies, and no lines.

    Returns
    -------
    dict
        *once*: a number that never differs within an order; *sum*: one that does.

    Examples
    --------
    >>> key, item = Column("no", pd.Series(["1", "1", "2"])), Column("item", pd.Series(["a", "b", "a"]))
    >>> total, pieces = Column("total", pd.Series(["9", None, "5"])), Column("qty", pd.Series(["1", "2", "1"]))
    >>> lines_of(key, {"amount": total, "quantity": pieces}, [key, item, total, pieces])
    {'amount': 'once', 'quantity': 'sum'}
    """
    frame = pd.DataFrame({n: column.values.astype("string") for n, column in enumerate(others)})
    ids = key.values.astype("string").ffill()
    if key.files is not None:  # an order in two exports is no order of two lines
        ids = pd.Series(key.files, index=ids.index).astype("string") + " " + ids
    rows = frame[ids.duplicated(keep=False).to_numpy()]
    several = ids[rows.index]
    if rows.empty or not rows.assign(key=several).drop_duplicates()["key"].duplicated().any():
        return {}
    places = {id(column): n for n, column in enumerate(others)}
    differs = rows.groupby(several).nunique().gt(1).any()
    return {name: "sum" if differs[places[id(column)]] else "once" for name, column in numbers.items()}
