"""Where the time of a command goes, from the start of its process."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO


def process_age_s() -> float:
    """Seconds since this process started; 0 where the system does not tell."""
    try:
        ticks = float(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        uptime = float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0
    import os

    return uptime - ticks / os.sysconf("SC_CLK_TCK")


class Stopwatch:
    """Laps by name; the first lap counts from the start of the process."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.before, self.started = process_age_s(), time.perf_counter()
        self._last = self.started - self.before

    def lap(self, name: str) -> None:
        """Close a lap."""
        now = time.perf_counter()
        self.laps[name] = now - self._last
        self._last = now

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add parts measured elsewhere."""
        for name, value in seconds.items():
            self.laps[name] = self.laps.get(name, 0.0) + value

    def print(self, file: TextIO) -> None:
        """One line per lap, and the whole."""
        total = self.before + time.perf_counter() - self.started
        for name, value in self.laps.items():
            print(f"{name:>12} {value:7.3f} s", file=file)
        print(f"{'total':>12} {total:7.3f} s", file=file)
