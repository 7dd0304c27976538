"""Staycast: which customers will leave, what each is worth, why, and what to do.

The command line. One short function a verb; what is heavy is imported inside.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from configs.errors import NotReadyError, StaycastError
from configs.settings import Settings, load
from configs.workspace import Workspace

app = typer.Typer(
    help=__doc__, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False
)
screen = Console(stderr=True, highlight=False)

ModelName = Literal["churn", "clv"]
TASKS: tuple[ModelName, ...] = ("churn", "clv")

Config = Annotated[
    str,
    typer.Option("--config", "-c", envvar="STAYCAST_CONFIG", help="A YAML file, or the name of one in configs/."),
]
Place = Annotated[
    Path, typer.Option("--workspace", "-w", envvar="STAYCAST_WORKSPACE", help="The folder that holds all state.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for programs.")]
Again = Annotated[bool, typer.Option("--again", help="Do it even if nothing has changed since the last time.")]
Model = Annotated[ModelName, typer.Argument(help="Which model.")]
By = Annotated[str, typer.Option("--by", help="Who decides; the ledger keeps it.", show_default="your user name")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the ledger keeps it.")]
PAGE_WIDTH = 110
DEFAULT_CONFIG, DEFAULT_PLACE = "completejourney", Path(".")
Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Session:
    """What every verb works with."""

    settings: Settings
    workspace: Workspace
    again: bool = False

    def stage(self, name: str, mark: str, body: Callable[[Step], dict[str, Any]]) -> dict[str, Any]:
        """Run one stage under a progress bar, or reuse what it made if its mark has not changed."""
        found = None if self.again else self.workspace.done(name, mark)
        if found is not None:
            screen.print(f"[green]✓[/] {name}: nothing changed since the last time, reused")
            return found
        with progress(name) as step:
            result = body(step)
        self.workspace.record(name, mark, result)
        return result


def session(config: str, place: Path, again: bool = False) -> Session:
    """Read the settings and claim the workspace for their business."""
    settings, workspace = load(config), Workspace(place)
    workspace.claim(settings.name)
    return Session(settings, workspace, again)


@contextmanager
def progress(name: str) -> Iterator[Step]:
    """Show what a stage is doing and how far it is; leave one line when it is done."""
    columns = (SpinnerColumn(finished_text="[green]✓[/]"), TextColumn("{task.description}"), BarColumn(24))
    with Progress(*columns, MofNCompleteColumn(), TimeElapsedColumn(), console=screen) as bar:
        task = bar.add_task(name, total=None)

        def step(what: str, done: int, of: int) -> None:
            bar.update(task, description=f"{name}: {what}" if what else name, completed=done, total=of)

        yield step
        bar.update(task, description=name, completed=1, total=1)


def show(result: Any, as_json: bool, table: Callable[[Any], Any]) -> None:
    """Print a result for a program or for a person."""
    if as_json:
        print(json.dumps(result, indent=1, default=str))
    else:
        Console(highlight=False, width=None if sys.stdout.isatty() else PAGE_WIDTH).print(table(result))


def do_ingest(s: Session) -> dict[str, Any]:
    """Read and check the tables."""
    from features import ingest as module

    def body(step: Step) -> dict[str, Any]:
        return module.ingest(s.settings, s.workspace, say=lambda text: step(text.lower(), 0, 1))

    return s.stage("ingest", module.mark(s.settings), body)


def do_features(s: Session) -> dict[str, Any]:
    """Build the feature rows and put them into the feature store."""
    from features import build

    def body(step: Step) -> dict[str, Any]:
        from features import store

        made = build.build(s.settings, s.workspace, lambda done, of: step("moments", done, of))
        step("feature store", 0, 1)
        store.apply(s.workspace)
        made["online"] = store.materialize(s.workspace)
        return made

    return s.stage("features", build.mark(s.settings, s.workspace), body)


def do_train(s: Session, task: ModelName, by: str) -> dict[str, Any]:
    """Train, judge and register one model."""
    from training import run

    def body(step: Step) -> dict[str, Any]:
        trained = run.train(s.settings, s.workspace, task, by, step)
        return {
            "version": f"{task}/{trained.version.version}",
            "run_id": trained.version.run_id,
            **trained.decision.to_dict(),
            **trained.examination.to_dict(),
        }

    return s.stage(f"train {task}", run.mark(s.settings, s.workspace, task), body)


def do_score(s: Session) -> dict[str, Any]:
    """Answer for every customer of the newest moment."""
    from serving import run

    def body(step: Step) -> dict[str, Any]:
        return run.score_newest(s.settings, s.workspace, lambda done, of: step("customers", done, of))

    return s.stage("score", run.mark(s.settings, s.workspace), body)


def do_monitor(s: Session) -> dict[str, Any]:
    """Write drift and fairness reports."""
    from monitoring import run

    return s.stage(
        "monitor", run.mark(s.settings, s.workspace), lambda step: run.monitor(s.settings, s.workspace, step)
    )


@app.command()
def run(
    config: Config = DEFAULT_CONFIG,
    workspace: Place = DEFAULT_PLACE,
    as_json: AsJson = False,
    again: Again = False,
    by: By = "",
) -> None:
    """Do everything: ingest, features, train, score and monitor; what has not changed is reused."""
    from monitoring import overview

    s = session(config, workspace, again)
    result = {
        "ingest": do_ingest(s),
        "features": do_features(s),
        "train": {task: do_train(s, task, by or getpass.getuser()) for task in TASKS},
        "score": do_score(s),
        "monitor": do_monitor(s),
    }
    show(result, as_json, lambda r: overview.whole(r, s.settings, s.workspace, config))


@app.command()
def ingest(
    config: Config = DEFAULT_CONFIG, workspace: Place = DEFAULT_PLACE, as_json: AsJson = False, again: Again = False
) -> None:
    """Read and check the tables; bad rows go to quarantine with their reason."""
    from monitoring import overview

    s = session(config, workspace, again)
    show(do_ingest(s), as_json, lambda r: overview.quality(r, s.workspace))


@app.command()
def features(
    config: Config = DEFAULT_CONFIG, workspace: Place = DEFAULT_PLACE, as_json: AsJson = False, again: Again = False
) -> None:
    """Build feature rows at every moment, and put the newest online."""
    from monitoring import overview

    show(do_features(session(config, workspace, again)), as_json, overview.features)


@app.command()
def train(
    model: Annotated[Literal["churn", "clv", "all"], typer.Argument(help="Which model.")] = "all",
    config: Config = DEFAULT_CONFIG,
    workspace: Place = DEFAULT_PLACE,
    as_json: AsJson = False,
    again: Again = False,
    by: By = "",
) -> None:
    """Search, learn and judge a model; it becomes the champion if it passes every gate."""
    from monitoring import overview

    s = session(config, workspace, again)
    tasks = TASKS if model == "all" else (model,)
    show({task: do_train(s, task, by or getpass.getuser()) for task in tasks}, as_json, overview.trained)


@app.command()
def evaluate(config: Config = DEFAULT_CONFIG, workspace: Place = DEFAULT_PLACE, as_json: AsJson = False) -> None:
    """Examine both champions on the hold-out, beside the plain baselines."""
    from monitoring import overview
    from training.run import examine_champion

    s = session(config, workspace)
    with progress("evaluate") as step:
        step("", 0, 1)
        result = {task: examine_champion(s.settings, s.workspace, task) for task in TASKS}
    show(result, as_json, overview.trained)


@app.command()
def score(
    config: Config = DEFAULT_CONFIG, workspace: Place = DEFAULT_PLACE, as_json: AsJson = False, again: Again = False
) -> None:
    """Answer for every customer: probability, value, tier, reasons, action; as parquet and JSON lines."""
    from monitoring import overview

    s = session(config, workspace, again)
    show(do_score(s), as_json, lambda r: overview.scored(r, s.workspace, s.settings))


@app.command()
def monitor(
    config: Config = DEFAULT_CONFIG, workspace: Place = DEFAULT_PLACE, as_json: AsJson = False, again: Again = False
) -> None:
    """Report drift since training, and how groups of customers fare."""
    from monitoring import overview

    show(do_monitor(session(config, workspace, again)), as_json, overview.watched)


@app.command()
def models(config: Config = DEFAULT_CONFIG, workspace: Place = DEFAULT_PLACE, as_json: AsJson = False) -> None:
    """List model versions, which one serves, and who decided what."""
    from monitoring import overview
    from training import ledger, registry

    s = session(config, workspace)
    found = [vars(v) for task in TASKS for v in registry.versions(s.workspace, task)]
    decided = [ledger.to_dict(record) for record in ledger.read(s.workspace.ledger)]
    show({"versions": found, "ledger": decided}, as_json, overview.models)


@app.command()
def promote(
    model: Model,
    version: Annotated[str, typer.Argument(help="The number of the version.")],
    reason: Reason = "",
    by: By = "",
    override: Annotated[bool, typer.Option("--override", help="Although it did not pass the gates.")] = False,
    config: Config = DEFAULT_CONFIG,
    workspace: Place = DEFAULT_PLACE,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion."""
    from training import registry

    s = session(config, workspace)
    who = by or getpass.getuser()
    made = registry.promote(s.workspace, model, version, who, reason, override)
    show(vars(made), as_json, lambda r: f"{r['model']}/{r['version']} is the champion now")


