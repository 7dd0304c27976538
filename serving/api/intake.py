"""Accepts events: checked, on disk, and in the features of their customers before they are acknowledged.

So the next prediction of a customer reflects the event, whichever process answers it. A sender that gets no answer,
or a 503, sends the same again: an event counts once. An event of an alias is the person's.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from configs.errors import StaycastError, StoreError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import NO_EVENTS
from features.people.suppression_list import erased_among
from features.quality.quality_verdict import usual_amounts
from features.sources.rows.words import load_words, standard_row
from features.store.durable_file import is_full, is_of_file
from features.tables import MONEY, TABLES
from serving.api.guards import unavailable_if_it_fails
from serving.api.interfaces import Accepted, Status
from serving.api.problems import EventConflictError, FieldError, InvalidRequestError, UnavailableError
from serving.api.schema.events import AnyEvent, EventBatch
from serving.api.schema.parsing import invalid_request

if TYPE_CHECKING:
    from features.refresh import OnEventRefresher
    from features.store.event_log import ConflictError, Event, EventLog, Fault

WAS_ERASED = "was erased on request: nothing of this person is taken, nor will it be"
NOT_TAKEN = (
    "events cannot be taken",
    "the events may not be taken yet: send them again, nothing counts twice",
)
REST_SECONDS, REST_OF_FULL_SECONDS = 0.1, 1.0  # a lock may be over at any moment, a full disk is so for longer
SAME_DAY = timedelta(hours=38)  # from a date alone, midnight UTC, to the last moment of that date in any zone
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
    """The events of one request as the log takes them.

    Attributes
    ----------
    place
        Of the request among those taken together.
    batch
        As they came.
    events, persons, doubts
        For each event its row, whose it is, and the fields that cannot be read with the reason.
    """

    place: int
    batch: EventBatch
    events: list[Event]
    persons: list[str]
    doubts: list[list[tuple[str, str]]]


FindFaults = Callable[[Sequence[_Request], datetime], "list[Fault]"]


class EventIntake:
    """Takes the events of one business. May be called from several threads; several processes may serve one workspace.

    The feature store and the columns are opened at the first event, or by `preload`: that takes seconds.

    Parameters
    ----------
    settings, workspace
        Of the business.
    """

    def __init__(self, settings: Settings, workspace: Workspace) -> None:
        self._settings, self._workspace = settings, workspace
        self._opening = threading.Lock()
        self._open: tuple[EventLog, OnEventRefresher] | None = None
        self._down_until = -math.inf

    def preload(self) -> threading.Thread:
        """Open all in the background, in the thread given, so that no event waits; nothing where there are none."""
        thread = threading.Thread(target=self._try_to_open, daemon=True, name="preload-intake")
        thread.start()
        return thread

    def accept(self, batch: EventBatch, clock: Callable[[], datetime]) -> Accepted:
        """Accept the events of one request, all or none; else as `accept_together`.

        Raises
        ------
        StaycastError
            Why they are not taken, see `accept_together`.
        """
        (outcome,) = self.accept_together([batch], clock)
        if isinstance(outcome, StaycastError):
            raise outcome
        return outcome

    def accept_together(
        self, batches: Sequence[EventBatch], clock: Callable[[], datetime]
    ) -> list[Accepted | StaycastError]:
        """Accept the events of several requests: each all or none, in their order, then one look at all customers.

        Computing customers costs hardly more for fifty than for one, so requests that wait are taken together.

        Parameters
        ----------
        batches
            The events of each request, as they came.
        clock
            Gives the present, UTC.

        Returns
        -------
        list
            For each request what became of its events, and the ``as_of`` of the customers' new features; or why they
            are not taken:

            InvalidRequestError
                An event breaks a rule that an ingest checks, too; the errors name event and field. Or the business
                has ready-made profiles, which take no events.
            EventConflictError
                An event id, or the id of its order, came before with other content, or the order stands in the tables
                as another customer's: it would count twice. Or a known customer signs up on another day.
            NotReadyError
                There are no tables or features yet.
            UnavailableError
                They could not be taken now.
        """
        if self._settings.churn.kind == "label":
            raise InvalidRequestError(NO_EVENTS)
        with self._store_errors(alone=len(batches) == 1):
            self._require_writable()
            requests = self._read(batches)
            outcomes: dict[int, list[Status] | StaycastError] = {}
            for group in _groups(requests):
                outcomes |= self._append(group, clock)
            taken = [request for request in requests if isinstance(outcomes[request.place], list)]
            persons = _persons(taken)
            as_of = self._components()[1](persons, clock) if persons else clock()
        in_order = (outcomes[request.place] for request in requests)
        return [(outcome, as_of) if isinstance(outcome, list) else outcome for outcome in in_order]

    def close(self) -> None:
        """Close the log and the online store."""
        with self._opening:
            if self._open is not None:
                log, refresh = self._open
                refresh.close()
                log.close()
                self._open = None

    def _require_writable(self) -> None:
        """Raise at once, before anything is looked at, where the log or the online store cannot be written to."""
        if time.monotonic() < self._down_until:
            raise UnavailableError(NOT_TAKEN[1])
        log, refresh = self._components()
        log.require_unlocked()
        refresh.require_writable()

    @contextmanager
    def _store_errors(self, alone: bool) -> Iterator[None]:
        """What is of files or stores meets all requests, as 503; any other error the one that is `alone`.

        The former holds for all who come within `REST_SECONDS`, or `REST_OF_FULL_SECONDS`: they would wait one after
        the other. After the latter, each of several is tried alone: what one causes meets no other.
        """
        try:
            yield
        except Exception as error:
            of_store = is_of_file(error) or isinstance(error, StoreError)
            if not of_store and (not alone or isinstance(error, StaycastError)):
                raise
            if of_store:
                rest = REST_OF_FULL_SECONDS if is_full(error) else REST_SECONDS
                self._down_until = time.monotonic() + rest
            with unavailable_if_it_fails(*NOT_TAKEN):
                raise

    def _read(self, batches: Sequence[EventBatch]) -> list[_Request]:
        """The events of requests in the words of the tables, with ids as the tables hold them."""
        from features.store.event_log import KINDS, Event

        refresh, words = self._components()[1], load_words(self._workspace.tables)
        requests = []
        for place, batch in enumerate(batches):
            rows = [_table_row(event) for event in batch.events]
            ids = refresh.repaired([str(row["customer_id"]) for row in rows])
            read = [standard_row(KINDS[e.type], row, words) for e, row in zip(batch.events, rows, strict=True)]
            events = [
                Event(e.event_id, KINDS[e.type], {**row, "customer_id": i})
                for e, (row, _), i in zip(batch.events, read, ids, strict=True)
            ]
            requests.append(_Request(place, batch, events, refresh.persons(ids), [list(doubts) for _, doubts in read]))
        return requests

    def _append(
        self, requests: Sequence[_Request], clock: Callable[[], datetime]
    ) -> dict[int, list[Status] | StaycastError]:
        """Check the events of requests and make them durable: by the request's place its statuses, or the refusal."""
        outcomes: dict[int, list[Status] | StaycastError] = {}
        rules = (self._erased, _doubts, self._broken_rules, self._outlying_amounts)
        # whose a row is comes before how it changes: of another's contract nothing may be told
        for find in (*(_refusing(rule) for rule in rules), self._conflicts, _refusing(self._contract_changes)):
            unrefused = [request for request in requests if request.place not in outcomes]
            outcomes |= find(unrefused, clock()) if unrefused else {}
        free = [request for request in requests if request.place not in outcomes]
        written = self._write(free, clock()) if free else []
        for request, outcome in zip(free, written, strict=True):
            outcomes[request.place] = outcome if isinstance(outcome, list) else _log_conflict(request, outcome)
        return outcomes

    def _write(self, requests: Sequence[_Request], now: datetime) -> list[list[Status] | ConflictError]:
        """Write the events of requests; a contract is its person's, whatever events told, if the tables say so."""
        log, refresh = self._components()
        contracts = [str(e.row["subscription_id"]) for e in _events(requests) if e.table == "subscriptions"]
        loaded = refresh.owners("subscriptions", contracts) if contracts else {}

        def is_own(event: Event, others: Sequence[str]) -> bool:
            person, *persons = refresh.persons([event.customer_id, *others])
            return {*persons} <= {person} or loaded.get(str(event.row["subscription_id"])) == person

        return log.append_each([request.events for request in requests], now, is_own)

    def _erased(self, requests: Sequence[_Request], now: datetime) -> list[Fault]:
        """Events of who was erased: no export brings them back, and no event does."""
        from features.store.event_log import Fault

        events, persons = _events(requests), _persons(requests)
        ids = [{event.customer_id, person} for event, person in zip(events, persons, strict=True)]
        erased = erased_among(self._workspace, set().union(*ids))
        return [Fault(place, "customer_id", WAS_ERASED) for place, of in enumerate(ids) if of & erased]

    def _broken_rules(self, requests: Sequence[_Request], now: datetime) -> list[Fault]:
        """What an ingest would set aside, too."""
        from features.store.event_log import find_faults

        log, refresh = self._components()
        events, persons = _events(requests), _persons(requests)
        known = refresh.known(persons) | log.signed_up(persons)
        known |= {event.customer_id for event in events if event.table == "customers"}
        known_ids = {e.customer_id for e, person in zip(events, persons, strict=True) if person in known}
        return find_faults(events, refresh.tables, known_ids, now + self._settings.quality.clock_skew)

    def _outlying_amounts(self, requests: Sequence[_Request], now: datetime) -> list[Fault]:
        """Amounts that the next load would set aside: they are refused by the same rule, and counted nowhere."""
        from features.quality.outlying_amounts import KEPT_BY, reason_against
        from features.store.event_log import Fault

        usual, factor = usual_amounts(self._workspace), self._settings.quality.outlying_amounts
        events = _events(requests)
        reasons = [reason_against(event.table, event.row, usual, factor) for event in events]
        return [
            Fault(place, MONEY[event.table][0], f"{reason}; {KEPT_BY}")
            for place, (event, reason) in enumerate(zip(events, reasons, strict=True))
            if reason
        ]

    def _contract_changes(self, requests: Sequence[_Request], now: datetime) -> list[Fault]:
        """What events that are new may not change of contracts, see `change_faults`."""
        from features.store.contract_changes import change_faults
        from features.store.event_log import Fault

        log, refresh = self._components()
        contracts = [(i, e) for i, e in enumerate(_events(requests)) if e.table == "subscriptions"]
        logged = log.known([e.event_id for _, e in contracts]) if contracts else set()
        rows = [(i, e.row) for i, e in contracts if e.event_id not in logged]
        if not rows:
            return []
        known = refresh.contracts(_persons(requests), [str(row["subscription_id"]) for _, row in rows])
        return [Fault(*fault) for fault in change_faults(rows, known, now)]

    def _conflicts(self, requests: Sequence[_Request], now: datetime) -> dict[int, EventConflictError]:
        """By the request's place what of it contradicts the tables."""
        log, refresh = self._components()
        events = _events(requests)
        logged = log.known([event.event_id for event in events])
        row_ids: dict[str, set[str]] = {}
        for event in events:
            row_ids.setdefault(event.table, set()).add(str(event.row[TABLES[event.table].key]))
        owners = {name: refresh.owners(name, sorted(ids)) for name, ids in row_ids.items()}
        found = ((r.place, _foreign_row(r, logged, owners) or self._other_sign_up(r, logged)) for r in requests)
        return {place: conflict for place, conflict in found if conflict}

    def _other_sign_up(self, request: _Request, logged: set[str]) -> EventConflictError | None:
        """A new event has a customer sign up on another day than the customers table."""
        from features.store.timestamps import MICROSECOND, micros_of, to_micros

        refresh = self._components()[1]
        if self._settings.source.customers_from:  # who they are and since when follows from other rows
            return None
        pairs = enumerate(zip(request.events, request.persons, strict=True))
        own = [(i, e) for i, (e, person) in pairs if e.table == "customers" and e.customer_id == person]
        known = refresh.signed_up([e.customer_id for _, e in own]) if own else {}
        for place, event in own:
            if event.event_id in logged or event.customer_id not in known:
                continue
            micros_apart = abs(micros_of(event.row["signed_up_at"]) - to_micros(known[event.customer_id]))
            if micros_apart * MICROSECOND > SAME_DAY:
                title = "The customer is known with another sign-up"
                detail = (
                    "is more than a day from that of the last load, which counts: correct it there, or leave this out"
                )
                return EventConflictError(title, request.batch.pointer(place, "signed_up_at"), detail)
        return None

    def _components(self) -> tuple[EventLog, OnEventRefresher]:
        with self._opening:
            if self._open is None:
                from features.refresh import EVENT_BUSY_SECONDS, OnEventRefresher
                from features.store.event_log import EventLog

                log = EventLog(self._workspace.events)
                log.wait_at_most(EVENT_BUSY_SECONDS)
                self._open = log, OnEventRefresher(self._settings, self._workspace, log)
            return self._open

    def _try_to_open(self) -> None:
        if self._settings.churn.kind == "label":
            return
        try:
            self._components()[1].known([])
        except StaycastError as error:
            logger.warning("%s", error)


