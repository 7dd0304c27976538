"""Times of a file beside one another: a row cannot have become known before what it tells happened."""

from __future__ import annotations

from dataclasses import replace

from features.sources.proposal.columns import times_of
from features.sources.proposal.tables import OF_EVENTS, Reading, TableGuess

TOLERATED = 0.02


def with_recorded_later(guess: TableGuess) -> TableGuess:
    """Without a ``recorded_at`` that lies on a day before the event in more than a few rows; a note says so."""
    event, recorded = guess.column(guess.table.time), guess.column("recorded_at")
    if guess.table.name not in OF_EVENTS or event is None or recorded is None:
        return guess
    happened, known = times_of(event).dt.normalize(), times_of(recorded).dt.normalize()
    both = happened.index.intersection(known.index)
    share = float((known[both] < happened[both]).mean()) if len(both) else 0.0
    if share <= TOLERATED:
        return guess
    note = (
        f"DOUBT: {recorded.name} lies before {event.name} in {share:.0%} of the rows, so it is no recorded_at: is it "
        f"the {guess.table.time}? (of stays and bookings the day of the booking is, not that of the arrival)"
    )
    reading = guess.reading or Reading()
    kept = tuple(g for g in guess.guesses if g.field.name != "recorded_at")
    return replace(guess, guesses=kept, reading=replace(reading, notes=(*reading.notes, note)))
