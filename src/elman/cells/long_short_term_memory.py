"""The long short-term memory, with separate and with coupled input and forget gates."""

from elman.graph import cell, sigmoid, tanh


@cell(gates="i f g o", init={"b.f": 1.0})
def lstm(x, h, c, *, W, b):
    """Long short-term memory (Hochreiter and Schmidhuber 1997; forget gate: Gers et al. 2000)."""
    f = sigmoid(W.f @ [h, x] + b.f)
    i = sigmoid(W.i @ [h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


@cell(gates="f g o", init={"b.f": 1.0})
def coupled_lstm(x, h, c, *, W, b):
    """LSTM with coupled input and forget gates, i = 1 - f (Greff et al. 2015)."""
    f = sigmoid(W.f @ [h, x] + b.f)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + (1 - f) * g
    h = o * tanh(c)
    return h, c
