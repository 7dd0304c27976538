"""Staycast: which customers will leave, what each is worth, why, and what to do.

The command line. One short function a verb; what is heavy is imported inside.
"""

from __future__ import annotations

import getpass
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial, wraps
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from configs.errors import ConfigError, NotReadyError, StaycastError
from configs.fingerprint import fingerprint
from configs.settings import Settings, load
from configs.workspace import Workspace, write_text

app = typer.Typer(
    help=__doc__, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False
)
screen = Console(stderr=True, highlight=False)

ModelName = Literal["churn", "clv"]

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
AcceptQuality = Annotated[
    bool, typer.Option("--accept-quality", help="Go on with data under its thresholds; give --reason, it is recorded.")
]
AcceptLeaks = Annotated[
    str, typer.Option("--accept-leaks", help="Columns, by comma, to learn from although they look like leaks.")
]
PAGE_WIDTH = 110
DEFAULT_CONFIG, DEFAULT_PLACE = "completejourney", Path(".")
SHARED: dict[str, tuple[Any, Any]] = {
    "config": (Config, DEFAULT_CONFIG),
    "workspace": (Place, DEFAULT_PLACE),
    "as_json": (AsJson, False),
    "again": (Again, False),
    "by": (By, ""),
    "accept_quality": (AcceptQuality, False),
    "accept_leaks": (AcceptLeaks, ""),
    "reason": (Reason, ""),
}
EVERYWHERE = ("config", "workspace", "as_json")
Step = Callable[[str, int, int], None]
Verb = Callable[..., None]


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
        """Who decides: as told, or the user of the machine."""
        return self.by or getpass.getuser()

    def show(self, result: Any, table: Callable[[Any], Any]) -> None:
        """Print the result of the verb, see `show`."""
        show(result, self.as_json, table)

    def pass_on_acceptance(self) -> None:
        """Put on record that the newest load is accepted, if so told; each stage asks for itself if it may go on."""
        if self.accept_quality:
            from training.registry.overrides import accept_quality

            accept_quality(self.workspace, self.who, self.reason)

    def gated(self, name: str, mark: str, body: Callable[[Step], dict[str, Any]]) -> dict[str, Any]:
        """As `stage`, for one that stops at a load that is not good enough: what it made before is no way around."""
        from features.quality import quality_gate

        self.pass_on_acceptance()
        return self.stage(name, mark, body, lambda: quality_gate.require(self.workspace))

    def stage(
        self,
        name: str,
        mark: str,
        body: Callable[[Step], dict[str, Any]],
        gate: Callable[[], None] = lambda: None,
    ) -> dict[str, Any]:
        """Run one stage under a progress bar, or reuse what it made if its mark has not changed and `gate` passes."""
        found = None if self.again else self.workspace.done(name, mark)
        if found is not None:
            gate()
            screen.print(f"[green]✓[/] {name}: nothing changed since the last time, reused")
            return found
        with progress(name) as step:
            result = body(step)
        self.workspace.record(name, mark, result)
        return result


def session(config: str, workspace: Path, **decided: Any) -> Session:
    """Read the settings and claim the workspace for their business."""
    settings, place = load(config), Workspace(workspace)
    place.claim(settings.name)
    return Session(config, settings, place, **decided)


def verb(*decided: str) -> Callable[[Verb], Verb]:
    """Make a verb of a function of a session: on the command line, the options that make the session stand for it.

    Parameters
    ----------
    decided
        Of the options in `SHARED`, those that the verb takes beside the ones of every verb.
    """
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in SHARED.items()
        if name in (*EVERYWHERE, *decided)
    ]

    def made(body: Verb) -> Verb:
        _, *own = inspect.signature(body, eval_str=True).parameters.values()

        @wraps(body)
        def command(**given: Any) -> None:
            body(session(**{p.name: given.pop(p.name) for p in shared}), **given)

        keywords = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        command.__signature__ = inspect.Signature([*shared, *keywords])  # type: ignore[attr-defined]
        return app.command()(command)

    return made


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

    return s.stage("ingest", module.ingest_fingerprint(s.settings), body)


def do_features(s: Session) -> dict[str, Any]:
    """Build the feature rows and put them into the feature store."""
    from features import build

    def body(step: Step) -> dict[str, Any]:
        from features import refresh
        from features.store import feature_store

        made = build.build(s.settings, s.workspace, lambda done, of: step("moments", done, of))
        step("feature store", 0, 1)
        feature_store.apply(s.workspace, s.settings)
        made["online"] = feature_store.materialize(s.workspace)
        made["refreshed"] = refresh.after_build(s.settings, s.workspace)
        return made

    online = [s.settings.online_store, s.settings.redis.model_dump()]
    return s.gated("features", fingerprint(build.features_fingerprint(s.settings, s.workspace), online), body)


