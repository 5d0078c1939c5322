"""Rows of a benchmark: medians over its windows, as JSON or as a table."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence

import msgspec

from load import shapes
from load.measuring import Window, percentile
from load.stage import Stage

YARDSTICK, TARGETED = "janus", "parley-native"
_TEXTS = 2
_HEAD = (
    "load", "server", "µs/packet", "of Janus", "delivered", "worker p50 ms", "worker p99 ms", "p50 ms", "p99 ms",
    "CPU %", "out/s", "RSS MiB", "share", "others %", "late ms",
)  # fmt: skip
_WITHIN = "forward_us_in_"


class Row(msgspec.Struct, kw_only=True):
    """Those up to `rss_mib` are the benchmark's contract; the others help to judge them. Absent: not measurable."""

    load: str
    title: str
    server: str
    us_per_packet: float | None
    delivered: float | None
    p50_ms: float | None
    p99_ms: float | None
    rss_mib: float
    cpu_percent: float
    """Of one core."""
    softirq_percent: float
    """Of one core, in ksoftirqd: work for the server that its own figure does not show."""
    packets_in: float
    packets_out: float
    """A second, arrived."""
    viewers: int
    legs: int
    kib_per_leg: float | None
    """Resident memory that setting the load up added, over its legs."""
    srtp: str
    load_percent: float
    """CPU of the load side, of one core."""
    others_percent: float
    """CPU of everything else on the machine, of one core: much of it, and the times are not to be trusted."""
    late_ms: float
    """How late the load side sent a frame, at worst."""
    worker_p50_ms: float | None
    worker_p99_ms: float | None
    """From the kernel's having received a packet to its last copy's leaving, by the worker's own histogram."""
    counted: dict[str, int]
    """What the server says it counted, set-up and warm-up left out."""
    backlog_s: float
    """How long packets still came after the last one was sent; much of it means the server does not keep up."""
    unopened: int
    windows: int
    share: float
    """Of the load's packet rate: where the server would lose packets at more, or what fills half a core."""


def row(
    server: str,
    stage: Stage,
    windows: list[Window],
    *,
    resident_before: float,
    counted: dict[str, int],
    share: float = 1.0,
) -> Row:
    """Medians over the windows; latencies of all of them together."""
    latencies = sorted(value for window in windows for value in window.latencies_ms)
    resident = statistics.median(window.resident_mib for window in windows)
    load = stage.load
    arrived = sum(window.packets_arrived for window in windows)
    return Row(
        load=load.name,
        title=load.title,
        server=server,
        us_per_packet=_median(
            window.cpu_seconds / window.packets_arrived * 1e6
            for window in windows
            if window.packets_arrived
        ),
        delivered=_median(
            window.packets_delivered / window.packets_due
            for window in windows
            if window.packets_due
        ),
        p50_ms=_rounded(percentile(latencies, 0.50)),
        p99_ms=_rounded(percentile(latencies, 0.99)),
        rss_mib=round(resident, 1),
        cpu_percent=_percent(windows, lambda window: window.cpu_seconds),
        softirq_percent=_percent(windows, lambda window: window.softirq_seconds),
        packets_in=_rate(windows, lambda window: window.packets_in),
        packets_out=_rate(windows, lambda window: window.packets_arrived),
        viewers=len(stage.viewers),
        legs=load.legs,
        kib_per_leg=_rounded((resident - resident_before) * 1024 / load.legs)
        if load.legs and arrived
        else None,
        srtp=", ".join(sorted({peer.keys.profile for peer in stage.peers if peer.connected})),
        load_percent=_percent(windows, lambda window: window.load_cpu_seconds),
        others_percent=_percent(windows, lambda window: window.other_cpu_seconds),
        late_ms=round(max(window.late_ms for window in windows), 2),
        worker_p50_ms=histogram_percentile(counted, 0.50),
        worker_p99_ms=histogram_percentile(counted, 0.99),
        counted=counted,
        backlog_s=round(statistics.median(window.span - window.seconds for window in windows), 2),
        unopened=sum(window.unopened for window in windows),
        windows=len(windows),
        share=share,
    )


def histogram_percentile(counted: dict[str, int], share: float) -> float | None:
    """In ms, as if times were spread evenly within a bucket (sfu/path/counters.py); None without a histogram.

    Buckets are a tenth wide at most, so the error is a few percent.
    """
    buckets = sorted(
        (int(name.removeprefix(_WITHIN)), count)
        for name, count in counted.items()
        if name.startswith(_WITHIN) and count > 0
    )
    wanted = share * sum(count for _, count in buckets)
    for bound, count in buckets:
        if wanted <= count:
            return round((bound - _width(bound) * (1 - wanted / count)) / 1000, 4)
        wanted -= count
    return None


def _width(bound: int) -> int:
    """Of the bucket with this upper bound: two significant digits, single microseconds below 100."""
    width = 1
    while bound > 100 * width:
        width *= 10
    return width


def as_json(rows: list[Row]) -> str:
    return json.dumps([msgspec.to_builtins(each) for each in rows], indent=1)


def as_table(rows: list[Row]) -> str:
    """Markdown, aligned for a terminal as well. A load is named in its first row only."""
    yardsticks = {each.load: each.us_per_packet for each in rows if each.server == YARDSTICK}
    loads: list[str] = []
    cells = []
    for each in rows:
        named = each.load in loads
        loads.append(each.load)
        cells.append(
            (
                "" if named else f"{each.load}: {each.title}",
                each.server,
                _shown(each.us_per_packet, 2),
                _compared(each, yardsticks.get(each.load)),
                _shown(each.delivered, 4),
                _shown(each.worker_p50_ms, 2),
                _shown(each.worker_p99_ms, 2),
                _shown(each.p50_ms, 2),
                _shown(each.p99_ms, 2),
                _shown(each.cpu_percent, 1),
                f"{each.packets_out:,.0f}",
                _shown(each.rss_mib, 0),
                _shown(each.share, 2),
                _shown(each.others_percent, 0),
                _shown(each.late_ms, 1),
            )
        )
    widths = [max(len(line[column]) for line in [_HEAD, *cells]) for column in range(len(_HEAD))]
    rule = [
        "-" * width if column < _TEXTS else "-" * (width - 1) + ":"
        for column, width in enumerate(widths)
    ]
    return "\n".join(_line(line, widths) for line in [_HEAD, rule, *cells])


def _compared(row: Row, yardstick: float | None) -> str:
    """Its CPU time as a share of the yardstick's, and what was meant to be reached."""
    if row.server == YARDSTICK or not yardstick or row.us_per_packet is None:
        return ""
    target = shapes.TARGETS.get(row.load) if row.server == TARGETED else None
    share = f"{row.us_per_packet / yardstick:.2f}"
    return share if target is None else f"{share} (≤ {target:.2f})"


def _line(cells: Sequence[str], widths: list[int]) -> str:
    padded = [
        cell.ljust(width) if column < _TEXTS else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _median(values: Iterable[float]) -> float | None:
    found = list(values)
    return round(statistics.median(found), 4) if found else None


def _rate(windows: list[Window], figure: Callable[[Window], float]) -> float:
    return round(statistics.median(figure(window) / window.seconds for window in windows), 1)


def _percent(windows: list[Window], cpu: Callable[[Window], float]) -> float:
    """Of one core, over the whole span: what was left to do after the last send counts too."""
    return round(statistics.median(100 * cpu(window) / window.span for window in windows), 1)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"
