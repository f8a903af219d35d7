"""Train cells on the problems with long-term dependencies and compare them.

Every cell has the same batches, number of steps and optimiser.  Curves show the validation
measure; a separate test set decides whether a problem is solved.  Trainings run in one process per
core, with one thread each; each result is written to a file, so that an interrupted run resumes.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from elman import cells
from elman.diagnose.problems import PROBLEMS, Problem
from elman.errors import OptionError
from elman.files import write_whole
from elman.graph import Cell, read_cell
from elman.graph.sizes import Sizes
from elman.nn import Recurrent
from elman.saved import parse_json, read_text, sentences

#: sequences of the validation set and of the test set, for problems that generate them
VALID, TEST = 256, 2048


@dataclass(frozen=True)
class Budget:
    """The training budget of every cell, with validation after ``every`` steps.

    Training ends early if the validation set is solved twice in a row.
    """

    steps: int = 2500
    every: int = 50
    batch: int = 32
    hidden_size: int = 32
    learning_rate: float = 0.01


Memory = Literal["log T", "-log T"]


@dataclass(frozen=True)
class Contestant:
    """A cell with its initialisation and training options.

    ``start`` overrides the cell's initial values of parameters, such as ``{"b.f": 3.0}``;
    ``"log T"`` is the chrono initialisation of Tallec and Ollivier (2018), log(uniform(1, T - 1)),
    which spreads the units' time scales from 1 step to the problem's T, and ``"-log T"`` its
    negative.  ``states`` is the initialisation of recurrent weights; ``clip_norm`` is the maximum
    gradient norm.
    """

    cell: Cell
    start: Mapping[str, float | Memory] = field(default_factory=dict)
    states: Literal["orthogonal", "identity", "glorot"] = "orthogonal"
    clip_norm: float = 1.0

    @property
    def name(self) -> str:
        """The cell's name and the options that differ from the default.

        >>> from elman.cells import lstm
        >>> Contestant(lstm, {"b.f": 3}, clip_norm=math.inf).name
        'lstm, b.f = 3, not clipped'
        >>> Contestant(lstm, {"b.f": "log T"}).name
        'lstm, chrono'
        """
        numbers = {key: value for key, value in self.start.items() if not isinstance(value, str)}
        parts = [self.cell.name, *[f"{key} = {value:g}" for key, value in numbers.items()]]
        parts += ["chrono"] if len(numbers) < len(self.start) else []
        parts += [self.states] if self.states != "orthogonal" else []
        parts += ["not clipped"] if math.isinf(self.clip_norm) else []
        return ", ".join(parts)


@dataclass(frozen=True)
class Course:
    """The results of one training: validation measures by step, and the test measure.

    ``longest`` is the largest gradient norm before clipping; ``failed`` means that the gradient
    became infinite or NaN.
    """

    problem: str
    contestant: str
    seed: int
    steps: tuple[int, ...]
    scores: tuple[float, ...]
    test: float
    solved: bool
    failed: bool
    longest: float
    seconds: float


def train(problem: Problem, contestant: Contestant, budget: Budget, seed: int = 0) -> Course:
    """Train one cell on one problem.

    >>> from elman.cells import gru
    >>> from elman.diagnose.problems import temporal_order
    >>> course = train(temporal_order(20), Contestant(gru), Budget(steps=3, every=2))
    >>> course.steps, course.solved
    ((0, 2, 3), False)
    """
    begun = time.perf_counter()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layer = Recurrent(contestant.cell, problem.input_size, budget.hidden_size)
        _start(layer, contestant, problem.time)
        output = nn.Linear(budget.hidden_size, problem.output_size)
    parameters = [*layer.parameters(), *output.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=budget.learning_rate)
    batches, *held_out = [torch.Generator().manual_seed(3 * seed + k) for k in range(3)]
    valid = problem.draw(VALID, held_out[0], "valid")
    steps, scores, longest, failed = [], [], 0.0, False

    def answers(x: Tensor) -> Tensor:
        found: Tensor = output(layer(x)[0][-problem.answers :])
        return found

    for step in range(budget.steps + 1):
        if step % budget.every == 0 or step == budget.steps:
            with torch.no_grad():
                steps.append(step)
                scores.append(_measure(problem, answers(valid[0]), valid[1]))
            if len(scores) > 1 and all(problem.is_solved(score) for score in scores[-2:]):
                break
            if step == budget.steps:
                break
        x, wanted = problem.draw(budget.batch, batches, "train")
        loss = _loss(problem, answers(x), wanted)
        optimizer.zero_grad()
        loss.backward()
        length = nn.utils.clip_grad_norm_(parameters, contestant.clip_norm).item()
        if not math.isfinite(length):
            failed = True
            break
        longest = max(longest, length)
        optimizer.step()
    test = problem.draw(TEST, held_out[1], "test")
    with torch.no_grad():
        score = _measure(problem, answers(test[0]), test[1])
    return Course(
        problem=problem.name,
        contestant=contestant.name,
        seed=seed,
        steps=tuple(steps),
        scores=tuple([float(f"{each:.4g}") for each in scores]),
        test=float(f"{score:.4g}"),
        solved=problem.is_solved(score),
        failed=failed,
        longest=float(f"{longest:.4g}"),
        seconds=round(time.perf_counter() - begun, 2),
    )


@torch.no_grad()
def _start(layer: Recurrent, contestant: Contestant, time: int) -> None:
    """Apply the contestant's initialisation; recurrent weights are already orthogonal."""
    sizes = Sizes(layer.input_size, layer.hidden_size)
    for p in layer.cell.parameters:
        parameter = layer.get_parameter(f"layers.0.0.{p.key}")
        value = contestant.start.get(p.key)
        if isinstance(value, str):
            lasting = parameter.uniform_(1, time - 1).log_()
            lasting.mul_(-1 if value == "-log T" else 1)
        elif value is not None:
            parameter.fill_(value)
        elif p.kind == "matrix" and contestant.states != "orthogonal":
            begin = nn.init.eye_ if contestant.states == "identity" else nn.init.xavier_uniform_
            for size, rows, columns in p.blocks(sizes):
                if size == "hidden":
                    begin(parameter[rows, columns])