@app.command()
def rollback(
    model: Model,
    reason: Reason = "",
    by: By = "",
    config: Config = DEFAULT_CONFIG,
    workspace: Place = DEFAULT_PLACE,
    as_json: AsJson = False,
) -> None:
    """Go back to the champion before the present one."""
    from training import registry

    s = session(config, workspace)
    made = registry.rollback(s.workspace, model, by or getpass.getuser(), reason)
    show(vars(made), as_json, lambda r: f"{r['model']}/{r['version']} is the champion again")


@app.command()
def serve(
    config: Config = DEFAULT_CONFIG,
    workspace: Place = DEFAULT_PLACE,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="serving.host")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default="serving.port")] = None,
) -> None:
    """Answer over HTTP until stopped: POST /v1/predictions."""
    from serving import launch

    s = session(config, workspace)
    launch.serve(config, workspace, host or s.settings.serving.host, port or s.settings.serving.port)


@app.command("mlflow")
def mlflow_ui(
    workspace: Place = DEFAULT_PLACE, port: Annotated[int, typer.Option(help="Port to listen on.")] = 5000
) -> None:
    """Show runs, models and plots in MLflow's own pages until stopped."""
    place = Workspace(workspace)
    if not (place.mlruns / "mlflow.db").is_file():
        raise NotReadyError(f"no MLflow store in workspace '{workspace}': run `staycast train` first")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", place.tracking_uri, "--port", str(port)]
    os.execv(command[0], command)


def main() -> None:
    """Run the command line; an error the user can mend ends in one message and exit code 2."""
    try:
        app()
    except StaycastError as error:
        screen.print(f"[bold red]staycast:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
