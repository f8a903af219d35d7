"""LSTMs whose gates read the memory c; the output gate reads the new c."""

from elman.graph import cell, sigmoid, tanh


@cell(gates="i f g o", init={"b.f": 1.0})
def peephole_lstm(x, h, c, *, W, b):
    """LSTM with full peephole matrices (after Gers and Schmidhuber 2000)."""
    f = sigmoid(W.f @ [c, h, x] + b.f)
    i = sigmoid(W.i @ [c, h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ [c, h, x] + b.o)
    h = o * tanh(c)
    return h, c


@cell(gates="i f g o", init={"b.f": 1.0})
def diagonal_peephole_lstm(x, h, c, *, W, b, p):
    """LSTM with a peephole weight for each unit (Gers and Schmidhuber 2000; ONNX's P)."""
    f = sigmoid(W.f @ [h, x] + p.f * c + b.f)
    i = sigmoid(W.i @ [h, x] + p.i * c + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + i * g
    o = sigmoid(W.o @ [h, x] + p.o * c + b.o)
    h = o * tanh(c)
    return h, c


@cell(gates="f g o", init={"b.f": 1.0})
def coupled_peephole_lstm(x, h, c, *, W, b):
    """LSTM with full peepholes and i = 1 - f (Greff et al. 2015)."""
    f = sigmoid(W.f @ [c, h, x] + b.f)
    g = tanh(W.g @ [h, x] + b.g)
    c = f * c + (1 - f) * g
    o = sigmoid(W.o @ [c, h, x] + b.o)
    h = o * tanh(c)
    return h, c
