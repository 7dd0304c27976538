"""What if: the answer for a customer as is and with changed features, and the difference feature by feature.

Nothing of it is logged: it is no prediction that could come true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.settings import Settings
from features.schema import of_customers, value_fault
from serving.answer import decide
from serving.answer.arms import of_customer
from serving.answer.champion import TASKS, Champions
from serving.answer.change import both
from serving.answer.score import score
from serving.api.gate import visible
from serving.api.guards import BoundedThreads, check_media_type, read_body
from serving.api.interfaces import ModelProvider
from serving.api.json_response import JsonResponse
from serving.api.predictor import Predictor
from serving.api.problems import FieldError, unknown_customers
from serving.api.schema.parsing import invalid_request, json_pointer
from serving.api.schema.what_if import WhatIfQuestion, parse_what_if
from training.model.bundle import Task

SPLIT = (
    "Of each feature: its effect in the forecast after, less its effect in the forecast before. A feature that was not "
    "changed may have a share, as the models look at features together."
)
MAX_WAITING, MAX_NAMED = 16, 20
REASONS: dict[Task, str] = {"churn": "reasons", "clv": "clv_reasons"}


class WhatIf:
    """The endpoint of changed features.

    Parameters
    ----------
    models, predictor
        The models that serve now, and who reads features.
    settings, clock
        As for `serving.api.app.create_app`.
    """

    def __init__(
        self, models: ModelProvider, predictor: Predictor, settings: Settings, clock: Callable[[], datetime]
    ) -> None:
        self._models, self._predictor, self._settings, self._clock = models, predictor, settings, clock
        self._threads = BoundedThreads(1, MAX_WAITING)

    @property
    def routes(self) -> list[Route]:
        """Its route."""
        return [Route("/v1/what-if", self.ask, methods=["POST"])]

    async def ask(self, request: Request) -> Response:
        """The forecasts before and after."""
        check_media_type(request.headers)
        question = parse_what_if(await read_body(request))
        if not await visible(request.scope, [question.customer_id]):
            raise unknown_customers([question.customer_id], [])
        return JsonResponse(await self._threads.run(self._answer, question))

    def _answer(self, question: WhatIfQuestion) -> dict[str, Any]:
        row = self._predictor.row(question.customer_id)
        champions = of_customer(self._models.current(), row["customer_id"].iloc[0])
        readable = champions.columns | set(decide.stage_columns(self._settings.churn))
        _require_possible(question.changes, row, readable, champions)
        frame = pd.concat([row, with_changes(row, question.changes)], ignore_index=True)
        before, after = score(frame, champions, self._settings, self._clock(), 0)
        forecasts: dict[str, Any] = {
            task: _compared(before, after, task) if champions.labels[task] else None for task in TASKS
        }
        return {
            "customer_id": before["customer_id"],
            "as_of": before["as_of"],
            **forecasts,
            "stage_before": before["stage"],
            "stage_after": after["stage"],
            "split": SPLIT,
            "churn_model": champions.labels["churn"],
            "clv_model": champions.labels["clv"],
        }


def with_changes(row: pd.DataFrame, changes: Mapping[str, float | str | None]) -> pd.DataFrame:
    """The row with other values; what is not known is NaN in numbers, None in categories."""
    numeric = {name: pd.api.types.is_numeric_dtype(row[name]) for name in changes}
    new = {name: np.nan if value is None and numeric[name] else value for name, value in changes.items()}
    return row.assign(**{name: pd.Series([value], row.index, row[name].dtype) for name, value in new.items()})


def _require_possible(
    changes: Mapping[str, float | str | None], row: pd.DataFrame, readable: set[str], champions: Champions
) -> None:
    """InvalidRequestError that names every change that cannot be made."""
    known = set(of_customers(row.columns)) & readable
    categories: dict[str, set[str]] = {}
    for model in champions.models:
        for name, values in model.bundle.categories.items():
            categories.setdefault(name, set()).update(values)
    faults = [
        FieldError(json_pointer(("changes", name)), fault)
        for name, value in changes.items()
        if (fault := _fault(name, value, known, categories))
    ]
    if faults:
        raise invalid_request(faults)


def _fault(name: str, value: float | str | None, known: set[str], categories: Mapping[str, set[str]]) -> str:
    if name not in known:
        return "is no feature that the models read of a customer: `GET /v1/models` names them"
    if value is None:
        return ""
    if name in categories:
        words = sorted(categories[name])
        few = f": {', '.join(words)}" if len(words) <= MAX_NAMED else ""
        return "" if value in categories[name] else f"must be a category that the models know{few}"
    return "must be a number" if isinstance(value, str) else value_fault(name, value)


def _compared(before: dict[str, Any], after: dict[str, Any], task: Task) -> dict[str, Any]:
    """One forecast before and after."""
    told, reasons = both(before, after, task), REASONS[task]
    return {**told, "effects": [] if told["difference"] is None else _effects(before[reasons], after[reasons])}


def _effects(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[dict[str, Any]]:
    old = {reason["feature"]: reason for reason in before}
    effects = [
        {
            "feature": name,
            "value_before": old[name]["value"],
            "value_after": reason["value"],
            "effect_before": old[name]["effect"],
            "effect_after": reason["effect"],
            "difference": reason["effect"] - old[name]["effect"],
            "text": reason["text"],
        }
        for reason in after
        for name in [reason["feature"]]
    ]
    told = (effect for effect in effects if effect["difference"] or effect["value_before"] != effect["value_after"])
    return sorted(told, key=lambda effect: -abs(effect["difference"]))
