"""Staycast: which customers will leave, what each is worth, why, and what to do.

The command line. One short function a verb; what is heavy is imported inside.
"""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.text import Text

from cli import stages
from cli.options import DEFAULT_CONFIG, DEFAULT_WORKSPACE, Again, AsJson, Config, Model, WorkspaceFolder, verb
from cli.session import Session, open_session, progress, screen, show
from configs.errors import ConfigError, NotReadyError, StaycastError
from configs.files import write_text
from configs.fingerprint import ROOT
from configs.libraries import hide_deprecations
from configs.settings import load
from configs.workspace import Workspace

if TYPE_CHECKING:
    from training.model.catalog import Version

app = typer.Typer(
    help=__doc__, no_args_is_help=True, rich_markup_mode="rich", pretty_exceptions_enable=False, add_completion=False
)
DATABASE_FAILURES = {"sqlite3.DatabaseError", "sqlalchemy.DBAPIError", "optuna.StorageInternalError"}
DAMAGED_FILES = {"json.JSONDecodeError", "pyarrow.ArrowInvalid", "google.DecodeError"}
STORE_FAILURES = DATABASE_FAILURES | DAMAGED_FILES
MLFLOW_STORE_FAILURES = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"}


def _print_version(wanted: bool) -> None:
    if wanted:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        print(f"{project['name']} {project['version']}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Staycast: which customers will leave, what each is worth, why, and what to do."""


@verb(app, "again", "by", "accept_quality", "accept_leaks", "reason", creates=True)
def run(s: Session) -> None:
    """Do everything, reusing what has not changed: ingest, features, train, score, monitor; ends with 3 as `train`."""
    from cli.screens.overview import run_screen

    result = {
        "ingest": stages.ingest(s),
        "features": stages.features(s),
        "train": (trained := stages.train_each(s, s.settings.tasks)),
        "score": stages.score(s),
        "monitor": stages.monitor(s),
    }
    s.show(result, lambda r: run_screen(r, s.settings, s.workspace, s.config))
    _end_if_refused(trained)


@app.command()
def init(
    files: Annotated[list[Path], typer.Argument(help="Your CSV, XLSX or parquet files, or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the configuration.")] = Path("business.yaml"),
    name: Annotated[str | None, typer.Option(help="Name of the business.", show_default="the files' folder")] = None,
    recipe: Annotated[str | None, typer.Option(help="The system that wrote them, e.g. shopify or stripe.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a configuration that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at your files and propose the configuration that reads them, each guess explained."""
    from cli.screens.data import proposal_screen
    from features.sources.propose import propose_config

    if out.exists() and not force:
        raise ConfigError(f"'{out}' exists: give another --out, or --force to replace it")
    text, found = propose_config(files, name, recipe)
    write_text(out, text)
    show({"config": str(out), **found.to_dict()}, as_json, proposal_screen)


@app.command()
def ingest(
    config: Config = DEFAULT_CONFIG,
    workspace: WorkspaceFolder = DEFAULT_WORKSPACE,
    as_json: AsJson = False,
    again: Again = False,
    check: Annotated[bool, typer.Option("--check", help="Only say what is wrong, and whether it is enough.")] = False,
) -> None:
    """Read, check and judge the tables; bad rows go to quarantine with their reason; ends with 4 if it is refused.

    With --check it ends with 2 where nothing could be answered.
    """
    from cli.screens.data import check_screen, ingest_screen
    from features.quality import quality_verdict

    if check:
        from features.sufficiency import check_source
        from training.data.expected_basis import expected_basis
        from training.data.leak_questions import leak_questions

        settings, place = load(config), Workspace(workspace)
        own = place if place.belongs_to(settings.name) else None
        with progress("check") as on_progress:
            result = check_source(
                settings, lambda text: on_progress(text.lower(), 0, 1), own, leak_questions, expected_basis
            )
        show(result, as_json, check_screen)
        if result["refused_for"]:
            raise typer.Exit(quality_verdict.REFUSED_EXIT_CODE)
        if all(model["basis"] == "none" for model in result["expected"]):
            raise typer.Exit(StaycastError.exit_code)
        return
    s = open_session(True, config, workspace, as_json=as_json, again=again)
    s.show(stages.ingest(s), lambda r: ingest_screen(r, s.workspace))
    if quality_verdict.is_refused(s.workspace):
        raise typer.Exit(quality_verdict.REFUSED_EXIT_CODE)


@verb(app, "again", "by", "accept_quality", "reason")
def features(
    s: Session,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Only customers of whom something new is known, as of what is known.")
    ] = False,
    everyone: Annotated[bool, typer.Option("--all", help="With --refresh: all customers.")] = False,
    as_of: Annotated[
        datetime | None, typer.Option(help="With --refresh: as of this moment instead, UTC.", show_default="now")
    ] = None,
) -> None:
    """Build feature rows at every moment, and put the newest online."""
    from cli.screens.data import features_screen, refresh_screen

    if refresh:
        s.show(stages.refresh(s, everyone, as_of), refresh_screen)
    elif everyone or as_of:
        raise ConfigError("--all and --as-of belong to --refresh: give it too, or leave them out")
    else:
        s.show(stages.features(s), features_screen)


@verb(app, "again", "by", "accept_quality", "accept_leaks", "reason")
def train(
    s: Session, model: Annotated[Literal["churn", "clv", "all"], typer.Argument(help="Which model.")] = "all"
) -> None:
    """Search, learn and judge; what no gate refuses serves; ends with 3 if one was refused or could not be learned."""
    from cli.screens.models import training_screen

    result = stages.train_each(s, s.settings.tasks if model == "all" else (model,))
    s.show(result, training_screen)
    _end_if_refused(result)


def _end_if_refused(trained: Mapping[Any, Mapping[str, Any]]) -> None:
    from training.judge.gates import REFUSED_EXIT_CODE

    if not all(result.get("promote") for result in trained.values()):
        raise typer.Exit(REFUSED_EXIT_CODE)


@verb(app)
def tune(
    s: Session, model: Annotated[Literal["churn", "clv", "all"], typer.Argument(help="Which model.")] = "all"
) -> None:
    """Take part in a search that runs elsewhere on the same tuning.storage, or begin it; `train` goes on from there."""
    from cli.screens.models import search_screen
    from training.run import join_search

    with progress("tune") as on_progress:
        tasks = s.settings.tasks if model == "all" else (model,)
        result = {task: join_search(s.settings, s.workspace, task, on_progress) for task in tasks}
    s.show(result, search_screen)


@verb(app)
def evaluate(
    s: Session,
    rolling: Annotated[
        int, typer.Option(min=0, help="Instead: the whole recipe at this many past moments, as if each were today.")
    ] = 0,
) -> None:
    """Examine both champions on the hold-out, beside the plain baselines."""
    from cli.screens.models import rolling_screen, training_screen
    from features.quality import quality_verdict
    from training.data.task_rows import feature_rows, labelled
    from training.judge.rolling_origin import evaluate_rolling
    from training.model import catalog
    from training.run import examine_champion

    quality_verdict.require_newest_features(s.workspace)
    if rolling:
        summaries, rows = {}, feature_rows(s.workspace)
        for task in s.settings.tasks:
            with progress(f"evaluate {task}") as on_progress:
                data = labelled(s.settings, s.workspace, task)
                evaluation = evaluate_rolling(data, s.settings, rolling, rows, partial(on_progress, "as-of date"))
                summaries[task] = evaluation.summary()
        s.show(summaries, rolling_screen)
        return
    with progress("evaluate") as on_progress:
        on_progress("", 0, 1)
        serving, unserved = catalog.champions(s.workspace, s.settings.tasks)
        result = {
            task: examine_champion(s.settings, s.workspace, task) if task in serving else {"unserved": unserved[task]}
            for task in s.settings.tasks
        }
    s.show(result, training_screen)


@verb(app)
def reproduce(
    s: Session,
    run: Annotated[str, typer.Argument(help="A model, as churn/3, or the id of the MLflow run that made it.")],
    given_search: Annotated[
        bool, typer.Option("--given-search", help="Take what the first search chose; prove the fit alone.")
    ] = False,
) -> None:
    """Make a registered model again from the same data and seed, and compare every file; ends with 1 if one differs."""
    from cli.screens.models import reproduction_screen
    from training.reproduce import reproduce

    with progress("reproduce") as on_progress:
        result = reproduce(s.workspace, run, on_progress, given_search).to_dict()
    s.show(result, reproduction_screen)
    if not result["identical"]:
        raise typer.Exit(1)


@verb(app, "again", "by", "accept_quality", "reason")
def score(
    s: Session, csv: Annotated[Path | None, typer.Option("--csv", help="Also write the answers there, as CSV.")] = None
) -> None:
    """Answer for every customer: probability, value, tier, reasons, action; as parquet and JSON lines.

    As of what is known and complete: from the newest row of each, events that came until now among it.
    """
    from cli.screens.customers import scores_screen

    s.show(stages.score(s, csv), lambda r: scores_screen(r, s.workspace, s.settings))


@verb(app, "again")
def monitor(s: Session) -> None:
    """Report drift since training, and how groups of customers fare."""
    from cli.screens.overview import monitoring_screen

    s.show(stages.monitor(s), monitoring_screen)


@verb(app)
def models(s: Session) -> None:
    """List model versions, which one serves, and who decided what."""
    from cli.screens.models import versions_screen
    from training.model import catalog
    from training.model.proof import ledger

    versions = [v.to_dict() for task in s.settings.tasks for v in catalog.versions(s.workspace, task)]
    entries = [ledger.to_dict(record) for record in ledger.read(s.workspace.ledger)]
    s.show({"versions": versions, "ledger": entries}, versions_screen)


@verb(app, "by", "reason")
def promote(
    s: Session,
    model: Model,
    version: Annotated[str, typer.Argument(help="The number of the version.")],
    override: Annotated[bool, typer.Option("--override", help="Although it did not pass the gates.")] = False,
) -> None:
    """Make a version the champion."""
    from training.registry import model_registry

    _show_champion(s, model_registry.promote(s.workspace, model, version, s.who, s.reason, override), "now")


@verb(app, "by", "reason")
def rollback(s: Session, model: Model) -> None:
    """Go back to the champion before the present one."""
    from training.registry import model_registry

    _show_champion(s, model_registry.rollback(s.workspace, model, s.who, s.reason), "again")


def _show_champion(s: Session, champion: Version, since: str) -> None:
    from cli.screens.models import champion_screen
    from training.registry import releases

    ended = releases.ended_by(s.workspace, champion)
    result = {**champion.to_dict(), "ended_release": None if ended is None else str(ended)}
    s.show(result, lambda r: champion_screen(r, since))


@verb(app, "by", "reason")
def release(
    s: Session,
    do: Annotated[Literal["status", "start", "promote", "stop"], typer.Argument(help="What to do.")] = "status",
    version: Annotated[str, typer.Argument(help="Of the model: churn/4; where but one runs, none is needed.")] = "",
    shadow: Annotated[bool, typer.Option("--shadow", help="Start: score beside, answer nobody.")] = False,
    canary: Annotated[float | None, typer.Option("--canary", help="Start: answer so many percent.")] = None,
    override: Annotated[bool, typer.Option("--override", help="Although it did not pass the gates.")] = False,
) -> None:
    """Let a version run beside the champion, compare both, and make it the champion or stop it."""
    from cli.screens.releases import releases_screen
    from training.model.proof import releases as proof
    from training.registry import releases

    if do == "start":
        if shadow == (canary is not None):
            raise ConfigError("say how it is to run: --shadow, or --canary PERCENT")
        started = releases.start(s.workspace, version, canary, s.who, s.reason, override)
        s.show(proof.to_dict(started), lambda r: f"{started} runs beside {started.model}/{started.champion} now")
    elif do == "promote":
        champion = releases.promote(s.workspace, version, s.who, s.reason, override)
        s.show(champion.to_dict(), lambda r: f"{champion.label} is the champion now")
    elif do == "stop":
        ended = releases.stop(s.workspace, version, s.who, s.reason)
        s.show(proof.to_dict(ended), lambda r: f"{ended} is stopped: {ended.model}/{ended.champion} answers everybody")
    else:
        s.show({"releases": stages.release_status(s)}, releases_screen)


@verb(app)
def erase(
    s: Session,
    ids: Annotated[list[str], typer.Argument(help="Customer ids or aliases; a person goes with all aliases.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; the record keeps it, so do not name the person.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who asks for it.", show_default="your user name")] = "",
) -> None:
    """Erase persons from everything that is stored; later exports do not bring them back.

    Ends with 1 where nothing is known under one of the ids; the others are erased all the same.
    """
    from cli.screens.data import erasure_screen
    from serving import erasure

    result = erasure.erase(s.workspace, ids, by or s.who, reason, s.settings.records)
    s.show(result, erasure_screen)
    if result["not_found"]:
        raise typer.Exit(1)


@verb(app)
def objections(
    s: Session,
    do: Annotated[Literal["list", "add", "withdraw"], typer.Argument(help="What to do.")] = "list",
    ids: Annotated[list[str] | None, typer.Argument(help="Customer ids or aliases; it counts for the person.")] = None,
    by: Annotated[str, typer.Option("--by", help="Who tells it.", show_default="your user name")] = "",
) -> None:
    """Keep who objects to being forecast, or no longer does: no score of them is made or told from then on."""
    from cli import record

    record.objections(s, do, ids or [], by or s.who)


@app.command()
def serve(
    config: Config = DEFAULT_CONFIG,
    workspace: WorkspaceFolder = DEFAULT_WORKSPACE,
    host: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="serving.host")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port to listen on.", show_default="serving.port")
    ] = None,
    open_to_all: Annotated[
        bool, typer.Option("--open-to-all", help="Let other machines in although callers need not say who they are.")
    ] = False,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate to speak HTTPS with, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Its key, PEM, without a password.")] = None,
) -> None:
    """Answer over HTTP until stopped: POST /v1/predictions."""
    from serving import launch

    tls = launch.Tls.of(tls_cert, tls_key)
    s = open_session(False, config, workspace)
    address = host or s.settings.serving.host, port or s.settings.serving.port
    launch.serve(config, workspace, *address, open_to_all, tls)


@verb(app)
def keys(
    s: Session,
    do: Annotated[Literal["list", "create", "rotate", "revoke"], typer.Argument(help="What to do.")] = "list",
    name: Annotated[str, typer.Argument(help="Of the key: the system that will use it.")] = "",
    role: Annotated[str, typer.Option(help="What it may do: crm, analyst, reviewer or admin.")] = "crm",
    days: Annotated[
        int | None, typer.Option(min=1, help="After how many a new key ends.", show_default="never")
    ] = None,
    rows: Annotated[
        list[str] | None, typer.Option(help="Whom it sees: attribute=value of access.row_scope, may be given again.")
    ] = None,
    grace_hours: Annotated[float, typer.Option(min=0, help="How long a rotated key still holds.")] = 24,
) -> None:
    """Make, rotate and revoke keys by which callers say who they are; the first closes the service to others."""
    from cli.screens.keys import keys_screen, to_dict
    from serving.access.keys import ApiKeys
    from serving.access.rows import require_rows, rows_of

    with ApiKeys(s.workspace.access_keys, who=s.who) as store:
        secret = None
        if do == "create":
            seen = rows_of(rows or [])
            require_rows(seen, s.settings.access.row_scope)
            _, secret = store.create(name, role, days, seen)
        elif do == "rotate":
            _, secret = store.rotate(name, grace_hours)
        elif do == "revoke":
            store.revoke(name)
        s.show(to_dict(store.all(), datetime.now(UTC), secret), keys_screen)


@verb(app)
def audit(
    s: Session,
    do: Annotated[Literal["verify", "rotate-key", "prune", "move"], typer.Argument(help="What to do.")] = "verify",
    public_key: Annotated[str, typer.Option(help="Of who must have signed (base64).", show_default="public.txt")] = "",
) -> None:
    """Tell whether the record of answers is whole (1: it is not), change its key, remove what is too old, move it."""
    from cli import record

    record.audit(s, do, public_key)


@app.command("mlflow")
def mlflow_ui(
    workspace: WorkspaceFolder = DEFAULT_WORKSPACE,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 5000,
) -> None:
    """Show runs, models and plots in MLflow's own pages until stopped."""
    from configs.tracking import relocate
    from serving.launch import require_free_port

    place = Workspace(workspace)
    if not place.registry.is_file():
        raise NotReadyError(f"no MLflow store in workspace '{workspace}': run `staycast train` first")
    relocate(place)
    require_free_port("127.0.0.1", port)
    screen().print(f"models and runs: http://127.0.0.1:{port}/#/models?workflowType=machine_learning")
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", place.tracking_uri, "--default-artifact-root", place.artifacts_uri]
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}  # may name other stores
    os.execve(command[0], command, {"DO_NOT_TRACK": "true", **own, "MLFLOW_DISABLE_TELEMETRY": "true"})


