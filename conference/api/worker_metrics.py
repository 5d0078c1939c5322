"""The workers' own figures, for Prometheus.

Workers have no HTTP port. Their heartbeats carry their totals, and any API process shows those of all workers
that are alive, each under its label. The packet path counts them anyway: showing them costs no packet anything.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from schemas.sfu import WorkerRecord

_FORWARD_BOUND = "forward_us_le_"

_TOTALS: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    # metric: (meaning, {the worker's counter: label values})
    "parley_sfu_datagrams": (
        "Datagrams that passed the worker's port",
        {"datagrams_in": ("in",), "datagrams_out": ("out",)},
    ),
    "parley_sfu_bytes": (
        "Bytes of those datagrams",
        {"bytes_in": ("in",), "bytes_out": ("out",)},
    ),
    "parley_sfu_forwarded_packets": ("RTP packets sent to viewers", {"forwarded": ()}),
    "parley_sfu_nacks": (
        "Packets asked for again",
        {"nacks_sent": ("of_publishers",), "nacks_received": ("by_viewers",)},
    ),
    "parley_sfu_nacks_answered": ("Packets sent again to viewers", {"nacks_answered": ()}),
    "parley_sfu_retransmit_missed": (
        "Packets that viewers asked for and the cache no longer held",
        {"nacks_missed": ()},
    ),
    "parley_sfu_recovered_packets": (
        "Lost packets that publishers sent again",
        {"rtx_recovered": ()},
    ),
    "parley_sfu_plis": (
        "Keyframe requests; those of viewers are merged before a publisher is asked",
        {"plis_sent": ("of_publishers",), "plis_received": ("by_viewers",)},
    ),
}
_LABEL = {
    "parley_sfu_datagrams": "direction",
    "parley_sfu_bytes": "direction",
    "parley_sfu_nacks": "direction",
    "parley_sfu_plis": "direction",
}
_FAMILIES = {
    # prefix of the worker's counters: (metric, meaning, label)
    "in_": ("parley_sfu_received", "Datagrams by what they carried", "kind"),
    "drop_": ("parley_sfu_dropped", "Packets that went nowhere, by reason", "reason"),
    "send_": ("parley_sfu_send_troubles", "Packets that the socket did not take", "reason"),
    "lost_": (
        "parley_sfu_lost_connections",
        "Connections that ended, or never came up, by reason",
        "reason",
    ),
}
_SHOWN = {name for _, names in _TOTALS.values() for name in names}


class WorkerFigures(Collector):
    """`workers` gives the records that were read last."""

    def __init__(self, workers: Callable[[], Collection[WorkerRecord]]) -> None:
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        records = self._workers()
        yield from _gauges(records)
        yield from _totals(records)
        yield from _families(records)
        yield _forward_time(records)


def _gauges(records: Collection[WorkerRecord]) -> Iterator[Metric]:
    shown: dict[str, tuple[str, Callable[[WorkerRecord], float]]] = {
        "parley_sfu_load": ("Share of one core that the worker takes", lambda one: one.load),
        "parley_sfu_meetings": ("Meetings held", lambda one: one.meetings),
        "parley_sfu_peers": ("Connections", lambda one: one.peers),
        "parley_sfu_tracks": ("Published streams", lambda one: one.tracks),
        "parley_sfu_legs": ("Streams to viewers", lambda one: one.legs),
        "parley_sfu_draining": ("Whether it takes no new meeting", lambda one: one.draining),
        "parley_sfu_native": (
            "Whether the packet path is the compiled one",
            lambda one: one.native,
        ),
    }
    for name, (meaning, value) in shown.items():
        family = GaugeMetricFamily(name, meaning, labels=["worker"])
        for record in records:
            family.add_metric([record.id], float(value(record)))
        yield family


def _totals(records: Collection[WorkerRecord]) -> Iterator[Metric]:
    for name, (meaning, counters) in _TOTALS.items():
        label = [_LABEL[name]] if name in _LABEL else []
        family = CounterMetricFamily(name, meaning, labels=["worker", *label])
        for record in records:
            for counter, values in counters.items():
                family.add_metric([record.id, *values], record.counters.get(counter, 0))
        yield family


def _families(records: Collection[WorkerRecord]) -> Iterator[Metric]:
    other = CounterMetricFamily(
        "parley_sfu_events", "What else the worker counts", labels=["worker", "event"]
    )
    families = {
        prefix: CounterMetricFamily(metric, meaning, labels=["worker", label])
        for prefix, (metric, meaning, label) in _FAMILIES.items()
    }
    for record in records:
        for counter, value in sorted(record.counters.items()):
            if counter in _SHOWN or counter.startswith("forward_us_"):
                continue
            prefix = next((known for known in families if counter.startswith(known)), None)
            if prefix is None:
                other.add_metric([record.id, counter], value)
            else:
                families[prefix].add_metric([record.id, counter.removeprefix(prefix)], value)
    yield from families.values()
    yield other


def _forward_time(records: Collection[WorkerRecord]) -> Metric:
    family = HistogramMetricFamily(
        "parley_sfu_forward_seconds",
        "From a packet's arrival at the worker to its last copy's leaving",
        labels=["worker"],
    )
    for record in records:
        counted = record.counters
        bounds = sorted(
            int(name.removeprefix(_FORWARD_BOUND))
            for name in counted
            if name.startswith(_FORWARD_BOUND)
        )
        buckets = [
            (str(bound / 1_000_000), float(counted[f"{_FORWARD_BOUND}{bound}"])) for bound in bounds
        ]
        buckets.append(("+Inf", float(counted.get("forward_us_count", 0))))
        seconds = counted.get("forward_us_sum", 0) / 1_000_000
        family.add_metric([record.id], buckets, sum_value=seconds)
    return family
