"""Random cells with a matrix state: both engines compute the same values and gradients."""

from random import Random

import pytest
import torch
from torch import nn

import elman
from elman.backends.native.llvm.matrix_steps import CHUNK
from elman.graph.ops import INTERNAL, MEMORY
from graph.random_memory_cells import random_memory_cell

SEEDS = range(40)
FEATURES = 3


def results_of(own, seed, backend):
    """Values, last states and all gradients of a layer whose sizes and inputs follow the seed."""
    random = Random(seed)
    heads, keys = random.choice([1, 1, 2, 3]), random.choice([1, 2, 5, 8, 13, 33])
    hidden = heads * random.choice([1, 2, 3, 7, 8, 9, 16, 33, 40, 70])
    time, batch = random.choice([1, 2, 5, CHUNK, CHUNK + 1]), random.choice([1, 2, 3])
    lengths = None if seed % 2 else [random.randint(0, time) for _ in range(batch)]
    torch.manual_seed(seed)
    layer = elman.Recurrent(
        own, FEATURES, hidden, heads=heads, key_size=keys, backend=backend, dtype=torch.float64,
        bidirectional=seed % 3 == 0,
    )  # fmt: skip
    for p in layer.parameters():
        nn.init.normal_(p, std=0.5)
    axes = () if seed % 4 == 0 else (time,)  # of an input beside x: the same at all steps, or not
    widths = {"one": 1, "hidden": hidden}
    shapes = [(time, batch, FEATURES), *[(*axes, batch, widths[size]) for _, size in own.inputs]]
    shapes += [layer.stack.state_shape(name, batch) for name in own.states]
    leaves = [0.3 * torch.randn(shape, dtype=torch.float64) for shape in shapes]
    x, *given = [leaf.requires_grad_() for leaf in leaves]
    count = len(own.inputs)
    sides = {name: side for (name, _), side in zip(own.inputs, given, strict=False)}
    y, last = layer(x, tuple(given[count:]), lengths=lengths, **sides)
    loss = sum([(value * torch.randn_like(value)).sum() for value in (y, *last)])
    wanted = [x, *given, *layer.parameters()]
    gradients = torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True)
    return [y, *last, *gradients]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_engines_agree_on_random_cells(seed):
    source, own = random_memory_cell(seed)
    results = [results_of(own, seed, backend) for backend in ("native", "reference")]
    for a, b in zip(*results, strict=True):
        scale = 1 + (b.abs().max().item() if b.numel() else 0)
        # sums of float64 in another order
        torch.testing.assert_close(a, b, rtol=0, atol=1e-10 * scale, msg=lambda m: f"{m}\n{source}")


def test_random_cells_have_all_operations_of_matrix_states():
    drawn = {node.operation for seed in SEEDS for node in random_memory_cell(seed)[1].nodes}
    assert drawn >= MEMORY - INTERNAL
    assert drawn >= {"where", "maximum", "minimum", "floor", "divide", "side", "vector", "product"}
