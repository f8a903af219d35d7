"""Layers: ``Recurrent`` for any cell, and drop-in replacements for torch.nn's recurrent layers.

``RNNCell``, ``LSTMCell`` and ``GRUCell`` are torch.nn's: for a single step with gradients, packing
weights does not pay.  Use ``Recurrent.step`` for streaming, ``Recurrent.stepper`` in
real time.
"""

from torch.nn import GRUCell, LSTMCell, RNNCell

from elman.nn import safe_globals
from elman.nn.initial import chrono, hippo_
from elman.nn.recurrent import Recurrent
from elman.nn.sequence import Stack
from elman.nn.stepper import Stepper
from elman.nn.torch_layers import GRU, LSTM, RNN
from elman.nn.torch_weights import from_torch, to_torch
from elman.nn.truncation import chunks, detached

safe_globals.allow()

__all__ = [
    "GRU",
    "GRUCell",
    "LSTM",
    "LSTMCell",
    "RNN",
    "RNNCell",
    "Recurrent",
    "Stack",
    "Stepper",
    "chrono",
    "chunks",
    "detached",
    "from_torch",
    "hippo_",
    "to_torch",
]
