from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import typeguard
from sqlalchemy.exc import SADeprecationWarning

from configs import libraries

ROOT = Path(__file__).parents[2]


def test_what_libraries_tell_their_developers_is_not_shown_and_other_warnings_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[str] = []
    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(warnings, "showwarning", lambda *given: shown.append(given[1].__name__))
    libraries.hide_deprecations()
    for category in (DeprecationWarning, SADeprecationWarning, UserWarning):
        warnings.showwarning("x", category, "file.py", 1)
    assert shown == ["UserWarning"]


def test_who_asks_for_warnings_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before = warnings.showwarning
    monkeypatch.setattr(sys, "warnoptions", ["default"])
    libraries.hide_deprecations()
    assert warnings.showwarning is before


def test_typeguard_rewrites_nothing_while_a_library_is_imported_and_all_afterwards() -> None:
    with libraries.without_typeguard():

        @typeguard.typechecked
        def double(number: int) -> int:
            return number * 2

        @typeguard.typechecked(forward_ref_policy=None)  # type: ignore[call-overload]
        class Doubled:
            def of(self, number: int) -> int:
                return number * 2

    assert double("ab") == "abab" == Doubled().of("ab")  # type: ignore[arg-type,comparison-overlap]

    @typeguard.typechecked
    def checked(number: int) -> int:
        return number * 2

    with pytest.raises(typeguard.TypeCheckError):
        checked("ab")  # type: ignore[arg-type]


@pytest.mark.slow
def test_feast_is_imported_without_them() -> None:
    """In a process of its own: one that is not ours may have imported it before."""
    code = "import features.store.feature_store, feast; print(feast.Entity.__init__.__code__.co_names)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout and "typeguard" not in done.stdout
