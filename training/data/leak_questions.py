"""What a training would ask of columns that may know the label, before anything is built: by the rule of `leakage`."""

from __future__ import annotations

import pandas as pd

from configs.settings import Settings
from features.sufficiency import LabelledRows
from training.data.leakage import by_name, find_leaks, in_order, question
from training.data.task_rows import in_parts


def leak_questions(labelled: LabelledRows, settings: Settings) -> list[dict[str, str]]:
    """One entry for each suspicion: ``column``, ``kind``, ``got``, ``expected``, and ``todo`` with the keys.

    Of a ready table all suspicions that a training has. Of attributes of customers those of a value and of being
    filled: how well a whole column tells the label is held against plain features, which are not built here.
    """
    rows, schema, has_dates = labelled.rows, labelled.schema, settings.churn.kind != "label"
    if not schema.names:
        return []
    leaks = by_name(schema)
    if has_dates:
        known = _known(rows, "label") if len(rows) else rows
        found = find_leaks(known, schema, settings.leaks) if len(known) else []
        leaks += [leak for leak in found if leak.kind != "values"]
    else:
        outcomes = (_known(rows, name) for name in ("label", "clv") if name in rows)
        parts = [in_parts(known, schema.names, settings) for known in outcomes if len(known)]
        leaks += [leak for part in parts for leak in find_leaks(part, schema, settings.leaks, by="part")]
    asked = [leak for leak in in_order(leaks, schema) if leak.column not in settings.leaks.known_before]
    return [{**leak.to_dict(), "todo": question([leak])} for leak in asked]


def _known(rows: pd.DataFrame, outcome: str) -> pd.DataFrame:
    """The rows whose outcome is known, as ``label``; none where all have the same."""
    known = rows.assign(label=rows[outcome]).dropna(subset=["label"])
    return known.sort_values(["as_of", "customer_id"], ignore_index=True) if known["label"].nunique() > 1 else rows[:0]
