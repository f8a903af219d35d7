"""Measure a recurrent transducer beside CTC: the same encoder, data and processor time.

    python benchmarks/transducer.py [--minutes 10] [--strings 1500] [--seed 0]

Strings of 3 to 7 digits from human recordings (``recipes/spoken_digits.py``), the first strings of
a shuffled training set.  Each model trains for the same processor time of one thread, so that other
processes on the machine do not matter; then a transducer trains for half the time on the encoder of
a CTC model that has trained for the other half.  Each model is scored once on the test set.

Before that, the memory of one training step on 16 recordings of 10 s with 150 symbols each.
"""

import argparse
import json
import random
import resource
import time
import types
from pathlib import Path

import soundfile
import torch

import elman
from elman.files import write_whole
from elman.models import Transducer
from elman.tasks import TASKS, Data, train
from elman.training import signals
from recipes.spoken_digits import spoken_digits

RUNS = Path("runs")
SETTINGS = {
    "hidden_size": 128,
    "num_layers": 2,
    "dropout": 0.2,
    "noise": 0.3,
    "masks": 1,
    "learning_rate": 3e-3,
    "epochs": 1000,
    "patience": 1000,
    "plateau_patience": 1000,
    "threads": 1,
}
TRANSDUCER = {"decoder": "transducer", "prediction_size": 64, "joint_size": 96}


def main() -> None:
    """Train and score the models; print a line and write a JSON file for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--strings", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    memory = _gigabytes_of_a_step()
    # the budget of a training is measured by this clock
    signals.time = types.SimpleNamespace(monotonic=time.process_time)  # type: ignore[assignment]
    files = spoken_digits(RUNS / "data" / "digits")
    rows = files["train"].read_text().splitlines(keepends=True)
    random.Random(0).shuffle(rows)
    chosen = files["train"].with_name(f"train-{asked.strings}.jsonl")
    write_whole(chosen, "".join(rows[: asked.strings]))
    data = Data(chosen, files["valid"])
    both = {**SETTINGS, "seed": asked.seed}
    half = asked.minutes / 2
    found = {
        "ctc": _trained(data, "ctc", {**both, "max_minutes": asked.minutes}),
        "transducer": _trained(
            data, "transducer", {**both, **TRANSDUCER, "max_minutes": asked.minutes}
        ),
    }
    first = _trained(data, "ctc-half", {**both, "max_minutes": half})
    found["transducer after ctc"] = _trained(
        data, "transducer-after", {**both, **TRANSDUCER, "max_minutes": half}, first
    )
    rows = [json.loads(row) for row in files["test"].read_text().splitlines()]
    sounds = [soundfile.info(files["test"].parent / row["audio"]) for row in rows]
    seconds = sum([sound.duration for sound in sounds])
    results = {name: _scores(run, files, seconds) for name, run in found.items()}
    results["GB of a step"] = memory
    results["settings"] = vars(asked)
    path = Path(__file__).parent / "results" / "transducer.json"
    write_whole(path, json.dumps(results, indent=2) + "\n")


def _gigabytes_of_a_step() -> float:
    """The most memory that this process has used after a step at 25 steps a second of sound."""
    lstm, rows, count = elman.cells.lstm, 16, 150
    encoder = elman.Recurrent(lstm, 4 * 40, 256, 3)
    model = Transducer(encoder, elman.Recurrent(lstm, 30, 128), 30, frames_per_step=4)
    frames, lengths = torch.randn(1000, rows, 40), torch.full((rows,), 1000)
    symbols, counts = torch.randint(1, 30, (count, rows)), torch.full((rows,), count)
    model.loss(frames, lengths, symbols, counts).backward()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def _trained(data: Data, name: str, settings: dict, start: Path | None = None) -> Path:
    run = RUNS / f"digits-{name}-{settings['seed']}"
    begin = None if start is None else elman.load(start)
    train(TASKS["speech"], data, run, settings, start=begin, overwrite=True)
    return run


def _scores(run: Path, files: dict[str, Path], seconds: float) -> dict[str, float]:
    """Word error rates greedily and by a beam of 8, and processor seconds per second of sound."""
    model = elman.load(run)
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    found = {
        "parameters": sum([p.numel() for p in model.model.parameters()]),
        "epochs": round(history[-1]["epoch"], 1),
        "valid wer": min([row["valid"]["wer"] for row in history]),
    }
    for beam in (1, 8):
        started = time.process_time()
        found[f"test wer, beam {beam}"] = model.evaluate(files["test"], beam=beam)["wer"]
        used = time.process_time() - started
        found[f"real-time factor, beam {beam}"] = used / seconds
    print(run.name, json.dumps(found), flush=True)
    return found


if __name__ == "__main__":
    main()
