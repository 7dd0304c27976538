"""A process that kills its own children at every step a stage takes on disk: ``python -m tests.kills FOLDER``.

It takes one stage a line, and ends what it tells of each with an empty line.

A step is a file that is opened for writing, a folder that is made, a renaming, a removal or a database that is opened,
in the workspace. A child is killed before one of the steps, and another looks at what is left; in the end one does the
stage again. Each child that ingests begins with a copy of one workspace, and is followed by one that does it again; of
other stages each but the last begins with what the one before left. One line of JSON a kill tells what was seen.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import staycast
from configs import files
from configs.fingerprint import ROOT, files_fingerprint
from configs.loads import VERDICT
from configs.settings import Settings, load
from configs.workspace import SCORE_LINES, SCORE_TABLE, Workspace
from features.store.online_rows import OnlineFeatures
from serving.answer.champion import Champions
from serving.answer.score import score
from training.model.proof import ledger

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "sqlite3.connect", "exchange"}
MOST = {"ingest": 6, "score": 4, "features": 3, "train churn": 3}  # kills of a stage, spread over all its steps


def config(folder: Path, seed: int) -> Path:
    """A business so small that a model is a prior, learned in seconds; another seed is another export."""
    own = yaml.safe_load((ROOT / "configs" / "test.yaml").read_text("utf-8"))
    own["source"]["options"] = {"customers": 30, "months": 6, "seed": seed}
    own["clv"], own["decisions"] = {"forecast": False}, {}
    path = folder / f"seed-{seed}.yaml"
    path.write_text(yaml.safe_dump(own), "utf-8")
    return path


def in_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Do something in a child process; how it ended (a signal is negative), and what it gave."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = 1
        try:
            os.write(writing, json.dumps(work(), default=str).encode())
            code = 0
        except BaseException as error:
            os.write(writing, json.dumps(f"{type(error).__name__}: {error}"[:2000]).encode())
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), json.loads(said) if said else None


def do(stage: str, config: Path, place: Path, *options: str) -> None:
    try:
        words = [*stage.split(), "--config", str(config), "--workspace", str(place), *options]
        staycast.app(words, standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise


def counted(place: Path, kill_at: int | None, work: Callable[[], None]) -> int:
    """Do something and count its steps in a workspace; end by SIGKILL before one of them."""
    steps, root, exchange = 0, str(place), files._exchange

    def step(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal steps
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (writes or event in EVENTS) and root in str(arguments[0]):
            if steps == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            steps += 1

    def audited(one: Path, other: Path) -> bool:
        step("exchange", (other,))
        return exchange(one, other)

    files._exchange = audited
    sys.addaudithook(step)
    work()
    return steps


def loaded(place: Path) -> dict[str, Any]:
    """What a reader of tables finds: which load, and whether it is whole."""
    workspace = Workspace(place)
    tables = workspace.tables
    customers = pd.read_parquet(tables / "customers.parquet")["customer_id"]
    whole = [pd.read_parquet(p, columns=["customer_id"])["customer_id"].isin(customers).all() for p in tables.iterdir()]
    return {
        "tables": files_fingerprint(tables.glob("*.parquet")),
        "whole": all(whole) and json.loads((tables.parent / VERDICT).read_text())["passed"],
        "left": [str(p) for p in workspace.root.rglob(".scratch-*")],
    }


def serving(place: Path, settings: Settings) -> dict[str, Any]:
    """What a reader of features, models and answers finds, and whether each is whole."""
    workspace = Workspace(place)
    rows, labels = (pd.read_parquet(workspace.features / f"{name}.parquet") for name in ("rows", "labels"))
    newest = rows.loc[rows["as_of"] == rows["as_of"].max(), "customer_id"].head(3).tolist()
    champions = Champions.load(workspace, tasks=settings.tasks)
    frame = OnlineFeatures(workspace).read(newest).dropna(subset=["as_of"])
    answers = score(frame, champions, settings, datetime.now(UTC), 3)
    scores = [
        len(pd.read_parquet(folder / SCORE_TABLE)) == len((folder / SCORE_LINES).read_text().splitlines())
        for folder in workspace.scores.glob("[!.]*")
    ]
    answered = len(answers) == 3 and all(0 <= a["churn"]["probability"] <= 1 for a in answers)
    same = rows[["customer_id", "as_of"]].equals(labels[["customer_id", "as_of"]])
    ledger.read(workspace.ledger)
    return {"whole": answered and same and bool(scores) and all(scores), "model": champions.labels["churn"]}


def lived(folder: Path, config: Path, verbs: Sequence[str]) -> Path:
    """A workspace in which these verbs were done one after the other; each is done once for all stages."""
    for number, verb in enumerate(verbs):
        if not (place := folder / f"after-{verb}").exists():
            if number:
                shutil.copytree(folder / f"after-{verbs[number - 1]}", place)
            code, said = in_child(lambda verb=verb, place=place: do(verb, config, place))
            assert code == 0, (verb, said)
    return place


def kill(folder: Path, stage: str) -> None:
    old, new, place = config(folder, 5), config(folder, 6), folder / "place"
    now, again = (new, []) if stage == "ingest" else (old, ["--again"])
    base = lived(folder, old, ("ingest",) if stage == "ingest" else ("ingest", "features", "train churn", "score"))

    def seen() -> dict[str, Any]:
        tables = in_child(lambda: loaded(place))[1]
        rest = in_child(lambda: serving(place, load(str(old))))[1] if stage != "ingest" else {}
        return {"loaded": tables, "serving": rest}

    def work(kill_at: int | None) -> tuple[int, Any]:
        return in_child(lambda: counted(place, kill_at, lambda: do(stage, now, place, *again)))

    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(base, place)
    before = seen()
    code, steps = work(None)
    assert code == 0, steps
    print(json.dumps({"before": before, "after": seen(), "steps": steps}), flush=True)  # noqa: T201
    every = -(-steps // MOST[stage])
    points = sorted({*range(0, steps, every), steps - 1})
    for kill_at in points:
        if stage == "ingest" or kill_at in (0, points[-1]):  # the last step is none where less is left to do
            shutil.rmtree(place)
            shutil.copytree(base, place)
        code, _ = work(kill_at)
        told = {"kill_at": kill_at, "code": code, "left": seen()}
        if stage == "ingest" or kill_at == points[-1]:
            told |= {"again": in_child(lambda: do(stage, now, place, *again)), "then": seen()}
        print(json.dumps(told), flush=True)  # noqa: T201


def main(folder: Path) -> None:
    importlib.import_module("tests.imported")  # once for all children
    for line in sys.stdin:
        kill(folder, line.strip())
        print(flush=True)  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
