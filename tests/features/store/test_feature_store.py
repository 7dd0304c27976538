"""The store takes nothing of the process that uses it, and Feast's own command line sees what it registers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest

from configs.workspace import Workspace
from features.store import feature_store
from features.store.online_rows import OnlineFeatures

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_many_threads_in_the_store_leave_the_screen_and_the_environment_alone(
    fresh: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = pd.read_parquet(fresh.features / "rows.parquet", columns=["customer_id", "as_of"]).head(30)
    ids = sorted(set(keys["customer_id"]))
    screen, environment, together = sys.stdout, dict(os.environ), threading.Barrier(6)

    def use(number: int) -> int:
        together.wait()
        sys.stdout.write(f"begun {number}\n")
        if number % 2:
            return len(feature_store.training_rows(fresh, keys, "churn"))
        online = OnlineFeatures(fresh)
        assert online.read(ids)["as_of"].notna().all()
        sys.stdout.write(f"read {number}\n")
        return len(keys)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(use, range(6))) == [len(keys)] * 6
    assert sys.stdout is screen and dict(os.environ) == environment
    sys.stdout.write("done\n")
    captured = capsys.readouterr()
    expected = [*(f"begun {n}" for n in range(6)), *(f"read {n}" for n in range(0, 6, 2)), "done"]
    assert sorted(captured.out.splitlines()) == sorted(expected) and captured.err == ""


def test_registering_and_filling_the_store_prints_nothing(fresh: Workspace, capfd: pytest.CaptureFixture[str]) -> None:
    feature_store.apply(fresh)
    feature_store.materialize(fresh)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


def test_one_join_of_all_views_gives_what_feast_gives_view_by_view(built: Workspace) -> None:
    rows = pd.read_parquet(built.features / "rows.parquet", columns=["customer_id", "as_of"]).tail(40)
    later, nobody = rows.assign(as_of=rows["as_of"] + pd.Timedelta(days=9)), rows.head(1).assign(customer_id="nobody")
    asked = pd.concat([rows, rows.assign(as_of=rows["as_of"] - pd.Timedelta(seconds=1)), later, nobody])
    asked = asked.drop_duplicates().rename(columns={"as_of": "event_timestamp"})
    store = feature_store.open_feature_store(built)
    by_view = store.get_historical_features(asked, store.get_feature_service("churn"), filter_by_created_timestamp=True)
    expected = by_view.to_df().rename(columns={"event_timestamp": "as_of"})
    expected = expected.sort_values(["as_of", "customer_id"], ignore_index=True)
    found = feature_store.training_rows(built, asked.rename(columns={"event_timestamp": "as_of"}), "churn")
    assert len(found) > 100 and found.drop(columns=["customer_id", "as_of"]).isna().all(axis=1).any()
    pd.testing.assert_frame_equal(found, expected[list(found)], check_exact=True, check_dtype=False)


@pytest.mark.slow
def test_an_import_of_the_store_changes_neither_environment_nor_loggers() -> None:
    code = """
import logging, os
before = dict(os.environ)
from features.store import feature_store
assert dict(os.environ) == before
assert logging.getLogger("feast").level == logging.getLogger("features").level == logging.NOTSET
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_feast_s_command_line_registers_the_same_and_takes_no_row_away(fresh: Workspace) -> None:
    ids = sorted(pd.read_parquet(fresh.tables / "customers.parquet")["customer_id"])
    before = OnlineFeatures(fresh).read(ids)
    environment = {**os.environ, "STAYCAST_WORKSPACE": str(fresh.root), "PYTHONPATH": str(ROOT)}
    command = [str(Path(sys.executable).parent / "feast"), "-c", str(ROOT / "feature_repo"), "apply"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0 and "Removing" not in done.stdout, done.stderr
    pd.testing.assert_frame_equal(OnlineFeatures(fresh).read(ids), before)
    keys = pd.read_parquet(fresh.features / "rows.parquet", columns=["customer_id", "as_of"])
    assert len(feature_store.training_rows(fresh, keys, "clv")) == len(keys)