def _groups(requests: Sequence[_Request]) -> list[list[_Request]]:
    """Requests whose events are checked in one go: others first and each alone, as what they say changes the check."""
    changing, plain = list[list[_Request]](), list[_Request]()
    for request in requests:
        if any(event.table in ("customers", "subscriptions") for event in request.events):
            changing.append([request])
        else:
            plain.append(request)
    return changing + ([plain] if plain else [])


def _events(requests: Sequence[_Request]) -> list[Event]:
    return [event for request in requests for event in request.events]


def _persons(requests: Sequence[_Request]) -> list[str]:
    return [person for request in requests for person in request.persons]


def _doubts(requests: Sequence[_Request], now: datetime) -> list[Fault]:
    """Fields that cannot be read for sure."""
    from features.store.event_log import Fault

    doubts = [doubts for request in requests for doubts in request.doubts]
    return [Fault(place, *doubt) for place, some in enumerate(doubts) for doubt in some]


def _refusals(requests: Sequence[_Request], faults: Sequence[Fault]) -> dict[int, InvalidRequestError]:
    """The refusal of each request with faults, by its place; faults are placed among the events of all."""
    owners = [(request, place) for request in requests for place in range(len(request.events))]
    errors: dict[int, list[FieldError]] = {}
    for fault in faults:
        request, place = owners[fault.place]
        error = FieldError(request.batch.pointer(place, fault.field), fault.detail)
        errors.setdefault(request.place, []).append(error)
    return {place: invalid_request(some) for place, some in errors.items()}


