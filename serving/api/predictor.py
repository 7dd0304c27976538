"""From the ids that several requests ask for to their answers: one look at the features, one call of the models."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from itertools import compress, islice
from typing import Any

import numpy as np
import pandas as pd

from configs.errors import safe_summary
from configs.settings import Settings
from serving.answer.arms import answers_by_arm
from serving.answer.champion import Champions, Running
from serving.answer.score import score_targets
from serving.api.guards import unavailable_if_it_fails
from serving.api.interfaces import FeatureReader, Leavers, ReleaseObserver
from serving.api.problems import left_customer, opposed_customer, unknown_customers
from serving.records.evidence import EvidentAnswer
from serving.replay import Witness
from training.model.bundle import Task

NO_FEATURES = "the feature store cannot be read"
NO_OBJECTIONS = ("who objects cannot be read", "who objects to being forecast cannot be read now")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Asked:
    """What one request, or a part of a long one, asks for: ids, how many reasons, and of which models.

    As for `serving.answer.score.score`, 0 reasons are all columns, None none. `targets`: None are all.
    """

    ids: list[str]
    top_reasons: int | None
    models: Champions
    targets: frozenset[Task] | None = None


@dataclass(frozen=True)
class Found:
    """The answers for those who are known, in the order asked, and the ids of the others.

    Attributes
    ----------
    answers
        Of those who are known.
    not_found, left
        Who is not known, and who is known to have left.
    erased, opposed
        Those of `not_found` who were erased on request, or object to being forecast.
    """

    answers: Sequence[dict[str, Any]]
    not_found: list[str]
    left: list[str]
    erased: list[str] = field(default_factory=list)
    opposed: list[str] = field(default_factory=list)

    @classmethod
    def together(cls, parts: Sequence[Found]) -> Found:
        """What was found for the parts of one request."""
        lists = ([item for part in parts for item in getattr(part, each.name)] for each in fields(cls))
        return cls(*lists)

    def as_seen(self, asked: Sequence[str], seen: Collection[str]) -> Found:
        """The same for who sees only some of those who were asked: the others are not found."""
        missing = {*self.not_found, *(i for i in asked if i not in seen)}
        return replace(self, not_found=[i for i in asked if i in missing])


class Predictor:
    """Answers what several requests ask for in one call; nothing is logged here.

    Parameters
    ----------
    reader, settings, clock, left, observer
        As for `serving.api.app.create_app`.
    erased, objecting
        Tell who of some ids was erased on request, and who objects to being forecast.
    """

    def __init__(
        self,
        reader: FeatureReader,
        settings: Settings,
        clock: Callable[[], datetime],
        left: Leavers,
        observer: ReleaseObserver | None = None,
        erased: Leavers = lambda ids: set(),
        objecting: Leavers = lambda ids: set(),
    ) -> None:
        self._reader, self._settings, self._clock, self._left = reader, settings, clock, left
        self._observer, self._erased, self._objecting = observer, erased, objecting
        self._witness = Witness(settings)

    def __call__(self, asked: Sequence[Asked]) -> list[Found]:
        """What was found for each, in their order.

        Raises
        ------
        UnavailableError
            The features, or who has left or objects, cannot be read.
        NotReadyError, RegistryError
            The models cannot score these rows.
        """
        ids = [i for each in asked for i in each.ids]
        frame = self.read(ids)
        known, opposed = frame["as_of"].notna().to_numpy(), self.opposed(ids)
        if opposed:
            known = known & ~np.isin(ids, list(opposed))
        unknown = [i for i in compress(ids, ~known) if i not in opposed]
        left, erased = self._known_to_have_left(unknown), self._erased(unknown) if unknown else set()
        outcomes = iter(self._outcomes(asked, frame, known))
        return [_found(each.ids, islice(outcomes, len(each.ids)), left, erased, opposed) for each in asked]

    def _outcomes(self, asked: Sequence[Asked], frame: pd.DataFrame, known: np.ndarray) -> list[EvidentAnswer | None]:
        """The answer of every row, None for who is unknown; one call for all that is asked of the same models."""
        of_row = [each for each in asked for _ in each.ids]
        outcomes: list[EvidentAnswer | None] = [None] * len(of_row)
        keys = [_group(each) for each in of_row]
        for key, group in {_group(each): each for each in asked}.items():
            rows = np.flatnonzero(known & np.array([of == key for of in keys]))
            some = frame if len(rows) == len(frame) else frame.iloc[rows]  # as taking rows of a frame takes long
            answers = self._answers(group, some, [of_row[row].top_reasons for row in rows])
            for row, answer in zip(rows, answers, strict=True):
                outcomes[row] = answer
        return outcomes

    def _answers(self, group: Asked, frame: pd.DataFrame, tops: Sequence[int | None]) -> list[EvidentAnswer]:
        """The answers of rows asked of the same models, each by those of its arm, with what it was made from."""
        now, releases = self._clock(), _releases(group)

        def answer(models: Champions, rows: list[int] | None) -> list[EvidentAnswer]:
            of_arm, of_rows = (frame, tops) if rows is None else (frame.iloc[rows], [tops[row] for row in rows])
            began = time.perf_counter()
            answers = score_targets(of_arm, models, self._settings, now, of_rows, group.targets)
            found = self._witness(answers, of_arm, models, of_rows)
            if releases and self._observer is not None:
                self._observer.took(releases, models, len(found), time.perf_counter() - began)
            return found

        answers = answers_by_arm(frame, group.models, answer, self._failed)
        if releases and self._observer is not None:
            self._observer.saw(releases, answers)
        return answers

    def _failed(self, models: Champions, error: Exception) -> None:
        """A canary failed on a customer, whom the champions answer."""
        logger.error("%s, of which one is a canary, failed, and the champions answer: %s", models, safe_summary(error))
        if self._observer is not None:
            self._observer.failed(models)

    def read(self, ids: list[str]) -> pd.DataFrame:
        """The features of these ids; UnavailableError if they cannot be read."""
        with unavailable_if_it_fails(NO_FEATURES, f"{NO_FEATURES} now"):
            return self._reader.read(ids)

    def row(self, customer_id: str) -> pd.DataFrame:
        """The features of one customer, one row.

        Raises
        ------
        ErasedCustomerError, LeftCustomerError, OpposedCustomerError, UnknownCustomerError
            There are none, or none that may be used.
        """
        if self.opposed([customer_id]):
            raise opposed_customer()
        frame = self.read([customer_id])
        if frame["as_of"].notna().all():
            return frame
        if self._known_to_have_left([customer_id]):
            raise left_customer(customer_id)
        raise unknown_customers([customer_id], self._erased([customer_id]))

    def opposed(self, ids: list[str]) -> set[str]:
        """Of these ids, those of customers who object to being forecast; UnavailableError if it cannot be read."""
        with unavailable_if_it_fails(*NO_OBJECTIONS):
            return self._objecting(ids)

    def known(self, ids: list[str]) -> set[str]:
        """Of these ids, those of customers: with features, or known to have left."""
        found = self.read(ids)["as_of"].notna().to_numpy()
        return {*compress(ids, found), *self._known_to_have_left(list(compress(ids, ~found)))}

    def _known_to_have_left(self, ids: list[str]) -> set[str]:
        """Of customers who are not online, those who have left."""
        with unavailable_if_it_fails("who has left cannot be read", "the label of the last load cannot be read now"):
            return self._left(ids) if ids else set()


def _releases(asked: Asked) -> dict[str, Running]:
    """The releases of the models that are asked."""
    releases = asked.models.releases
    return {task: running for task, running in releases.items() if asked.targets is None or task in asked.targets}


def _group(asked: Asked) -> tuple[int, frozenset[Task] | None]:
    """What is alike for all who can be answered in one call of the models."""
    return id(asked.models), asked.targets


def _found(
    ids: list[str], answers: Iterable[EvidentAnswer | None], left: set[str], erased: set[str], opposed: set[str]
) -> Found:
    """What was found for ids, None for who is unknown; an alias is named beside its person."""
    pairs = list(zip(ids, answers, strict=True))
    unknown = [i for i, answer in pairs if answer is None]
    return Found(
        [answer if answer["customer_id"] == i else answer.of_alias(i) for i, answer in pairs if answer],
        [i for i in unknown if i not in left],
        [i for i in unknown if i in left],
        [i for i in unknown if i in erased],
        [i for i in unknown if i in opposed],
    )
