"""What the ready sources take: the path of one known file, or the size and the seed of a simulation."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import Field

from configs.errors import DataError
from configs.fingerprint import fingerprint
from configs.settings import Section
from configs.variables import expand
from features.sources.mapping import parse

if TYPE_CHECKING:
    import pandas as pd


class FileOptions(Section):
    """Options of a source that is one known file."""

    path: str
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None


class SimulationOptions(Section):
    """Options of a source that simulates its customers."""

    customers: Annotated[int, Field(gt=0)]
    months: Annotated[int, Field(gt=0)]
    seed: int


class Simulation(Protocol):
    """Simulated customers; their truth stands beside."""

    @property
    def tables(self) -> Mapping[str, pd.DataFrame]:
        """The raw tables."""


def known_file(options: dict[str, Any]) -> Path:
    """The file of a source that is one known file, with the checksum that the options give.

    Raises
    ------
    ConfigError
        An option is unknown or missing, or an environment variable in the path is not set.
    DataError
        There is no such file, or its checksum is another: altered copies of public tables circulate.
    """
    given = parse(FileOptions, options, "source.options")
    path = Path(expand(given.path, "source.options.path"))
    if not path.is_file():
        raise DataError(f"no file at '{path}'; correct source.options.path, or the environment variable in it")
    if given.sha256 is None:
        return path
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != given.sha256:
        raise DataError(
            f"'{path}' is not the file that is meant: its sha256 is {actual}, source.options.sha256 says "
            f"{given.sha256}; fetch it again, or leave sha256 out to use it all the same"
        )
    return path


def load_simulation(generate: Callable[..., Simulation], options: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Generate the tables of a source that simulates its customers.

    Parameters
    ----------
    generate
        Takes the options of `SimulationOptions`.
    options
        ``source.options``.

    Raises
    ------
    ConfigError
        An option is missing, unknown or out of its range.
    """
    return dict(generate(**parse(SimulationOptions, options, "source.options").model_dump()).tables)


def simulation_fingerprint(name: str, options: Mapping[str, Any]) -> str:
    """Hash of the options of the source of this name: they say everything. Errors as of `load_simulation`."""
    parse(SimulationOptions, options, "source.options")
    return fingerprint(name, options)
