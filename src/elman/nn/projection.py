"""The LSTM with a projected state (Sak, Senior and Beaufays 2014), torch.nn's ``proj_size``.

Its h has ``proj_size`` numbers and its c ``hidden_size``.  A cell has one size for all states, so
h is followed by zeros here: the rows of ``W.r`` that would fill them are zero.  All that knows of
this padding is in this file.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from elman.graph import cell, sigmoid, tanh


@cell(gates="i f g o r")
def projected_lstm(x, h, c, *, W, b):  # type: ignore[no-untyped-def]
    """Long short-term memory with a recurrent projection (Sak et al. 2014)."""
    f = sigmoid(W.f @ [h, x] + b.f)
    i = sigmoid(W.i @ [h, x] + b.i)
    g = tanh(W.g @ [h, x] + b.g)
    o = sigmoid(W.o @ [h, x] + b.o)
    c = f * c + i * g
    h = W.r @ (o * tanh(c))
    return h, c


def pad_recurrent(w_hh: Tensor, hidden_size: int) -> Tensor:
    """(gates * hidden, proj) with zeros for what follows h: (gates * hidden, hidden)."""
    return pad(w_hh, (0, hidden_size - w_hh.shape[1]))


def pad_projection(w_hr: Tensor) -> Tensor:
    """(proj, hidden) with rows of zeros: (hidden, hidden)."""
    projected, hidden = w_hr.shape
    return pad(w_hr, (0, 0, 0, hidden - projected))


def pad_state(h: Tensor, hidden_size: int) -> Tensor:
    """(..., proj) followed by zeros: (..., hidden)."""
    return pad(h, (0, hidden_size - h.shape[-1]))


def cut_state(h: Tensor, proj_size: int) -> Tensor:
    """(..., hidden) without the zeros: (..., proj)."""
    return h[..., :proj_size]
