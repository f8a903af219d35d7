"""Batch inference on a local Ray cluster of two workers, one of which is killed on the way."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray.data", reason="the extra ray is not installed")


@pytest.mark.slow
@pytest.mark.timeout(1800)  # a cluster starts, which takes minutes on a busy machine
def test_every_row_has_its_answer_though_a_worker_was_killed():
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("ray_driver.py"))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # Ray may print lines of its own
    found = json.loads(next(x for x in done.stdout.splitlines() if x.startswith('{"numbers"')))
    assert found["killed"]
    assert found["before"] < len(found["numbers"]), "the worker was killed on the way"
    assert found["numbers"] == list(range(800))
    assert found["wrong"] == []
    assert {"number", "text", "label", "probability", "error"} <= set(found["columns"])
    assert found["sentences"][0].startswith(
        'column is "words", but the columns of the data set are'
    )
    assert 'there is no option "no_such"' in found["sentences"][1]
