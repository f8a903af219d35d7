"""Cells with layer normalisation (Ba, Kiros and Hinton 2016).

The recurrent and the input sums are normalised separately, with gains ``p`` and ``q``.  Each gate
is normalised by itself, as in most libraries; the paper normalises all gates together.

Gains are initialised to 1, those of the recurrent sums to 0.1 (Cooijmans et al. 2017): with 1, a
step amplifies small differences of the state, and the layer is chaotic over some hundred steps.
"""

from elman.graph import cell, layer_norm, sigmoid, tanh


def _gains(recurrent: str, inputs: str) -> dict[str, float]:
    """Initial gains of the gates' recurrent sums and input sums."""
    return {f"p.{gate}": 0.1 for gate in recurrent} | {f"q.{gate}": 1.0 for gate in inputs}


@cell(gates="i f g o c", init={"b.f": 1.0, **_gains("ifgo", "ifgo"), "p.c": 1.0})
def layer_norm_lstm(x, h, c, *, R, W, b, p, q):
    """LSTM with layer normalisation (Ba, Kiros and Hinton 2016)."""
    f = sigmoid(p.f * layer_norm(R.f @ h) + q.f * layer_norm(W.f @ x) + b.f)
    i = sigmoid(p.i * layer_norm(R.i @ h) + q.i * layer_norm(W.i @ x) + b.i)
    g = tanh(p.g * layer_norm(R.g @ h) + q.g * layer_norm(W.g @ x) + b.g)
    o = sigmoid(p.o * layer_norm(R.o @ h) + q.o * layer_norm(W.o @ x) + b.o)
    c = f * c + i * g
    h = o * tanh(p.c * layer_norm(c) + b.c)
    return h, c


@cell(gates="z r n m", init=_gains("zrm", "zrn"))
def layer_norm_gru(x, h, *, R, W, b, p, q):
    """GRU with layer normalisation (Ba, Kiros and Hinton 2016): reset after the product."""
    z = sigmoid(p.z * layer_norm(R.z @ h) + q.z * layer_norm(W.z @ x) + b.z)
    r = sigmoid(p.r * layer_norm(R.r @ h) + q.r * layer_norm(W.r @ x) + b.r)
    m = p.m * layer_norm(R.m @ h) + b.m
    n = tanh(q.n * layer_norm(W.n @ x) + b.n + r * m)
    h = (1 - z) * h + z * n
    return h
