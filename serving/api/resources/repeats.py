"""Predictions asked for again under one ``Idempotency-Key``: answered as before, from the record. It has no routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import orjson
from starlette.requests import Request

from configs.errors import StaycastError
from configs.workspace import Workspace
from features.store.durable_file import LazyFile
from serving.api.gate import visible
from serving.api.guards import BoundedThreads, unavailable_if_it_fails
from serving.api.interfaces import AnswerLog, Leavers
from serving.api.predictor import Found
from serving.api.problems import InvalidRequestError, ReusedKeyError, UnavailableError
from serving.api.schema.requests import PredictionRequest
from serving.records.evidence import Asker
from serving.records.repeats import Given, Key, RepeatLog

HEADER = "Idempotency-Key"
MAX_WAITING = 256
BUSY_SECONDS = 0.08  # as for the record: 503 is sooner than late
UNKNOWN = "what was answered before cannot be looked up or kept"


class Repeats:
    """Gives the answers of before to who sends the same again.

    Parameters
    ----------
    answering
        Gives answers of now, each on record.
    log, clock
        As for `serving.api.app.create_app`.
    workspace
        Where keys are kept; None: nowhere, and each request is a new one.
    opposed
        Tells who of some ids objects to being forecast: to them nothing of before is told.
    """

    def __init__(
        self,
        answering: Callable[[PredictionRequest, Asker, Request], Awaitable[Found]],
        log: AnswerLog,
        clock: Callable[[], datetime],
        workspace: Workspace | None,
        opposed: Leavers = lambda ids: set(),
    ) -> None:
        self._answering, self._record, self._clock, self._opposed = answering, log, clock, opposed
        self._path = workspace.repeats if workspace else None
        self._threads = BoundedThreads(1, MAX_WAITING)
        self._log = LazyFile(self._open)

    async def answer(
        self, keys: Sequence[str], body: bytes, asked: PredictionRequest, asker: Asker, request: Request
    ) -> Found:
        """The answers that were given under the key, else those of now, kept under it.

        Raises
        ------
        InvalidRequestError
            The header tells no key, or the key came with another body.
        UnavailableError
            What was given cannot be looked up, or kept.
        """
        key = key_of(keys, asker, body)
        if key is None or self._path is None:
            return await self._answering(asked, asker, request)
        known = await self._threads.run(self._before, key, asked)
        if known and await visible(request.scope, told := _told(known)) >= {*told}:
            await self._threads.run(self._note, asker, known)
            return known
        found = await self._answering(asked, asker, request)
        if not found.answers:
            return found
        return await self._threads.run(self._keep, key, found, asked, known is not None)

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _before(self, key: Key, asked: PredictionRequest) -> Found | None:
        """What was given under a key; None: nothing, or some of it is on record, or may be told, no more."""
        with unavailable_if_it_fails(UNKNOWN, f"{UNKNOWN} now", but=StaycastError):
            given = self._log().find(key, self._clock())
            if given is None:
                return None
            found = self._found(key, given, asked)
            if found is None or self._opposed(_told(found)):
                found = None
                self._log().forget(key)
            return found

    def _note(self, asker: Asker, found: Found) -> None:
        """Put on record that answers of before are told again."""
        with unavailable_if_it_fails(UNKNOWN, f"{UNKNOWN} now", but=StaycastError):
            self._record.note_read(asker, "repeated", found.answers[0]["prediction_id"])

    def _keep(self, key: Key, found: Found, asked: PredictionRequest, is_instead: bool) -> Found:
        """What is given under a key: these answers, or those that another request was given meanwhile.

        `is_instead`: they take the place of those that the caller may see no more.
        """
        ids, left = [answer["prediction_id"] for answer in found.answers], {*found.left}
        with unavailable_if_it_fails(UNKNOWN, f"{UNKNOWN} now", but=StaycastError):
            if is_instead:
                self._log().forget(key)
            places = [place for place, customer in enumerate(asked.ids) if customer in left]
            given = self._log().keep(key, ids, places, self._clock())
            return found if given.answers == ids else self._found(key, given, asked) or found

    def _found(self, key: Key, given: Given, asked: PredictionRequest) -> Found | None:
        """The answers as they were sent; None where one is on record no more."""
        if given.body != key.body:
            raise ReusedKeyError(f"this {HEADER} came before with another body: take a new key for a new request")
        records = [self._record.find(prediction_id) for prediction_id in given.answers]
        sent = [record.answer for record in records if record is not None and record.answer]
        if len(sent) < len(given.answers):
            return None
        answers = [orjson.loads(answer) for answer in sent]
        left = [asked.ids[place] for place in given.left]
        told = {*_told(Found(answers, [], left))}
        others = [customer for customer in asked.ids if customer not in told]
        opposed = self._opposed(others) if others else set()
        return Found(answers, others, left, opposed=[customer for customer in others if customer in opposed])

    def _open(self) -> RepeatLog:
        if self._path is None:
            raise UnavailableError("this service keeps no keys")
        return RepeatLog(self._path, BUSY_SECONDS)


def _told(found: Found) -> list[str]:
    """Of whom answers tell, by the ids that were asked."""
    return [*found.left, *(answer.get("alias") or answer["customer_id"] for answer in found.answers)]


def key_of(keys: Sequence[str], asker: Asker, body: bytes) -> Key | None:
    """The key that a request carries, by all its headers; None: it carries none.

    Raises
    ------
    InvalidRequestError
        They tell no key, or more than one.
    """
    key = Key.of(keys[0], asker.caller, body) if len(keys) == 1 else None
    if keys and key is None:
        raise InvalidRequestError(f"the header {HEADER} must be one string of 1 to 255 visible characters")
    return key
