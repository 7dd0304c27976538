"""One booster learned by several processes, each holding a share of the rows: LightGBM's data-parallel learning.

The processes add up their histograms over sockets and all end with the same trees. They run on this machine
(``training.engine: processes``) or on the workers of a Dask cluster (``dask``); the learning is the same.

What makes the trees those of one process: the rows are dealt out one by one, and every process bins by the same sample
of all rows. Left is one difference. LightGBM counts the rows of a leaf exactly in one process, and estimates them from
the histograms in several, so a split that `min_data_in_leaf`, or the least rows of a category, just allows may fall
otherwise; where no split is decided by a count, the trees are equal. Rows drawn for each tree (`bagging_fraction`
under 1) are drawn in each share on its own: other rows than in one process, as with another seed.

`lightgbm.dask` needs a Dask cluster and bins each share by its own rows, so its trees would be others: this stays own.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import lightgbm as lgb
import numpy as np

from configs.errors import ConfigError, NotEnoughDataError
from configs.settings import Training

MAX_BINNING_ROWS = 200_000
TIMEOUT_MINUTES = 10
BINNING = {"verbosity": -1, "feature_pre_filter": False, "pre_partition": True}
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Rows:
    """Rows that a booster learns from, with what LightGBM must know of them.

    Attributes
    ----------
    x
        Columns, shape (n, features).
    y
        What is learned, shape (n,).
    weight, init
        How much each row counts, and the raw score it starts from, shape (n,); None: all alike.
    names, categories
        Names of the columns, and where the categories stand.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    init: np.ndarray | None
    names: tuple[str, ...]
    categories: tuple[int, ...]

    def part(self, rows: slice) -> Rows:
        """Some of the rows."""
        weight = None if self.weight is None else self.weight[rows]
        init = None if self.init is None else self.init[rows]
        return Rows(self.x[rows], self.y[rows], weight, init, self.names, self.categories)


Trainer = Callable[[Params, Rows, int], lgb.Booster]


def make_trainer(settings: Training) -> Trainer | None:
    """What fits the final models; None: this process."""
    if settings.engine == "local":
        return None
    return partial({"processes": _train_on_processes, "dask": _train_on_dask}[settings.engine], settings)


def _train_on_processes(settings: Training, params: Params, rows: Rows, trees: int) -> lgb.Booster:
    machines = [f"127.0.0.1:{port}" for port in free_ports(settings.workers)]
    params = {**params, "num_threads": max(1, (os.cpu_count() or 1) // len(machines))}
    shares, to_bin = deal_rows(rows, len(machines)), binning_rows(rows)
    with ProcessPoolExecutor(len(machines), multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(learn_share, params, s, to_bin, trees, machines, k) for k, s in enumerate(shares)]
        return lgb.Booster(model_str=next(job.result() for job in jobs))


def _train_on_dask(settings: Training, params: Params, rows: Rows, trees: int) -> lgb.Booster:
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(
            "training.engine: dask needs the package 'distributed', which the extra 'dask' holds"
        ) from None
    with Client(settings.scheduler, set_as_default=False) as client:
        client.wait_for_workers(settings.workers)
        threads = {w: info["nthreads"] for w, info in client.scheduler_info(n_workers=-1)["workers"].items()}
        workers = sorted(threads)[: settings.workers]
        ports = [client.submit(free_ports, 1, workers=[w], pure=False) for w in workers]
        hosts = [worker.split("://")[-1].rsplit(":", 1)[0] for worker in workers]
        machines = [f"{host}:{port.result()[0]}" for host, port in zip(hosts, ports, strict=True)]
        to_bin = client.scatter(binning_rows(rows), broadcast=True)
        jobs = []
        for rank, (worker, share) in enumerate(zip(workers, deal_rows(rows, len(workers)), strict=True)):
            scattered, own = client.scatter(share, workers=[worker]), {**params, "num_threads": threads[worker]}
            work = (learn_share, own, scattered, to_bin, trees, machines, rank)
            jobs.append(client.submit(*work, workers=[worker], pure=False))
        return lgb.Booster(model_str=client.gather(jobs)[0])


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody listens on, all different."""
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.create_server(("", 0))) for _ in range(count)]
        return [s.getsockname()[1] for s in listening]


def deal_rows(rows: Rows, count: int) -> list[Rows]:
    """Deal rows out one by one, so that every share is like the whole.

    Raises
    ------
    NotEnoughDataError
        A share would get no row.
    """
    if len(rows.y) < count:
        raise NotEnoughDataError(
            f"{len(rows.y)} rows cannot be shared out to {count} processes: lower training.workers"
        )
    return [rows.part(slice(k, None, count)) for k in range(count)]


def binning_rows(rows: Rows) -> Rows:
    """The rows that everyone bins by: all, or every k-th of more than 200,000."""
    return rows.part(slice(None, None, -(-len(rows.y) // MAX_BINNING_ROWS)))


def learn_share(params: Params, share: Rows, to_bin: Rows, trees: int, machines: Sequence[str], rank: int) -> str:
    """Learn together with the others that hold the other shares; gives the model's text, the same for all.

    Parameters
    ----------
    params
        Of LightGBM.
    share
        The rows of this process.
    to_bin
        The rows that everyone bins by, see `binning_rows`.
    trees
        How many.
    machines
        ``host:port`` of every process, in the same order everywhere.
    rank
        Which of them this one is.
    """
    lgb.register_logger(logging.getLogger("lightgbm"))  # what it says of its sockets is not the command line's answer
    binning = BINNING | {k: params[k] for k in ("max_cat_to_onehot", "max_bin") if k in params}
    bins = dataset(to_bin, binning, None).construct()
    data = dataset(share, binning, bins).construct()
    network = {
        "tree_learner": "data",
        "machines": ",".join(machines),
        "num_machines": len(machines),
        "local_listen_port": int(machines[rank].rsplit(":", 1)[1]),
        "time_out": TIMEOUT_MINUTES,
        "pre_partition": True,
    }
    return without_network(lgb.train({**params, **network}, data, trees).model_to_string())


def without_network(model: str) -> str:
    """The text of a model without where its processes were: ports differ each time, and from process to process."""
    prefixes = ("[machines:", "[local_listen_port:", "[num_machines:", "[num_threads:")
    return "".join(line for line in model.splitlines(keepends=True) if not line.startswith(prefixes))


def dataset(rows: Rows, binning: Params, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    """The rows as LightGBM takes them, binned by parameters, or as a `reference` was."""
    return lgb.Dataset(
        rows.x,
        rows.y,
        weight=rows.weight,
        init_score=rows.init,
        feature_name=list(rows.names),
        categorical_feature=list(rows.categories),
        reference=reference,
        params=dict(binning),
        free_raw_data=False,
    )
