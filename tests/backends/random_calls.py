"""Random calls of layers on the native engine, held against the same on the reference engine.

``python tests/backends/random_calls.py 20000 [SEED]`` makes so many calls and prints those that
differ, each with what repeats it; ``test_random_calls.py`` makes a few.  A hundred calls share a
layer, since kernels take a second to compile: a cell (random, published or of the catalogue, under
random names), sizes, layers, directions, a type.  A call draws the rest: time and batch, zero
included; lengths; layouts; starting states; what has gradients; step by step, or all at once.
"""

import itertools
import sys
from collections.abc import Iterator
from random import Random

import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import elman
from cells.variants import EDGES, VARIANTS
from elman.cells import CATALOGUE
from elman.errors import CellError
from elman.graph import Cell
from graph.random_cells import (
    CONSTANTS,
    LARGE,
    NO_OPERAND,
    ONE_OPERAND,
    STATES,
    TWO_OPERANDS,
    cell_from_source,
)
from graph.renamed import renamed

CALLS_PER_LAYER = 100
NAMES = (
    "x", "y", "dx", "dy", "h", "c", "saved", "spilled", "projected", "first", "last", "half", "f", "W", "b",
    "forward", "training", "keys", "float", "reset", "lambda", "None", "state", "σ", "type",
)  # fmt: skip
#: Errors allowed, in parts of a tensor's largest number.  Sums are in another order, and a step may
#: stretch a difference many times: layer normalisation of nearly equal numbers does.
ERROR = {torch.float64: 1e-7, torch.float32: 2e-3, torch.bfloat16: 0.1}


def random_cell(random: Random) -> Cell:
    """A cell of random equations, drawn from the same lines as ``random_cells``."""
    states = STATES[: random.randint(1, 3)]
    bounds = dict.fromkeys(states, LARGE)

    def operand() -> str:
        name = random.choice(list(bounds))
        return name if bounds[name] <= LARGE else f"tanh({name})"

    lines = [f"def random_cell(x, {', '.join(states)}, *, W, b, p):"]
    for number in range(random.randint(1, 6)):
        table = random.choice([NO_OPERAND, ONE_OPERAND, TWO_OPERANDS, TWO_OPERANDS])
        template = random.choice(list(table))
        right = template.format(
            a=operand(), b=operand(), k=random.choice(CONSTANTS), g=f"g{number}"
        )
        name = random.choice(["u", "v", "w", *states])
        lines.append(f"    {name} = {right}")
        bounds[name] = table[template]
    lines.append(f"    return {', '.join([operand() for _ in states])}")
    return cell_from_source("\n".join(lines))


def with_random_names(cell: Cell, random: Random) -> Cell:
    """The cell with some names that meet those of the engine, torch and Python."""

    def drawn(kind: str, names: list[str]) -> dict[str, str]:
        new = random.sample([name for name in NAMES if name not in names], len(names))
        some = zip(names, new, strict=True)
        return {f"{kind} {a}": b for a, b in some if random.random() < 0.5}

    families = list(dict.fromkeys([p.family for p in cell.parameters]))
    found = drawn("state", list(cell.states)) | drawn("family", families)
    found |= drawn("gate", list(cell.gates)) if len(cell.gates) < 8 else {}
    return renamed(cell, found)


def pair(random: Random) -> tuple[elman.Recurrent, elman.Recurrent] | None:
    """A layer on the native engine and its twin under other names; ``None`` without parameters."""
    kinds = random.choice(["random", "random", "published", "catalogue"])
    published = [cell for cell in [*VARIANTS.values(), *EDGES.values()] if cell.parameters]
    smooth = [cell for name, cell in CATALOGUE.items() if "relu" not in name]
    dtype = torch.float64
    if kinds == "random":
        cell = random_cell(random)
    elif kinds == "published":
        cell = random.choice(published)
    else:  # without kinks, where rounding alone may choose another side
        cell = random.choice(smooth)
        dtype = random.choice([torch.float32, torch.float32, torch.float64, torch.bfloat16])
    if not cell.parameters:
        return None
    options = {
        "num_layers": random.choice([1, 1, 2, 3]),
        "bidirectional": random.random() < 0.4,
        "batch_first": random.random() < 0.4,
        "truncate": random.choice([None, None, 1, 3]),
    }
    sizes = (random.choice([1, 2, 5, 17]), random.choice([1, 3, 8, 19, 33]))
    layers = [
        elman.Recurrent(with_random_names(cell, random), *sizes, **options, backend=backend)
        for backend in ("native", "reference")
    ]
    generator = torch.Generator().manual_seed(random.randrange(1 << 30))
    with torch.no_grad():
        for ours, theirs in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
            scale = ours.shape[-1] ** -0.5 if ours.dim() == 2 else 0.5
            ours.copy_(torch.randn(ours.shape, generator=generator) * scale)
            theirs.copy_(ours)
    native, reference = (layer.to(dtype) for layer in layers)
    # of the same rounded numbers: in bfloat16 the reference engine rounds after each operation, and
    # may be further from what is right than the native one
    return native, reference.double() if dtype is torch.bfloat16 else reference


def laid_out(tensor: Tensor, random: Random) -> Tensor:
    """The same shape, the numbers elsewhere: strided, transposed, shifted or expanded."""
    how = random.choice(["plain", "plain", "strided", "transposed", "shifted", "expanded"])
    if how == "strided":
        return torch.stack([tensor, tensor + 1], -1)[..., 0]
    if how == "transposed" and tensor.dim() > 1:
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if how == "shifted":
        longer = torch.cat([tensor.new_ones(1), tensor.reshape(-1)])
        return longer[1:].view(tensor.shape)
    if how == "expanded" and tensor.numel():
        axis = random.randrange(tensor.dim())
        return tensor.narrow(axis, 0, 1).expand(tensor.shape)
    return tensor


