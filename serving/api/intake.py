"""Takes events: checked, on disk, and in the features of their customers before they are acknowledged.

So the next prediction of a customer reflects the event, whichever process answers it. A sender that gets no answer,
or a 503, sends the same again: an event counts once. An event of an alias is the person's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from configs.errors import StaycastError
from configs.settings import Settings
from configs.workspace import Workspace
from features.schema import TABLES
from serving.api.problems import EventConflictError, FieldError, InvalidRequestError
from serving.api.schema import AnyEvent, ReceivedEvents

if TYPE_CHECKING:
    from features.refresh import OnEventRefresher
    from features.store.event_log import Event, EventLog

logger = logging.getLogger(__name__)


class Intake:
    """Takes the events of one business. May be called from several threads; several processes may serve one workspace.

    The feature store and the columns are opened at the first event, or by `warm`: that takes seconds.

    Parameters
    ----------
    settings, workspace
        Of the business.
    """

    def __init__(self, settings: Settings, workspace: Workspace) -> None:
        self._settings, self._workspace = settings, workspace
        self._opening = threading.Lock()
        self._open: tuple[EventLog, OnEventRefresher] | None = None

    def warm(self) -> None:
        """Open all in the background, so that no event waits for it."""
        threading.Thread(target=self._try_once, daemon=True, name="warm-intake").start()

    def take(
        self, brought: ReceivedEvents, clock: Callable[[], datetime]
    ) -> tuple[list[Literal["accepted", "known"]], datetime]:
        """Take events, all or none.

        Parameters
        ----------
        brought
            The events, as they came.
        clock
            Tells the present, UTC.

        Returns
        -------
        list of str, datetime
            For each event ``accepted`` or ``known``, and the moment of the customers' new features.

        Raises
        ------
        InvalidRequestError
            An event breaks a rule that an ingest checks, too; the errors name event and field.
        EventConflictError
            An event id, or the id of its order, came before with other content, or the order stands in the tables as
            another customer's: it would count twice.
        NotReadyError
            There are no tables or features yet.
        """
        from features.store.event_log import KINDS, ConflictError, Event, faults_of

        log, refresh = self._opened()
        rows = [Event(e.event_id, KINDS[e.type], _row(e)) for e in brought.events]
        given = [r.customer_id for r in rows]
        ids = refresh.persons(given)
        known = refresh.known(ids)
        believed = {one for one, person in zip(given, ids, strict=True) if person in known}
        faults = faults_of(rows, refresh.tables, believed, clock())
        if faults:
            raise _refused([FieldError(brought.pointer(f.place, f.field), f.detail) for f in faults])
        self._require_own(brought, rows, ids)
        try:
            statuses = log.append(rows, clock())
        except ConflictError as error:
            fault = FieldError(brought.pointer(error.place, "event_id"), error.detail)
            raise EventConflictError(f"{fault.pointer} {fault.detail}; nothing was taken", (fault,)) from None
        return statuses, refresh(ids, clock)

    def close(self) -> None:
        """Close the log and the online store."""
        with self._opening:
            if self._open is not None:
                log, refresh = self._open
                refresh.close()
                log.close()
                self._open = None

    def _require_own(self, brought: ReceivedEvents, rows: Sequence[Event], persons: Sequence[str]) -> None:
        """EventConflictError if a new event brings a row that stands in the tables as another customer's."""
        log, refresh = self._opened()
        came = log.known([r.event_id for r in rows])
        for name in {r.table for r in rows}:
            key = TABLES[name].key
            owners = refresh.owners(name, sorted({str(r.row[key]) for r in rows if r.table == name}))
            for place, (row, person) in enumerate(zip(rows, persons, strict=True)):
                owner = owners.get(str(row.row[key])) if row.table == name and row.event_id not in came else None
                if owner not in (None, person):
                    fault = FieldError(
                        brought.pointer(place, key), f"stands in {name} as another customer's: give this one its own id"
                    )
                    raise EventConflictError(f"{fault.pointer} {fault.detail}; nothing was taken", (fault,))

    def _opened(self) -> tuple[EventLog, OnEventRefresher]:
        with self._opening:
            if self._open is None:
                from features.refresh import OnEventRefresher
                from features.store.event_log import EventLog

                log = EventLog(self._workspace.events)
                self._open = log, OnEventRefresher(self._settings, self._workspace, log)
            return self._open

    def _try_once(self) -> None:
        try:
            self._opened()[1].known([])
        except StaycastError as error:
            logger.warning("%s", error)


def _row(event: AnyEvent) -> dict[str, Any]:
    given = event.model_dump(exclude={"event_id", "type"}, exclude_none=True)
    return {name: value.strip() if isinstance(value, str) else value for name, value in given.items()}


def _refused(faults: list[FieldError]) -> InvalidRequestError:
    return InvalidRequestError("; ".join(f"{f.pointer} {f.detail}" for f in faults[:3]), tuple(faults))
