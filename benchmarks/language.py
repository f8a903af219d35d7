"""Compare a character language model with the same model on torch.nn.

    python benchmarks/language.py [--steps 600] [--hidden-size 256] [--seeds 0]

Tiny Shakespeare; the last tenth is test data, all else training data.  Both models have the same
sizes, initial values, windows, optimiser and number of steps, with a learning rate that falls
linearly to zero, and carry the state from window to window; only the recurrent layer differs.  They
train alternately, step by step, in one process with one thread.  The ratio of times is the median
over steps of torch's seconds divided by Elman's, of the processor time of the thread and of wall
time.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import elman
from elman.benchmark import machine
from elman.files import write_whole
from elman.tasks import TASKS
from elman.tasks.language.data import batches, collate, prepare, token_ids
from elman.tasks.language.options import LanguageOptions
from elman.tasks.language.sections import Section
from elman.tasks.task import Vocab
from recipes import real_data

language = TASKS["language"]
BATCH_SIZE, LEARNING_RATE, CLIP_NORM = 32, 3e-3, 1.0
#: rows of the test data
ROWS = 32
State = tuple[Tensor, ...] | None


class Ours(nn.Module):
    """The task's model, as a function from tokens and a state to logits and the next state."""

    def __init__(self, model: elman.models.LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        features, state = self.model(x, None, state)
        return self.model.prediction.output(features), state


class Theirs(nn.Module):
    """The same model with ``torch.nn.LSTM``."""

    def __init__(self, model: elman.models.LanguageModel) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(
            model.embedding.weight.detach().clone(), freeze=False
        )
        self.recurrent = elman.nn.to_torch(model.recurrent)
        self.output = copy.deepcopy(model.prediction.output)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.recurrent(self.embedding(x), state)
        return self.output(y), state


class Training:
    """Steps of one model, with the seconds of each."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)
        self.state: State = None
        self.wall: list[float] = []
        self.processor: list[float] = []

    def step(self, x: Tensor, y: Tensor, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        wall, processor = time.perf_counter(), time.thread_time()
        self.optimizer.zero_grad()
        logits, state = self.model(x, self.state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
        self.optimizer.step()
        assert state is not None
        self.state = tuple([tensor.detach() for tensor in state])
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.thread_time() - processor)


@torch.no_grad()
def bits_per_character(model: nn.Module, tokens: Tensor) -> float:
    """The mean of -log2 p over a text, which is read in rows side by side, each from a zero state.

    A row is shorter than those of training: the state of a model that has trained for few steps
    drifts when it is carried further than it was in training.
    """
    model.eval()
    length = (len(tokens) - 1) // ROWS
    rows = torch.stack([tokens[k * length : (k + 1) * length + 1] for k in range(ROWS)], 1)
    nats, state = 0.0, None
    for start in range(0, length, 500):
        x, y = rows[start : min(start + 500, length)], rows[start + 1 : start + 501]
        logits, state = model(x, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum")
        nats += float(loss)
    return nats / math.log(2) / (length * ROWS)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The median over pairs of steps, without the first, which compile and warm up."""
    pairs = zip(ours[5:], theirs[5:], strict=True)
    return statistics.median([second / first for first, second in pairs])


def race(seed: int, steps: int, hidden_size: int) -> tuple[Training, Training, dict[str, float]]:
    """Train both models alternately; the trainings, and bits per character on the test data."""
    torch.manual_seed(seed)
    text = (real_data.SOURCE / "text" / "tinyshakespeare.txt").read_text(encoding="utf-8")
    start = len(text) * 9 // 10
    train, test = Section(text[:start], last=False), Section(text[start:], last=False)
    options = LanguageOptions(hidden_size=hidden_size, dropout=0.0)
    units = language.build_vocab([train], options, seed).symbols
    model = language.build(options, elman.cells.lstm, Vocab(units))
    ours, theirs = Training(Ours(model)), Training(Theirs(model))
    windows = prepare([train], units, options)
    # the last batch has fewer rows
    plan = [batch for batch in batches(len(windows), BATCH_SIZE) if len(batch) == BATCH_SIZE]
    for k in range(steps):
        if k % len(plan) == 0:
            ours.state = theirs.state = None
        batch = collate([windows[row] for row in plan[k % len(plan)]], units, options)
        # which of them goes first alternates
        for each in (ours, theirs) if k % 2 else (theirs, ours):
            each.model.train()
            each.step(batch["x"], batch["y"], LEARNING_RATE * (1 - k / steps))
    [tokens] = [torch.from_numpy(each) for each in token_ids([test], units)]
    bits = {
        "elman": bits_per_character(ours.model, tokens),
        "torch": bits_per_character(theirs.model, tokens),
    }
    return ours, theirs, bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    for seed in asked.seeds:
        ours, theirs, bits = race(seed, asked.steps, asked.hidden_size)
        runs.append(
            {
                "seed": seed,
                "bits_per_character": bits,
                "milliseconds_per_step": {
                    "elman": 1000 * statistics.median(ours.processor[5:]),
                    "torch": 1000 * statistics.median(theirs.processor[5:]),
                },
                "speed_up": {
                    "processor": ratio(ours.processor, theirs.processor),
                    "wall": ratio(ours.wall, theirs.wall),
                },
            }
        )
        print(json.dumps(runs[-1]), flush=True)
        found = {
            "command": "python benchmarks/language.py",
            "machine": machine(),
            "steps": asked.steps,
            "hidden_size": asked.hidden_size,
            "runs": runs,
        }
        path = Path(__file__).parent / "results" / "language.json"
        write_whole(path, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
