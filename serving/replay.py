"""Makes a past answer again from what is on record of it, with the models that made it.

What goes into an answer besides models and features, the settings, is on record, too; the program is as it is now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import pandas as pd
from pydantic import ValidationError

from configs.errors import NotReadyError, StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from serving.answer.champion import TASKS, Champions, LoadedModel
from serving.answer.score import score_targets
from serving.records.evidence import Context, Evidence, EvidentAnswer, Record, dtypes_of, rows_of
from training.model.bundle import Task

NO_PART_OF_ANSWERS = {"source", "redis", "access", "records"}  # of the settings; these may name places and secrets
ADDED = ("alias",)  # to an answer after it was scored
LATER = ("by_horizon_text",)  # in the parts of answers that later versions gave
MOST_CONTEXTS = 8


@dataclass(frozen=True)
class Replay:
    """A past answer, made again.

    Attributes
    ----------
    same
        Whether it is the very same, byte by byte; None where it could not be made again.
    why
        What differs, or why it could not; empty where it is the same.
    answer
        As it was made now; empty where it could not.
    """

    same: bool | None
    why: str = ""
    answer: bytes = b""


def replay(record: Record, workspace: Workspace | None, settings: Settings, serving: Champions | None = None) -> Replay:
    """Make an answer again.

    Parameters
    ----------
    record
        What is kept of it.
    workspace, settings
        Of the business; a workspace of None has no models but those that serve. Where they say something else today,
        what is on record counts.
    serving
        Models in memory, which are taken if they are the ones; None: all are loaded.
    """
    context, features = record.context, record.features
    if context is None or features is None:
        return Replay(None, "what it was made from was not kept by the version that gave it")
    try:
        champions = _champions(context, workspace, serving)
        then = Settings.model_validate({**settings.model_dump(mode="json"), **context.settings})
    except StaycastError as error:
        return Replay(None, f"its models cannot be loaded: {error}")
    except ValidationError:
        return Replay(None, "its settings are those of an earlier version")
    if changed := _changed(context, champions):
        return Replay(False, f"the files of {' and '.join(changed)} are not those that made it")
    given = orjson.loads(record.answer)
    now = record.summary["scored_at"].to_pydatetime()
    targets = given.get("targets")
    (made,) = score_targets(features, champions, then, now, record.top_reasons, targets, lambda _: record.prediction_id)
    answer = orjson.dumps(_as_given(made, given))
    if answer == record.answer:
        return Replay(True, "", answer)
    return Replay(False, f"it differs in {', '.join(_differing(given, orjson.loads(answer)))}", answer)


def _as_given(made: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """An answer made again, with what was added to the other one, and without what was not told yet then."""
    for name, part in made.items():
        if isinstance(part, dict) and isinstance(given.get(name), dict):
            made[name] = {key: value for key, value in part.items() if key not in LATER or key in given[name]}
    return made | {name: given[name] for name in ADDED if name in given}


def model_of(
    context: Context, task: Task, workspace: Workspace | None, serving: Champions | None = None
) -> LoadedModel:
    """The model of a task that made a past answer: one that answers now if it is that, else from the registry.

    Raises
    ------
    StaycastError
        There was none, or it cannot be loaded any more.
    """
    fact = context.models[task]
    in_memory = [model for model in _loaded(serving, task) if fact is not None and _fact(model) == fact]
    if in_memory:
        return in_memory[0]
    if fact is None or workspace is None:
        raise NotReadyError(f"the {task} model of this answer does not serve any more")
    loaded = Champions.of_versions(workspace, {task: fact["version"]}).by_task[task]
    if loaded is None:
        raise NotReadyError(f"the {task} model of this answer is not there")
    return loaded


class Witness:
    """Puts beside answers what they were made from.

    Parameters
    ----------
    settings
        Of the business.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.model_dump(mode="json", exclude=NO_PART_OF_ANSWERS)
        self._contexts: dict[tuple[Any, ...], tuple[Champions, Context]] = {}

    def __call__(
        self,
        answers: Sequence[dict[str, Any]],
        frame: pd.DataFrame,
        champions: Champions,
        top_reasons: Sequence[int | None],
    ) -> list[EvidentAnswer]:
        """The answers, each with its row of the frame that was scored, and how many reasons were asked."""
        context = self._context(frame, champions)
        return [
            EvidentAnswer(answer, Evidence(context, values, top))
            for answer, values, top in zip(answers, rows_of(frame), top_reasons, strict=True)
        ]

    def _context(self, frame: pd.DataFrame, champions: Champions) -> Context:
        """What the answers of these models share: made once, as long as the models and the columns stay."""
        models = (id(champions.churn), id(champions.clv), *champions.unserved.items())
        of_arms = ((task, *arm.values()) for task, arm in champions.arms.items())
        key = (*models, *of_arms, *frame.columns, *frame.dtypes)
        known = self._contexts.get(key)
        if known is None:
            if len(self._contexts) >= MOST_CONTEXTS:
                self._contexts.clear()
            facts = {task: _fact(model) for task, model in champions.by_task.items()}
            arms = {task: dict(arm) for task, arm in champions.arms.items()}
            context = Context(dtypes_of(frame), facts, dict(champions.unserved), self._settings, arms)
            known = self._contexts[key] = (champions, context)  # whose ids then stay their own
        return known[1]


def _fact(model: LoadedModel | None) -> dict[str, str] | None:
    return None if model is None else {"version": model.version, "files": model.hash}


def _champions(context: Context, workspace: Workspace | None, serving: Champions | None) -> Champions:
    """The models that made an answer, from memory if they are all there."""
    found = _in_memory(context, serving) if serving is not None else None
    if found is None:
        if workspace is None:
            raise NotReadyError("they do not serve any more")
        versions = {task: fact["version"] for task in TASKS if (fact := context.models[task])}
        loaded = Champions.of_versions(workspace, versions, context.unserved)
        return replace(loaded, arms=context.arms)
    return Champions(found["churn"], found["clv"], context.unserved, arms=context.arms)


def _in_memory(context: Context, serving: Champions) -> dict[str, LoadedModel | None] | None:
    """The models, each a champion or of a release that runs; None where one is neither."""
    found: dict[str, LoadedModel | None] = {}
    for task in TASKS:
        fact = context.models[task]
        same = [model for model in _loaded(serving, task) if _fact(model) == fact]
        if fact is not None and not same:
            return None
        found[task] = same[0] if same else None
    return found


def _loaded(serving: Champions | None, task: Task) -> list[LoadedModel]:
    """The models of a task that are in memory: of the champion, and of a release."""
    if serving is None:
        return []
    beside = serving.releases.get(task)
    return [model for model in (serving.by_task[task], beside.model if beside else None) if model is not None]


def _changed(context: Context, champions: Champions) -> list[str]:
    """The labels of models whose files are others than then."""
    models = ((context.models[task], model) for task, model in champions.by_task.items())
    return [model.label for then, model in models if then and model and then["files"] != model.hash]


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names whose values differ, one level deep, or the order of the names where no value does."""
    found = []
    for name in dict.fromkeys((*one, *other)):
        mine, theirs = one.get(name), other.get(name)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping) and mine != theirs:
            found += [f"{name}.{k}" for k in dict.fromkeys((*mine, *theirs)) if mine.get(k) != theirs.get(k)]
        elif mine != theirs or (name in one) != (name in other):
            found.append(name)
    return found or ["the order of its names"]
