"""Sources by their name in a configuration: how a module that reads raw tables is found, and its tables opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from configs.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from features.sources.staging import Raw

READY_DATA_SETS = ("cdnow", "completejourney", "online_retail", "synthetic", "synthetic_subscriptions", "telco")
SOURCES = {
    "database": "features.sources.database",
    "files": "features.sources.files",
    **{name: f"features.sources.data_sets.{name}" for name in READY_DATA_SETS},
}


class Loader(Protocol):
    """What every module of this package offers."""

    def load(self, options: dict[str, Any]) -> dict[str, pd.DataFrame]:
        """Read the raw tables, named as in `features.tables.TABLES`."""

    def source_fingerprint(self, options: dict[str, Any]) -> str:
        """A short hash that changes when the source does."""


def loader(name: str) -> Loader:
    """Return the source of this name.

    Raises
    ------
    ConfigError
        There is no such source.
    """
    if name not in SOURCES:
        raise ConfigError(f"source.loader: no source '{name}'{nearest(name, SOURCES)}; there are {', '.join(SOURCES)}")
    return cast(Loader, import_module(SOURCES[name]))


def opened(
    source: Loader, options: dict[str, Any], chunk_rows: int, zone: str = "UTC"
) -> AbstractContextManager[dict[str, Raw]]:
    """Read the raw tables of a source; those of more than `chunk_rows` rows in chunks, where the source can.

    Parameters
    ----------
    source
        As `loader` gives it.
    options
        ``source.options``.
    chunk_rows
        Most rows of a table, or of a chunk of one, that stand in memory at once. A simulation or a public data set is
        read whole, as are customers.
    zone
        Times without an offset from UTC are in it, where the source does not say otherwise. A simulation or a public
        data set knows its own.

    Returns
    -------
    context manager of dict
        The tables by name. It does not hold on to them: what its user lets go of leaves memory.
    """
    return source.opened(options, chunk_rows, zone) if hasattr(source, "opened") else _whole(source, options)


@contextmanager
def _whole(source: Loader, options: dict[str, Any]) -> Iterator[dict[str, Raw]]:
    yield dict(source.load(options))
