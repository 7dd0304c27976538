"""What many tests share: small hand-made tables, and one workspace in which the whole life was lived once."""

from __future__ import annotations

import gc
import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import hypothesis
import ibis.expr.types as ir
import pandas as pd
import pytest
import sqlalchemy

from configs.settings import Settings, load
from configs.workspace import Workspace
from features.engine import connect, read_tables
from features.ingest import with_local_time
from features.quality.check import ValidatedTable, read_values
from features.tables import TABLES, customers_table
from tests.command_line import call
from tests.feature_rows import FeatureRows
from tests.lived import live

hypothesis.settings.register_profile("untimed", deadline=None)  # how long an example takes says how busy the machine is
hypothesis.settings.load_profile("untimed")
for variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
):  # threads get in each other's way where tests run side by side
    os.environ.setdefault(variable, "1")
DUCKDB_THREADS = 1  # and so do those of DuckDB
ROOT = Path(__file__).parent.parent
LONG = (
    "test_kills",
    "test_calibration_rates",
    "test_engines",
    "test_history_walk",
    "test_small_business",
    "test_businesses",
    "test_redis_rows",
    "test_recipes",
    "test_workspace_moves",
    "test_own_data",
    "test_contract_events",
    "test_docs",
    "test_passes",
)
DATABASE_SECRET = "s3cr&t/p@ss"


def _with_few_threads(connect: Callable[..., duckdb.DuckDBPyConnection]) -> Callable[..., duckdb.DuckDBPyConnection]:
    def connect_so(database: str = ":memory:", read_only: bool = False, config: Any = None) -> Any:
        return connect(database, read_only, {"threads": DUCKDB_THREADS, **(config or {})})

    return connect_so


duckdb.connect = _with_few_threads(duckdb.connect)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return load("test")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture(scope="session")
def staycast() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command line as a user does."""
    return call


@pytest.fixture(scope="session")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after `staycast run --config test`, lived once for all test processes; not to be changed."""
    place = _place_of_lived(tmp_path_factory)
    live(place)
    return Workspace(place)


def _place_of_lived(factory: pytest.TempPathFactory) -> Path:
    shared = factory.getbasetemp()
    return (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "lived"


def _needs_lived(item: pytest.Item) -> bool:
    return "lived" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, so that no process ends with one alone; those of the lived workspace after it could be made."""
    lived = {item.path for item in items if _needs_lived(item)}
    rank = {stem: place for place, stem in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank) + (item.path not in lived)))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to make the lived workspace beside the first tests, if there are any before those that need it.

    What was imported and collected is out of the garbage collector's sight from here on: it searched all of it again
    and again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    needed = [item for item in session.items if _needs_lived(item) and not session.config.option.collectonly]
    if needed and needed[0] is not session.items[0] and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0":
        place = _place_of_lived(session.config._tmp_path_factory)  # type: ignore[attr-defined]
        session.config.lived = subprocess.Popen([sys.executable, "-m", "tests.lived", str(place)], cwd=ROOT)  # type: ignore[attr-defined]


@pytest.fixture
def copied(lived: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the lived workspace that a test may change."""
    shutil.copytree(lived.root, tmp_path / "copied")
    return Workspace(tmp_path / "copied")


@pytest.fixture(scope="session")
def few() -> Settings:
    """The test business with few customers, until 2024-08-31."""
    test = load("test")
    options = {**test.source.options, "customers": 120, "months": 8}
    return test.model_copy(update={"source": test.source.model_copy(update={"options": options})})


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory, few: Settings) -> Workspace:
    """A workspace of few customers with tables, features and online rows, without models; not to be changed."""
    from features import build, refresh
    from features.ingest import ingest
    from features.store import feature_store

    place = Workspace(tmp_path_factory.mktemp("built"))
    ingest(few, place)
    build.build(few, place)
    feature_store.apply(place)
    feature_store.materialize(place)
    refresh.start_from_build(few, place)
    return place


