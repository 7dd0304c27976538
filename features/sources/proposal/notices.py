"""Which of two ends of a contract is the notice: `Date de résiliation` is one only beside a `Date de fin`."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from features.sources.proposal.columns import FITS, Column, times_of
from features.sources.proposal.lexicon import MAY_BE_NOTICE
from features.sources.proposal.patterns import name_score
from features.sources.proposal.tables import Guess, TableGuess
from features.sources.rows.meaning import normalized

PLAIN = 0.8  # how sure a name is of an end that says nothing else


def with_notice(guess: TableGuess) -> TableGuess:
    """A column that may be an end or a notice is the notice where another is plainly the end, and does not lie before.

    Elsewhere, or where a notice was found, the guess is left as it is.
    """
    if guess.table.name != "subscriptions" or guess.column("cancelled_at") is not None:
        return guess
    own = {g.field.name: g.column for g in guess.guesses}
    ends = [c for c in (own.get("ended_at"), *guess.spare) if c is not None and c.is_time]
    ends = [c for c in ends if name_score("ended_at", c)[0] >= PLAIN]
    plain, notices = ([c for c in ends if may_be_notice(c.name) == says] for says in (False, True))
    if len(plain) != 1 or len(notices) != 1 or not _comes_first(notices[0], plain[0]):
        return guess
    fields = {f.name: f for f in guess.table.fields}
    why = "; its values are times"
    found = {
        "cancelled_at": Guess(
            fields["cancelled_at"], notices[0], 0.5, f"beside '{plain[0].name}' it is the notice{why}"
        ),
        "ended_at": Guess(fields["ended_at"], plain[0], 1.0, f"its name says end{why}"),
    }
    kept = {g.field.name: g for g in guess.guesses} | found
    return replace(guess, guesses=tuple(kept[name] for name in guess.table.names if name in kept))


def may_be_notice(name: str) -> bool:
    """Whether a name holds a word that is said of the notice and of the end alike.

    >>> [may_be_notice(name) for name in ("Date de résiliation", "Fecha de baja", "Date de fin", "终止日期")]
    [True, True, False, True]
    """
    plain = normalized(name)
    return any(word in plain for word in MAY_BE_NOTICE.split())


def _comes_first(notice: Column, end: Column) -> bool:
    """Whether, where both are there, one lies hardly ever after the other."""
    both = pd.DataFrame({"notice": times_of(notice), "end": times_of(end)}).dropna()
    return both.empty or float((both["notice"] <= both["end"]).mean()) >= FITS
