"""Steps with int8 weights are those of exact sums of rounded numbers, on every kind of processor."""

import numpy as np
import pytest
import torch
from torch import nn

import elman
from cells.variants import VARIANTS
from elman.backends.native.kernels import layer_of as layer_of_kernels
from elman.backends.native.llvm.int8 import multiplies_bytes
from elman.backends.native.llvm.ir import Module
from elman.backends.native.llvm.jit import compile_module
from elman.backends.native.llvm.step import emit_program
from elman.backends.native.llvm.target import find_target
from elman.cells import CATALOGUE
from elman.errors import OptionError
from elman.graph.node import OPERATIONS, ancestors
from elman.graph.sizes import Sizes, columns_of
from elman.nn.side_inputs import early_of
from elman.torch_mathematics import TorchMathematics

INPUT, HIDDEN = 19, 37
CELLS = {
    name: c
    for name, c in {**CATALOGUE, **VARIANTS}.items()
    if not (c.inputs or c.has_memory or c.own_sizes or early_of(c))
    and all(
        [
            o.operation in ("input", "state")
            or any([a.operation == "state" for a in ancestors([o])])
            for n in c.nodes
            if n.operation == "product"
            for o in n.operands[1:]
        ]
    )
}


def only_leaves(cell):
    """Whether products read x and states alone, which are the same numbers in any order of sums."""
    products = [n for n in ancestors(cell.next_states) if n.operation == "product"]
    return all([o.operation in ("input", "state") for n in products for o in n.operands[1:]])


EXACT = [name for name, c in CELLS.items() if only_leaves(c)]


def rounded(rows):
    """Rows as integers, and their scales."""
    rows = np.asarray(rows, np.float32)
    largest = np.abs(rows).max(1, keepdims=True)
    scale = largest / np.float32(127)
    with np.errstate(divide="ignore", invalid="ignore"):
        return scale, np.nan_to_num(np.rint(rows * (np.float32(127) / largest)))


def product(matrix, factors, blocks, sizes):
    """Each operand and its columns are rounded, and multiplied as integers."""
    total = 0.0
    for factor, block in zip(factors, blocks, strict=True):
        weights = matrix[:, sizes.columns(block)].numpy()
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.abs(weights).max(1, keepdims=True) / np.float32(127)
            whole = np.nan_to_num(np.rint(weights / scale))
        of_factor, factor = rounded(factor.numpy())
        total = total + (factor @ whole.T) * scale.T * of_factor
    return torch.from_numpy(np.asarray(total, np.float32))


def one_step(layer, x, states):
    """The equations with such products, one torch call per value."""
    cell, sizes = layer.cell, layer._sizes(0)
    parameters = layer._directions()[0].in_order(cell)
    known = {
        (p.kind, p.family, p.gate): t for p, t in zip(cell.parameters, parameters, strict=True)
    }
    values = {}
    for node in ancestors(cell.next_states):
        operands = [values[operand] for operand in node.operands]
        if node.operation == "input":
            values[node] = x
        elif node.operation == "state":
            values[node] = states[cell.states.index(node.attribute)]
        elif node.operation in ("vector", "matrix"):
            values[node] = known[(node.operation, *node.attribute[:2])]
        elif node.operation == "constant":
            values[node] = x.new_tensor(node.attribute)
        elif node.operation == "product":
            blocks = columns_of([o.size for o in node.operands[1:]], node.attribute)
            values[node] = product(operands[0], operands[1:], blocks, sizes)
        else:
            values[node] = OPERATIONS[node.operation].evaluate(TorchMathematics, *operands)
    return [values[node].expand(len(x), HIDDEN) for node in cell.next_states]


def layer_of(name, *arguments, **options):
    torch.manual_seed(0)
    layer = elman.Recurrent(CELLS[name], INPUT, HIDDEN, *arguments, **options).eval()
    for p in layer.parameters():
        nn.init.normal_(p, std=0.3)
    return layer


@torch.no_grad()
def assert_rounded(name, batch, near):
    layer = layer_of(name)
    stepper = layer.stepper(batch, quantize="int8")
    for x in 2 * torch.randn(4, batch, INPUT):
        states = [state[0].clone() for state in stepper.state]
        y = stepper(x)
        wanted = one_step(layer, x, states)
        torch.testing.assert_close(y, wanted[0], rtol=near, atol=near)
        for found, state in zip(stepper.state, wanted, strict=True):
            torch.testing.assert_close(found[0], state, rtol=near, atol=near)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("batch", [1, 2, 5, 17])
@pytest.mark.parametrize("name", EXACT)
def test_a_step_is_that_of_exact_sums_of_rounded_numbers(name, batch):
    assert_rounded(name, batch, 2e-5)


@pytest.mark.parametrize("name", [name for name in CELLS if name not in EXACT])
def test_a_step_of_several_phases_is_near_it(name):
    """A value that two ways compute with other last bits may be rounded to the next integer."""
    assert_rounded(name, 3, 0.05)


