"""Operations inside ``batch_invariant``: a row has the same bits alone and among others."""

import pytest
import torch
from torch import nn

import elman
from elman.cells import ALL, WITH_INPUTS, WITH_MATRIX_STATES
from elman.nn.batch_invariance import batch_invariant


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("outputs", [1, 2, 5, 9, 33])
def test_a_linear_layer_of_any_width(outputs, dtype):
    """Kernels may add in another order where a row of a matrix is not aligned."""
    torch.manual_seed(outputs)
    for inputs in (1, 2, 3, 5, 7, 9, 16, 18, 31, 33, 50, 100):
        weight, bias = torch.randn(outputs, inputs, dtype=dtype), torch.randn(outputs, dtype=dtype)
        rows = torch.randn(37, inputs, dtype=dtype)
        with torch.no_grad(), batch_invariant():
            whole = nn.functional.linear(rows, weight, bias)
            for row, among in zip(rows.split(1), whole.split(1), strict=True):
                assert torch.equal(nn.functional.linear(row, weight, bias), among)
        torch.testing.assert_close(whole, rows @ weight.T + bias)


@pytest.mark.parametrize(
    "function", [torch.sigmoid, torch.tanh, torch.exp, torch.log1p, nn.functional.softplus]
)
@pytest.mark.parametrize("width", [1, 2, 3, 17])
def test_functions_of_any_number_of_elements(function, width):
    torch.manual_seed(width)
    rows = 3 * torch.randn(67, width).abs()
    with torch.no_grad(), batch_invariant():
        whole = function(rows)
        for row, among in zip(rows.split(1), whole.split(1), strict=True):
            assert torch.equal(function(row), among)
    torch.testing.assert_close(whole, function(rows))


def test_a_sigmoid_of_large_numbers():
    x = torch.tensor([-torch.inf, -200.0, 0.0, 200.0, torch.inf, torch.nan])
    with torch.no_grad(), batch_invariant():
        found = torch.sigmoid(x)
    torch.testing.assert_close(found, torch.sigmoid(x), equal_nan=True)


@pytest.mark.parametrize("name", ["lstm", "antisymmetric_rnn", *WITH_INPUTS, *WITH_MATRIX_STATES])
def test_a_recurrent_layer_also_where_it_computes_before_the_steps(name):
    """Values that need no state, such as those of inputs beside x, are computed by torch."""
    torch.manual_seed(0)
    layer = elman.Recurrent(ALL[name], 70, 128)
    x = torch.randn(3, 33, 70)
    beside = {n: torch.rand(3, 33, 1 if size == "one" else 70) for n, size in ALL[name].inputs}
    with torch.no_grad(), batch_invariant():
        among, _ = layer(x, **beside)
        for row in range(33):
            own = {n: value[:, row : row + 1] for n, value in beside.items()}
            alone, _ = layer(x[:, row : row + 1], **own)
            assert torch.equal(alone, among[:, row : row + 1])
    torch.testing.assert_close(among, layer(x, **beside)[0], rtol=1e-4, atol=1e-5)