def main() -> None:
    """Run the command line; an error the user can mend ends in one message and its exit code (`configs.errors`)."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that wait spinning slow LightGBM down up to 20 times
    hide_deprecations()
    try:
        app()
    except StaycastError as error:
        _end(str(error), error.exit_code)
    except OSError as error:
        place = f" '{error.filename}'" if error.filename else ""
        _end(f"cannot read or write{place}: {error.strerror or error}", StaycastError.exit_code)
    except Exception as error:
        if not _is_of_a_store(error):
            raise
        reason = next(iter(str(error).strip().splitlines()), "")
        _end(
            f"a file or store of this workspace failed ({type(error).__name__}: {reason}): see that its files "
            "are whole (each stage makes its own anew with --again), and that no other program keeps them locked",
            StaycastError.exit_code,
        )


def _is_of_a_store(error: Exception) -> bool:
    """Whether a library failed because of a database, not because of how it was called; told without importing it."""
    names = {f"{kind.__module__.split('.')[0]}.{kind.__name__}" for kind in type(error).__mro__}
    return bool(names & STORE_FAILURES) or (
        "mlflow.MlflowException" in names and getattr(error, "error_code", "") in MLFLOW_STORE_FAILURES
    )


def _end(message: str, code: int) -> NoReturn:
    screen().print(Text("staycast: ", style="bold red").append(message, "not bold default"), soft_wrap=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
