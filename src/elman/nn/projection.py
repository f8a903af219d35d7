"""The LSTM with a recurrent projection (Sak, Senior and Beaufays 2014): ``proj_size`` in torch.nn.

Its h has size ``proj_size`` and its c ``hidden_size``.  A cell has one size for all states, so h is
padded with zeros; the corresponding rows of ``W.r`` are zero.  Only this module pads.
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
    """Pad (gates * hidden, proj) with columns of zeros to (gates * hidden, hidden)."""
    return pad(w_hh, (0, hidden_size - w_hh.shape[1]))


def pad_projection(w_hr: Tensor) -> Tensor:
    """Pad (proj, hidden) with rows of zeros to (hidden, hidden)."""
    projected, hidden = w_hr.shape
    return pad(w_hr, (0, 0, 0, hidden - projected))


def pad_state(h: Tensor, hidden_size: int) -> Tensor:
    """Pad (..., proj) with zeros to (..., hidden)."""
    return pad(h, (0, hidden_size - h.shape[-1]))


def cut_state(h: Tensor, proj_size: int) -> Tensor:
    """Cut the padding: (..., hidden) to (..., proj)."""
    return h[..., :proj_size]
