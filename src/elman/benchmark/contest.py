"""Compare implementations of one cell at one shape: check that they agree, then time them."""

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
from elman.nn.early_steps import Sides

Work = Literal["training", "inference"]

#: Two float32 computations of the same value differ by rounding, more so after many steps and sums
#: over them; near the kink of a ReLU, rounding can also switch a gradient on or off.  A wrong gate
#: or gradient differs by a large fraction.
TOLERANCE = 5e-3
#: Steps over which values are compared: rounding errors grow with each step, in some cells without
#: bound, and then no longer show whether the equations agree.
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
    """Elman's layer compared with one rival.

    ``difference`` is the largest relative difference of their tensors (see the function
    ``difference``); if it is more than rounding, there are no times.
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
        """Whether both computed the same values and were timed."""
        return self.ours is not None and self.theirs is not None

    @property
    def ratio(self) -> float:
        """Elman's speed-up over the rival, from the medians."""
        assert self.ours is not None
        assert self.theirs is not None
        return self.theirs.median / self.ours.median

    @property
    def ratio_tenth(self) -> float:
        """Elman's speed-up over the rival, from the 10th percentiles."""
        assert self.ours is not None
        assert self.theirs is not None
        return self.theirs.tenth / self.ours.tenth

    def record(self) -> dict[str, Any]:
        """The result as a JSON object; times in seconds."""
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
    """Compare Elman's layer with each rival, timed in turn, for ``seconds`` in total.

    Inputs beside x are random, from 0 to 1, since many are times or masks.
    Sets torch's number of threads and restores it afterwards; other libraries must be configured
    separately.
    """
    x = torch.randn(shape.time, shape.batch, shape.input)
    grad_y = torch.randn(shape.time, shape.batch, layer.stack.output_size)
    sizes = layer.stack.sizes(shape.input)
    sides = {
        name: torch.rand(shape.time, shape.batch, sizes.width((size,)))
        for name, size in layer.cell.inputs
    }
    ours = elman_layer(layer)
    parameters = parameters_of(layer)

    def values(contestant: Contestant) -> Mapping[str, Tensor]:
        first, grad_first = x[:COMPARED_STEPS], grad_y[:COMPARED_STEPS]
        given = {name: side[:COMPARED_STEPS] for name, side in sides.items()}
        if work == "inference":
            return contestant.values(first, given)
        return contestant.gradients(first, grad_first, parameters, given)

    with torch_threads(threads):
        expected = values(ours)
        differences = {
            rival.name: difference(expected, values(rival)) if rival.comparable else 0.0
            for rival in rivals
        }
        agreeing = [rival for rival in rivals if differences[rival.name] <= TOLERANCE]
        gradients = {one.name: _gradient(one, grad_y, x, sides) for one in (ours, *agreeing)}
        runs: dict[str, Callable[[], object]] = {
            one.name: one.inference(x, sides)
            if work == "inference"
            else one.training(x, gradients[one.name], sides)
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


def _gradient(one: Contestant, grad_y: Tensor, x: Tensor, sides: Sides) -> Tensor:
    """The gradient of an output; other equations may have an output of another size."""
    if one.comparable:
        return grad_y
    few = {name: side[:1] for name, side in sides.items()}
    return torch.randn(*grad_y.shape[:-1], one.values(x[:1], few)["y"].shape[-1])


def difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> float:
    """The largest relative difference of any tensor, by its norm.

    A tensor below a thousandth of the largest one is compared with that thousandth: a gradient that
    is zero but for rounding, as that of sLSTM's ``b.i``, has no digits of its own.

    >>> difference({"y": torch.tensor([3.0, 4.0])}, {"y": torch.tensor([3.0, 5.0])})
    0.2
    """
    differences = [0.0]
    largest = max([float(tensor.norm()) for tensor in expected.values()])
    for name, tensor in expected.items():
        scale = max(float(tensor.norm()), 1e-3 * largest)
        apart = float((found[name] - tensor).norm())
        # a difference from zeros, or NaN, counts as infinite
        differences.append(apart / scale if scale else (0.0 if apart == 0 else float("inf")))
    return max([d if d == d else float("inf") for d in differences])


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """A context manager that sets torch's number of threads and restores it afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
