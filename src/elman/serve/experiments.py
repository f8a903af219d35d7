"""Experiments with the cell of a visitor: its plan, its gradients, its speed.

``laboratory.py`` runs this module as a process of its own, because an experiment changes settings
of the whole process, can take long and is stopped by ending it.  It reads a JSON object per line,
with the cell as ``elman.graph.write_cell`` writes it, and writes a JSON object per line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from elman.errors import CellError, ElmanError
from elman.graph import Cell, read_cell
from elman.options import DeclaredOptions, option

if TYPE_CHECKING:
    from elman.nn import Recurrent

#: the cells that a visitor's is compared with
BESIDE = ("rnn", "lstm", "gru")
#: sequences of which gradients are followed, and sequences of a batch that is timed
FOLLOWED, BATCH = 4, 8
#: bytes of address space of the process
MEMORY = 16 * 2**30
#: seconds for which training, and inference, are timed
SECONDS = 1.0
#: what the loop over time is called; not an identifier, so no cell has this name
LOOP = "the same as a loop in torch"


@dataclass(frozen=True)
class ExperimentOptions(DeclaredOptions):
    """The sizes of an experiment; the last three are for cells that have them."""

    input_size: int = option(32, "input features", minimum=1, maximum=128)
    hidden_size: int = option(64, "hidden units", minimum=1, maximum=128)
    steps: int = option(100, "length of the sequences", minimum=2, maximum=200)
    heads: int = option(4, "heads of a cell with a matrix state", minimum=1, maximum=16)
    key_size: int = option(16, "keys of each head of such a cell", minimum=1, maximum=64)
    own_size: int = option(32, "each of the sizes of a cell's own", minimum=1, maximum=128)


def used_options(cell: Cell) -> list[str]:
    """The sizes that a layer of this cell needs besides those of every layer.

    >>> from elman.cells import lstmp, mlstm
    >>> used_options(mlstm), used_options(lstmp)
    (['heads', 'key_size'], ['own_size'])
    """
    found = ["heads", "key_size"] if cell.has_memory else []
    return [*found, "own_size"] if cell.own_sizes else found


def own_numbers(cell: Cell, options: ExperimentOptions) -> dict[str, int]:
    """The numbers of the cell's own sizes."""
    return dict.fromkeys(cell.own_sizes, options.own_size)


def layer_of(cell: Cell, options: ExperimentOptions) -> Recurrent:
    """A new layer of the cell, with the weights of the seed 0."""
    import torch

    from elman.nn import Recurrent

    torch.manual_seed(0)
    heads: dict[str, Any] = {}
    if cell.has_memory:
        heads = {"heads": options.heads, "key_size": options.key_size}
    sizes = own_numbers(cell, options)
    return Recurrent(cell, options.input_size, options.hidden_size, sizes=sizes, **heads)


def plan(cell: Cell, options: ExperimentOptions) -> dict[str, Any]:
    """What the native engine does with the cell on this machine, as text."""
    from elman.backends.native.describe import describe

    own = own_numbers(cell, options)
    return {"plan": describe(cell, options.input_size, options.hidden_size, sizes=own)}


def gradients(cell: Cell, options: ExperimentOptions) -> dict[str, Any]:
    """The norm of the gradient against distance in time, for the cell and those beside it.

    >>> from elman.cells import lstm
    >>> found = gradients(lstm, ExperimentOptions(hidden_size=8, steps=10))
    >>> [layer["name"] for layer in found["layers"]]
    ['lstm', 'rnn', 'gru']
    """
    from elman.diagnose import diagnose

    cells = _with_those_beside(cell)
    found = diagnose(
        *[layer_of(each, options) for each in cells.values()], names=list(cells),
        steps=options.steps, batch=FOLLOWED, exact=0, losses=8,
    )  # fmt: skip
    record = found.record()
    layers = [
        {
            "name": name,
            **{key: layer[key] for key in ("gradient", "horizon", "half_life", "states")},
        }
        for name, layer in record["layers"].items()
    ]
    return {"layers": layers, "words": record["words"]}


def speed(cell: Cell, options: ExperimentOptions) -> dict[str, Any]:
    """Milliseconds of training and inference, beside other cells and a loop over time in torch."""
    from elman.benchmark import Shape, contest, eager_loop, elman_layer, machine
    from elman.benchmark.machine import sentence

    if not cell.parameters:
        raise CellError(
            f"{cell.name}: the cell has no parameters, so its training cannot be timed; add a "
            "matrix or a bias."
        )
    shape = Shape(options.steps, BATCH, options.input_size, options.hidden_size)
    cells = _with_those_beside(cell)
    layers = {name: layer_of(each, options) for name, each in cells.items()}
    own, *others = layers
    rivals = [replace(eager_loop(layers[own]), name=LOOP)]
    rivals += [replace(elman_layer(layers[name]), name=name, comparable=False) for name in others]
    rows: dict[str, dict[str, float]] = {}
    agrees = True
    for work in ("training", "inference"):
        for found in contest(layers[own], rivals, shape, work, 1, SECONDS):
            if found.ours is None or found.theirs is None:
                agrees = False
                continue
            rows.setdefault(own, {})[work] = 1000 * found.ours.median
            rows.setdefault(found.rival, {})[work] = 1000 * found.theirs.median
    times = [
        {"name": name, **{work: float(f"{ms:.3g}") for work, ms in row.items()}}
        for name, row in rows.items()
    ]
    return {
        "shape": list(shape),
        "times": times,
        "agrees": agrees,
        "engine": layers[own].backend_report(),
        "machine": sentence(machine()),
    }


EXPERIMENTS: Mapping[str, Callable[[Cell, ExperimentOptions], dict[str, Any]]] = {
    "plan": plan,
    "gradients": gradients,
    "speed": speed,
}


def _with_those_beside(cell: Cell) -> dict[str, Cell]:
    """The cell and those that it is compared with, without repetition, by name."""
    from elman.cells import CATALOGUE

    found = {cell.name: cell}
    for name in BESIDE:
        if CATALOGUE[name] != cell:
            found[name if name not in found else f"{name} of the catalogue"] = CATALOGUE[name]
    return found


def answer(line: str) -> dict[str, Any]:
    """The answer to a line, also when something is wrong."""
    try:
        asked = json.loads(line)
        options = ExperimentOptions(**asked["options"])
        return EXPERIMENTS[asked["experiment"]](read_cell(asked["cell"]), options)
    except ElmanError as error:
        return {"error": str(error)}
    except (MemoryError, RuntimeError) as error:
        reason = str(error).partition("\n")[0][:200] or "it needs too much memory"
        return {"error": f"the experiment failed ({reason}); choose smaller sizes."}
    except (SyntaxError, RecursionError):
        return {"error": "the equations are nested too deeply; assign parts to names."}


def main() -> None:
    """Answer lines until there are no more."""
    _limit_memory()
    import torch

    torch.set_num_threads(1)
    for line in sys.stdin:
        print(json.dumps(answer(line), allow_nan=False), flush=True)


def _limit_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


if __name__ == "__main__":
    main()
