"""The gated recurrent unit, in its two conventions.

They are different cells: no mapping of weights turns one into the other.
"""

from elman.graph import cell, sigmoid, tanh


@cell(gates="z r h")
def gru(x, h, *, W, b):
    """Gated recurrent unit (Cho et al. 2014): reset before the product, z weighs the new value."""
    z = sigmoid(W.z @ [h, x] + b.z)
    r = sigmoid(W.r @ [h, x] + b.r)
    n = tanh(W.h @ [r * h, x] + b.h)
    h = (1 - z) * h + z * n
    return h


@cell(gates="r z n m")
def gru_reset_after(x, h, *, W, b):
    """The GRU of torch.nn and cuDNN: reset after the product, z weighs the old value."""
    r = sigmoid(W.r @ [h, x] + b.r)
    z = sigmoid(W.z @ [h, x] + b.z)
    m = W.m @ h + b.m
    n = tanh(W.n @ x + b.n + r * m)
    h = (1 - z) * n + z * h
    return h
