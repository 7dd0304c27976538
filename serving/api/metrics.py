"""Counts for Prometheus: requests, their time, customers answered. No customer is ever a label.

Where ``PROMETHEUS_MULTIPROC_DIR`` was set when the counts of a process began, as BentoML does for its workers, the
counts of all processes are told as one. Set later, as Feast does when it is imported, it changes nothing.
"""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
MEDIA_TYPE = CONTENT_TYPE_LATEST


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

    def request(self, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self._requests.labels(route, str(status)).inc()
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
