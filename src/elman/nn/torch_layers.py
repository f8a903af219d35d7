"""``RNN``, ``LSTM`` and ``GRU`` with torch.nn's arguments, results and ``state_dict``.

One import is the whole change: ``from elman.nn import LSTM``.  The parameters are torch.nn's own
(``weight_ih_l0`` ...), drawn in torch.nn's order from torch's generator, so that a seed gives the
same model; they become the cell's at each call, see ``torch_weights.py``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.errors import OptionError
from elman.nn.noise import Noise
from elman.nn.penalties import Penalties
from elman.nn.stack import Stack, State, Training
from elman.nn.torch_weights import CELL_OF_MODE, cell_parameters, in_cell_order, refuse_projection


class _TorchLayer(nn.Module):
    """What the three have in common: torch.nn's parameters and a stack of the cell."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.bidirectional = bias, batch_first, bidirectional
        self.dropout = float(dropout)
        cell = CELL_OF_MODE[mode]
        self.stack = Stack(
            cell=cell if bias else cell.without("b"),
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            batch_first=batch_first,
            noise=Noise(dropout=self.dropout),
            truncate=None,
            backend="auto",
        )
        gates = {"LSTM": 4, "GRU": 3}.get(mode, 1)
        for k in range(num_layers):
            width = self.stack.layer_input_size(k)
            shapes = {
                "weight_ih": (gates * hidden_size, width),
                "weight_hh": (gates * hidden_size, hidden_size),
                "bias_ih": (gates * hidden_size,),
                "bias_hh": (gates * hidden_size,),
            }
            for suffix in self._suffixes(k):
                for name, shape in shapes.items():
                    if bias or name.startswith("weight"):
                        empty = torch.empty(shape, device=device, dtype=dtype)
                        self.register_parameter(name + suffix, nn.Parameter(empty))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """torch.nn's first values: uniform within 1 / sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters of layer 0 forward, layer 0 reverse, layer 1 forward ..."""
        names = ["weight_ih", "weight_hh"] + (["bias_ih", "bias_hh"] if self.bias else [])
        return [
            [self.get_parameter(name + suffix) for name in names]
            for k in range(self.num_layers)
            for suffix in self._suffixes(k)
        ]

    def flatten_parameters(self) -> None:
        """Nothing to do here; torch.nn's modules have it for cuDNN."""

    def run(
        self, x: Tensor | PackedSequence, state: State | None
    ) -> tuple[Tensor | PackedSequence, State]:
        """The stack with torch.nn's parameters made into the cell's."""
        parameters = [
            in_cell_order(self.stack.cell, cell_parameters(self.mode, *weights))
            for weights in self.all_weights
        ]
        noisy = Training(Penalties()) if self.training and self.dropout else None
        return self.stack.run(parameters, x, state, None, noisy)

    def extra_repr(self) -> str:
        """As torch.nn prints it."""
        parts = [str(self.input_size), str(self.hidden_size)]
        parts += [f"num_layers={self.num_layers}"] if self.num_layers != 1 else []
        parts += [] if self.bias else ["bias=False"]
        parts += ["batch_first=True"] if self.batch_first else []
        parts += [f"dropout={self.dropout}"] if self.dropout else []
        parts += ["bidirectional=True"] if self.bidirectional else []
        return ", ".join(parts)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}"] + ([f"_l{layer}_reverse"] if self.bidirectional else [])


class RNN(_TorchLayer):
    """The plain recurrent layer (Elman 1990) in place of ``torch.nn.RNN``.

    ``rnn(x, h_0=None)`` returns ``(output, h_n)``, shapes as in torch.nn.

    >>> import torch, elman
    >>> y, h = elman.nn.RNN(3, 4, nonlinearity="relu")(torch.randn(5, 2, 3))
    >>> y.shape, h.shape
    (torch.Size([5, 2, 4]), torch.Size([1, 2, 4]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise OptionError(f'RNN: nonlinearity is {nonlinearity!r}; it is "tanh" or "relu".')
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    def forward(
        self, x: Tensor | PackedSequence, h_0: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run over whole sequences; the arguments and results of ``torch.nn.RNN``."""
        y, (h,) = self.run(x, None if h_0 is None else (h_0,))
        return y, h


class LSTM(_TorchLayer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) in place of ``torch.nn.LSTM``.

    ``lstm(x, (h_0, c_0)=None)`` returns ``(output, (h_n, c_n))``, shapes as in torch.nn.
    ``proj_size`` must be 0, else ``OptionError``.

    >>> import torch, elman
    >>> ours, theirs = elman.nn.LSTM(3, 4, 2), torch.nn.LSTM(3, 4, 2)
    >>> _ = ours.load_state_dict(theirs.state_dict())
    >>> x = torch.randn(5, 2, 3)
    >>> torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-6)
    True
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        refuse_projection(proj_size)
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, device, dtype,
        )  # fmt: skip
        self.proj_size = 0

    def forward(
        self, x: Tensor | PackedSequence, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Run over whole sequences; the arguments and results of ``torch.nn.LSTM``."""
        y, (h, c) = self.run(x, state)
        return y, (h, c)


class GRU(_TorchLayer):
    """The gated recurrent unit of cuDNN (reset after the product) in place of ``torch.nn.GRU``.

    ``gru(x, h_0=None)`` returns ``(output, h_n)``, shapes as in torch.nn.  The GRU of Cho et al.
    (2014) is ``elman.cells.gru``.

    >>> import torch, elman
    >>> y, h = elman.nn.GRU(3, 4, batch_first=True)(torch.randn(2, 5, 3))
    >>> y.shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, device, dtype,
        )  # fmt: skip

    def forward(
        self, x: Tensor | PackedSequence, h_0: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run over whole sequences; the arguments and results of ``torch.nn.GRU``."""
        y, (h,) = self.run(x, None if h_0 is None else (h_0,))
        return y, h