@pytest.mark.parametrize("target", ["avx512", "avx2", "x86-64"])
def test_processors_without_instructions_for_bytes_compute_the_same(target, monkeypatch):
    assert not multiplies_bytes(find_target(target))
    monkeypatch.setenv("ELMAN_TARGET", target)
    if target == "avx512" and find_target("host").vector_bytes < 64:
        pytest.skip("this processor has no AVX-512")
    assert_rounded("lstm", 3, 2e-5)


@pytest.mark.parametrize("name", ["lstm", "gru", "layer_norm_lstm"])
def test_programs_compile_for_arm(name):
    target = find_target("aarch64")
    layer = layer_of_kernels(CELLS[name].text, Sizes(19, 37), torch.float32, target, int8=True)
    module = Module({})
    emit_program(module, layer.forward(save=False, hoisted=False).layout)
    assert compile_module(module.text, target)


@pytest.mark.parametrize("layers", [1, 3])
def test_stacks_with_an_output_layer_stay_near_the_layer(layers):
    layer, output = layer_of("lstm", layers), nn.Linear(HIDDEN, 7)
    stepper = layer.stepper(2, output=output, quantize="int8")
    x = torch.randn(30, 2, INPUT)
    with torch.no_grad():
        wanted = output(layer(x)[0])
    found = torch.stack([stepper(each).clone() for each in x])
    assert 0 < (found - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_computed_matrices_are_rounded_too():
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.orthogonal_rnn, INPUT, HIDDEN).eval()
    stepper, x = layer.stepper(quantize="int8"), torch.randn(10, 1, INPUT)
    with torch.no_grad():
        wanted = layer(x)[0]
    found = torch.stack([stepper(each).clone() for each in x])
    assert 0 < (found - wanted).abs().max() < 0.05 * wanted.abs().max()


def test_zeros_and_tiny_numbers_stay_zero():
    layer = layer_of("rnn")
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
    stepper = layer.stepper(quantize="int8")
    for x in (torch.zeros(1, INPUT), torch.full((1, INPUT), 1e-40), torch.randn(1, INPUT)):
        assert torch.equal(stepper(x), torch.zeros(1, HIDDEN))
    layer = layer_of("rnn")
    stepper = layer.stepper(quantize="int8")
    with torch.no_grad():
        assert torch.equal(
            stepper(torch.full((1, INPUT), 1e-38)), layer(torch.zeros(1, 1, INPUT))[0][0]
        )


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_does_not_get_lost(number):
    layer = layer_of("relu_rnn")
    stepper = layer.stepper(2, quantize="int8")
    x = torch.randn(2, INPUT)
    x[1, 3] = number
    y = stepper(x).clone()
    assert torch.isfinite(y[0]).all()
    assert not torch.isfinite(y[1]).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_do_not_get_lost(number):
    layer = layer_of("relu_rnn")
    with torch.no_grad():
        next(layer.parameters())[3, 2] = number
    y = layer.stepper(quantize="int8")(torch.randn(1, INPUT))
    assert torch.isfinite(y[0]).tolist() == [unit != 3 for unit in range(HIDDEN)]


def test_sums_too_long_for_32_bits_are_refused():
    longest = 2**31 // (128 * 127)
    layer = elman.Recurrent(elman.cells.relu_rnn, longest, 1).eval()
    with torch.no_grad():
        for p in layer.parameters():
            p.fill_(-1.0)
    x = torch.full((1, longest), -2.0)
    y = layer.stepper(quantize="int8")(x)
    torch.testing.assert_close(y, layer(x[None])[0][0].detach())
    layer = elman.Recurrent(elman.cells.relu_rnn, longest + 1, 1)
    with pytest.raises(OptionError, match="at most 132,104 numbers in x and in each state, but 13"):
        layer.stepper(quantize="int8")


def test_rows_do_not_depend_on_each_other():
    layer, x = layer_of("gru"), torch.randn(6, 4, INPUT)
    together, alone = layer.stepper(4, quantize="int8"), layer.stepper(quantize="int8")
    for each in x:
        assert torch.equal(together(each)[2:3], alone(each[2:3]))


@pytest.mark.parametrize(
    "make",
    [
        lambda: elman.Recurrent(elman.cells.lstm, 3, 4, dtype=torch.float64),
        lambda: elman.Recurrent(elman.cells.lstm, 3, 4, dtype=torch.bfloat16),
        lambda: elman.Recurrent(elman.cells.lstm, 3, 4, backend="reference"),
        lambda: elman.Recurrent(elman.cells.mlstm, 3, 4),
    ],
    ids=["float64", "bfloat16", "reference", "matrix state"],
)
def test_what_has_no_int8_is_refused(make):
    with pytest.raises(OptionError, match='quantize="int8" is for float32 on the native engine'):
        make().stepper(quantize="int8")


def test_other_words_are_refused():
    with pytest.raises(OptionError, match="quantize is 'int4'; it must be \"int8\" or None"):
        layer_of("lstm").stepper(quantize="int4")
    with pytest.raises(OptionError, match="quantize is 'int4'"):
        elman.nn.LSTM(3, 4).stepper(quantize="int4")
