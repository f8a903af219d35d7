"""``RNN``, ``LSTM`` and ``GRU`` with torch.nn's arguments, results and ``state_dict``.

To switch, change one import: ``from elman.nn import LSTM``.  Each class is a ``torch.nn.RNNBase``,
so parameters, their initialisation, their replacement (``setattr``, hooks, parametrizations,
``torch.func.functional_call``) and the errors for arguments are torch.nn's; only ``forward`` is
Elman's.  They do not subclass ``torch.nn.LSTM`` and the like, because torch.compile breaks its
graph at each instance of those.  The loop over layers is in ``torch_stack.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from elman.autograd import autocasts
from elman.backends import check
from elman.errors import OptionError, ShapeError
from elman.nn.stack import autocast
from elman.nn.stepper import Quantize, Stepper
from elman.nn.torch_stack import repack, run_layers, unpack
from elman.nn.torch_weights import from_torch
from elman.nn.torchscript import NotForTorchScript

Device = torch.device | str | int | None


class _TorchLayer(NotForTorchScript, nn.RNNBase):
    """The common base: ``forward`` on a tuple of states."""

    def __init__(self, *arguments: Any) -> None:
        mode, num_layers = arguments[0], arguments[3]
        if not isinstance(num_layers, int):  # torch has a sentence for the sizes
            raise OptionError(
                f"{mode.split('_')[0]}: num_layers is {num_layers!r}; it must be a positive "
                "integer."
            )
        super().__init__(*arguments)
        check("auto")  # creates the engines, which torch.compile cannot

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        check("auto")

    def _run(
        self, x: Tensor | PackedSequence, states: Sequence[Tensor] | None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, ...]]:
        """The outputs and last states, in torch.nn's layout."""
        weights = self._weights()
        if not isinstance(x, Tensor | PackedSequence):
            kind = f"{type(x).__module__}.{type(x).__name__}"
            raise TypeError(
                f"{self._kind}: the input is a {kind}; it must be a torch.Tensor, as "
                "torch.from_numpy makes of an array, or a PackedSequence."
            )
        if isinstance(x, PackedSequence):
            data, lengths = unpack(x)
            states = self._first(states, x.data, data.shape[1])
            self._check(x.data, states, x.batch_sizes)
            if x.sorted_indices is not None:
                states = [s.index_select(1, x.sorted_indices) for s in states]
            y, last = run_layers(self, weights, autocast(data), states, lengths)
            if x.unsorted_indices is not None:
                last = [s.index_select(1, x.unsorted_indices) for s in last]
            return repack(y, lengths, x), tuple(last)
        if x.dim() not in (2, 3):
            raise ValueError(f"{self._kind}: Expected input to be 2D or 3D, got {x.dim()}D instead")
        axis = 0 if self.batch_first else 1
        batched = x.dim() == 3
        if states is not None and any([s.dim() != x.dim() for s in states]):
            raise RuntimeError(self._wrong_axes(batched, states))
        if not batched:
            x = x.unsqueeze(axis)
            states = None if states is None else [s.unsqueeze(1) for s in states]
        states = self._first(states, x, x.shape[axis])
        self._check(x, states, None)
        y, last = run_layers(
            self, weights, autocast(x.transpose(0, 1) if self.batch_first else x), states, None
        )
        if self.batch_first:
            y = y.transpose(0, 1)
        if not batched:
            return y.squeeze(axis), tuple([s.squeeze(1) for s in last])
        return y, tuple(last)

    def stepper(
        self,
        batch: int = 1,
        *,
        output: nn.Linear | None = None,
        quantize: Quantize | None = None,
    ) -> Stepper:
        """Steps in real time with a copy of the weights; see ``elman.Recurrent.stepper``.

        Raises ``OptionError`` for a bidirectional layer and for an LSTM with ``proj_size``.
        """
        return from_torch(self).stepper(batch, output=output, quantize=quantize)

    def _weights(self) -> list[list[Tensor]]:
        """The current weights of each layer and direction, even if parameters were replaced."""
        if torch.compiler.is_compiling():
            return [[getattr(self, name) for name in names] for names in self._all_weights]
        self._update_flat_weights()
        flat: list[Tensor] = []
        for name, tensor in zip(self._flat_weights_names, self._flat_weights, strict=True):
            if not isinstance(tensor, Tensor):
                raise ShapeError(
                    f"{self._kind}: {name} is {tensor!r}; set it to a tensor before the call."
                )
            flat.append(tensor)
        size = len(self._all_weights[0])
        return [flat[k : k + size] for k in range(0, len(flat), size)]

    def _first(self, states: Sequence[Tensor] | None, x: Tensor, batch: int) -> Sequence[Tensor]:
        """The initial states of the layers, as given or zeros."""
        if states is not None:
            for state in states:
                if not autocasts(x.device.type) and (
                    state.dtype != x.dtype or state.device != x.device
                ):
                    raise ShapeError(
                        f"{self._kind}: hx is {state.dtype} on {state.device}, but input is "
                        f"{x.dtype} on {x.device}; convert one with .to(...)."
                    )
            return [autocast(state) for state in states]
        x = autocast(x)
        places = self.num_layers * (2 if self.bidirectional else 1)
        sizes = [self.proj_size or self.hidden_size]
        sizes += [self.hidden_size] if self.mode == "LSTM" else []
        return [x.new_zeros(places, batch, size) for size in sizes]

    @property
    def _kind(self) -> str:
        return self.mode.split("_")[0]

    def _check(self, x: Tensor, states: Sequence[Tensor], batch_sizes: Tensor | None) -> None:
        """Raise torch.nn's errors."""
        (hidden,) = states
        self.check_forward_args(x, hidden, batch_sizes)

    def _wrong_axes(self, batched: bool, states: Sequence[Tensor]) -> str:
        kind, axes = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
        found = ", ".join([f"{s.dim()}-D" for s in states])
        if len(states) == 1:
            return f"For {kind} input, hx should also be {axes}-D but got {found} tensor"
        return f"For {kind} input, hx and cx should also be {axes}-D but got ({found}) tensors"


