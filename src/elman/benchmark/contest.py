"""One cell at one shape: hold that the rivals compute the same, then time them in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from elman.benchmark.contestants import Contestant, elman_layer, parameters_of
from elman.benchmark.timing import Timing, clock_for, interleaved
from elman.nn import Recurrent

Work = Literal["training", "inference"]

#: Two float32 computations of one value, after a thousand steps and products over them, differ
#: by rounding, and at a rectifier's kink a rounded zero lets a gradient through or not; a wrong
#: gate or gradient is off by parts of the whole.
TOLERANCE = 5e-3
#: Steps over which values are compared: rounding grows from step to step, in some cells without
#: end, and says less and less of whether the equations are the same.
COMPARED_STEPS = 32


class Shape(NamedTuple):
    """The sizes of a layer and its input."""

    time: int
    batch: int
    input: int
    hidden: int

    def __str__(self) -> str:
        """As the tables write it.

        >>> print(Shape(100, 32, 128, 256))
        100×32×128×256
        """
        return "×".join(map(str, self))


@dataclass(frozen=True)
class Result:
    """Elman's layer beside one rival.

    ``difference`` is the largest of their tensors', as ``difference`` below says;
    where it is more than rounding, there are no times.
    """

    cell: str
    work: str
    rival: str
    shape: Shape
    threads: int
    difference: float
    ours: Timing | None
    theirs: Timing | None

    @property
    def agrees(self) -> bool:
        """Whether both computed the same, so that there are times to compare."""
        return self.ours is not None and self.theirs is not None

    @property
    def ratio(self) -> float:
        """How many times as long as Elman the rival takes, by the medians."""
        assert self.ours is not None
        assert self.theirs is not None
        return self.theirs.median / self.ours.median

    @property
    def ratio_tenth(self) -> float:
        """The same by the 10th percentiles."""
        assert self.ours is not None
        assert self.theirs is not None
        return self.theirs.tenth / self.ours.tenth

    def record(self) -> dict[str, Any]:
        """All of it for JSON; times in seconds."""
        ratios = {"ratio": self.ratio, "ratio_tenth": self.ratio_tenth} if self.agrees else {}
        return {**asdict(self), "shape": list(self.shape), **ratios}


def contest(
    layer: Recurrent,
    rivals: Sequence[Contestant],
    shape: Shape,
    work: Work,
    threads: int,
    seconds: float,
) -> list[Result]:
    """Elman's layer beside each rival, all timed in turn, for ``seconds`` in all.

    torch's number of threads is set for this and put back; a rival that is not torch's has to
    know it by itself.
    """
    x = torch.randn(shape.time, shape.batch, shape.input)
    grad_y = torch.randn(shape.time, shape.batch, shape.hidden)
    ours = elman_layer(layer)
    parameters = parameters_of(layer)

    def values(contestant: Contestant) -> Mapping[str, Tensor]:
        first, grad_first = x[:COMPARED_STEPS], grad_y[:COMPARED_STEPS]
        if work == "inference":
            return contestant.values(first)
        return contestant.gradients(first, grad_first, parameters)

    with torch_threads(threads):
        expected = values(ours)
        differences = {
            rival.name: difference(expected, values(rival)) if rival.comparable else 0.0
            for rival in rivals
        }
        agreeing = [rival for rival in rivals if differences[rival.name] <= TOLERANCE]
        runs: dict[str, Callable[[], object]] = {
            one.name: one.inference(x) if work == "inference" else one.training(x, grad_y)
            for one in (ours, *agreeing)
        }
        times = interleaved(runs, seconds, clock=clock_for(threads)) if agreeing else {}
    return [
        Result(
            layer.cell.name, work, rival.name, shape, threads, differences[rival.name],
            times[ours.name] if rival.name in times else None, times.get(rival.name),
        )
        for rival in rivals
    ]  # fmt: skip


def difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The largest difference of any tensor, as a vector's length relative to its own.

    >>> difference({"y": torch.tensor([3.0, 4.0])}, {"y": torch.tensor([3.0, 5.0])})
    0.2
    """
    differences = [0.0]
    for name, tensor in expected.items():
        scale = float(tensor.norm())
        apart = float((found[name] - tensor).norm())
        # a difference from zeros, or one that is not a number, is as large as can be
        differences.append(apart / scale if scale else (0.0 if apart == 0 else float("inf")))
    return max([d if d == d else float("inf") for d in differences])


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch runs on so many threads inside ``with``, and as before behind it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
