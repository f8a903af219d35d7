"""Cells with more than the LSTM: exponential gates, products with the input, deeper steps."""

from elman.graph import cell, exp, maximum, relu, sigmoid, softplus, tanh, where


@cell(gates="i f z o", init={"b.f": 1.0})
def slstm(x, h, c, n, m, *, W, b):
    """Scalar LSTM of xLSTM (Beck et al. 2024): exponential gates and a normaliser."""
    log_f = -softplus(-(W.f @ [h, x] + b.f))
    log_i = W.i @ [h, x] + b.i
    z = tanh(W.z @ [h, x] + b.z)
    o = sigmoid(W.o @ [h, x] + b.o)
    top = where(abs(n) > 0, maximum(log_f + m, log_i), log_i)
    f = exp(log_f + m - top)
    i = exp(log_i - top)
    c = f * c + i * z
    n = f * n + i
    m = top
    h = o * (c / maximum(n, 0.5))  # n is never below 1 if the states begin at zero
    return h, c, n, m


@cell(gates="m i f g o", init={"b.f": 1.0})
def multiplicative_lstm(x, h, c, *, W, R, b):
    """Multiplicative LSTM (Krause et al. 2016): the input chooses the recurrent matrix."""
    m = (W.m @ x) * (R.m @ h)
    i = sigmoid(W.i @ [m, x] + b.i)
    f = sigmoid(W.f @ [m, x] + b.f)
    g = tanh(W.g @ [m, x] + b.g)
    o = sigmoid(W.o @ [m, x] + b.o)
    c = f * c + i * g
    h = o * tanh(c)
    return h, c


@cell(gates="a b c d e f g h")
def nas(x, h, c, *, W, R):
    """The cell that neural architecture search found (Zoph and Le 2017)."""
    first = tanh(sigmoid(W.a @ x + R.a @ h) * relu(W.b @ x + R.b @ h))
    second = tanh(sigmoid(W.c @ x + R.c @ h) + relu((W.d @ x) * (R.d @ h)))
    third = tanh(tanh(W.e @ x + R.e @ h) * sigmoid(W.f @ x + R.f @ h))
    fourth = sigmoid(tanh(W.g @ x + R.g @ h) + sigmoid(W.h @ x + R.h @ h))
    c = tanh(first + c) * second
    h = tanh(c * tanh(third + fourth))
    return h, c


@cell(gates="g t g2 t2 g3 t3", init={"b.t": -2.0, "b.t2": -2.0, "b.t3": -2.0})
def rhn(x, h, *, W, R, b):
    """Recurrent highway network with three layers in each step (Zilly et al. 2017)."""
    g = tanh(W.g @ x + R.g @ h + b.g)
    t = sigmoid(W.t @ x + R.t @ h + b.t)
    s = t * g + (1 - t) * h
    g2 = tanh(R.g2 @ s + b.g2)
    t2 = sigmoid(R.t2 @ s + b.t2)
    s2 = t2 * g2 + (1 - t2) * s
    g3 = tanh(R.g3 @ s2 + b.g3)
    t3 = sigmoid(R.t3 @ s2 + b.t3)
    h = t3 * g3 + (1 - t3) * s2
    return h
