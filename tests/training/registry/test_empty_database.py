"""MLflow's empty database, made by its migrations once."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from training.registry import empty_database, runs


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is kept; nothing is yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = empty_database.kept_file()
    assert found is not None
    return found


def create(path: Path) -> str:
    """The content of a new database, less its default experiment."""
    empty_database.create(runs.load_mlflow(), f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(line for line in database.iterdump() if not line.startswith('INSERT INTO "experiments"'))


def test_the_second_database_is_the_first_copied_whose_migrations_do_not_run_again(kept: Path, tmp_path: Path) -> None:
    first = create(tmp_path / "first.db")
    assert create(tmp_path / "second.db") == first
    with closing(sqlite3.connect(kept)) as database:
        assert database.execute("SELECT count(*) FROM experiments").fetchone() == (0,)
        database.execute("CREATE TABLE of_the_kept (a)")
    assert "of_the_kept" in create(tmp_path / "third.db")
    address = f"sqlite:///{tmp_path / 'third.db'}"
    assert [e.name for e in mlflow.MlflowClient(address, address).search_experiments()] == ["Default"]


def test_a_damaged_one_is_not_taken_and_made_anew(kept: Path, tmp_path: Path) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"SQLite format 3\0" + bytes(5_000))
    first = create(tmp_path / "first.db")
    assert "model_versions" in first
    assert create(tmp_path / "second.db") == first
    assert empty_database._is_whole(kept)


def test_where_nothing_can_be_kept_the_migrations_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "model_versions" in create(tmp_path / "new.db")
