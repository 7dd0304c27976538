from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
import sqlalchemy

from configs.errors import ConfigError
from configs.settings import Records, Settings
from configs.workspace import Workspace
from serving.answer.champion import Champions
from serving.answer.score import score
from serving.records import audit, postgres_store
from serving.records.postgres_store import Address, PostgresStore
from serving.records.prediction_log import PredictionLog
from serving.records.store import RecordUnavailableError

BUSY_SECONDS = 0.08
LIMIT_SECONDS = 0.2  # within which a caller hears that the answer cannot be kept
SECRET = "hunter2"
Connect = Callable[[], psycopg.Connection[Any]]


@pytest.fixture(scope="module")
def answers(champions: Champions, settings: Settings, now: datetime, customers: pd.DataFrame) -> list[dict[str, Any]]:
    return score(customers.head(5), champions, settings, now, 1)


class Wire:
    """Stands between the record and its server, and can be held up or cut."""

    def __init__(self, port: int) -> None:
        self._server, self._sockets = port, list[socket.socket]()
        self._flowing, self.away = threading.Event(), False
        self._flowing.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    def cut(self) -> None:
        self.away = True
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self.away = False

    def close(self) -> None:
        self._listener.close()
        self.release()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.away:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self._server))
                self._sockets += [near, far]
                for way in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=way, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                self._flowing.wait()
                target.sendall(content)
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def wire(server: sqlalchemy.URL) -> Iterator[Wire]:
    with closing(Wire(server.port or 0)) as wire:
        yield wire


@pytest.fixture
def wired(schema: str, server: sqlalchemy.URL, wire: Wire) -> str:
    """The address of the same schema, by the wire."""
    return schema.replace(f":{server.port}/", f":{wire.port}/")


@pytest.fixture
def connect(schema: str, server: sqlalchemy.URL) -> Iterator[Connect]:
    """Connects with the schema past the record."""
    with closing(PostgresStore(schema)) as store:
        yield lambda: psycopg.connect(**store._address.arguments, autocommit=True)


def fails_soon(use: Callable[[], object]) -> str:
    """What is said of a failure, which comes in time."""
    began = time.monotonic()
    with pytest.raises(RecordUnavailableError) as caught:
        use()
    assert time.monotonic() - began < LIMIT_SECONDS
    return str(caught.value)


def works_within(use: Callable[[], object], seconds: float = 5.0) -> None:
    """It works again in time."""
    until = time.monotonic() + seconds
    while True:
        try:
            use()
            return
        except RecordUnavailableError:
            assert time.monotonic() < until
            time.sleep(0.02)


