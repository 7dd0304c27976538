"""Answers for all customers at once, beside what LightGBM's own routine takes, which the package shap calls.

    python bench/bulk.py [--config completejourney] [--workspace .] [--customers 100000] [--explained 10000]

The customers of a workspace stand under new ids as often as needed; models, settings and code are its own. One run in
one process times the SHAP values of both models by tables and by LightGBM, one thread each, then the whole answers with
reasons and their two files. CPU seconds stand beside wall seconds: the machine may be shared.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

ROOT = Path(__file__).parent.parent
sys.path[:] = [str(ROOT), *(p for p in sys.path if Path(p).resolve() != Path(__file__).parent)]

from configs.settings import load  # noqa: E402
from configs.workspace import Workspace  # noqa: E402
from features.store.online_rows import OnlineFeatures  # noqa: E402
from serving.answer.champion import Champions  # noqa: E402
from serving.bulk.parts import Parts  # noqa: E402
from serving.bulk.publish import publish  # noqa: E402
from serving.bulk.run import PART_ROWS  # noqa: E402
from serving.bulk.work import PartWriter, write_all  # noqa: E402


class Repeated:
    """The customers of a workspace, each as often as needed."""

    def __init__(self, frame: pd.DataFrame, count: int) -> None:
        self._frame, self._count = frame.drop(columns="customer_id"), count

    def ids(self) -> Iterator[str]:
        return (f"{number:09d}" for number in range(self._count))

    def of_persons(self, persons: Sequence[str]) -> pd.DataFrame:
        rows = self._frame.iloc[[int(i) % len(self._frame) for i in persons]].reset_index(drop=True)
        rows.insert(0, "customer_id", list(persons))
        return rows


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    before, began = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


def lightgbm_values(champions: Champions, matrices: Sequence[np.ndarray]) -> None:
    for model, matrix in zip(champions.models, matrices, strict=True):
        for one in model.bundle.scores:
            if one.booster:
                one.booster.predict(matrix, pred_contrib=True, num_threads=1)


def table_values(champions: Champions, matrices: Sequence[np.ndarray]) -> None:
    for model, matrix in zip(champions.models, matrices, strict=True):
        for one in model.bundle.scores:
            if one._forest:
                one._forest.effects(matrix)


def main(config: str, root: Path, count: int, explained: int) -> None:
    settings, source = load(config), Workspace(root)
    champions = Champions.load(source, tasks=settings.tasks)
    with closing(OnlineFeatures(source)) as online:
        known = online.of_persons(list(online.ids()))
    customers, lines = Repeated(known, count), list[tuple[str, int, float, float]]()
    some = customers.of_persons([f"{number:09d}" for number in range(explained)])
    matrices = [model.bundle.encode(some) for model in champions.models]
    for name, work in (
        ("tables: made, then values", lambda: table_values(champions, matrices)),
        ("tables: values alone", lambda: table_values(champions, matrices)),
        ("LightGBM: values alone", lambda: lightgbm_values(champions, matrices)),
    ):
        lines.append((name, explained, *timed(work)))
    with tempfile.TemporaryDirectory() as folder:
        place = Workspace(Path(folder))
        parts = Parts.begin(place.scoring, "bench", customers.ids, PART_ROWS, datetime.now(UTC))
        writer = PartWriter(customers, champions, settings, {}, parts, settings.serving.top_reasons)
        lines.append(("answers of both models, in parts", count, *timed(lambda: write_all(writer))))
        lines.append(("two files of all parts", count, *timed(lambda: publish(parts, champions, settings, place))))
    print(f"{'':34}{'customers':>10}{'CPU s':>9}{'wall s':>9}{'CPU us each':>13}")
    for name, n, cpu, wall in lines:
        print(f"{name:34}{n:>10,}{cpu:>9.1f}{wall:>9.1f}{1e6 * cpu / n:>13.0f}")
    faster = [lines[2][place] / lines[1][place] for place in (2, 3)]
    print(f"values by tables: {faster[0]:.1f} times as fast as LightGBM by CPU, {faster[1]:.1f} by wall time")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(known.columns) - 2} columns; peak memory {peak:.0f} MiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="completejourney")
    parser.add_argument("--workspace", type=Path, default=Path())
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--explained", type=int, default=10_000)
    given = parser.parse_args()
    main(given.config, given.workspace, given.customers, given.explained)
