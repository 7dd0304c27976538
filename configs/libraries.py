"""What libraries do in our process of their own accord, and users need not see or wait for."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


def hide_deprecations() -> None:
    """Show no deprecation in this process, unless ``-W`` or PYTHONWARNINGS asks for some."""
    if not sys.warnoptions:
        warnings.showwarning = partial(_show, warnings.showwarning)


@contextmanager
def without_typeguard() -> Iterator[None]:
    """Import a library without the checks of types that ``typeguard`` writes into its functions.

    It parses and compiles anew the source of each function that is decorated: most of the time that Feast takes to be
    imported. Python itself leaves these checks out under ``-O``.
    """
    import typeguard

    decorator = typeguard.typechecked
    typeguard.typechecked = _as_it_is
    try:
        yield
    finally:
        typeguard.typechecked = decorator


def _as_it_is(target: Any = None, **_options: Any) -> Any:
    """Decorate nothing, with options or without."""
    return _as_it_is if target is None else target


def _show(show: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a warning, unless it is for a library's own developers: Python hides these, and Feast brings them back."""
    if not issubclass(category, DeprecationWarning):
        show(message, category, *where)