@pytest.fixture
def fresh(built: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the built workspace that a test may change."""
    shutil.copytree(built.root, tmp_path / "fresh")
    return Workspace(tmp_path / "fresh")


@pytest.fixture(scope="session")
def shop() -> dict[str, pd.DataFrame]:
    """Three customers whose features can be worked out by hand; the moment is 2024-03-01."""
    customers = pd.DataFrame(
        {
            "customer_id": ["ann", "bob", "new"],
            "signed_up_at": pd.to_datetime(["2024-01-01", "2024-02-01", "2024-02-29"]),
        }
    )
    orders = pd.DataFrame(
        [
            ("o1", "ann", "2024-01-01 10:00", 10.0, 1, "web", "food", 0.0),
            ("o2", "ann", "2024-01-11 10:00", 20.0, 2, "web", "toys", 5.0),
            ("o3", "ann", "2024-01-31 10:00", 30.0, 3, "shop", "food", 0.0),
            ("o4", "ann", "2024-02-20 10:00", 40.0, 4, "web", "food", 10.0),
            ("o5", "ann", "2024-02-21 10:00", -15.0, -1, "web", "food", 0.0),
            ("o6", "bob", "2024-02-15 20:00", 100.0, 1, "shop", "toys", 0.0),
            ("o7", "ann", "2024-03-05 10:00", 50.0, 1, "web", "food", 0.0),
        ],
        columns=["order_id", "customer_id", "ordered_at", "amount", "quantity", "channel", "category", "discount"],
    )
    return {"customers": customers, "orders": orders.assign(ordered_at=pd.to_datetime(orders["ordered_at"]))}


Open = Callable[[dict[str, pd.DataFrame]], dict[str, ir.Table]]


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Open:
    """Read raw tables as ingest does and open them on DuckDB."""

    def read(raw: dict[str, pd.DataFrame]) -> dict[str, ir.Table]:
        folder = tmp_path_factory.mktemp("tables")
        for name, frame in raw.items():
            extra = [c for c in frame if c not in TABLES["customers"].names] if name == "customers" else []
            spec = customers_table(extra) if name == "customers" else TABLES[name]
            values, unread = read_values(spec, frame)
            assert unread.empty
            ready = with_local_time(ValidatedTable(spec, values, frame.head(0)), ZoneInfo("UTC"))
            ready.to_parquet(folder / f"{name}.parquet", index=False)
        return read_tables(connect(), folder)

    return read


@pytest.fixture(scope="session")
def features(opened: Open) -> Callable[..., pd.DataFrame]:
    """Raw tables and a moment in, the feature rows out, by customer."""

    compute = FeatureRows()

    def told(raw: dict[str, pd.DataFrame], as_of: datetime, attributes: tuple[str, ...] = ()) -> pd.DataFrame:
        return compute(opened(raw), as_of, attributes)

    return told


@pytest.fixture(scope="session")
def server() -> Iterator[sqlalchemy.URL]:
    """A private PostgreSQL cluster that asks for a password, on a port of the loopback."""
    home = shutil.which("initdb") or next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if home is None:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is not installed: apt-get install -y postgresql")
        pytest.skip("PostgreSQL is not installed")
    programs = Path(home).resolve().parent
    user = "nobody" if os.geteuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "password").write_text(DATABASE_SECRET)
        if user:
            owner = pwd.getpwnam(user)
            for path in (folder, folder / "password"):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            port = free.getsockname()[1]

        def run(program: str, *arguments: str) -> None:
            command = [str(programs / program), "-D", str(folder / "data"), *arguments]
            with (folder / "out").open("a") as out:  # a pipe would stay open in the server
                done = subprocess.run(command, user=user, cwd=folder, stdout=out, stderr=out, check=False, timeout=120)
            assert done.returncode == 0, (folder / "out").read_text()

        run("initdb", "-U", "shop", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync", "-E", "UTF8")
        run("pg_ctl", "-w", "-o", f"-p {port} -h 127.0.0.1 -k {folder} -F", "-l", str(folder / "log"), "start")
        try:
            yield sqlalchemy.URL.create("postgresql+psycopg", "shop", DATABASE_SECRET, "127.0.0.1", port, "postgres")
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
