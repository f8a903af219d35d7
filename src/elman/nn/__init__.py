"""Layers: ``Recurrent`` for any cell, torch.nn's three by name, and what stands around them."""

from elman.nn.recurrent import Recurrent
from elman.nn.torch_layers import GRU, LSTM, RNN
from elman.nn.torch_weights import from_torch, to_torch

__all__ = ["GRU", "LSTM", "RNN", "Recurrent", "from_torch", "to_torch"]
