"""Counts for Prometheus: requests, their time, customers answered. No customer is ever a label.

The counts of all workers are told as one: each keeps its own in files that all of them read.
"""

from __future__ import annotations

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


def keep_counts(folder: str | None) -> None:
    """Say where the counts of this process are kept, before any are.

    Parameters
    ----------
    folder
        Of the files of all workers; "": this is the only one, and keeps them in memory; None: as the environment has
        it. BentoML's own folder lies on the disk of the workspace, and a file that is mapped into memory kills the
        process that writes to it when that disk is full.
    """
    if folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
    elif folder is not None:
        values.ValueClass = values.MutexValue


class Metrics:
    """The counts of one app."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("staycast_requests", "HTTP requests", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "staycast_request_seconds", "Time to answer", ["route"], registry=self._registry, buckets=BUCKETS
        )
        self._customers = Counter("staycast_customers", "Customers asked for", ["outcome"], registry=self._registry)
        self._notices = Gauge(
            "staycast_model_notice",
            "1 where what serves is not what the registry names, or is served from its copy",
            ["model"],
            registry=self._registry,
            multiprocess_mode="mostrecent",
        )

    def notices(self, models: dict[str, bool]) -> None:
        """Tell by model whether something is to be known of it, see `serving.answer.champion.Champions.notices`."""
        for model, noticed in models.items():
            self._notices.labels(model).set(noticed)

    def request(self, route: str, status: int, seconds: float | None) -> None:
        """Count one request, and how long it took; None: it was not looked at, and tells of no time to answer."""
        self._requests.labels(route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    def customers(self, scored: int, stale: int, not_found: int) -> None:
        """Count the customers of one request; who is answered from stale features counts as scored, too."""
        for outcome, count in (("scored", scored), ("stale", stale), ("not_found", not_found)):
            if count:
                self._customers.labels(outcome).inc(count)

    def render(self) -> bytes:
        """All counts in Prometheus' text format."""
        if not values.ValueClass._multiprocess:  # how the client library itself tells
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