def do_refresh(s: Session, everyone: bool, as_of: datetime | None) -> dict[str, Any]:
    """Recompute who was touched since the last time and put them online."""
    from features import refresh

    s.pass_on_acceptance()
    with progress("refresh") as step:
        result = refresh.refresh(s.settings, s.workspace, as_of=as_of, everyone=everyone, step=step)
    s.workspace.record("refresh", result["as_of"], result)
    return result


def do_train(s: Session, task: ModelName) -> dict[str, Any]:
    """Train, judge and register one model."""
    from training import run
    from training.fit.recipe import training_fingerprint

    def body(step: Step) -> dict[str, Any]:
        accepted = [name.strip() for name in s.accept_leaks.split(",") if name.strip()]
        trained = run.train(s.settings, s.workspace, task, s.who, step, accepted, s.reason)
        return {
            "version": f"{task}/{trained.version.version}",
            "run_id": trained.version.run_id,
            "basis": trained.basis,
            **trained.decision.to_dict(),
            **(trained.examination.to_dict() if trained.examination else {}),
        }

    return s.gated(f"train {task}", training_fingerprint(s.settings, s.workspace, task), body)


def do_score(s: Session) -> dict[str, Any]:
    """Answer for every customer of the newest moment."""
    from serving.bulk import run

    def body(step: Step) -> dict[str, Any]:
        return run.score_newest(s.settings, s.workspace, lambda done, of: step("customers", done, of))

    return s.gated("score", run.scoring_fingerprint(s.settings, s.workspace), body)


def do_monitor(s: Session) -> dict[str, Any]:
    """Write drift and fairness reports."""
    from monitoring import run

    return s.stage(
        "monitor",
        run.reports_fingerprint(s.settings, s.workspace),
        lambda step: run.monitor(s.settings, s.workspace, step),
    )


