"""One module a source: ``load(options)`` gives raw tables by name, ``mark(options)`` tells whether they changed."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import pandas as pd

from configs.errors import ConfigError, nearest

READY = tuple(sorted(p.stem for p in Path(__file__).parent.glob("*.py") if p.stem not in ("__init__", "mapping")))


class Loader(Protocol):
    """What every module of this package offers."""

    def load(self, options: dict[str, Any]) -> dict[str, pd.DataFrame]:
        """Read the raw tables, named as in `features.schema.TABLES`."""

    def mark(self, options: dict[str, Any]) -> str:
        """A short hash that changes when the source does."""


def loader(name: str) -> Loader:
    """Return the source of this name.

    Raises
    ------
    ConfigError
        There is no such source.
    """
    if name not in READY:
        raise ConfigError(f"source.loader: no source '{name}'{nearest(name, READY)}; there are {', '.join(READY)}")
    return cast(Loader, import_module(f"features.sources.{name}"))
