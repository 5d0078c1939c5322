"""Figures for Prometheus. One registry per application, so that tests don't share any."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from aiohttp.hdrs import METH_ALL
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from conference.storage.jobs import JobFigure

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCIES = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)


class Metrics:
    """Counters are counted as things happen; gauges are set when somebody looks."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "parley_http_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "parley_http_request_seconds",
            "From a request's head to its answer; a pending GET waits on purpose",
            ["route"],
            buckets=_LATENCIES,
            registry=self.registry,
        )
        self._series: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._gauges: dict[str, Gauge] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a pattern, and a method is one that HTTP has: both keep the series few."""
        key = method if method in METH_ALL else "other", route, status
        if key not in self._series:
            self._series[key] = self._new_series(*key)
        counter, histogram = self._series[key]
        counter.inc()
        histogram.observe(seconds)

    def _new_series(self, method: str, route: str, status: int) -> tuple[Counter, Histogram]:
        return self._requests.labels(method, route, str(status)), self._seconds.labels(route)

    def gauge(self, name: str, meaning: str, value: float) -> None:
        if name not in self._gauges:
            self._gauges[name] = Gauge(name, meaning, registry=self.registry)
        self._gauges[name].set(value)

    def render(self) -> bytes:
        return generate_latest(self.registry)


class JobFigures(Collector):
    """The job queue by kind and state: how many, and how long the oldest has been there."""

    def __init__(self, figures: Callable[[], Collection[JobFigure]]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ("kind", "state")
        count = GaugeMetricFamily("parley_jobs", "Jobs that are not done", labels=labels)
        oldest = GaugeMetricFamily(
            "parley_jobs_oldest_seconds", "Since the oldest of them was asked for", labels=labels
        )
        for figure in self._figures():
            count.add_metric((figure.kind, figure.state), figure.count)
            oldest.add_metric((figure.kind, figure.state), figure.oldest)
        yield from (count, oldest)