def _loss(problem: Problem, answers: Tensor, wanted: Tensor) -> Tensor:
    if problem.measure == "squared error":
        return nn.functional.mse_loss(answers.squeeze(-1), wanted)
    return nn.functional.cross_entropy(answers.flatten(0, 1), wanted.flatten())


def _measure(problem: Problem, answers: Tensor, wanted: Tensor) -> float:
    if problem.measure == "squared error":
        return float(_loss(problem, answers, wanted))
    return float((answers.argmax(-1) == wanted).double().mean())


#: the cells that are compared on every problem; gates are initialised to the problem's length
TABLE = (
    Contestant(cells.rnn),
    Contestant(cells.lstm, {"b.f": "log T", "b.i": "-log T"}),
    Contestant(cells.coupled_lstm, {"b.f": "log T"}),
    Contestant(cells.peephole_lstm, {"b.f": "log T", "b.i": "-log T"}),
    Contestant(cells.gru, {"b.z": "-log T"}),
)

#: the problems of the ablations
CHANGED = ("adding-200", "copying-50", "digits")
CHANGES = (
    # the bias of the forget gate
    Contestant(cells.lstm, {"b.f": 0}),
    Contestant(cells.lstm),
    Contestant(cells.lstm, {"b.f": 3}),
    Contestant(cells.gru),
    # the initialisation of recurrent weights
    Contestant(cells.rnn, states="glorot"),
    Contestant(cells.rnn, states="identity"),
    Contestant(cells.relu_rnn, states="identity"),
    Contestant(cells.lstm, {"b.f": "log T", "b.i": "-log T"}, states="glorot"),
    # no clipping
    Contestant(cells.rnn, clip_norm=math.inf),
    Contestant(cells.relu_rnn, states="identity", clip_norm=math.inf),
    Contestant(cells.lstm, {"b.f": "log T", "b.i": "-log T"}, clip_norm=math.inf),
)


