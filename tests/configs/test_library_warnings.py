from __future__ import annotations

import sys
import warnings

import pytest
from sqlalchemy.exc import SADeprecationWarning

from configs import library_warnings


def test_what_libraries_tell_their_developers_is_not_shown_and_other_warnings_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(warnings, "showwarning", lambda *given: shown.append(given[1].__name__))
    library_warnings.hide_deprecations()
    for category in (DeprecationWarning, SADeprecationWarning, UserWarning):
        warnings.showwarning("x", category, "file.py", 1)
    assert shown == ["UserWarning"]


def test_who_asks_for_warnings_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before = warnings.showwarning
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    library_warnings.hide_deprecations()
    assert warnings.showwarning is before
