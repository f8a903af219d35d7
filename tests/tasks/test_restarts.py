"""torchrun restarts a training of two processes after one has died, which ends with the same bits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from elman.training import RunFolder
from elman.training.launch import is_of_this_launch, this_launch
from two_processes import LAUNCHER

HERE = Path(__file__).parent


def launched(data, run, kill):
    return subprocess.run(
        [sys.executable, *LAUNCHER, "--max-restarts", "1", str(HERE / "restart_driver.py"),
         str(data), str(run), kill],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "GLOO_SOCKET_IFNAME": "lo",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.thorough
@pytest.mark.timeout(1800)  # two processes start three times, which takes minutes on a busy machine
@pytest.mark.slow
def test_a_training_goes_on_after_a_process_has_died(tmp_path):
    for file in range(3):
        lines = [
            {"text": f"word{k} film", "label": "ab"[k % 2]}
            for k in range(file * 40, file * 40 + 40)
        ]
        text = "".join([json.dumps(line) + "\n" for line in lines])
        (tmp_path / f"{file}.jsonl").write_text(text)
    data = tmp_path / "*.jsonl"
    whole = launched(data, tmp_path / "whole", "no")
    assert whole.returncode == 0, whole.stderr
    killed = launched(data, tmp_path / "killed", "yes")
    assert killed.returncode == 0, killed.stderr
    assert "Resuming in epoch 1 after batch 8" in killed.stderr
    weights = [(tmp_path / run / "model.safetensors").read_bytes() for run in ("whole", "killed")]
    assert weights[0] == weights[1]
    histories = [RunFolder(tmp_path / run).history() for run in ("whole", "killed")]
    assert len(histories[0]) == 2
    for lines in histories:
        for line in lines:
            del line["seconds"]
    assert histories[0] == histories[1]
    # another launch leaves the run alone, though torchrun restarts that one too
    again = launched(data, tmp_path / "killed", "no")
    assert again.returncode != 0
    assert "this folder already holds a run, which is left untouched" in again.stderr
    assert weights[1] == (tmp_path / "killed" / "model.safetensors").read_bytes()


def test_only_the_same_launch_is_recognised(monkeypatch):
    assert this_launch() == {}
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job-17")
    here = this_launch()
    assert is_of_this_launch(here)
    assert is_of_this_launch({**here, "agent": "another machine"})
    assert not is_of_this_launch({"name": "job-18", "agent": "another machine"})
    assert not is_of_this_launch(None)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")  # the name of every launch without one
    assert is_of_this_launch(this_launch())
    assert not is_of_this_launch({"name": "none", "agent": "another machine"})
