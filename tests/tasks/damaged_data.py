"""What each reader of data says of mutants of a good file, counted.

    python tests/tasks/damaged_data.py 2000 [READER]...

The readers are those of ``test_mutants.py``.  A mutant is read, or refused in one sentence, or
neither: that is an exception, more than ``MOST_SECONDS`` of processor time or more than
``MOST_BYTES`` of memory.  The program ends with the status 1 where there is one of the last kind.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

from tasks.mutating import as_bytes, mutant
from tasks.test_mutants import GUARD_SECONDS, READERS, no_longer_than

MOST_SECONDS = 10.0
MOST_BYTES = 6 << 30


def main(count: int, names: list[str]) -> int:
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    total: Counter[str] = Counter()
    for name in names or READERS:
        file, content, read = READERS[name]
        found: Counter[str] = Counter(refused=0, read=0, neither=0)
        slowest = (0.0, -1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file
            for seed in range(count):
                path.write_bytes(mutant(as_bytes(content), Random(seed)))
                began = time.process_time()
                try:
                    with no_longer_than(GUARD_SECONDS):
                        said = "refused" if read(path) else "read"
                except BaseException:
                    said = "neither"
                    print(f"{name}, seed {seed}:\n{traceback.format_exc()}", flush=True)
                took = time.process_time() - began
                slowest = max(slowest, (round(took, 3), seed))
                if took > MOST_SECONDS:
                    said = "neither"
                    print(f"{name}, seed {seed}: it took {took:.0f} s", flush=True)
                found[said] += 1
        total += found
        print(f"{name}: {dict(found)}, slowest {slowest}", flush=True)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"all: {dict(total)}, {most} MB of memory at most", flush=True)
    return total["neither"]


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]) > 0)
