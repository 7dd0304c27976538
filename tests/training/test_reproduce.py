"""A registered model can be made again, byte by byte, from the same data and from no other."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from configs.errors import DataError, RegistryError
from configs.workspace import Workspace
from training.model import catalog
from training.registry import model_registry, runs
from training.reproduce import _recorded_search, compare, reproduce

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.slow
def test_a_model_made_again_is_the_same_in_every_byte_and_nothing_is_written(lived: Workspace, staycast: Run) -> None:
    before = _contents(lived)
    versions = catalog.versions(lived, "churn")
    done = staycast("reproduce", "churn/1", "--config", "test", "-w", lived.root, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["identical"] is True and result["searched"] is True and result["search_changed"] == []
    assert [line for line in result["changed"] if not line.startswith(("code:", "git_"))] == []
    names = {single["file"] for single in result["files"]}
    assert {"bundle/bundle.json", "bundle/churn.txt", "bundle/reference.parquet", "judged/churn.txt"} <= names
    assert catalog.versions(lived, "churn") == versions
    assert _contents(lived) == before


def _contents(workspace: Workspace) -> dict[Path, bytes]:
    """All files of the state but those that SQLite keeps only while a database is open."""
    files = [p for p in (workspace.root / "state").rglob("*") if p.is_file()]
    return {p: p.read_bytes() for p in files if not p.name.endswith(("-shm", "-wal"))}


@pytest.mark.slow
def test_the_fit_alone_is_proved_from_the_recorded_choice(lived: Workspace) -> None:
    result = reproduce(lived, "clv/1", given_search=True)
    assert result.identical and not result.searched and result.trials >= 1


def test_a_run_holds_all_that_is_needed_to_make_its_model_again(lived: Workspace, settings) -> None:
    version = model_registry.find_version(lived, model_registry.get_version(lived, "clv", "1").run_id)
    assert (version.model, version.version) == ("clv", "1")
    documents = runs.documents(lived, version.run_id)
    assert documents["settings"] == settings.model_dump(mode="json")
    assert documents["features"]["features"] == list(model_registry.bundles(lived, "clv", "1")[0].features)
    assert documents["environment"]["packages"]["lightgbm"]
    assert documents["search"]["trials"] <= settings.tuning.trials
    tags = runs.client(lived).get_run(version.run_id).data.tags
    assert {"data_fingerprint", "schema_hash", "code"} <= set(tags)


@pytest.mark.slow
def test_one_altered_feature_value_is_refused_with_what_is_needed(copied: Workspace) -> None:
    path = copied.features / "rows.parquet"
    rows = pd.read_parquet(path)
    rows.loc[0, "spend_total"] = 1.0
    rows.to_parquet(path, index=False)
    with pytest.raises(DataError, match=r"other data.*features of 'synthetic'.*moments 2024-"):
        reproduce(copied, "churn/1")


@pytest.mark.parametrize("name", ["no-such-run", "churn/99", "churm/1"])
def test_a_model_that_is_not_there_is_named(lived: Workspace, name: str) -> None:
    with pytest.raises(RegistryError, match=r"no run 'no-such-run'|no version"):
        reproduce(lived, name)


def test_a_choice_recorded_by_another_version_is_refused() -> None:
    with pytest.raises(RegistryError, match="comes from another version"):
        _recorded_search({"form": "churn", "params": {}, "loss": 0.1, "trials": 3})


def test_files_are_compared_by_content_and_missing_ones_differ(tmp_path: Path) -> None:
    for side, files in {"then": {"a": "1", "b": "2", "c": "3"}, "now": {"a": "1", "b": "9", "d": "4"}}.items():
        for name, text in files.items():
            path = tmp_path / side / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    result = compare(tmp_path / "then", tmp_path / "now")
    assert {f.file: f.same for f in result} == {"in/a": True, "in/b": False, "in/c": False, "in/d": False}
    assert [(f.then is None, f.now is None) for f in result[2:]] == [(False, True), (True, False)]
