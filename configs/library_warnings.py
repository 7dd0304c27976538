"""Warnings on the screen and in the log of the service: what libraries tell their own developers is not for users."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any


def hide_deprecations() -> None:
    """Show no deprecation in this process, unless ``-W`` or PYTHONWARNINGS asks for some."""
    if not sys.warnoptions:
        warnings.showwarning = partial(_show, warnings.showwarning)


def _show(show: Callable[..., None], message: Warning | str, category: type[Warning], *where: Any) -> None:
    """Show a warning, unless it is for a library's own developers: Python hides these, and Feast brings them back."""
    if not issubclass(category, DeprecationWarning):
        show(message, category, *where)
