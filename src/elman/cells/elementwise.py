"""Cells whose states meet no matrix: each unit remembers by itself, and a step costs little.

All matrix products need only the input, so they are computed for all steps at once.  Stack layers
of these cells, so that units meet each other in the layers above.
"""

from elman.graph import cell, cos, exp, maximum, relu, sigmoid, sin, softplus, sqrt, tanh


@cell(gates="h")
def ind_rnn(x, h, *, W, u, b):
    """Independently recurrent network (Li et al. 2018): a number per unit for its own past."""
    h = relu(W.h @ x + u.h * h + b.h)
    return h


@cell(gates="z h")
def min_gru(x, h, *, W, b):
    """Minimal GRU (Feng et al. 2024): gate and candidate depend on the input alone."""
    z = sigmoid(W.z @ x + b.z)
    n = W.h @ x + b.h
    h = (1 - z) * h + z * n
    return h


@cell(gates="f i h", init={"b.f": 1.0})
def min_lstm(x, h, *, W, b):
    """Minimal LSTM (Feng et al. 2024): two gates of the input alone, which sum to one."""
    f = sigmoid(W.f @ x + b.f)
    i = sigmoid(W.i @ x + b.i)
    n = W.h @ x + b.h
    h = (f * h + i * n) / (f + i)
    return h


@cell(gates="z f o", init={"b.f": 1.0})
def qrnn(x, h, c, *, W, b):
    """Quasi-recurrent network, window 1, fo-pooling (Bradbury et al. 2017)."""
    z = tanh(W.z @ x + b.z)
    f = sigmoid(W.f @ x + b.f)
    o = sigmoid(W.o @ x + b.o)
    c = f * c + (1 - f) * z
    h = o * c
    return h, c


@cell(gates="c f r p", init={"b.f": 1.0})
def sru(x, h, c, *, W, v, b):
    """Simple recurrent unit (Lei et al. 2018); W.p projects the input for the highway."""
    f = sigmoid(W.f @ x + v.f * c + b.f)
    r = sigmoid(W.r @ x + v.r * c + b.r)
    c = f * c + (1 - f) * (W.c @ x)
    h = r * c + (1 - r) * (W.p @ x)
    return h, c


@cell(gates="r i u a", init={"p.a": -4.3})
def rg_lru(x, h, *, W, b, p):
    """Real-gated linear recurrent unit of Griffin (De et al. 2024), after a projection W.u."""
    r = sigmoid(W.r @ x + b.r)
    i = sigmoid(W.i @ x + b.i)
    log_a = -8 * softplus(p.a) * r
    # the root's derivative at 0 is infinite, so the argument stays above it
    scale = sqrt(maximum(1 - exp(2 * log_a), 1e-6))
    h = exp(log_a) * h + scale * (i * (W.u @ x + b.u))
    return h


@cell(gates="r i o a t", init={"p.a": -3.5})
def lru(x, h, r, i, *, W, p):
    """Linear recurrent unit (Orvieto et al. 2023): complex numbers r, i that turn and shrink."""
    size = exp(-exp(p.a))
    scale = sqrt(maximum(1 - size * size, 1e-6))
    new_r = size * (cos(p.t) * r - sin(p.t) * i) + scale * (W.r @ x)
    new_i = size * (sin(p.t) * r + cos(p.t) * i) + scale * (W.i @ x)
    h = W.o @ [new_r, new_i, x]
    return h, new_r, new_i
