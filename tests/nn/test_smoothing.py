import pytest
import torch

from elman.nn import smoothing
from elman.nn.smoothing import smoothed_nll


@pytest.mark.parametrize("part", [0.0, 0.1])
@pytest.mark.parametrize("rows", [1, 4, 11])
def test_the_loss_agrees_with_torch_in_value_and_gradients_over_blocks(part, rows, monkeypatch):
    monkeypatch.setattr(smoothing, "_BLOCK", 4)
    torch.manual_seed(rows)
    x = torch.randn(rows, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(7, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(7, dtype=torch.float64, requires_grad=True)
    wanted = torch.randint(7, (rows,))
    ours = smoothed_nll(x, weight, bias, wanted, part)
    theirs = torch.nn.functional.cross_entropy(
        x @ weight.T + bias, wanted, reduction="sum", label_smoothing=part
    )
    torch.testing.assert_close(ours, theirs)
    grads = [torch.autograd.grad(3 * loss, (x, weight, bias)) for loss in (ours, theirs)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


def test_large_scores_do_not_overflow_and_no_rows_are_no_loss():
    weight, bias = torch.eye(3) * 1e4, torch.zeros(3)
    loss = smoothed_nll(torch.tensor([[1.0, 0, 0]]), weight, bias, torch.tensor([1]))
    assert loss == 1e4
    assert smoothed_nll(torch.empty(0, 3), weight, bias, torch.empty(0, dtype=torch.int64)) == 0
