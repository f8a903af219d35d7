"""The process in which experiments with cells run, one after another.

It is started when it is first needed.  An experiment that takes too long ends with the process,
and the next one starts a new process.  Its compiled kernels lie in a temporary folder, so that
visitors' cells do not fill the cache of this user.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Lock, Timer
from typing import Any

from elman.graph import Cell
from elman.serve.refusal import Refusal

#: experiments that may wait for one that runs, seconds that one may take, and experiments after
#: which the process starts anew, so that neither its memory nor its kernels grow without bound
MOST_WAITING, SECONDS, MOST_EXPERIMENTS = 8, 30.0, 200


class Laboratory:
    """Runs experiments in a process of its own; thread-safe."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._threads = ThreadPoolExecutor(1, "elman-laboratory")
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._kernels: tempfile.TemporaryDirectory[str] | None = None
        self._waiting = self._done = 0
        self._late = self._stopped = False

    async def run(self, experiment: str, cell: Cell, options: Mapping[str, Any]) -> dict[str, Any]:
        """The result of an experiment; ``Refusal`` says why there is none."""
        if self._stopped:
            raise Refusal(503, "the service stops; send the request again later.")
        if self._waiting > MOST_WAITING:
            raise Refusal(429, "too many experiments wait; try again later.", {"Retry-After": "5"})
        line = json.dumps({"experiment": experiment, "cell": cell.text, "options": dict(options)})
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            found: dict[str, Any] = await loop.run_in_executor(self._threads, self._ask, line)
        finally:
            self._waiting -= 1
        if "error" in found:
            raise Refusal(422, found["error"])
        return found

    def stop(self) -> None:
        """End the process."""
        self._stopped = True
        self._end()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._end()

    # ---- on the thread

    def _ask(self, line: str) -> dict[str, Any]:
        process = self._started()
        self._late = False
        timer = Timer(self._seconds, self._end, kwargs={"late": True})
        timer.daemon = True
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(line + "\n")
            process.stdin.flush()
            said = process.stdout.readline()
        except (OSError, ValueError):  # ended meanwhile
            said = ""
        finally:
            timer.cancel()
        if not said:
            late = self._late
            self._end()
            if late:
                raise Refusal(
                    408,
                    f"the experiment took {self._seconds:g} seconds, the limit; choose smaller "
                    "sizes or a smaller cell.",
                )
            raise Refusal(422, "the experiment broke off; choose smaller sizes or a smaller cell.")
        self._done += 1
        if self._done >= MOST_EXPERIMENTS:
            self._end()
        found: dict[str, Any] = json.loads(said)
        return found

    def _started(self) -> subprocess.Popen[str]:
        with self._lock:
            if self._stopped:
                raise Refusal(503, "the service stops; send the request again later.")
            if self._process is None:
                self._kernels = tempfile.TemporaryDirectory(prefix="elman-cells-")
                paths = [path for path in sys.path if path]
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "elman.serve.experiments"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    cwd=self._kernels.name,
                    env={
                        **os.environ,
                        "ELMAN_CACHE_DIR": self._kernels.name,
                        "OMP_NUM_THREADS": "1",
                        "PYTHONPATH": os.pathsep.join(paths),
                    },
                )
                self._done = 0
            return self._process

    def _end(self, *, late: bool = False) -> None:
        with self._lock:
            process, self._process = self._process, None
            kernels, self._kernels = self._kernels, None
            self._late = self._late or late
            if process is not None:
                process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout):
                    with suppress(OSError):  # what was written has no reader any more
                        pipe.close()  # type: ignore[union-attr]
            if kernels is not None:
                kernels.cleanup()
