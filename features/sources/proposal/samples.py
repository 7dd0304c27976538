"""Files with the same columns are looked at together: what a later file alone shows (a currency, a state) counts, too.

Files whose times are written in different ways, or whose encoding or sheet must be said apart, stay apart: each such
group becomes an entry of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from features.sources.proposal.columns import Column
from features.sources.proposal.tables import columns_of

Formats = tuple[str, ...] | None


def together(
    samples: Mapping[Path, pd.DataFrame], doubts: Mapping[Path, str], most_rows: int
) -> dict[Path, tuple[Column, ...]]:
    """The columns of each file, seen together with those of its group.

    Parameters
    ----------
    samples
        The first rows of each file; ``attrs["is_part"]`` says whether it goes on.
    doubts
        Of files that do not tell how they are read, what the mapping says of it.
    most_rows
        Of a group so many rows are looked at, of each file alike.

    Returns
    -------
    dict of pathlib.Path to tuple of Column
        Files of one group have the same tuple.

    Examples
    --------
    >>> rows = {Path("a"): pd.DataFrame({"date": ["01.02.2024"]}), Path("b"): pd.DataFrame({"date": ["25.02.2024"]})}
    >>> columns = together(rows | {Path("c"): pd.DataFrame({"date": ["02/25/2024"]})}, {}, 100)
    >>> [columns[path][0].time_formats[0] for path in columns], columns[Path("a")] is columns[Path("b")]
    (['%d.%m.%Y', '%d.%m.%Y', '%m/%d/%Y'], True)
    """
    groups: list[tuple[tuple[object, ...], list[Path], list[Formats]]] = []
    alone = {path: columns_of(rows) for path, rows in samples.items()}
    for path, columns in alone.items():
        kind = (tuple(c.name for c in columns), doubts.get(path))
        for known, paths, formats in groups:
            if known == kind and (both := _both(formats, columns, alone[paths[0]])) is not None:
                paths.append(path)
                formats[:] = both
                break
        else:
            groups.append((kind, [path], [c.time_formats for c in columns]))
    out: dict[Path, tuple[Column, ...]] = {}
    for _, paths, _ in groups:
        each = max(1, most_rows // len(paths))
        shared = alone[paths[0]] if len(paths) == 1 else columns_of([_head(samples[path], each) for path in paths])
        out |= dict.fromkeys(paths, shared)
    return {path: out[path] for path in samples}


def _both(formats: Sequence[Formats], columns: Sequence[Column], others: Sequence[Column]) -> list[Formats] | None:
    """Formats that fit the times of a group and of a file more; None if a column has none."""
    out: list[Formats] = []
    for known, column, other in zip(formats, columns, others, strict=True):
        own = column.time_formats
        if column.filled.empty or known == own:
            out.append(known)
        elif other.filled.empty and known is None:
            out.append(own)
        elif known and own and (shared := tuple(f for f in known if f in own)):
            out.append(shared)
        else:
            return None
    return out


def _head(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    head = rows.head(most)
    head.attrs["is_part"] = rows.attrs.get("is_part", False) or len(rows) > most
    return head