@verb("again", "by", "accept_quality", "accept_leaks", "reason")
def run(s: Session) -> None:
    """Do everything: ingest, features, train, score and monitor; what has not changed is reused."""
    from cli import screens

    result = {
        "ingest": do_ingest(s),
        "features": do_features(s),
        "train": {task: do_train(s, task) for task in s.settings.tasks},
        "score": do_score(s),
        "monitor": do_monitor(s),
    }
    s.show(result, lambda r: screens.whole(r, s.settings, s.workspace, s.config))


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(help="Your CSV or parquet files, one a table.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the configuration.")] = Path("business.yaml"),
    name: Annotated[str | None, typer.Option(help="Name of the business.", show_default="the files' folder")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at your files and propose the configuration that reads them, each guess explained."""
    from cli import screens
    from features.sources.propose import propose_config

    if out.exists() and not force:
        raise ConfigError(f"'{out}' exists: give another --out, or --force to replace it")
    text, found = propose_config(files, name)
    write_text(out, text)
    tables = [{"table": g.table.name, "path": str(g.path), "missing": list(g.missing)} for g in found]
    show({"config": str(out), "tables": tables}, as_json, screens.proposed)


@app.command()
def ingest(
    config: Config = DEFAULT_CONFIG,
    workspace: Place = DEFAULT_PLACE,
    as_json: AsJson = False,
    again: Again = False,
    check: Annotated[bool, typer.Option("--check", help="Only say what is wrong, and whether it is enough.")] = False,
) -> None:
    """Read and check the tables; bad rows go to quarantine with their reason."""
    from cli import screens

    if check:
        from features.sufficiency import trial

        with progress("check") as step:
            told = trial(load(config), lambda text: step(text, 0, 1))
        show(told, as_json, screens.trial)
        return
    s = session(config, workspace, as_json=as_json, again=again)
    s.show(do_ingest(s), lambda r: screens.quality(r, s.workspace))


@verb("again", "by", "accept_quality", "reason")
def features(
    s: Session,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Only customers of whom something new is known, as of now.")
    ] = False,
    everyone: Annotated[bool, typer.Option("--all", help="With --refresh: all customers, as of now.")] = False,
    as_of: Annotated[
        datetime | None, typer.Option(help="With --refresh: as of this moment instead, UTC.", show_default="now")
    ] = None,
) -> None:
    """Build feature rows at every moment, and put the newest online."""
    from cli import screens

    if refresh:
        s.show(do_refresh(s, everyone, as_of), screens.refreshed)
    elif everyone or as_of:
        raise ConfigError("--all and --as-of belong to --refresh: give it too, or leave them out")
    else:
        s.show(do_features(s), screens.features)


@verb("again", "by", "accept_quality", "accept_leaks", "reason")
def train(
    s: Session, model: Annotated[Literal["churn", "clv", "all"], typer.Argument(help="Which model.")] = "all"
) -> None:
    """Search, learn and judge a model; it becomes the champion if it passes every gate."""
    from cli import screens

    tasks = s.settings.tasks if model == "all" else (model,)
    s.show({task: do_train(s, task) for task in tasks}, screens.trained)


@verb()
def tune(
    s: Session, model: Annotated[Literal["churn", "clv", "all"], typer.Argument(help="Which model.")] = "all"
) -> None:
    """Take part in a search that runs elsewhere on the same tuning.storage, or begin it; `train` goes on from there."""
    from cli import screens
    from training.run import join_search

    with progress("tune") as step:
        tasks = s.settings.tasks if model == "all" else (model,)
        found = {task: join_search(s.settings, s.workspace, task, step) for task in tasks}
    s.show(found, screens.searched)


@verb()
def evaluate(
    s: Session,
    rolling: Annotated[
        int, typer.Option(min=0, help="Instead: the whole recipe at this many past moments, as if each were today.")
    ] = 0,
) -> None:
    """Examine both champions on the hold-out, beside the plain baselines."""
    from cli import screens
    from training.data.task_rows import feature_rows, labelled
    from training.judge.rolling_origin import evaluate_rolling
    from training.run import examine_champion

    if rolling:
        told, known = {}, feature_rows(s.workspace)
        for task in s.settings.tasks:
            with progress(f"evaluate {task}") as step:
                data = labelled(s.settings, s.workspace, task)
                rolled = evaluate_rolling(data, s.settings, rolling, known, partial(step, "moment"))
                told[task] = rolled.summary(s.settings.tuning.seed)
        s.show(told, screens.rolled)
        return
    with progress("evaluate") as step:
        step("", 0, 1)
        result = {task: examine_champion(s.settings, s.workspace, task) for task in s.settings.tasks}
    s.show(result, screens.trained)


@verb()
def reproduce(
    s: Session,
    run: Annotated[str, typer.Argument(help="A model, as churn/3, or the id of the MLflow run that made it.")],
    given_search: Annotated[
        bool, typer.Option("--given-search", help="Take what the first search chose; prove the fit alone.")
    ] = False,
) -> None:
    """Make a registered model again from the same data and seed, and compare every file; ends with 1 if one differs."""
    from cli import screens
    from training import reproduce as module

    with progress("reproduce") as step:
        result = module.reproduce(s.workspace, run, step, given_search).to_dict()
    s.show(result, screens.reproduced)
    if not result["identical"]:
        raise typer.Exit(1)


@verb("again", "by", "accept_quality", "reason")
def score(s: Session) -> None:
    """Answer for every customer: probability, value, tier, reasons, action; as parquet and JSON lines."""
    from cli import screens

    s.show(do_score(s), lambda r: screens.scored(r, s.workspace, s.settings))


@verb("again")
def monitor(s: Session) -> None:
    """Report drift since training, and how groups of customers fare."""
    from cli import screens

    s.show(do_monitor(s), screens.watched)


@verb()
def models(s: Session) -> None:
    """List model versions, which one serves, and who decided what."""
    from cli import screens
    from training.model import catalog
    from training.registry import ledger

    found = [vars(v) for task in s.settings.tasks for v in catalog.versions(s.workspace, task)]
    decided = [ledger.to_dict(record) for record in ledger.read(s.workspace.ledger)]
    s.show({"versions": found, "ledger": decided}, screens.models)


@verb("by", "reason")
def promote(
    s: Session,
    model: Model,
    version: Annotated[str, typer.Argument(help="The number of the version.")],
    override: Annotated[bool, typer.Option("--override", help="Although it did not pass the gates.")] = False,
) -> None:
    """Make a version the champion."""
    from training.registry import model_registry

    made = model_registry.promote(s.workspace, model, version, s.who, s.reason, override)
    s.show(vars(made), lambda r: f"{r['model']}/{r['version']} is the champion now")


@verb("by", "reason")
def rollback(s: Session, model: Model) -> None:
    """Go back to the champion before the present one."""
    from training.registry import model_registry

    made = model_registry.rollback(s.workspace, model, s.who, s.reason)
    s.show(vars(made), lambda r: f"{r['model']}/{r['version']} is the champion again")


@verb()
def erase(
    s: Session,
    ids: Annotated[list[str], typer.Argument(help="Customer ids or aliases; a person goes with all aliases.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the record keeps it, so do not name the person.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who asks for it.", show_default="your user name")] = "",
) -> None:
    """Erase persons from everything that is stored; later exports do not bring them back."""
    from cli import screens
    from serving import erasure

    s.show(erasure.erase(s.workspace, ids, by or s.who, reason), screens.erased)


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
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait spinning slow LightGBM down up to 20 times
    try:
        app()
    except StaycastError as error:
        screen.print(f"[bold red]staycast:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