def call(native: elman.Recurrent, reference: elman.Recurrent, random: Random) -> str:
    """Call both in the same way; what differs, or an empty text."""
    dtype = next(native.parameters()).dtype
    generator = torch.Generator().manual_seed(random.randrange(1 << 30))

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(dtype)

    time, batch = random.choice([0, 1, 2, 3, 5, 9]), random.choice([0, 1, 1, 2, 3, 5, 8, 13])
    unbatched = random.random() < 0.1
    batch = 1 if unbatched else batch
    shape = (batch, time) if native.batch_first else (time, batch)
    data = laid_out(draw(*((time,) if unbatched else shape), native.input_size), random)
    depth = native.num_layers * (1 + native.bidirectional)
    rows = (depth,) if unbatched else (depth, batch)
    first = [laid_out(draw(*rows, native.hidden_size), random) for _ in native.cell.states]
    has_state, way = random.random() < 0.6, random.choice(["run", "run", "run", "infer", "step"])
    lengths = None
    if random.random() < 0.5 and not unbatched:
        lengths = [random.randint(0, time) for _ in range(batch)]
    packed = lengths is not None and batch > 0 and min(lengths) > 0 and random.random() < 0.3
    wants_x, wants_state = random.random() < 0.7, random.random() < 0.5
    frozen = [random.random() < 0.1 for _ in native.parameters()]
    used = random.choice(["all", "y", "states"])
    if way == "step":
        if native.bidirectional or unbatched:
            return ""
        wants_grad = random.random() < 0.3
    outputs = []
    for layer in (native, reference):
        kind = next(layer.parameters()).dtype
        x = data.clone(memory_format=torch.preserve_format) if wants_x else data
        x = x.to(kind).detach().requires_grad_(wants_x)
        state = tuple([s.to(kind).detach().requires_grad_(wants_state) for s in first])
        given = state if has_state else None
        for parameter, still in zip(layer.parameters(), frozen, strict=True):
            parameter.requires_grad_(not still)
        if way == "infer":
            with torch.no_grad():
                y, last = layer(x, given, lengths=lengths)
            outputs.append([y, *last])
            continue
        if way == "step":
            found, now = [], given
            with torch.set_grad_enabled(wants_grad):
                for at in x.unbind(1 if layer.batch_first else 0):
                    y, now = layer.step(at, now)
                    found += [y, *now]
            outputs.append([tensor.detach() for tensor in found])
            continue
        if packed:
            ragged = pack_padded_sequence(
                x, torch.tensor(lengths), layer.batch_first, enforce_sorted=False
            )
            y, last = layer(ragged, given)
            y, _ = pad_packed_sequence(y, layer.batch_first, total_length=time)
        else:
            y, last = layer(x, given, lengths=lengths)
        values = {"all": [y, *last], "y": [y], "states": list(last)}[used]
        wanted = [t for t in (x, *state, *layer.parameters()) if t.requires_grad]
        values = [value for value in values if value.requires_grad]
        seeds = torch.Generator().manual_seed(3)
        weights = [torch.randn(v.shape, generator=seeds).to(dtype).to(kind) for v in values]
        grads = (
            torch.autograd.grad(values, wanted, weights, allow_unused=True, materialize_grads=True)
            if values and wanted
            else []
        )
        outputs.append([y.detach(), *[s.detach() for s in last], *grads])
    # a bfloat16 has eight bits: sums that nearly cancel are right beside what they are made of only
    coarse = [t.abs().max().item() for t in outputs[1] if t.numel() and dtype is torch.bfloat16]
    scale = max(coarse, default=0.0)
    for position, (ours, theirs) in enumerate(zip(*outputs, strict=True)):
        off = apart(ours, theirs, scale)
        if not off <= ERROR[dtype]:
            return (
                f"{way}, tensor {position} {tuple(ours.shape)} is off by {off:.1e}: x {shape}, "
                f"lengths {lengths}, {dtype}, {native!r}"
            )
    return ""


def apart(ours: Tensor, theirs: Tensor, scale: float = 0.0) -> float:
    """The largest difference in parts of the largest number, which is at least ``scale``.

    Infinite where shapes or types differ.
    """
    if ours.shape != theirs.shape or ours.dtype not in (theirs.dtype, torch.bfloat16):
        return float("inf")
    if not ours.numel():
        return 0.0
    ours, theirs = ours.double(), theirs.double()
    scale = max(theirs.abs().max().item(), scale, 1e-3)
    return (ours - theirs).abs().max().item() / scale


def differences(count: int, seed: int = 0) -> Iterator[str]:
    """What differs in so many calls, as sentences."""
    made = 0
    for number in itertools.count():
        random = Random(f"{seed} {number}")
        try:
            layers = pair(random)
        except CellError:
            continue  # random equations may break the grammar, as with a comparison
        if layers is None:
            continue
        for turn in range(CALLS_PER_LAYER):
            if made == count:
                return
            made += 1
            if made % 1000 == 0:
                print(f"{made:,} calls", file=sys.stderr, flush=True)
            found = call(*layers, Random(f"{seed} {number} {turn}"))
            if found:
                yield f"seed {seed}, layer {number}, call {turn}: {found}"


def main() -> int:
    """Make the calls and print what differs; 1 if anything does."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    wrong = 0
    for sentence in differences(count, seed):
        wrong += 1
        print(sentence, flush=True)
    print(f"{count:,} calls, {wrong} of them differ", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
