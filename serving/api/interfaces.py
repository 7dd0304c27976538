"""What the app rests on, as protocols: models, features, the log of answers, and who takes events."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

import pandas as pd

from configs.errors import StaycastError
from serving.answer.champion import Champions, Running
from serving.api.schema.events import EventBatch
from serving.records.evidence import Answers, Asker, EvidentAnswer, Record

Status = Literal["accepted", "known"]
Accepted = tuple[list[Status], datetime]  # of each event of a request, and the `as_of` of the customers' new features
Leavers = Callable[[list[str]], set[str]]  # of ids without features, those of customers who are known to have left


class ModelProvider(Protocol):
    """Gives the models that serve now."""

    def current(self) -> Champions:
        """The models; NotReadyError if there are none."""
        ...


class FeatureReader(Protocol):
    """Reads the newest features of customers: one row an id, in the order asked; ``as_of`` NaT where it is unknown.

    The row of an alias carries the person's ``customer_id``.
    """

    def read(self, customer_ids: list[str]) -> pd.DataFrame:
        """Feature rows of these ids."""
        ...


class AnswerLog(Answers, Protocol):
    """Keeps every answer before it is sent."""

    def append(self, answers: list[dict[str, Any]], askers: list[Asker]) -> None:
        """Keep answers and who asked for each, all or none; they are safe when this returns."""
        ...

    def find(self, prediction_id: str) -> Record | None:
        """One answer with all that is kept of it; None if there is none, or its person was erased."""
        ...

    def note_read(self, asker: Asker, what: str, prediction_id: str = "") -> None:
        """Keep who read what; safe when this returns."""
        ...

    def require_writable(self) -> None:
        """Raise whatever keeps an answer from being kept now."""
        ...


class EventSink(Protocol):
    """Accepts events and makes the features reflect them."""

    def accept_together(
        self, batches: Sequence[EventBatch], clock: Callable[[], datetime]
    ) -> Sequence[Accepted | StaycastError]:
        """Accept the events of several requests, each all or none; on disk and online when this returns.

        For each request what became of its events, or why they are not taken.
        """
        ...


class ReleaseObserver(Protocol):
    """Is told what happens while releases run; it neither waits nor raises, see `serving.release.bystander`."""

    def took(self, releases: Mapping[str, Running], models: Champions, customers: int, seconds: float) -> None:
        """How long the models of an arm took for so many customers."""
        ...

    def failed(self, models: Champions) -> None:
        """A customer could not be answered by the canaries among these models."""
        ...

    def saw(self, releases: Mapping[str, Running], answers: Sequence[EvidentAnswer]) -> None:
        """Answers, and what they were made from."""
        ...
