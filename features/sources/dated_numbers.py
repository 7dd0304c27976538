"""Dated attributes that are numbers: their values, texts like those of any attribute, as plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from configs.errors import ConfigError, DataError, nearest
from features.numbers.text_column import read_column
from features.sources.mapping import Numbers
from features.sources.staging import ATTRIBUTE_NUMBERS, Raw


def with_dated_numbers(raw: Mapping[str, Raw], numbers: Iterable[str]) -> dict[str, Raw]:
    """Read the values of these attributes in the table attribute_changes as numbers are read everywhere.

    All values of an attribute decide together what its separators mean, where ``numbers`` in the table's mapping does
    not say it. One that is no number stays as it is, and is counted among the notes of the table.

    Raises
    ------
    ConfigError
        The mapping says how an attribute's numbers are written that is not declared as one of numbers.
    DataError
        Nothing decides what a separator means.

    Examples
    --------
    >>> changes = pd.DataFrame({"attribute": ["seats", "seats", "plan"], "value": ["1.200,5", "12", "1,5"]})
    >>> with_dated_numbers({"attribute_changes": changes}, ["seats"])["attribute_changes"]["value"].tolist()
    ['1200.5', '12', '1,5']
    """
    changes = raw.get("attribute_changes")
    if changes is None:
        return dict(raw)
    names, notes = set(numbers), list[str]()
    given: Mapping[str, Numbers] = changes.attrs.get(ATTRIBUTE_NUMBERS, {})
    for name in given:
        if name not in names:
            raise ConfigError(
                f"source.options.attribute_changes.numbers: '{name}' is none of columns.numbers{nearest(name, names)}"
            )
    if not names:
        return dict(raw)
    read: dict[tuple[str, str], str] = {}
    for name, texts in _texts(changes, names).items():
        written = given.get(name, Numbers())
        column = read_column(texts, written.decimal)
        if column.in_doubt and written.decimal is None:
            raise DataError(
                f"attribute_changes: value: of '{name[:40]}', nothing says whether a separator is one of thousands or "
                f"a decimal sign, as in '{column.evidence.example}': say in its mapping "
                f'numbers: {{{name[:40]}: {{decimal: "."}}}} or {{decimal: ","}}'
            )
        plain = (column.numbers / float(written.scale)).map(_plain, na_action="ignore")
        for text, number in zip(texts, plain, strict=True):
            if isinstance(number, str):
                read[name, text] = number
        if column.unreadable:
            notes.append(f"{column.unreadable:,} different values of '{name[:40]}' are no number and count as unknown")
    attrs: dict[Any, Any] = {**changes.attrs, "notes": [*changes.attrs.get("notes", ()), *notes]}
    if isinstance(changes, pd.DataFrame):
        frame = _replaced(changes, names, read)
        frame.attrs = attrs
        return {**raw, "attribute_changes": frame}
    chunks = replace(changes, read=lambda: (_replaced(f, names, read) for f in changes.read()), attrs=attrs)
    return {**raw, "attribute_changes": chunks}


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else repr(number)


def _texts(changes: Raw, names: set[str]) -> dict[str, pd.Series]:
    """Different values of each of these attributes, in the order of the text."""
    found: dict[str, set[str]] = {}
    for frame in [changes] if isinstance(changes, pd.DataFrame) else changes.read():
        for name, values in frame[_asked(frame, names)].groupby("attribute")["value"]:
            found.setdefault(str(name), set()).update(values.dropna().astype(str))
    return {name: pd.Series(sorted(values), dtype=object) for name, values in sorted(found.items())}


def _asked(frame: pd.DataFrame, names: set[str]) -> pd.Series:
    return frame["attribute"].isin(names).fillna(False).astype(bool)


def _replaced(frame: pd.DataFrame, names: set[str], read: Mapping[tuple[str, str], str]) -> pd.DataFrame:
    rows = frame.loc[_asked(frame, names), ["attribute", "value"]].astype(str)
    new = [read.get(key, key[1]) for key in zip(rows["attribute"], rows["value"], strict=True)]
    values = frame["value"].astype(object)
    filled = frame.loc[rows.index, "value"].notna()
    values[rows.index[filled]] = pd.Series(new, index=rows.index, dtype=object)[filled]
    return frame.assign(value=values)
