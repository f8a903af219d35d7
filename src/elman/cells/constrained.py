"""Cells whose recurrent matrices are computed from parameters, so that a state lasts.

``elman.graph.ops`` has the functions of matrices, such as ``orthogonal(W.h)``.
"""

from elman.graph import abs, cell, orthogonal, relu, sigmoid, tanh, where


@cell(gates="h z x")
def antisymmetric_rnn(x, h, *, W, V, b):
    """Antisymmetric RNN with gate (Chang et al. 2019): the step of a stable differential equation.

    The step size is 0.1, the diffusion 0.01.
    """
    moved = (W.h - W.h.T) @ h - 0.01 * h
    z = sigmoid(moved + V.z @ x + b.z)
    h = h + 0.1 * z * tanh(moved + V.x @ x + b.x)
    return h


@cell(gates="h x")
def orthogonal_rnn(x, h, *, W, b):
    """RNN with an orthogonal recurrent matrix and modReLU (Helfrich, Willmott and Ye 2018)."""
    a = orthogonal(W.h) @ h + W.x @ x
    h = where(a > 0, 1, -1) * relu(abs(a) + b.h)
    return h


@cell(gates="a h x")
def lipschitz_rnn(x, h, *, W, b):
    """Lipschitz RNN (Erichson et al. 2021): a linear part and a squashed one, both damped.

    The paper's β is 0.75 and its γ 0.001 for both matrices; the step size is 0.03.
    """
    linear = (0.25 * (W.a + W.a.T) + 0.75 * (W.a - W.a.T)) @ h - 0.001 * h
    squashed = tanh((0.25 * (W.h + W.h.T) + 0.75 * (W.h - W.h.T)) @ h - 0.001 * h + W.x @ x + b.h)
    h = h + 0.03 * (linear + squashed)
    return h
