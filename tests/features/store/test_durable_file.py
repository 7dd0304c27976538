"""One file for events and for answers: what is written stays, what is erased leaves no bytes."""

from __future__ import annotations

import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from features.store.durable_file import DurableFile, LazyFile, identity, is_of_file, transaction

TABLE = "CREATE TABLE IF NOT EXISTS said (customer_id TEXT NOT NULL, what TEXT NOT NULL)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "said.db"


def write(path: Path, *rows: tuple[str, str]) -> DurableFile:
    file = DurableFile(path, TABLE)
    file._connection.executemany("INSERT INTO said VALUES (?, ?)", rows)
    return file


def test_what_was_written_is_there_for_the_next_who_opens_it(path: Path) -> None:
    with write(path, ("ann", "hello")):
        pass
    with DurableFile(path, TABLE) as again:
        assert again._connection.execute("SELECT * FROM said").fetchall() == [("ann", "hello")]
        assert again._connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert again._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_who_waits_for_a_locked_file_waits_together_and_not_one_after_the_other(path: Path) -> None:
    def append(file: DurableFile) -> None:
        with file._writing, file._transaction():
            file._connection.execute("INSERT INTO said VALUES ('bob', 'hi')")

    with write(path, ("ann", "hello")) as file, sqlite3.connect(path, isolation_level=None) as other:
        file.wait_at_most(0.1)
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with ThreadPoolExecutor(32) as pool:
            errors = [each.exception() for each in [pool.submit(append, file) for _ in range(32)]]
        assert time.monotonic() - began < 32 * 0.1 / 2
        assert all(isinstance(e, sqlite3.OperationalError) and is_of_file(e) for e in errors)
        other.execute("ROLLBACK")
        append(file)
        assert file._connection.execute("SELECT count(*) FROM said").fetchone() == (2,)
    other.close()


def test_what_is_wrong_with_a_row_is_not_of_the_file(path: Path) -> None:
    with write(path) as file, pytest.raises(sqlite3.IntegrityError) as caught:
        file._connection.execute("INSERT INTO said VALUES (NULL, 'hi')")
    assert not is_of_file(caught.value)


def test_a_transaction_that_fails_writes_nothing_and_leaves_the_file_usable(path: Path) -> None:
    insert = "INSERT INTO said VALUES (?, ?)"
    with write(path, ("ann", "hello")) as file:
        with pytest.raises(sqlite3.IntegrityError), transaction(file._connection):
            file._connection.execute(insert, ("bob", "good day"))
            file._connection.execute(insert, ("eve", None))
        with transaction(file._connection):
            file._connection.execute(insert, ("cat", "again"))
        assert file._connection.execute("SELECT customer_id FROM said").fetchall() == [("ann",), ("cat",)]


def test_an_erased_customer_leaves_no_bytes_in_any_of_its_files(path: Path) -> None:
    with write(path, ("ann-in-person", "hello"), ("bob", "good day"), ("ann-in-person", "again")) as file:
        assert file.erase("said", ["ann-in-person", "nobody"]) == 2
        assert file._connection.execute("SELECT customer_id FROM said").fetchall() == [("bob",)]
        assert not [p for p in path.parent.iterdir() if b"ann-in-person" in p.read_bytes()]
        assert file.erase("said", ["ann-in-person"]) == 0


@pytest.mark.parametrize("put_back", [False, True])
def test_a_file_that_was_removed_or_replaced_takes_nothing_until_it_is_back(path: Path, put_back: bool) -> None:
    insert = "INSERT INTO said VALUES ('bob', 'good day')"
    with write(path, ("ann", "hello")) as file:
        path.rename(aside := path.with_name("aside"))
        if put_back:
            shutil.copy(aside, path)
        with pytest.raises(sqlite3.OperationalError, match="was removed or replaced"), file._transaction():
            file._connection.execute(insert)
        aside.rename(path)
        with file._transaction():
            file._connection.execute(insert)
    with DurableFile(path, TABLE) as again:
        assert len(again._connection.execute("SELECT * FROM said").fetchall()) == 2


def test_a_file_is_told_by_its_path_and_by_the_number_it_is_open_by(path: Path) -> None:
    assert identity(path) is None
    with write(path), path.open("rb") as opened:
        assert identity(path) == identity(opened.fileno()) is not None


def test_a_lazy_file_is_opened_once_by_many_threads_and_anew_after_it_was_closed_or_could_not_be(path: Path) -> None:
    opened: list[DurableFile] = []

    def open_file() -> DurableFile:
        if not path.parent.is_dir():
            raise NotADirectoryError
        opened.append(DurableFile(path, TABLE))
        return opened[-1]

    lazy = LazyFile(open_file)
    lazy.close()
    with pytest.raises(NotADirectoryError):
        lazy()
    path.parent.mkdir()
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: lazy(), range(50)))
    assert found == {*opened} and len(opened) == 1
    lazy.close()
    with pytest.raises(sqlite3.ProgrammingError):
        opened[0].erase("said", ["ann"])
    assert lazy() is opened[1]
    lazy.close()
