"""Cells whose states have sizes of their own, to which a layer gives numbers (``sizes``)."""

from elman.graph import cell, sigmoid, tanh


@cell(
    gates="i f g o p",
    init={"b.f": 1.0},
    sizes={"h": "projection", "W.p": "projection"},
)
def lstmp(x, h, c, *, W, b):
    """LSTM with a recurrent projection: h is smaller than c (Sak, Senior and Beaufays 2014)."""
    f = sigmoid(W.f @ [h, x] + b.f)
    i = sigmoid(W.i @ [h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + i * g
    h = W.p @ (o * tanh(c))
    return h, c


@cell(gates="s h", sizes={"s": "context", "W.s": "context", "a.s": "context"}, init={"a.s": 3.0})
def scrn(x, h, s, *, W, a, b):
    """Structurally constrained network: a slow context of its own size (Mikolov et al. 2015).

    The context keeps a share σ(a) of itself, 0.95 at first as in the paper, here learned per unit.
    """
    keep = sigmoid(a.s)
    s = keep * s + (1 - keep) * (W.s @ x)
    h = sigmoid(W.h @ [s, h, x] + b.h)
    return h, s
