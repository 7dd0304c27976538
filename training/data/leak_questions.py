"""What a training would ask of columns that may know the label, before anything is built: by the rule of `leakage`."""

from __future__ import annotations

from configs.settings import Settings
from features.sufficiency import LabelledRows
from training.data.leakage import find_leaks, question
from training.data.task_rows import in_parts


def leak_questions(labelled: LabelledRows, settings: Settings) -> list[dict[str, str]]:
    """One entry for each suspicion: ``column``, ``kind``, ``got``, ``expected``, and ``todo`` with the keys.

    Of a ready table all suspicions that a training has. Of attributes of customers those of a value and of being
    filled: how well a whole column tells the label is held against plain features, which are not built here.
    """
    rows, schema, has_dates = labelled.rows, labelled.schema, settings.churn.kind != "label"
    if not schema.names or rows.empty:
        return []
    rows = rows.dropna(subset=["label"]).sort_values(["as_of", "customer_id"], ignore_index=True)
    if rows["label"].nunique() < 2:
        return []
    if has_dates:
        leaks = [leak for leak in find_leaks(rows, schema, settings.leaks) if leak.kind != "values"]
    else:
        leaks = find_leaks(in_parts(rows, schema.names, settings), schema, settings.leaks, by="part")
    asked = [leak for leak in leaks if leak.column not in settings.leaks.known_before]
    return [{**leak.to_dict(), "todo": question([leak])} for leak in asked]