def contests(names: Sequence[str] = ()) -> list[tuple[Problem, Contestant]]:
    """The trainings of ``elman diagnose --tasks``, for all problems or for those named.

    >>> len(contests()), len(contests(["temporal-order"]))
    (73, 5)
    """
    unknown = [name for name in names if name not in PROBLEMS]
    if unknown:
        raise OptionError(f'unknown problem "{unknown[0]}"; choose from {", ".join(PROBLEMS)}.')
    chosen = names or tuple(PROBLEMS)
    found = [(PROBLEMS[name], contestant) for name in chosen for contestant in TABLE]
    changed = [name for name in chosen if name in CHANGED]
    return found + [(PROBLEMS[name], each) for name in changed for each in CHANGES]


def compete(
    trainings: Sequence[tuple[Problem, Contestant]],
    *,
    budget: Budget = Budget(),
    seeds: Sequence[int] = (0,),
    out: Path | None = None,
    workers: int | None = None,
    tell: Callable[[int, int, Course, float], None] = lambda done, of, course, left: None,
) -> list[Course]:
    """Run all trainings in order, ``workers`` at a time (default: the number of cores).

    With ``out``, each result is stored there as a file and not computed again.  ``tell(done, of,
    course, seconds left)`` is called after each.
    """
    wanted = [(p, c, seed) for seed in seeds for p, c in trainings]
    found: dict[int, Course] = {}
    for k, (problem, contestant, seed) in enumerate(wanted):
        kept = _read(out, problem, contestant, budget, seed)
        if kept is not None:
            found[k] = kept
    left = [k for k in range(len(wanted)) if k not in found]
    begun, before = time.perf_counter(), len(found)

    def done(k: int, course: Course) -> None:
        found[k] = course
        if out is not None:
            record = {"budget": asdict(budget), **asdict(course)}
            write_whole(_path(out, *wanted[k]), json.dumps(record))
        each = (time.perf_counter() - begun) / (len(found) - before)
        tell(len(found), len(wanted), course, each * (len(wanted) - len(found)))

    count = min(workers or _cores(), max(1, len(left)))
    if count == 1:
        for k in left:
            problem, contestant, seed = wanted[k]
            done(k, train(problem, contestant, budget, seed))
    else:
        with ProcessPoolExecutor(
            count, mp_context=get_context("spawn"), initializer=_alone
        ) as pool:
            running = {}
            for k in left:
                problem, contestant, seed = wanted[k]
                arguments = (problem.name, _sent(contestant), budget, seed)
                running[pool.submit(_train_elsewhere, *arguments)] = k
            for future in as_completed(running):
                done(running[future], future.result())
    return [found[k] for k in range(len(wanted))]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _alone() -> None:
    torch.set_num_threads(1)


def _sent(contestant: Contestant) -> dict[str, Any]:
    return {**vars(contestant), "cell": contestant.cell.text}


def _train_elsewhere(problem: str, sent: dict[str, Any], budget: Budget, seed: int) -> Course:
    contestant = Contestant(**{**sent, "cell": read_cell(sent["cell"])})
    return train(PROBLEMS[problem], contestant, budget, seed)


def _path(out: Path, problem: Problem, contestant: Contestant, seed: int) -> Path:
    name = "".join([c if c.isalnum() or c in "._" else "-" for c in contestant.name])
    return out / f"{problem.name}--{name}--{seed}.json"


def _read(
    out: Path | None, problem: Problem, contestant: Contestant, budget: Budget, seed: int
) -> Course | None:
    """A stored result with the same budget, or ``None``."""
    if out is None or not (path := _path(out, problem, contestant, seed)).exists():
        return None
    record = parse_json(read_text(path), path)
    with sentences(path):
        if record.pop("budget") != asdict(budget):
            return None
        lists = {name: tuple(record[name]) for name in ("steps", "scores")}
        return Course(**{**record, **lists})
