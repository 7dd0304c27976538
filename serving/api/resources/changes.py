"""Why a score changed: the answer of now beside one of before, the difference split by `serving.answer.change`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pandas as pd
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from configs.errors import StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import describe
from serving.answer.champion import TASKS, Champions, LoadedModel
from serving.answer.change import CAUSES, ORDERS, Split, Told, both, split, values_of
from serving.answer.reasons import to_json_value
from serving.answer.score import iso
from serving.api.guards import BoundedThreads, unavailable_if_it_fails
from serving.api.interfaces import AnswerLog, ModelProvider
from serving.api.json_response import JsonResponse
from serving.api.predictor import Found
from serving.api.problems import NoEarlierAnswerError, left_customer
from serving.api.purpose import asker_of
from serving.api.resources.past_predictions import UNREADABLE
from serving.api.schema.customers import ChangeQuery
from serving.api.schema.queries import parse_query
from serving.records.evidence import Asker, EvidentAnswer, Record
from serving.replay import model_of
from training.model.bundle import Task

HOW = (
    "The difference is split into what became known, time that passed (ages and windows move on by themselves, and so "
    "does the calendar) and another model: each is what it adds when its turn comes, on average over the orders in "
    "which the three can come. Where something new came, a window that moved on counts as what became known. A feature "
    "that did not change may have a share, as the models look at features together."
)
CANNOT_TELL = "Cannot tell why: {}."
NO_FORECAST = (
    "{} no such forecast was made, as of who is no customer, or where that model was not asked or did not serve"
)
NOT_KEPT = "what the answer before was made from was not kept by the version that gave it"
NOT_MADE = "some of the forecasts between the two answers cannot be made, as the models read other columns"
FEWER = " Told from {} of the {} orders in which these can come: {}."
BACK = " The facts of the answer now are not of a later moment: no time passed."
NO_MODEL = "the model before, {}/{}, cannot be loaded any more"
OTHER_FILES = "the files of the model before, {}/{}, are not those that made the answer"
WORDS = dict(zip(CAUSES, ("what became known", "time that passed", "another model"), strict=True))
MAX_WAITING, MOST_MODELS = 16, 4
LATEST = datetime(9999, 12, 31, tzinfo=UTC)  # a calendar goes on behind it
logger = logging.getLogger(__name__)


class Changes:
    """The endpoint of changes.

    Parameters
    ----------
    answering
        Gives the answer of now for whom the path names, on record, or raises why there is none.
    log, models, settings, workspace
        As for `serving.api.app.create_app`.
    """

    def __init__(
        self,
        answering: Callable[[Request], Awaitable[Found]],
        log: AnswerLog,
        models: ModelProvider,
        settings: Settings,
        workspace: Workspace | None,
    ) -> None:
        self._answering, self._log, self._models = answering, log, models
        self._settings, self._workspace = settings, workspace
        self._threads = BoundedThreads(1, MAX_WAITING)
        self._loaded: dict[tuple[str, str, str], LoadedModel] = {}

    @property
    def routes(self) -> list[Route]:
        """Its route."""
        return [Route("/v1/customers/{customer_id}/change", self.get)]

    async def get(self, request: Request) -> Response:
        """The difference between the answer of now and the last one at or before a moment."""
        asked = parse_query(request.query_params.multi_items(), ChangeQuery)
        asker = asker_of(request, self._settings.records.purposes)
        found = await self._answering(request)
        if found.left:
            raise left_customer(found.left[0])
        since = min(datetime.fromisoformat(asked.since), LATEST)
        return JsonResponse(await self._threads.run(self._change, found.answers[0], since, asker))

    def _change(self, now: EvidentAnswer, since: datetime, asker: Asker) -> dict[str, Any]:
        record = self._before(now["customer_id"], now["prediction_id"], since, asker)
        given = orjson.loads(record.answer) if record.answer else _of_columns(record)
        return {
            "customer_id": now["customer_id"],
            "before": _named(given),
            "after": _named(now),
            **{task: self._compared(record, given, now, task) for task in TASKS},
            "split": HOW,
        }

    def _before(self, customer_id: str, own_id: str, since: datetime, asker: Asker) -> Record:
        """The last answer at or before a moment, once it is kept that it was read.

        Raises
        ------
        NoEarlierAnswerError
            There is none.
        UnavailableError
            The record cannot be read, or written.
        """
        with unavailable_if_it_fails(UNREADABLE, f"{UNREADABLE} now"):
            found = self._log.read(end=since + timedelta(microseconds=1), customer_id=customer_id, newest=2)
            ids = [i for i in found["prediction_id"] if i != own_id]
            record = self._log.find(ids[-1]) if ids else None
            if record is not None:
                self._log.note_read(asker, "change", record.prediction_id)
        if record is None:
            raise NoEarlierAnswerError("no answer of this customer is on record from that moment or before")
        return record

    def _compared(
        self, record: Record, given: Mapping[str, Any], now: EvidentAnswer, part: Task
    ) -> dict[str, Any] | None:
        """How one forecast differs; None where no model of it serves, nor did."""
        if given["model"][part] is None and now["model"][part] is None:
            return None
        told = both(given, now, part)
        if told["difference"] is not None:
            return told | self._explained(record, now, part, told["before"], told["after"])
        return told | _untold(NO_FORECAST.format("now" if given[part] else "then"))

    def _explained(self, record: Record, now: EvidentAnswer, part: Task, old: float, new: float) -> dict[str, Any]:
        """The shares of the causes, in all and by feature, and in words."""
        model, why = self._model(record, part)
        if record.features is None:
            return _untold(why)
        context = now.evidence.context
        row, current = context.unpack(*context.pack(now.evidence.values)), self._current_model(now, part)
        bundle = None if model is None else current.bundle if _same(model, current) else model.bundle
        found = split(Told(old, record.features, bundle), Told(new, row, current.bundle))
        if not found.shares:
            return _untold(why or NOT_MADE)
        text = _in_words(new - old, found, "" if part == "churn" else self._settings.currency)
        told, known = len(found.orders), len(ORDERS)
        text += FEWER.format(told, known, why or NOT_MADE) if told < known else ""
        text += BACK if (row["as_of"] <= record.features["as_of"]).any() else ""
        return {
            **_shares(found),
            "text": text,
            "effects": _effects(found, record.features, row, self._settings.currency),
        }

    def _current_model(self, now: EvidentAnswer, part: Task) -> LoadedModel:
        """The model of the answer of now; another may serve since."""
        return model_of(now.evidence.context, part, self._workspace, self._serving())

    def _model(self, record: Record, task: Task) -> tuple[LoadedModel | None, str]:
        """The model of an answer as it was, or None and why it cannot be had."""
        if record.context is None:
            return None, NOT_KEPT
        fact = record.context.models[task] or {"version": "", "files": ""}
        key = (task, fact["version"], fact["files"])
        try:
            model = self._loaded.get(key) or model_of(record.context, task, self._workspace, self._serving())
        except StaycastError as error:
            logger.warning("%s/%s of a past answer cannot be loaded: %s", task, fact["version"], error)
            return None, NO_MODEL.format(task, fact["version"])
        if model.hash != fact["files"]:
            return None, OTHER_FILES.format(task, fact["version"])
        if len(self._loaded) >= MOST_MODELS:
            self._loaded.clear()
        self._loaded[key] = model
        return model, ""

    def _serving(self) -> Champions | None:
        try:
            return self._models.current()
        except StaycastError:
            return None


def _same(one: LoadedModel, other: LoadedModel) -> bool:
    return (one.version, one.hash) == (other.version, other.hash)


def _named(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Which answer it is."""
    names = {name: answer[name] for name in ("prediction_id", "scored_at", "as_of", "stage")}
    return {**names, **{f"{task}_model": answer["model"][task] for task in TASKS}}


