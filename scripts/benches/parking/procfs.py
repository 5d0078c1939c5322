"""What Linux knows of a process."""

from __future__ import annotations

from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Time on a CPU, user and system, of all its threads; in nanosecond steps, where /proc/PID/stat has 10 ms."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def resident_kib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return float(line.split()[1])
    raise ValueError(f"no resident size of {pid}")