def numbered(answers: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """One answer after another, each under an id of its own."""
    return ([{**answers[number % 5], "prediction_id": f"n{number}"}] for number in range(10_000))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("no address", "is no database address"),
        ("postgresql://shop:${RECORD_TRY}@h:port/x", "is no database address"),
        ("sqlite:///record.db", "of sqlite"),
        ("postgresql+psycopg2://u:${RECORD_TRY}@h/x", r"of postgresql\+psycopg2"),
        ("postgresql+psycopg://u:${STAYCAST_UNSET}@127.0.0.1/x", "STAYCAST_UNSET is not set"),
        ("postgresql+psycopg://u:${RECORD_SIGNS}@127.0.0.1/x", "as %40"),
    ],
)
def test_an_address_that_is_none_is_told_without_the_password(
    address: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECORD_TRY", SECRET)
    monkeypatch.setenv("RECORD_SIGNS", f"{SECRET}@{SECRET}")
    with pytest.raises(ConfigError, match=said) as caught:
        PredictionLog(tmp_path / "p.db", database=address)
    assert SECRET not in str(caught.value)


def test_a_password_that_is_refused_stands_in_no_message_no_log_and_no_name(
    server: sqlalchemy.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RECORD_TRY", SECRET)
    address = f"postgresql+psycopg://shop:${{RECORD_TRY}}@127.0.0.1:{server.port}/postgres?sslpassword=${{RECORD_TRY}}"
    with pytest.raises(RecordUnavailableError, match="password authentication failed") as caught:
        PredictionLog(tmp_path / "p.db", database=address)
    with PredictionLog(tmp_path / "p.db", database=address, may_be_away=True) as log:
        fails_soon(log.require_writable)
    assert "password authentication failed" in caplog.text
    assert SECRET not in f"{caught.value} {caplog.text} {Address(address)!r}"


def test_an_address_with_a_password_in_it_is_refused(settings: Settings) -> None:
    given = {**settings.records.model_dump(), "database": f"postgresql://u:{SECRET}@h/x"}
    with pytest.raises(ValueError, match="holds a password"):
        Records.model_validate(given)


def test_without_an_answer_of_the_server_a_caller_hears_so_in_time_and_soon_all_is_well(
    wired: str, wire: Wire, tmp_path: Path, answers: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, postgres_store.__name__)
    each, kept = numbered(answers), 0
    with PredictionLog(tmp_path / "p.db", busy_seconds=BUSY_SECONDS, database=wired) as log:
        for bring, end in ((wire.hold, wire.release), (wire.cut, wire.mend)):
            log.append(next(each))
            bring()
            for use in (lambda: log.append(next(each)), log.require_writable, lambda: log.find("n0"), log.read):
                fails_soon(use)
            end()
            works_within(log.require_writable)
            works_within(lambda: log.find("n0"))
            log.append(next(each))
            kept += 2
        found = audit.verify(log, log.checkpoints.folder)
        assert found.faults == []
        assert len(log.read()) == found.last >= kept
    assert "connected with" in caplog.text


def test_a_server_that_is_away_at_the_start_is_waited_for(
    wired: str, wire: Wire, tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    wire.cut()
    with PredictionLog(tmp_path / "p.db", busy_seconds=BUSY_SECONDS, database=wired, may_be_away=True) as log:
        for use in (log.require_writable, lambda: log.append(answers[:1])):
            fails_soon(use)
        wire.mend()
        works_within(log.require_writable)
        works_within(log.read)
        log.append(answers[:1])
        assert len(log.read()) == 1


def test_who_waits_for_another_who_writes_waits_as_long_as_it_is_told_and_reading_goes_on(
    schema: str, connect: Connect, tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "p.db", busy_seconds=BUSY_SECONDS, database=schema) as log, connect() as other:
        log.append(answers[:1])
        other.execute(f"BEGIN; SELECT pg_advisory_xact_lock({postgres_store.LOCK})")
        waiting = [threading.Thread(target=fails_soon, args=[log.require_writable]) for _ in range(5)]
        for use in (lambda: log.append(answers[1:2]), log.require_writable):
            assert "is locked" in fails_soon(use)
        for thread in waiting:  # who came meanwhile waits no second time
            thread.start()
        began = time.monotonic()
        for thread in waiting:
            thread.join()
        assert time.monotonic() - began < 2 * LIMIT_SECONDS
        assert len(log.read()) == 1
        other.execute("ROLLBACK")
        log.append(answers[1:2])
        assert len(log.read()) == 2


def test_what_the_server_refuses_is_told_and_nothing_of_it_is_kept(
    schema: str, connect: Connect, tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "p.db", busy_seconds=BUSY_SECONDS, database=schema) as log, connect() as other:
        log.append(answers[:1])
        other.execute("ALTER TABLE entries RENAME TO elsewhere")
        assert "does not exist" in fails_soon(lambda: log.append(answers[1:2]))
        other.execute("ALTER TABLE elsewhere RENAME TO entries")
        log.append(answers[2:3])
        assert log.read()["customer_id"].tolist() == ["c0", "c2"]


def test_an_answer_is_on_the_servers_disk_whatever_the_server_does_by_default(schema: str) -> None:
    with closing(PostgresStore(f"{schema}%20-csynchronous_commit%3Doff")) as store:
        store.open()
        with store.writing():
            assert store._run("SHOW synchronous_commit") == [("on",)]


def test_the_tables_lie_in_a_schema_of_their_own_unless_the_address_says_where(
    schema: str, connect: Connect, tmp_path: Path
) -> None:
    with connect() as other:
        PredictionLog(tmp_path / "p.db", database=schema.partition("?")[0]).close()
        try:
            assert other.execute("SELECT count(*) FROM staycast.secrets").fetchone() == (3,)
        finally:
            other.execute("DROP SCHEMA staycast CASCADE")


def test_the_key_of_who_is_erased_lies_in_no_table_of_the_server_any_more(
    schema: str, connect: Connect, tmp_path: Path, answers: list[dict[str, Any]]
) -> None:
    with PredictionLog(tmp_path / "p.db", database=schema) as log, connect() as other:
        log.append(answers)
        keys = log.store.keys()

        def written(key: bytes) -> bool:
            other.execute("CHECKPOINT")
            [(folder, database)] = other.execute(
                "SELECT current_setting('data_directory'), oid FROM pg_database WHERE datname = current_database()"
            )
            return any(key in file.read_bytes() for file in Path(folder, "base", str(database)).iterdir())

        assert all(map(written, keys.values()))
        assert log.erase(["c1"]) == 1
        (erased,) = keys.keys() - log.store.keys().keys()
        assert [name for name, key in keys.items() if not written(key)] == [erased]


def test_a_record_in_a_file_is_moved_whole_and_the_file_is_gone(
    schema: str, workspace: Workspace, answers: list[dict[str, Any]], settings: Settings
) -> None:
    here = settings.records
    there = here.model_copy(update={"database": schema})
    with PredictionLog.of(workspace, here) as log:
        log.append(answers)
        log.erase(["c1"])
        entries, frame, keys = list(log.store.entries()), log.read(), log.store.keys()
    with pytest.raises(ConfigError, match="audit move"):
        PredictionLog.of(workspace, there)
    PredictionLog(workspace.root / "other" / "p.db", database=schema).close()
    with pytest.raises(ConfigError, match="another record"):
        audit.move(workspace, there)
    with closing(PostgresStore(schema)) as store:
        store.open()
        with store.writing():
            store.clear()
    assert audit.move(workspace, there) == 6
    assert not list(workspace.state.glob("predictions*"))
    with PredictionLog.of(workspace, there) as log:
        assert (list(log.store.entries()), log.store.keys()) == (entries, keys)
        pd.testing.assert_frame_equal(log.read(), frame)
        log.append([{**answers[0], "prediction_id": "later"}])
        assert audit.verify(log, log.checkpoints.folder).faults == []
    with pytest.raises(ConfigError, match="nothing to move"):
        audit.move(workspace, there)


def test_checkpoints_of_another_record_are_not_written_to(schema: str, tmp_path: Path) -> None:
    PredictionLog(tmp_path / "p.db").close()
    with pytest.raises(ConfigError, match="of another record"):
        PredictionLog(tmp_path / "p.db", database=schema)
