"""What a training would rest each model on, told from the labels alone before anything is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd

from configs.errors import NotEnoughDataError
from configs.settings import Settings
from features.labels.inactivity import churned_column
from features.seasons.index import MIN_HISTORY_DAYS
from features.sufficiency import LabelledRows
from training.data.dataset import LABEL, Dataset, shortage
from training.data.early_seasons import LEAST_DATES
from training.data.horizon_rows import horizons_to_learn, left_out_by_main_alone
from training.data.task_rows import judged_by, parted_by_customer, plan_of, shortened
from training.model.bundle import Task

NOTHING_BROUGHT = (
    "the {rows:,} customers whose value is known brought {total:,.2f} in total, and a value can be forecast only where "
    "customers bring something: see whether realised_value is the right column and has the right sign, or set "
    "clv.forecast to false"
)

UNJUDGED = "two years of orders may show a season, and too few past moments knew it to judge it"


def expected_basis(labelled: LabelledRows, settings: Settings) -> list[dict[str, str]]:
    """One entry a model: ``model``; ``basis``, which is ``trees``, ``prior`` or ``none``; and ``why``.

    Horizons of churn of which the model would tell nothing are among the reasons, by the rule of a training, under
    ``churn.treatment: keep``. Customers and outcomes are counted as a training counts them. Not told from here: that
    the rows to learn from are alike in all columns or have one outcome, where trees are expected and a prior answers.
    """
    return [{"model": task, **_expected(labelled, settings, task)} for task in settings.tasks]


def _expected(labelled: LabelledRows, settings: Settings, task: Task) -> dict[str, str]:
    rows, minimum = labelled.rows, settings.minimum
    if labelled.why_none:
        return {"basis": "none", "why": labelled.why_none}
    asked = rows[rows["as_of"] == rows["as_of"].max()]
    asked = asked[asked["active"]] if task == "churn" and "active" in rows else asked
    if len(asked) < minimum.few_customers:
        few = f"{len(asked)} customers at the newest moment, and even a prior needs {minimum.few_customers}"
        return {"basis": "none", "why": f"{few}: bring more, or lower minimum.few_customers"}
    name = LABEL[task] if LABEL[task] in rows else "label"
    known = rows.assign(label=rows[name]).dropna(subset=["label"])
    by: Literal["as_of", "part"] = "part" if settings.churn.kind == "label" else "as_of"
    if task == "churn" and known.empty and (shorter := _learnable_days(rows, settings)):
        beside = f"; {shorter} days can be learned: their chance stands beside, and gives the level"
    else:
        beside = ""
    from_orders = labelled.orders and (task == "clv" or settings.churn.kind == "inactivity")
    if by == "as_of" and not from_orders and (known.empty or (task == "clv" and known["label"].sum() <= 0)):
        what = "no outcome is known yet" if known.empty else "no customer has brought anything yet"
        return {"basis": "none", "why": f"{what}, and without orders nothing can be said beforehand"}
    data = parted_by_customer(Dataset(task, known, labelled.schema, "", by), settings)
    if task == "clv" and by == "part" and known["label"].sum() <= 0:
        return {"basis": "none", "why": NOTHING_BROUGHT.format(rows=len(known), total=known["label"].sum())}
    if lacking := shortage(data, minimum):
        silent = left_out_by_main_alone(settings) if task == "churn" and by == "as_of" and not from_orders else {}
        why = "; ".join([*lacking, *filter(None, [judged_by(data, settings)]), *_nothing_within(silent)])
        return {"basis": "prior" if minimum.below == "prior" else "none", "why": why + beside}
    try:
        plan = plan_of(data, settings)
        silent = horizons_to_learn(data, plan.final, None, settings)[1] if task == "churn" and by == "as_of" else {}
        season = [UNJUDGED] if from_orders and by == "as_of" and _season_unjudged(rows, data) else []
        return {
            "basis": "trees",
            "why": "; ".join([*shortened(plan, data, settings), *season, *_nothing_within(silent)]),
        }
    except NotEnoughDataError as error:
        return {"basis": "prior" if minimum.below == "prior" else "none", "why": str(error)}


def _season_unjudged(rows: pd.DataFrame, data: Dataset) -> bool:
    """Whether two years have passed since the first moment, while fewer than three labelled ones lie as late."""
    late = rows["as_of"].min() + pd.Timedelta(days=MIN_HISTORY_DAYS)
    return bool(rows["as_of"].max() >= late) and sum(as_of >= late for as_of in data.as_ofs) < LEAST_DATES


def _nothing_within(left_out: Mapping[str, str]) -> list[str]:
    """Of horizons that are left out, what is said, a sentence each."""
    return [f"nothing would be told within {days} days: {why}" for days, why in left_out.items()]


def _learnable_days(rows: pd.DataFrame, settings: Settings) -> int:
    """The longest horizon before the main one that has passed since some moment; 0: none."""
    if settings.churn.kind != "inactivity":
        return 0
    shorter = [days for days in settings.churn.all_horizons if days < settings.churn.horizon_days]
    return max((d for d in shorter if churned_column(d) in rows and rows[churned_column(d)].notna().any()), default=0)
