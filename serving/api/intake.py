"""Accepts events: checked, on disk, and in the features of their customers before they are acknowledged.

So the next prediction of a customer reflects the event, whichever process answers it. A sender that gets no answer,
or a 503, sends the same again: an event counts once. An event of an alias is the person's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from features.labels.ready_label import NO_EVENTS
from features.quality.quality_verdict import usual_amounts
from features.sources.rows.words import load_words, standard_row
from features.tables import MONEY, TABLES
from serving.api.problems import EventConflictError, FieldError, InvalidRequestError
from serving.api.schema.events import AnyEvent, EventBatch
from serving.api.schema.parsing import invalid_request

if TYPE_CHECKING:
    from features.refresh import OnEventRefresher
    from features.store.event_log import Event, EventLog, Fault

SAME_DAY = timedelta(hours=38)  # from a date alone, midnight UTC, to the last moment of that date in any zone
logger = logging.getLogger(__name__)


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

    def preload(self) -> None:
        """Open all in the background, so that no event waits for it; nothing where there are no events."""
        if self._settings.churn.kind == "label":
            return
        threading.Thread(target=self._try_to_open, daemon=True, name="preload-intake").start()

    def accept(
        self, batch: EventBatch, clock: Callable[[], datetime]
    ) -> tuple[list[Literal["accepted", "known"]], datetime]:
        """Accept events, all or none.

        Parameters
        ----------
        batch
            The events, as they came.
        clock
            Gives the present, UTC.

        Returns
        -------
        list of str, datetime
            For each event ``accepted`` or ``known``, and the ``as_of`` of the customers' new features.

        Raises
        ------
        InvalidRequestError
            An event breaks a rule that an ingest checks, too; the errors name event and field. Or the business has
            ready-made profiles, which take no events.
        EventConflictError
            An event id, or the id of its order, came before with other content, or the order stands in the tables as
            another customer's: it would count twice. Or a known customer signs up on another day.
        NotReadyError
            There are no tables or features yet.
        """
        from features.store.event_log import KINDS, ConflictError, Event, Fault, find_faults

        if self._settings.churn.kind == "label":
            raise InvalidRequestError(NO_EVENTS)
        log, refresh = self._components()
        rows = [_table_row(e) for e in batch.events]
        ids = refresh.repaired([str(row["customer_id"]) for row in rows])
        words = load_words(self._workspace.tables)
        read = [standard_row(KINDS[e.type], row, words) for e, row in zip(batch.events, rows, strict=True)]
        rows = [{**row, "customer_id": i} for (row, _), i in zip(read, ids, strict=True)]
        events = [Event(e.event_id, KINDS[e.type], row) for e, row in zip(batch.events, rows, strict=True)]
        persons = refresh.persons(ids)
        known = refresh.known(persons) | log.signed_up(persons)
        known |= {event.customer_id for event in events if event.table == "customers"}
        known_ids = {i for i, person in zip(ids, persons, strict=True) if person in known}
        latest = clock() + self._settings.quality.clock_skew
        faults = [Fault(place, *doubt) for place, (_, doubts) in enumerate(read) for doubt in doubts]
        faults = faults or find_faults(events, refresh.tables, known_ids, latest) or self._outlying_amounts(events)
        faults = faults or self._contract_changes(events, persons, clock())
        if faults:
            raise invalid_request(FieldError(batch.pointer(f.place, f.field), f.detail) for f in faults)
        self._require_own_rows(batch, events, persons)
        self._require_same_sign_ups(batch, events, persons)
        try:
            statuses = log.append(events, clock())
        except ConflictError as error:
            is_event = error.field == "event_id"
            title = f"The {'event' if is_event else error.field} {error.detail}"
            raise _conflict(title, batch.pointer(error.place, error.field), error.detail) from None
        return statuses, refresh(persons, clock)

    def close(self) -> None:
        """Close the log and the online store."""
        with self._opening:
            if self._open is not None:
                log, refresh = self._open
                refresh.close()
                log.close()
                self._open = None

    def _outlying_amounts(self, events: Sequence[Event]) -> list[Fault]:
        """Amounts that the next load would set aside: they are refused by the same rule, and counted nowhere."""
        from features.quality.outlying_amounts import KEPT_BY, reason_against
        from features.store.event_log import Fault

        usual, factor = usual_amounts(self._workspace), self._settings.quality.outlying_amounts
        reasons = [reason_against(event.table, event.row, usual, factor) for event in events]
        return [
            Fault(place, MONEY[event.table][0], f"{reason}; {KEPT_BY}")
            for place, (event, reason) in enumerate(zip(events, reasons, strict=True))
            if reason
        ]

    def _contract_changes(self, events: Sequence[Event], persons: Sequence[str], now: datetime) -> list[Fault]:
        """What events that are new may not change of contracts, see `change_faults`."""
        from features.store.contract_changes import change_faults
        from features.store.event_log import Fault

        log, refresh = self._components()
        contracts = [(i, e) for i, e in enumerate(events) if e.table == "subscriptions"]
        logged = log.known([e.event_id for _, e in contracts]) if contracts else set()
        rows = [(i, e.row) for i, e in contracts if e.event_id not in logged]
        if not rows:
            return []
        known = refresh.contracts(persons, [str(row["subscription_id"]) for _, row in rows])
        return [Fault(*fault) for fault in change_faults(rows, known, now)]

    def _require_own_rows(self, batch: EventBatch, events: Sequence[Event], persons: Sequence[str]) -> None:
        """EventConflictError if a new event brings a row that stands in the tables as another customer's."""
        log, refresh = self._components()
        logged = log.known([event.event_id for event in events])
        for name in {event.table for event in events}:
            key = TABLES[name].key
            owners = refresh.owners(name, sorted({str(e.row[key]) for e in events if e.table == name}))
            for position, (event, person) in enumerate(zip(events, persons, strict=True)):
                is_new = event.table == name and event.event_id not in logged
                if is_new and owners.get(str(event.row[key])) not in (None, person):
                    detail = f"stands in {name} as another customer's: give this one its own id"
                    raise _conflict("The row of the event is another customer's", batch.pointer(position, key), detail)

    def _require_same_sign_ups(self, batch: EventBatch, events: Sequence[Event], persons: Sequence[str]) -> None:
        """EventConflictError if a new event has a customer sign up on another day than the customers table."""
        from features.store.timestamps import MICROSECOND, micros_of, to_micros

        log, refresh = self._components()
        if self._settings.source.customers_from:  # who they are and since when follows from other rows
            return
        own = [(i, e) for i, e in enumerate(events) if e.table == "customers" and e.customer_id == persons[i]]
        known = refresh.signed_up([e.customer_id for _, e in own]) if own else {}
        logged = log.known([e.event_id for _, e in own])
        for position, event in own:
            if event.event_id in logged or event.customer_id not in known:
                continue
            micros_apart = abs(micros_of(event.row["signed_up_at"]) - to_micros(known[event.customer_id]))
            if micros_apart * MICROSECOND > SAME_DAY:
                title = "The customer is known with another sign-up"
                detail = (
                    "is more than a day from that of the last load, which counts: correct it there, or leave this out"
                )
                raise _conflict(title, batch.pointer(position, "signed_up_at"), detail)

    def _components(self) -> tuple[EventLog, OnEventRefresher]:
        with self._opening:
            if self._open is None:
                from features.refresh import OnEventRefresher
                from features.store.event_log import EventLog

                log = EventLog(self._workspace.events)
                self._open = log, OnEventRefresher(self._settings, self._workspace, log)
            return self._open

    def _try_to_open(self) -> None:
        try:
            self._components()[1].known([])
        except StaycastError as error:
            logger.warning("%s", error)


def _table_row(event: AnyEvent) -> dict[str, Any]:
    is_contract = event.type == "contract"  # null there takes back what was given
    fields = event.model_dump(exclude={"event_id", "type"}, exclude_none=not is_contract, exclude_unset=is_contract)
    return {name: value.strip() if isinstance(value, str) else value for name, value in fields.items()}


def _conflict(title: str, pointer: str, detail: str) -> EventConflictError:
    return EventConflictError(title, f"{pointer} {detail}; nothing was taken", (FieldError(pointer, detail),))