class RNN(_TorchLayer):
    """The simple recurrent layer (Elman 1990), a drop-in replacement for ``torch.nn.RNN``.

    ``rnn(input, hx=None)`` returns ``(output, h_n)``, shapes as in torch.nn.

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
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run over whole sequences; the arguments and results of ``torch.nn.RNN``."""
        y, (h,) = self._run(input, _one_state("RNN", hx))
        return y, h


class LSTM(_TorchLayer):
    """Long short-term memory (Hochreiter and Schmidhuber 1997), replacing ``torch.nn.LSTM``.

    ``lstm(input, hx=None)`` with ``hx = (h_0, c_0)`` returns ``(output, (h_n, c_n))``, shapes as in
    torch.nn.  ``proj_size`` projects the output (Sak, Senior and Beaufays 2014).

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
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, proj_size, device, dtype,
        )  # fmt: skip

    # torch.nn.LSTM overrides these of RNNBase for its pair of states
    get_expected_cell_size: Any = nn.LSTM.get_expected_cell_size
    check_forward_args: Any = nn.LSTM.check_forward_args
    permute_hidden: Any = nn.LSTM.permute_hidden

    def forward(
        self, input: Tensor | PackedSequence, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor | PackedSequence, tuple[Tensor, Tensor]]:
        """Run over whole sequences; the arguments and results of ``torch.nn.LSTM``."""
        if hx is not None:
            _check_pair(hx)
        y, (h, c) = self._run(input, hx)
        return y, (h, c)

    def _check(self, x: Tensor, states: Sequence[Tensor], batch_sizes: Tensor | None) -> None:
        hidden, cell = states
        self.check_forward_args(x, (hidden, cell), batch_sizes)


class GRU(_TorchLayer):
    """The gated recurrent unit of cuDNN (reset after the product), replacing ``torch.nn.GRU``.

    ``gru(input, hx=None)`` returns ``(output, h_n)``, shapes as in torch.nn.  The GRU of Cho et al.
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
        device: Device = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first,
            dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Run over whole sequences; the arguments and results of ``torch.nn.GRU``."""
        y, (h,) = self._run(input, _one_state("GRU", hx))
        return y, h


def _check_pair(hx: object) -> None:
    """Raise ``ShapeError`` unless these are the two states of an LSTM."""
    came = "a tensor" if isinstance(hx, Tensor) else f"of type {type(hx).__name__}"
    if isinstance(hx, tuple | list):
        others = [each for each in hx if not isinstance(each, Tensor)]
        if len(hx) == 2 and not others:
            return
        came = f"{len(hx)} tensors"
        if others:
            came = f"a {type(hx).__name__} with an element of type {type(others[0]).__name__}"
    raise ShapeError(f"LSTM: hx is {came}; it must be a pair (h_0, c_0) of tensors.")


def _one_state(kind: str, hx: Tensor | None) -> tuple[Tensor] | None:
    if hx is not None and not isinstance(hx, Tensor):
        raise ShapeError(f"{kind}: hx is of type {type(hx).__name__}; it must be one tensor h_0.")
    return None if hx is None else (hx,)
