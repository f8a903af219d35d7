"""Cells that are steps of a solver for differential equations, and so keep gradients in bounds."""

from elman.graph import cell, sigmoid, tanh


@cell(gates="v")
def co_rnn(x, h, v, *, W, b):
    """Coupled oscillatory network (Rusch and Mishra 2021): h swings, v is its velocity.

    Step 0.042, frequency 2.7 and damping 4.7, the paper's for sequential images.
    """
    v = v + 0.042 * (tanh(W.v @ [h, v, x] + b.v) - 2.7 * h - 4.7 * v)
    h = h + 0.042 * v
    return h, v


@cell(gates="s t z h")
def lem(x, h, z, *, W, b):
    """Long expressive memory (Rusch et al. 2022): two states with time steps of their own."""
    s = sigmoid(W.s @ [h, x] + b.s)
    t = sigmoid(W.t @ [h, x] + b.t)
    z = (1 - s) * z + s * tanh(W.z @ [h, x] + b.z)
    h = (1 - t) * h + t * tanh(W.h @ [z, x] + b.h)
    return h, z
