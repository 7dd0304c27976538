"""What is read of MLflow's registry without MLflow is what MLflow says; broken registries end in one sentence."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from configs.errors import RegistryError
from configs.workspace import Workspace
from training.model import catalog
from training.model.bundle import load


def test_versions_aliases_tags_and_descriptions_are_those_that_mlflow_tells(copied: Workspace) -> None:
    from training.registry import runs

    client = runs.client(copied)
    for model in ("churn", "clv"):
        first = catalog.versions(copied, model)[0]
        client.create_model_version(model, first.address, first.run_id)
        client.set_registered_model_alias(model, "challenger", "1")
        aliases = client.get_registered_model(model).aliases
        read = {v.version: v for v in catalog.versions(copied, model)}
        for result in client.search_model_versions(f"name = '{model}'"):
            own = read.pop(str(result.version))
            assert (own.run_id, own.tags, own.created_at_ms) == (
                result.run_id,
                dict(result.tags),
                result.creation_timestamp,
            )
            assert own.description == (result.description or "")
            assert set(own.aliases) == {a for a, n in aliases.items() if str(n) == own.version}
        assert not read
        assert [v.version for v in catalog.versions(copied, model)] == ["2", "1"]
        champion = catalog.champion(copied, model)
        assert champion is not None and champion.version == "1", "the newest one is not the one that serves"
    assert catalog.versions(copied, "nothing") == []


@pytest.mark.parametrize(
    ("model", "tags", "said"),
    [
        ("churn", [], "run `staycast train churn` first"),
        ("churn", [{"gates": "passed"}], 'churn/1 in charge with `staycast promote churn 1 --reason "..."`'),
        ("churn", [{"gates": "failed"}], 'with `staycast promote churn 1 --override --reason "..."`'),
        (
            "clv",
            [{"gates": "failed"}],
            '--override --reason "..."`; or let churn be answered alone with clv.forecast: f',
        ),
    ],
)
def test_who_has_no_champion_reads_what_to_do_about_the_newest_version(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, model: str, tags: list[dict[str, str]], said: str
) -> None:
    workspace.mlruns.mkdir(parents=True)
    workspace.registry.touch()
    known = [catalog.Version(model, "1", "run", (), of) for of in tags]
    monkeypatch.setattr(catalog, "versions", lambda *which: known)
    with pytest.raises(RegistryError) as refused:
        catalog.require_champion(workspace, model)
    assert said in str(refused.value)
    assert ("clv.forecast" in str(refused.value)) == (model == "clv")


def test_a_deleted_version_is_gone(copied: Workspace) -> None:
    from training.registry import runs

    runs.client(copied).delete_model_version("clv", "1")
    assert catalog.versions(copied, "clv") == []
    assert catalog.champion(copied, "clv") is None


def test_a_version_says_its_main_figures_and_its_files_are_whole(lived: Workspace) -> None:
    version = catalog.champion(lived, "churn")
    assert version is not None and version.label == "churn/1"
    assert "AUC" in version.description and "log loss" in version.description
    assert load(catalog.files(lived, version) / "bundle").task == "churn"


def test_without_a_registry_there_are_no_versions_and_none_is_made(workspace: Workspace) -> None:
    assert catalog.versions(workspace, "churn") == []
    assert not workspace.root.exists()


@pytest.mark.parametrize("damage", ["not a database", ""])
def test_a_broken_registry_is_said_in_one_sentence(workspace: Workspace, damage: str) -> None:
    workspace.mlruns.mkdir(parents=True)
    (workspace.mlruns / "mlflow.db").write_text(damage)
    with pytest.raises(RegistryError, match=r"mlflow\.db' cannot be read .*: restore it from a copy"):
        catalog.versions(workspace, "churn")


def test_files_that_are_gone_are_said_with_their_place(copied: Workspace) -> None:
    version = catalog.champion(copied, "churn")
    assert version is not None
    folder = catalog.files(copied, version)
    assert folder.is_relative_to(copied.root)
    shutil.rmtree(folder.parent)
    with pytest.raises(RegistryError, match=r"the files of churn/1 cannot be read .*: restore them"):
        catalog.files(copied, version)


def test_reading_needs_no_mlflow() -> None:
    code = "import sys; from training.model import catalog; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 0


KILLED = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN IMMEDIATE")
database.execute("UPDATE model_versions SET description = 'half written'")
database.execute("CREATE TABLE filler AS SELECT randomblob(100000) FROM model_versions, model_versions")
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_writer_left_is_rolled_back_and_read(copied: Workspace) -> None:
    before = catalog.versions(copied, "churn")
    path = copied.mlruns / "mlflow.db"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False).returncode == -9
    assert path.with_name("mlflow.db-journal").exists()
    assert catalog.versions(copied, "churn") == before


def test_a_locked_registry_is_not_said_to_be_broken(copied: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("configs.tracking.LOCK_SECONDS", 0.05)
    with closing(sqlite3.connect(copied.mlruns / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(RegistryError, match="kept locked by another program"):
            catalog.versions(copied, "churn")


def test_a_model_without_a_champion_leaves_the_others_to_serve_and_says_why(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.mlruns.mkdir(parents=True)
    workspace.registry.touch()
    value = catalog.Version("clv", "7", "run", ("champion",), {})
    monkeypatch.setattr(catalog, "versions", lambda place, model: [value] if model == "clv" else [])
    serving, unserved = catalog.champions(workspace, ("churn", "clv"))
    assert serving == {"clv": value} and catalog.champion_versions(workspace, ("churn", "clv")) == {"clv": "7"}
    assert list(unserved) == ["churn"] and "run `staycast train churn` first" in unserved["churn"]
    with pytest.raises(RegistryError, match="no version of the model 'churn'"):
        catalog.champions(workspace, ("churn",))
