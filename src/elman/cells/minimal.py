"""Gated cells with fewer gates or fewer matrices than the GRU."""

from elman.graph import cell, sigmoid, tanh


@cell(gates="f h")
def mgu(x, h, *, W, b):
    """Minimal gated unit (Zhou et al. 2016): the GRU with one gate for both of its jobs."""
    f = sigmoid(W.f @ [h, x] + b.f)
    n = tanh(W.h @ [f * h, x] + b.h)
    h = (1 - f) * h + f * n
    return h


@cell(gates="f h", init={"b.f": 1.0})
def janet(x, h, *, W, b):
    """LSTM with a forget gate alone, JANET (van der Westhuizen and Lasenby 2018)."""
    s = W.f @ [h, x] + b.f
    n = tanh(W.h @ [h, x] + b.h)
    h = sigmoid(s) * h + (1 - sigmoid(s - 1)) * n
    return h


@cell(gates="a z h", init={"s.z": 1.0, "s.h": -4.0})
def fast_grnn(x, h, *, W, b, s):
    """FastGRNN (Kusupati et al. 2018), for tiny devices: gate and candidate share a matrix."""
    a = W.a @ [h, x]
    z = sigmoid(a + b.z)
    n = tanh(a + b.h)
    h = (sigmoid(s.z) * (1 - z) + sigmoid(s.h)) * n + z * h
    return h
