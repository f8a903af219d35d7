"""Compare a character language model with the same model on torch.nn.

    python benchmarks/language.py [--steps 600] [--hidden-size 256] [--seeds 0] [--word-steps 60]

Tiny Shakespeare; the last tenth is test data, all else training data.  Both models have the same
sizes, initial weights (Elman's, converted by ``elman.nn.to_torch``), windows, optimiser and number
of steps, with a learning rate that falls linearly to zero, and carry the state from window to
window; only the recurrent layer differs.  torch.nn's layer has two biases, whose sum counts; the
second stays at zero, as it would else learn at twice the rate.  They train alternately, step by
step, in one process with one thread.  The ratio of times is the median over steps of torch's
seconds divided by Elman's, of the processor time of the thread and of wall time.

The second measurement is the word language model of PyTorch's examples at its default sizes (two
LSTMs of 200 units, embeddings of 200, dropout 0.2, 20 rows, windows of 35 words, plain gradient
descent of rate 20 with gradients clipped at 0.25), on the first megabyte of the novels in
``../shared/data``: the same program with torch.nn.LSTM and with elman.nn.LSTM, which start from the
same weights.  The time of an epoch is the median of a step times the steps of an epoch.
"""

from __future__ import annotations

import argparse
import copy
import gzip
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
#: the default sizes of PyTorch's word language model example
WORD_ROWS, WORD_WINDOW, WORD_UNITS, WORD_DROPOUT = 20, 35, 200, 0.2
WORD_RATE, WORD_CLIP = 20.0, 0.25
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
        for name, bias in self.recurrent.named_parameters():
            if name.startswith("bias_hh"):
                assert not bias.any()
                bias.requires_grad_(False)
        self.output = copy.deepcopy(model.prediction.output)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.recurrent(self.embedding(x), state)
        return self.output(y), state


class Training:
    """Steps of one model, with the seconds of each."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        trained = [each for each in model.parameters() if each.requires_grad]
        self.optimizer = torch.optim.Adam(trained, lr=LEARNING_RATE)
        self.clip = CLIP_NORM
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
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
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


class WordModel(nn.Module):
    """The model of PyTorch's word language model example."""

    def __init__(self, kind: type[nn.Module], words: int) -> None:
        super().__init__()
        self.drop = nn.Dropout(WORD_DROPOUT)
        self.encoder = nn.Embedding(words, WORD_UNITS)
        self.rnn = kind(WORD_UNITS, WORD_UNITS, 2, dropout=WORD_DROPOUT)
        self.decoder = nn.Linear(WORD_UNITS, words)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = self.rnn(self.drop(self.encoder(x)), state)
        return self.decoder(self.drop(y)), state


class WordTraining(Training):
    """Its training: plain gradient descent."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.optimizer = torch.optim.SGD(model.parameters(), lr=WORD_RATE)  # type: ignore[assignment]
        self.clip = WORD_CLIP


def race_words(steps: int) -> dict[str, object]:
    """The seconds of an epoch of the word language model, by the median of so many steps."""
    torch.manual_seed(0)
    with gzip.open(real_data.SOURCE / "text" / "novels.txt.gz", "rt", encoding="utf-8") as file:
        lines = file.read(1_000_000).split("\n")
    words = [word for line in lines for word in [*line.split(), "<eos>"]]
    index = {word: k for k, word in enumerate(dict.fromkeys(words))}
    tokens = torch.tensor([index[word] for word in words])
    length = len(tokens) // WORD_ROWS
    rows = tokens[: length * WORD_ROWS].view(WORD_ROWS, length).T.contiguous()
    theirs = WordTraining(WordModel(nn.LSTM, len(index)))
    ours = WordTraining(WordModel(elman.nn.LSTM, len(index)))
    ours.model.load_state_dict(theirs.model.state_dict())
    for k in range(steps):
        start = k * WORD_WINDOW
        x, y = [rows[start + at : start + at + WORD_WINDOW] for at in (0, 1)]
        for each in (ours, theirs) if k % 2 else (theirs, ours):
            each.step(x, y, WORD_RATE)
    windows = -(-(length - 1) // WORD_WINDOW)
    return {
        "words": len(words),
        "vocabulary": len(index),
        "steps_per_epoch": windows,
        "steps_timed": steps - 5,
        "processor_seconds_per_epoch": {
            "elman": windows * statistics.median(ours.processor[5:]),
            "torch": windows * statistics.median(theirs.processor[5:]),
        },
        "speed_up": {
            "processor": ratio(ours.processor, theirs.processor),
            "wall": ratio(ours.wall, theirs.wall),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--word-steps", type=int, default=60)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    runs = []
    words = race_words(asked.word_steps)
    print(json.dumps(words), flush=True)
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
            "command": f"python benchmarks/language.py --seeds {' '.join(map(str, asked.seeds))}",
            "machine": machine(),
            "steps": asked.steps,
            "hidden_size": asked.hidden_size,
            "runs": runs,
            "words": words,
        }
        path = Path(__file__).parent / "results" / "language.json"
        write_whole(path, json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
