"""The store in Redis keeps what the one in SQLite keeps; a Redis that is dead, frozen or empty is told in time."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from configs.errors import ConfigError, NotReadyError, StoreError
from configs.settings import Settings, load
from configs.workspace import Workspace
from features import refresh
from features.store import feature_store
from features.store.feature_store import OnlineWriter
from features.store.online_rows import OnlineFeatures, OnlineRows, SqliteRows

redis = pytest.importorskip("redis", reason="redis-py is not installed (extra `redis`)")
from features.store.redis_rows import REST_SECONDS, RedisAddress, RedisRows  # noqa: E402
from tests.feature_rows import recorded_later  # noqa: E402

NAMES = ("spend", "region", "orders")
Both = tuple[OnlineRows, OnlineRows]
READ_MS = 200
SPARE_SECONDS = 2.0  # far above the deadline, far under the client's own retries
SECRET = "s3cr&t/p@ss"


@contextmanager
def running(*options: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    program = shutil.which("redis-server")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("Redis is not installed: apt-get install -y redis-server")
        pytest.skip("Redis is not installed")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder, *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield port, process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"no server on port {port}")


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    with running() as (port, _):
        yield port


def address(port: int, prefix: str = "test", password: str = "") -> RedisAddress:
    return RedisAddress(f"redis://{password}127.0.0.1:{port}/0", prefix, READ_MS, 10.0)


@pytest.fixture
def empty(server: int) -> Iterator[int]:
    with redis.Redis(port=server) as client:
        client.flushall()
        yield server


@pytest.fixture
def both(empty: int, tmp_path: Path) -> Iterator[Both]:
    stores = SqliteRows(tmp_path / "online.db"), RedisRows(address(empty))
    for rows in stores:
        rows.create_table("orders", NAMES)
        rows.create_table("visits", ("visits",))
        rows.set_filled()
    yield stores
    for rows in stores:
        rows.close()


def alike(both: Both, do: Callable[[OnlineRows], Any]) -> Any:
    """What both give for the same call, which must be the same."""
    here, there = map(do, both)
    assert here == there
    return here


def row(who: str, at: int, read: int, spend: float | None, region: str | None = None) -> tuple[Any, ...]:
    return (who, at, read, spend, region, 3.0)


def test_both_read_back_the_same_rows_and_lack_the_same_customers(both: Both) -> None:
    rng = np.random.default_rng(3)
    rows = [
        row(f"c{i}", 10**15 + i, i, float(v) if i % 7 else math.nan, None if i % 3 else f"Süd {i}")
        for i, v in enumerate(rng.normal(size=600) * 1e9)
    ]
    visits = [(*r[:3], 1 / 3) for r in rows]
    assert alike(both, lambda r: r.write({"orders": (NAMES, rows), "visits": (("visits",), visits)})) == 1200
    asked = ["c599", "nobody", "c0", "c7", "c1"]
    assert "nobody" not in alike(both, lambda r: r.read("orders", NAMES, asked))
    assert alike(both, lambda r: r.read("visits", ("visits",), asked))["c7"] == (10**15 + 7, 1 / 3)
    assert alike(both, lambda r: r.read("orders", ("orders", "spend"), ["c0"])) == {"c0": (10**15, 3.0, None)}
    assert alike(both, lambda r: r.read("orders", NAMES, [])) == {}


def test_corrected_values_of_the_same_moment_win_and_older_ones_do_not(both: Both) -> None:
    def write(at: int, read: int, spend: float) -> int:
        return alike(both, lambda r: r.write({"orders": (NAMES, [row("ann", at, read, spend)])}))

    assert [write(5, 5, 1.0), write(5, 5, 2.0), write(4, 9, 3.0), write(5, 4, 4.0)] == [1, 1, 0, 0]
    assert alike(both, lambda r: r.read("orders", NAMES, ["ann"]))["ann"][1] == 2.0
    assert [write(5, 6, 5.0), write(-(10**15), 6, 6.0), write(6, 0, 7.0)] == [1, 0, 1]
    assert alike(both, lambda r: r.read("orders", NAMES, ["ann"]))["ann"][:2] == (6, 7.0)


def test_older_rows_forgotten_and_erased_customers_go_from_both(both: Both) -> None:
    people, tables = [("ann", 1), ("bob", 2), ("cid", 3), ("dora", 4)], ["orders", "visits"]

    def left() -> list[str]:
        found = alike(both, lambda r: r.newer_than("orders", -1))
        assert found == sorted(alike(both, lambda r: r.read("visits", ("visits",), [c for c, _ in people])))
        return found

    alike(
        both,
        lambda r: r.write(
            {
                "orders": (NAMES, [row(c, at, 0, 1.0, "x") for c, at in people]),
                "visits": (("visits",), [(c, at, 0, 1.0) for c, at in people]),
            }
        ),
    )
    alike(both, lambda r: r.drop_older_than(tables, 2))
    assert left() == ["bob", "cid", "dora"]
    assert alike(both, lambda r: r.newer_than("orders", 2)) == ["cid", "dora"]
    assert alike(both, lambda r: r.delete(tables, ["bob", "dora", "nobody"], 2)) == 1
    assert left() == ["cid", "dora"]
    assert alike(both, lambda r: r.erase(tables, ["dora", "nobody"])) == 1
    assert left() == ["cid"]
    alike(both, lambda r: r.drop_table("orders"))
    assert both[1].read("orders", NAMES, ["cid"]) == {}
    assert both[1].read("visits", ("visits",), ["cid"]) == {"cid": (3, 1.0)}


def test_an_erased_customer_leaves_no_trace_in_the_file_nor_in_redis(both: Both, tmp_path: Path) -> None:
    for rows in both:
        rows.write({"orders": (NAMES, [row("secret-id", 1, 1, 2.0, "secret-region"), row("ann", 1, 1, 2.0, "x")])})
        rows.erase(["orders", "visits"], ["secret-id"])
    stores = b"".join(p.read_bytes() for p in tmp_path.glob("online.db*"))
    assert b"secret" not in stores and b"ann" in stores
    with redis.Redis(port=int(both[1]._address.url.split(":")[2].split("/")[0])) as client:  # type: ignore[attr-defined]
        assert not list(client.scan_iter("*secret*"))


def test_a_new_feature_is_unknown_in_rows_from_before_it(both: Both) -> None:
    alike(both, lambda r: r.write({"orders": (NAMES, [row("ann", 1, 1, 2.0, "x")])}))
    alike(both, lambda r: r.create_table("orders", (*NAMES, "more")))
    assert alike(both, lambda r: r.read("orders", ("more", "region"), ["ann"])) == {"ann": (1, None, "x")}


def test_two_prefixes_in_one_redis_share_nothing(empty: int) -> None:
    one, other = RedisRows(address(empty, "a*")), RedisRows(address(empty, "ab"))
    for rows in (one, other):
        rows.set_filled()
        rows.write({"orders": (NAMES, [row("ann", 1, 1, 2.0)])})
    one.drop_table("orders")
    one.drop_older_than(["orders"], 9)
    assert other.read("orders", NAMES, ["ann"]) and not one.read("orders", NAMES, ["ann"])
    one.close(), other.close()


def test_a_redis_that_was_emptied_says_so_and_knows_nobody_by_mistake(both: Both, empty: int) -> None:
    rows = both[1]
    rows.write({"orders": (NAMES, [row("ann", 1, 1, 2.0)])})
    with redis.Redis(port=empty) as client:
        client.flushall()
    for ask in (lambda: rows.read("orders", NAMES, ["ann"]), rows.require_filled):
        with pytest.raises(NotReadyError, match="was emptied: run `staycast features --again`"):
            ask()


def took(rows: RedisRows) -> float:
    start = time.perf_counter()
    with pytest.raises(StoreError, match=r"redis at 127\.0\.0\.1:[0-9]+/0 d(oes|id) not answer"):
        rows.read("orders", NAMES, ["ann"])
    return time.perf_counter() - start


def test_a_frozen_redis_is_given_up_within_the_deadline_and_read_again_when_it_thaws() -> None:
    with running() as (port, process):
        rows = RedisRows(address(port))
        rows.set_filled()
        rows.write({"orders": (NAMES, [row("ann", 1, 1, 2.0)])})
        before = rows.read("orders", NAMES, ["ann"])
        process.send_signal(signal.SIGSTOP)
        assert READ_MS / 1000 <= took(rows) < SPARE_SECONDS
        with pytest.raises(StoreError, match="a moment ago"):  # the next one does not wait again
            rows.read("orders", NAMES, ["ann"])
        with pytest.raises(StoreError, match="a moment ago"):
            rows.require_writable()
        newcomer, third = RedisRows(address(port)), RedisRows(address(port))
        assert took(newcomer) < SPARE_SECONDS
        began = time.perf_counter()
        with pytest.raises(StoreError, match="does not answer"):
            third.require_writable()
        assert time.perf_counter() - began < SPARE_SECONDS
        process.send_signal(signal.SIGCONT)
        time.sleep(REST_SECONDS)
        assert rows.read("orders", NAMES, ["ann"]) == newcomer.read("orders", NAMES, ["ann"]) == before
        third.require_writable()
        rows.close(), newcomer.close(), third.close()


def test_a_dead_redis_is_told_at_once_and_one_that_was_started_again_is_read() -> None:
    with running() as (port, process):
        rows = RedisRows(address(port))
        rows.set_filled()
        process.kill()
        process.wait()
        assert took(rows) < SPARE_SECONDS
        with pytest.raises(StoreError):
            rows.write({"orders": (NAMES, [row("ann", 1, 1, 2.0)])})
        rows.close()


def test_a_connection_that_was_cut_is_opened_again_unseen(both: Both, empty: int) -> None:
    both[1].read("orders", NAMES, ["ann"])
    with redis.Redis(port=empty) as client:
        for kind in ("normal",):
            client.client_kill_filter(_type=kind, skipme=True)
    assert both[1].read("orders", NAMES, ["ann"]) == {}


def test_a_wrong_password_is_told_without_it(empty: int) -> None:
    with running("--requirepass", "another") as (port, _):
        rows = RedisRows(address(port, password=":s3cr%26t@"))
        with pytest.raises(StoreError) as told:
            rows.require_filled()
        assert "s3cr" not in str(told.value) and "password in redis.url" in str(told.value)
        rows.close()


def with_redis(settings: Settings, port: int, url: str = "") -> Settings:
    told = settings.redis.model_copy(update={"url": url or f"redis://127.0.0.1:{port}/0", "read_timeout_ms": 2000})
    return settings.model_copy(update={"online_store": "redis", "redis": told})


def same(left: pd.DataFrame, right: pd.DataFrame) -> None:
    texts = dict.fromkeys(left.select_dtypes(["object", "string"]), object)
    pd.testing.assert_frame_equal(left.astype(texts), right.astype(texts), check_exact=True)


@pytest.mark.slow
def test_what_is_read_through_feast_is_the_same_from_both(fresh: Workspace, few: Settings, empty: int) -> None:
    ids = [*sorted(pd.read_parquet(fresh.tables / "customers.parquet")["customer_id"]), "nobody"]
    before = OnlineFeatures(fresh).read(ids)
    feature_store.apply(fresh, with_redis(few, empty))
    assert not (fresh.feast / "online.db").exists()
    with pytest.raises(NotReadyError, match="was emptied"):
        OnlineFeatures(fresh).read(ids)
    with pytest.raises(NotReadyError, match="was emptied"):
        refresh.refresh(few, fresh)
    assert feature_store.materialize(fresh) == before["as_of"].notna().sum()
    of_build = ~before["customer_id"].isin(recorded_later(fresh))
    same(OnlineFeatures(fresh).read(ids)[of_build], before[of_build])
    told = refresh.refresh(few, fresh, everyone=True)
    after = OnlineFeatures(fresh).read(ids)
    assert told["online"] == told["touched"] == after["as_of"].notna().sum()
    assert (after["as_of"].dropna() >= before["as_of"].dropna()).all()
    writer = OnlineWriter(fresh)
    assert writer.erase([ids[0], "nobody"]) == 1
    writer.close()
    assert OnlineFeatures(fresh).read([ids[0]])["as_of"].isna().all()
    feature_store.apply(fresh, few)
    feature_store.materialize(fresh)
    same(OnlineFeatures(fresh).read(ids)[of_build], before[of_build])


def test_a_password_stands_in_the_environment_alone(
    fresh: Workspace, few: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with running("--requirepass", SECRET) as (port, _):
        monkeypatch.setenv("REDIS_PASSWORD", "s3cr%26t%2Fp%40ss")
        feature_store.apply(fresh, with_redis(few, port, f"redis://:${{REDIS_PASSWORD}}@127.0.0.1:{port}/0"))
        assert feature_store.materialize(fresh) > 0
        assert "s3cr" not in "".join(p.read_text(errors="replace") for p in fresh.feast.glob("*.json"))
        monkeypatch.delenv("REDIS_PASSWORD")
        with pytest.raises(ConfigError, match="REDIS_PASSWORD is not set"):
            OnlineWriter(fresh)
    path = tmp_path / "own.yaml"
    path.write_text("online_store: redis\nredis: {url: 'redis://:s3cret@db/0'}\n")
    with pytest.raises(ConfigError, match=r"write the password as \$\{NAME\}"):
        load(path)


@pytest.mark.slow
def test_features_of_files_and_of_a_refresh_with_redis_are_those_with_sqlite(
    lived: Workspace, empty: int, staycast: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    text = (Path(__file__).parents[3] / "configs" / "test.yaml").read_text("utf-8")
    config = tmp_path / "own.yaml"
    config.write_text(f"{text}\nonline_store: redis\nredis: {{url: 'redis://127.0.0.1:{empty}/0'}}\n")
    own = Workspace(tmp_path / "own")
    for verb in ("ingest", "features"):
        done = staycast(verb, "--config", config, "--workspace", own.root)
        assert done.returncode == 0, done.stderr
    ids = sorted(pd.read_parquet(lived.tables / "customers.parquet")["customer_id"])
    before = OnlineFeatures(own).read(ids)
    alike = ~before["customer_id"].isin(recorded_later(own))  # the other workspace was made at another time
    same(before[alike], OnlineFeatures(lived).read(ids)[alike])
    done = staycast("features", "--refresh", "--config", config, "--workspace", own.root)
    assert done.returncode == 0, done.stderr
    after = OnlineFeatures(own).read(ids)
    assert after["as_of"].notna().all()
    assert after["as_of"].max() >= before["as_of"].max()
