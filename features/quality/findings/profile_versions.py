"""Profiles that another version of the code made: what of them can be compared with those of this one.

How times are read changes with the code: a profile of before, of the same file, can hold other hours of the day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROFILE_VERSION = 2  # one more whenever the same file gives other hours; older profiles have none
NOT_COMPARED = "hours_not_compared"


def without_other_hours(old: Mapping[str, Any]) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """A profile as it can be compared: made by another version, without its hours of the day.

    Returns
    -------
    dict
        The profile; `old` is not changed.
    list of tuple
        Table and column of the hours left out.

    Examples
    --------
    >>> before = {"tables": {"orders": {"columns": {"ordered_at": {"filled": 9, "hours": [9] + [0] * 23}}}}}
    >>> without_other_hours(before)
    ({'tables': {'orders': {'columns': {'ordered_at': {'filled': 9}}}}}, [('orders', 'ordered_at')])
    >>> without_other_hours({**before, "version": PROFILE_VERSION})[1]
    []
    """
    if old.get("version") == PROFILE_VERSION:
        return dict(old), []
    left_out, tables = [], {}
    for name, table in old["tables"].items():
        columns = {}
        for column, profile in table["columns"].items():
            columns[column] = {key: value for key, value in profile.items() if key != "hours"}
            left_out += [(name, column)] if "hours" in profile else []
        tables[name] = {**table, "columns": columns}
    return {**old, "tables": tables}, left_out