def _refusing(find: FindFaults) -> Callable[[Sequence[_Request], datetime], Mapping[int, StaycastError]]:
    """Gives the refusals of requests, by their places, for the faults that are found in them."""
    return lambda requests, now: _refusals(requests, find(requests, now))


def _foreign_row(
    request: _Request, logged: set[str], owners: Mapping[str, Mapping[str, str]]
) -> EventConflictError | None:
    """A new event brings a row that stands in the tables as another customer's."""
    for place, (event, person) in enumerate(zip(request.events, request.persons, strict=True)):
        key = TABLES[event.table].key
        if event.event_id not in logged and owners[event.table].get(str(event.row[key])) not in (None, person):
            detail = f"stands in {event.table} as another customer's: give this one its own id"
            return EventConflictError(
                "The row of the event is another customer's", request.batch.pointer(place, key), detail
            )
    return None


def _log_conflict(request: _Request, error: ConflictError) -> EventConflictError:
    """What the log says against an event, as a problem."""
    title = f"The {'event' if error.field == 'event_id' else error.field} {error.detail}"
    return EventConflictError(title, request.batch.pointer(error.place, error.field), error.detail)


def _table_row(event: AnyEvent) -> dict[str, Any]:
    is_contract = event.type == "contract"  # null there takes back what was given
    fields = event.model_dump(exclude={"event_id", "type"}, exclude_none=not is_contract, exclude_unset=is_contract)
    return {name: value.strip() if isinstance(value, str) else value for name, value in fields.items()}
