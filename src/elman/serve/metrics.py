"""Counters of the service, in the text format of Prometheus."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter
from threading import Lock

#: upper ends of the buckets of durations, in seconds, and of batches, in inputs
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_INPUTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class _Histogram:
    def __init__(self, ends: tuple[float, ...]) -> None:
        self.ends, self.counts, self.total = ends, [0] * (len(ends) + 1), 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.ends, value)] += 1
        self.total += value

    def lines(self, name: str, label: str) -> list[str]:
        found, below = [], 0
        for end, count in zip([*map(str, self.ends), "+Inf"], self.counts, strict=True):
            below += count
            found.append(f'{name}_bucket{{{label},le="{end}"}} {below}')
        return [
            *found,
            f"{name}_sum{{{label}}} {self.total:.6f}",
            f"{name}_count{{{label}}} {below}",
        ]


class Metrics:
    """Counts requests, batches and streams; thread-safe.

    >>> metrics = Metrics()
    >>> metrics.request("ner", 200, 0.004)
    >>> print(metrics.text(running=0, streams=0, loaded=["ner"]).splitlines()[2])
    elman_requests_total{model="ner",status="200"} 1
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, _Histogram] = {}
        self._batches: dict[str, _Histogram] = {}
        self._streams: Counter[tuple[str, str]] = Counter()

    def request(self, model: str, status: int, seconds: float) -> None:
        """Count a request."""
        with self._lock:
            self._requests[model, status] += 1
            self._seconds.setdefault(model, _Histogram(_SECONDS)).add(seconds)

    def batch(self, model: str, inputs: int) -> None:
        """Count inputs that were answered together."""
        with self._lock:
            self._batches.setdefault(model, _Histogram(_INPUTS)).add(inputs)

    def stream(self, model: str, end: str) -> None:
        """Count a stream that ended."""
        with self._lock:
            self._streams[model, end] += 1

    def text(self, *, running: int, streams: int, loaded: list[str]) -> str:
        """All counters, and what is going on now."""
        with self._lock:
            groups = [
                (
                    "elman_requests_total", "counter", "Requests by model and status.",
                    [
                        f'elman_requests_total{{model="{_escaped(name)}",status="{status}"}} '
                        f"{count}"
                        for (name, status), count in sorted(self._requests.items())
                    ],
                ),
                (
                    "elman_request_seconds", "histogram", "Duration of requests.",
                    _lines("elman_request_seconds", self._seconds),
                ),
                (
                    "elman_batch_inputs", "histogram", "Inputs that were answered together.",
                    _lines("elman_batch_inputs", self._batches),
                ),
                (
                    "elman_streams_total", "counter", "Streams by model and how they ended.",
                    [
                        f'elman_streams_total{{model="{_escaped(name)}",end="{end}"}} {count}'
                        for (name, end), count in sorted(self._streams.items())
                    ],
                ),
            ]  # fmt: skip
        now = {
            "elman_running_requests": ("Requests that are being answered.", running),
            "elman_open_streams": ("Streams that are open.", streams),
            "elman_loaded_models": ("Models in memory.", len(loaded)),
            "process_resident_memory_bytes": ("Memory of the process.", _resident_bytes()),
        }
        groups += [
            (name, "gauge", help, [f"{name} {value}"])
            for name, (help, value) in now.items()
            if value is not None
        ]
        lines = []
        for name, kind, help, values in groups:
            lines += [f"# HELP {name} {help}", f"# TYPE {name} {kind}", *values]
        return "\n".join(lines) + "\n"


def _lines(name: str, histograms: dict[str, _Histogram]) -> list[str]:
    return [
        line
        for model, each in sorted(histograms.items())
        for line in each.lines(name, f'model="{_escaped(model)}"')
    ]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _resident_bytes() -> int | None:
    """The memory of this process; None where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None