def _of_columns(record: Record) -> dict[str, Any]:
    """An answer of which only columns were kept, in the form of a whole one."""
    known = {name: None if value != value or value == "" else value for name, value in record.summary.items()}
    churn = {"probability": known["probability"], "band": known["band"]}
    clv = {"expected": known["expected"], "tier": known["tier"]}
    return {
        **{name: known[name] for name in ("prediction_id", "stage")},
        **{name: iso(record.summary[name].to_pydatetime()) for name in ("scored_at", "as_of")},
        "churn": None if churn["probability"] is None else churn,
        "clv": None if clv["expected"] is None else clv,
        "model": {task: known[f"{task}_model"] for task in TASKS},
    }


def _shares(found: Split) -> dict[str, float | None]:
    base = found.base if "model" in found.effects else None
    return {**{f"by_{cause}": found.shares.get(cause) for cause in CAUSES}, "by_model_base": base}


def _untold(why: str) -> dict[str, Any]:
    """What is said of a difference that cannot be split."""
    return {**_shares(Split()), "text": CANNOT_TELL.format(why), "effects": []}


def _in_words(difference: float, found: Split, currency: str) -> str:
    """How much it rose or fell, and what did it: in points of a hundred, or in money."""
    scale, unit = (1, f" {currency}") if currency else (100, " points")
    moved = "Rose" if difference > 0 else "Fell" if difference < 0 else "Did not change"
    by = f" by {abs(difference) * scale:,.1f}{unit}" if difference else ""
    return f"{moved}{by}: {', '.join(f'{WORDS[c]} {found.shares[c] * scale:+z,.1f}' for c in CAUSES)}."


def _effects(found: Split, before: pd.DataFrame, after: pd.DataFrame, currency: str) -> list[dict[str, Any]]:
    """The shares of each feature that has any, or whose value differs, the largest first."""
    old, new = values_of(before), values_of(after)
    names = dict.fromkeys(name for effects in found.effects.values() for name in effects)
    told = []
    for name in names:
        values = [to_json_value(row.get(name)) for row in (old, new)]
        by = {cause: effects.get(name, 0.0) for cause, effects in found.effects.items()}
        if any(by.values()) or values[0] != values[1]:
            text = describe(name, new if name in new else old, currency)
            shares = {f"by_{cause}": by.get(cause) for cause in CAUSES}
            told.append({"feature": name, "value_before": values[0], "value_after": values[1], **shares, "text": text})
    return sorted(told, key=lambda each: -sum(abs(each[f"by_{cause}"] or 0.0) for cause in CAUSES))
