"""What a verb works with, how it runs a stage, and how it shows what came of it."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from cli.plain import PlainConsole
from configs.errors import DataError
from configs.lock import BusyError, exclusive
from configs.settings import Settings, load
from configs.workspace import Workspace
from training.json_text import json_text

PAGE_WIDTH = 110
OnProgress = Callable[[str, int, int], None]
Body = Callable[[OnProgress], dict[str, Any]]


@dataclass(frozen=True)
class Session:
    """What a verb works with: the business, where its state is, and what was decided for this once."""

    config: str
    settings: Settings
    workspace: Workspace
    as_json: bool = False
    again: bool = False
    accept_quality: bool = False
    accept_leaks: str = ""
    reason: str = ""
    by: str = ""

    @property
    def who(self) -> str:
        """Who decides: as given, or the user of the machine."""
        return self.by or getpass.getuser()

    def show(self, result: Any, table: Callable[[Any], Any]) -> None:
        """Print the result of the verb, see `show`."""
        show(result, self.as_json, table)

    def record_acceptance(self) -> None:
        """Put on record that the newest load is accepted, if asked to; each stage asks for itself if it may go on."""
        if self.accept_quality:
            from training.registry.overrides import accept_quality

            accept_quality(self.workspace, self.who, self.reason)

    def gated_stage(
        self,
        name: str,
        fingerprint: Callable[[], str],
        body: Body,
        is_there: Callable[[dict[str, Any]], bool] = lambda result: True,
        of_features: bool = True,
    ) -> dict[str, Any]:
        """As `stage`, for one that stops at a load that is not good enough: an earlier result is no way around.

        `fingerprint` is asked for once the load is accepted, if it is to be: what it rests on may become another.
        `of_features`: it also stops where the features are of a load before.
        """
        from features.quality import quality_verdict

        def gate() -> None:
            quality_verdict.require(self.workspace)
            if of_features:
                quality_verdict.require_newest_features(self.workspace)

        with self.workspace.exclusive(name):
            self.record_acceptance()
            return self.stage(name, fingerprint(), body, gate, is_there)

    def stage(
        self,
        name: str,
        fingerprint: str,
        body: Body,
        gate: Callable[[], None] = lambda: None,
        is_there: Callable[[dict[str, Any]], bool] = lambda result: True,
    ) -> dict[str, Any]:
        """Run a stage under a progress bar, or reuse its result.

        Parameters
        ----------
        name
            Of the stage.
        fingerprint
            Of all that its result depends on.
        body
            What the stage does.
        gate
            Raises if an earlier result may not be used.
        is_there
            Whether what an earlier result tells of is still there.
        """
        from features.quality import quarantine

        with self.workspace.exclusive(name):
            quarantine.expire(self.workspace, self.settings.quarantine.keep_days, datetime.now(UTC))
            earlier = None if self.again else self.workspace.done(name, fingerprint)
            if earlier is not None and is_there(earlier):
                gate()
                said = f"{name}: nothing changed since the last time, reused"
                screen().print(Text("✓ ", style="green").append(said, ""))
                return earlier
            with progress(name) as on_progress:
                result = body(on_progress)
            self.workspace.record(name, fingerprint, result)
            return result


def open_session(creates: bool, config: str, workspace: Path, **options: Any) -> Session:
    """Read the settings and open the workspace of their business.

    Parameters
    ----------
    creates
        Begin a new workspace where there is none.
    config, workspace
        As given on the command line.
    options
        The other fields of `Session`.

    Raises
    ------
    ConfigError
        The settings cannot be used; the workspace is of another business, or a file.
    NotReadyError
        There is no workspace, and none shall be begun.
    """
    settings, place = load(config), Workspace(workspace)
    if not creates:
        place.require()
    place.claim(settings.name)
    _settle(place)
    return Session(config, settings, place, **options)


def _settle(place: Workspace) -> None:
    """Finish a decision on models that was cut short; one that somebody is about to take is left to them.

    A ledger that is damaged stops those who decide, who read it themselves, and nobody else.
    """
    if not place.decision.is_file():
        return
    from training.registry.model_registry import settle

    with suppress(BusyError, DataError), exclusive(place.state, "settle", wait_seconds=0):
        settle(place)


def screen() -> PlainConsole:
    """Where people are told what is going on: the standard error, so that the output is the result alone."""
    return PlainConsole(stderr=True)


@contextmanager
def progress(name: str) -> Iterator[OnProgress]:
    """Show what a stage is doing and how far it is; leave one line when it is done."""
    columns = (
        SpinnerColumn(finished_text=Text("✓", style="green")),
        TextColumn("{task.description}", markup=False),
        BarColumn(24),
    )
    with Progress(*columns, MofNCompleteColumn(), TimeElapsedColumn(), console=screen()) as bar:
        task = bar.add_task(name, total=None)

        def on_progress(what: str, done: int, of: int) -> None:
            bar.update(task, description=f"{name}: {what}" if what else name, completed=done, total=of)

        yield on_progress
        bar.update(task, description=name, completed=1, total=1)


def show(result: Any, as_json: bool, table: Callable[[Any], Any]) -> None:
    """Print a result for a program or for a person; where the output is closed, nobody reads it."""
    if sys.stdout is None:
        return
    if as_json:
        print(json_text(result))
    else:
        PlainConsole(width=None if sys.stdout.isatty() else PAGE_WIDTH).print(table(result))
