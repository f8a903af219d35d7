"""What the table of operations computes with (``graph/ops.py``), implemented by torch."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor


class TorchMathematics:
    """The functions used by the table of operations, implemented by torch."""

    add = staticmethod(torch.add)
    subtract = staticmethod(torch.sub)
    multiply = staticmethod(torch.mul)
    divide = staticmethod(torch.div)
    negate = staticmethod(torch.neg)
    exp = staticmethod(torch.exp)
    log = staticmethod(torch.log)
    # torch's default threshold of 20 is only exact in float32: log(1 + exp(20)) - 20 is 2e-9
    softplus = staticmethod(partial(torch.nn.functional.softplus, threshold=40))
    sqrt = staticmethod(torch.sqrt)
    sin = staticmethod(torch.sin)
    cos = staticmethod(torch.cos)
    floor = staticmethod(torch.floor)
    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)
    relu = staticmethod(torch.relu)
    maximum = staticmethod(torch.maximum)
    minimum = staticmethod(torch.minimum)
    greater = staticmethod(torch.gt)
    at_least = staticmethod(torch.ge)
    where = staticmethod(torch.where)

    @staticmethod
    def mean(a: Tensor) -> Tensor:
        return a.mean(-1, keepdim=True)

    @staticmethod
    def rsqrt(a: Tensor, offset: float) -> Tensor:
        return torch.rsqrt(a + offset)

    # matrix states: the last axes are head, unit and key

    @staticmethod
    def key_sum(a: Tensor) -> Tensor:
        return a.sum(-1, keepdim=True)

    @staticmethod
    def unit_sum(a: Tensor) -> Tensor:
        return a.sum(-2, keepdim=True)

    @staticmethod
    def head_sum(a: Tensor) -> Tensor:
        return a.sum((-2, -1), keepdim=True)

    # functions of matrices

    @staticmethod
    def transpose(a: Tensor) -> Tensor:
        return a.mT

    @staticmethod
    def orthogonal(a: Tensor) -> Tensor:
        unit = torch.eye(len(a), dtype=a.dtype, device=a.device)
        skew = a - a.mT
        found: Tensor = torch.linalg.solve(unit + skew, unit - skew)
        return found

    @staticmethod
    def householder(a: Tensor) -> Tensor:
        below = a.tril(-1)
        lengths = 1 + (below * below).sum(0)
        found: Tensor = torch.linalg.householder_product(below, 2 / lengths)
        return found

    @staticmethod
    def unit_rows(a: Tensor) -> Tensor:
        return torch.nn.functional.normalize(a, dim=1)

    @staticmethod
    def lower_triangle(a: Tensor) -> Tensor:
        return a.tril()

    @staticmethod
    def heads(a: Tensor, count: int) -> Tensor:
        blocks = a.unflatten(0, (count, -1)).movedim(0, -1)  # row column head
        rows, columns = a.shape[0], a.shape[1] * count
        return torch.diag_embed(blocks).permute(2, 0, 3, 1).reshape(rows, columns)
