"""Cells that are told how much time has passed: irregular steps, missing values.

They take inputs beside x (``elman.cell(inputs=...)``), which the layer takes by name:
``layer(x, dt=gaps)``.
"""

from elman.graph import cell, exp, maximum, sigmoid, tanh


@cell(
    gates="x s z r h",
    inputs={"m": "input", "d": "input"},
    sizes={"w.x": "input", "b.x": "input"},
)
def gru_d(x, h, m, d, *, W, b, w):
    """GRU-D (Che et al. 2018): values that may be missing, which decay as time passes.

    x has each value, or the last one before where it is missing, relative to its mean; m is 1 where
    there is a value and else 0; d is the time since the last value.
    """
    decay = exp(-maximum(w.x * d + b.x, 0))
    seen = m * x + (1 - m) * decay * x
    h = exp(-maximum(W.s @ d + b.s, 0)) * h
    z = sigmoid(W.z @ [h, seen, m] + b.z)
    r = sigmoid(W.r @ [h, seen, m] + b.r)
    n = tanh(W.h @ [r * h, seen, m] + b.h)
    h = (1 - z) * h + z * n
    return h


@cell(gates="f g a t", inputs={"dt": "one"})
def cfc(x, h, dt, *, W, b):
    """Closed-form continuous-time cell (Hasani et al. 2022), without a backbone.

    dt is the time since the last step.  The state goes from f to g as time passes.
    """
    f = tanh(W.f @ [h, x] + b.f)
    g = tanh(W.g @ [h, x] + b.g)
    passed = sigmoid((W.a @ [h, x] + b.a) * dt + W.t @ [h, x] + b.t)
    h = f * (1 - passed) + passed * g
    return h
