"""Layers: ``Recurrent`` for any cell, torch.nn's six by name, and what stands around them.

``RNNCell``, ``LSTMCell`` and ``GRUCell`` are torch.nn's own: a single step with gradients leaves an
engine that packs weights nothing to win.  A stream is best run by ``Recurrent.step``.
"""

from torch.nn import GRUCell, LSTMCell, RNNCell

from elman.nn import safe_globals
from elman.nn.recurrent import Recurrent
from elman.nn.torch_layers import GRU, LSTM, RNN
from elman.nn.torch_weights import from_torch, to_torch

safe_globals.allow()

__all__ = [
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "RNN",
    "RNNCell",
    "Recurrent",
    "from_torch",
    "to_torch",
]
