"""The line that says on what a figure was measured."""

import os
import platform
import time
from pathlib import Path

_STEPS = 20_000_000


def machine() -> str:
    """Describe processor, cores, memory, Python and how fast it is at this moment in one line.

    A rented machine runs at half its speed for hours: figures of different days can only be compared by the
    time that the same plain loop takes beside them.
    """
    model = platform.processor() or platform.machine()
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpu_info.read_text().splitlines()
            if "model name" in line
        ]
        model = names[0] if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores {model}, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"{_STEPS // 1_000_000} million steps of a plain loop in {_pace():.2f} s"
    )


def _pace() -> float:
    total, begun = 0, time.perf_counter()
    for step in range(_STEPS):
        total += step
    return time.perf_counter() - begun
