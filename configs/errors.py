"""The root of every error that Staycast raises on purpose.

    StaycastError            exit 2, HTTP 400
    ├── ConfigError          the configuration cannot be used
    ├── DataError            the input tables cannot be used; exit 4 where a load was refused
    ├── NotEnoughDataError   too few customers, labels or months to learn from
    ├── NotReadyError        a step that must come first has not run; HTTP 503
    ├── BusyError            another process changes the workspace; HTTP 503
    ├── StoreError           the online store does not answer; HTTP 503
    └── RegistryError        what is asked of the model registry is not there, or it cannot be read; HTTP 503

A package may refine one of these (`QualityError`, `LeakError`); serving adds its own in ``serving.api.problems``. A
message says what is wrong, where, what was got and what to do.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable


class StaycastError(Exception):
    """Something the user can mend; shown as one message, never as a traceback."""

    exit_code = 2
    status = 400


class ConfigError(StaycastError):
    """The configuration cannot be used."""


class DataError(StaycastError):
    """The input tables cannot be used."""


class NotEnoughDataError(DataError):
    """Too few customers, labels or months to learn from."""


class NotReadyError(StaycastError):
    """A step that must come first has not run in this workspace."""

    status = 503


class StoreError(StaycastError):
    """The online store does not answer."""

    status = 503


class RegistryError(StaycastError):
    """A model version or alias that is asked for does not exist, or the registry cannot be read."""

    status = 503


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the known word closest to `word`, or an empty string.

    >>> nearest("horizon_day", ["horizon_days", "seed"])
    " (did you mean 'horizon_days'?)"
    >>> nearest("zzz", ["horizon_days", "seed"])
    ''
    """
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{matches[0]}'?)" if matches else ""


def safe_summary(error: Exception) -> str:
    """Kind and place of an error, without its message: that may quote a customer."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return type(error).__name__
    code = trace.tb_frame.f_code
    return f"{type(error).__name__} in {code.co_name} ({os.path.basename(code.co_filename)}:{trace.tb_lineno})"
