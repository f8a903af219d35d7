"""The classes of a saved layer that ``torch.load(path, weights_only=True)`` may construct.

They hold tensors, numbers and equations; constructing one runs no code from the file.  Allow the
other modules of a model with ``torch.serialization.add_safe_globals``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn
from torch.serialization import add_safe_globals

from elman.backends.engine import Memo
from elman.graph.reader import read_cell
from elman.nn import recurrent, sequence
from elman.nn.between import Between
from elman.nn.noise import MaskCache, Noise
from elman.nn.penalties import Penalties
from elman.nn.recurrent import Recurrent
from elman.nn.stack import Stack
from elman.nn.torch_layers import GRU, LSTM, RNN

SAFE: list[Callable[..., Any]] = [
    RNN, LSTM, GRU, nn.RNNCell, nn.LSTMCell, nn.GRUCell,
    Recurrent, recurrent._Direction, recurrent._Family, nn.ModuleList,
    Stack, Between, Noise, Penalties, MaskCache, Memo, read_cell,
    sequence.Stack, nn.LayerNorm, nn.Dropout, nn.ParameterList,
]  # fmt: skip


def allow() -> None:
    """Allow ``torch.load`` to construct these classes; the package calls this once."""
    add_safe_globals(SAFE)  # type: ignore[arg-type]
