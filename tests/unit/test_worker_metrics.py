"""What workers count, as Prometheus reads it."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from conference.api.worker_metrics import WorkerFigures
from schemas.sfu import WorkerRecord
from sfu.path.counters import Counters, ForwardTime


def record(worker: str, counters: dict[str, int]) -> WorkerRecord:
    return WorkerRecord(
        id=worker,
        pid=1,
        load=0.25,
        meetings=2,
        peers=7,
        draining=False,
        native=True,
        media=["127.0.0.1:7882"],
        tracks=3,
        legs=9,
        counters=counters,
    )


def samples(*records: WorkerRecord) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    registry = CollectorRegistry()
    registry.register(WorkerFigures(lambda: records))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


def test_each_worker_has_its_own_series():
    found = samples(record("a", {"forwarded": 5}), record("b", {"forwarded": 8}))
    assert found["parley_sfu_forwarded_packets_total", labels(worker="a")] == 5
    assert found["parley_sfu_forwarded_packets_total", labels(worker="b")] == 8
    assert found["parley_sfu_legs", labels(worker="b")] == 9
    assert found["parley_sfu_native", labels(worker="a")] == 1


def test_drops_are_told_apart_by_reason():
    found = samples(record("a", {"drop_unauthentic": 4, "send_full_video": 2, "in_stun": 6}))
    assert found["parley_sfu_dropped_total", labels(worker="a", reason="unauthentic")] == 4
    assert found["parley_sfu_send_troubles_total", labels(worker="a", reason="full_video")] == 2
    assert found["parley_sfu_received_total", labels(worker="a", kind="stun")] == 6


def test_lost_connections_are_told_apart_by_reason():
    found = samples(record("a", {"lost_unreachable": 3, "lost_wrong_certificate": 1}))
    lost = "parley_sfu_lost_connections_total"
    assert found[lost, labels(worker="a", reason="unreachable")] == 3
    assert found[lost, labels(worker="a", reason="wrong_certificate")] == 1


def test_directions_of_repair():
    found = samples(record("a", {"nacks_sent": 3, "nacks_received": 11, "plis_sent": 1}))
    assert found["parley_sfu_nacks_total", labels(worker="a", direction="of_publishers")] == 3
    assert found["parley_sfu_nacks_total", labels(worker="a", direction="by_viewers")] == 11
    assert found["parley_sfu_plis_total", labels(worker="a", direction="of_publishers")] == 1


def test_the_forwarding_time_is_a_histogram_in_seconds():
    counters, times = Counters(), ForwardTime()
    for microseconds in (40, 90, 90, 30_000):
        times.add(1_000 * microseconds)
    times.write(counters)
    found = samples(record("a", msgspec.to_builtins(counters)))
    name = "parley_sfu_forward_seconds"
    assert found[f"{name}_bucket", labels(worker="a", le="5e-05")] == 1
    assert found[f"{name}_bucket", labels(worker="a", le="0.0001")] == 3
    assert found[f"{name}_bucket", labels(worker="a", le="+Inf")] == 4
    assert found[f"{name}_count", labels(worker="a")] == 4
    assert found[f"{name}_sum", labels(worker="a")] == 0.03022


def test_every_counter_is_shown_somewhere():
    counted = dict.fromkeys(msgspec.to_builtins(Counters()), 1) | {"peers_expired": 1}
    shown = [key for key, value in samples(record("a", counted)).items() if value == 1]
    plain = [name for name in counted if not name.startswith("forward_us_")]
    assert len([key for key in shown if key[0].endswith("_total")]) == len(plain)


def test_no_worker_no_series():
    assert samples() == {}
