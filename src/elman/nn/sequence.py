"""``Stack``: recurrent layers of different cells and sizes on top of each other.

``Recurrent`` stacks layers of one cell and one size.  What stands between layers is the same in
both (``between.py``).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from elman.backends import choose
from elman.errors import OptionError, ShapeError
from elman.nn.between import Between, Merge, norm_parameters, normalised
from elman.nn.recurrent import Recurrent
from elman.nn.stack import Lengths, State
from elman.nn.stepper import Quantize, Step, Stepper, make_stepper


class Stack(nn.Module):
    """Recurrent layers on top of each other: ``Stack([Recurrent(...), Recurrent(...)])``.

    The layers may differ in cells, sizes, depths and directions.  Each reads the output of the one
    below, so its ``input_size`` must be that output's size.

    - ``merge`` joins the directions of bidirectional layers: "concatenate" (2 * hidden), "sum" or
      "mean" (hidden).
    - ``residual`` adds each layer's input to its output, for layers where both have the same size
      (He et al. 2016; Wu et al. 2016).
    - ``norm`` normalises each layer's input except the first one's (Ba, Kiros and Hinton 2016).
    - ``dropout`` applies to each layer's input except the first one's (Srivastava et al. 2014).
    - ``learned_state`` makes the initial states parameters, which begin at zero.

    ``stack(x, state=None, lengths=None)`` returns the last layer's outputs and a tuple with the
    state of each layer.  ``outputs(x, ...)`` returns the outputs of all layers.  All tensors are
    (time, batch, size), or batch first if the layers are.

    Raises ``OptionError`` for layers that do not fit, ``ShapeError`` for tensors that do not.

    >>> import torch, elman
    >>> stack = elman.Stack(
    ...     [
    ...         elman.Recurrent(elman.cells.lstm, 10, 32, bidirectional=True),
    ...         elman.Recurrent(elman.cells.min_gru, 32, 32),
    ...         elman.Recurrent(elman.cells.gru, 32, 8),
    ...     ],
    ...     merge="sum", residual=True, norm=True,
    ... )
    >>> y, state = stack(torch.randn(7, 3, 10), lengths=[7, 2, 5])
    >>> y.shape, [len(each) for each in state]
    (torch.Size([7, 3, 8]), [2, 1, 1])
    """

    def __init__(
        self,
        layers: Iterable[Recurrent],
        *,
        merge: Merge = "concatenate",
        residual: bool = False,
        norm: bool = False,
        dropout: float = 0.0,
        learned_state: bool = False,
    ) -> None:
        super().__init__()
        found = list(layers) if isinstance(layers, Iterable) else []
        if not found or not all([isinstance(layer, Recurrent) for layer in found]):
            raise OptionError("Stack: pass a list of elman.Recurrent layers.")
        for k, layer in enumerate(found):
            if layer.cell.inputs:
                raise OptionError(
                    f"Stack: layer {k} takes the side inputs "
                    f"{', '.join([name for name, _ in layer.cell.inputs])}, which a stack does not "
                    "pass on; call the layers one after the other."
                )
        self.between = Between(residual, norm, merge, learned_state)
        self.between.check("Stack")
        if not 0 <= dropout < 1:
            raise OptionError(f"Stack: dropout is {dropout!r}; it must be at least 0 and below 1.")
        for k, (below, above) in enumerate(pairwise(found), 1):
            if self._size(below) != above.input_size:
                raise OptionError(
                    f"Stack: layer {k} has input_size {above.input_size}, but layer {k - 1} has "
                    f"outputs of size {self._size(below)}."
                )
            if below.batch_first != above.batch_first:
                raise OptionError("Stack: either all layers have batch_first or none.")
        self.layers = nn.ModuleList(found)
        example = next(found[0].parameters(), torch.empty(0))
        kind: dict[str, Any] = {"dtype": example.dtype, "device": example.device}
        sizes = [layer.input_size for layer in found[1:]]
        self.norms = nn.ModuleList([nn.LayerNorm(size, **kind) for size in sizes if norm])
        self.dropout = nn.Dropout(dropout)
        self.initial = nn.ParameterList()
        if learned_state:
            for layer in found:
                shapes = [layer.stack.state_shape(name, 1) for name in layer.cell.states]
                self.initial += [nn.Parameter(torch.zeros(shape, **kind)) for shape in shapes]

    def _size(self, layer: Recurrent) -> int:
        """The size of a layer's merged output."""
        return layer.stack.output_units if self._merges(layer) else layer.output_size

    def _merges(self, layer: Recurrent) -> bool:
        """Whether a layer's output has two directions to merge; a layer may merge them itself."""
        side_by_side = layer.bidirectional and layer.stack.between.merge == "concatenate"
        return side_by_side and self.between.merge != "concatenate"

    @property
    def output_size(self) -> int:
        """The number of features of y."""
        return self._size(self._each()[-1])

    def _each(self) -> list[Recurrent]:
        return [layer for layer in self.layers if isinstance(layer, Recurrent)]

    def forward(
        self,
        x: Float[Tensor, "time batch input"],
        state: Sequence[State | None] | None = None,
        *,
        lengths: Lengths | None = None,
    ) -> tuple[Float[Tensor, "time batch output"], tuple[State, ...]]:
        """Run over whole sequences; past a row's length, y is zero and the states do not change."""
        outputs, last = self._run(x, state, lengths)
        return outputs[-1], last

    def outputs(
        self,
        x: Float[Tensor, "time batch input"],
        state: Sequence[State | None] | None = None,
        *,
        lengths: Lengths | None = None,
    ) -> list[Tensor]:
        """The outputs of all layers, from the lowest to the highest."""
        return self._run(x, state, lengths)[0]

    def _run(
        self, x: Tensor, state: Sequence[State | None] | None, lengths: Lengths | None
    ) -> tuple[list[Tensor], tuple[State, ...]]:
        layers = self._each()
        if not isinstance(x, Tensor) or x.dim() not in (2, 3):
            shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
            raise ShapeError(f"Stack: x is {shape}; it must be a tensor (time, batch, input).")
        batch = 1 if x.dim() == 2 else x.shape[0 if layers[0].batch_first else 1]
        states = self._first(state, batch, unbatched=x.dim() == 2)
        valid = None if lengths is None else _valid(x, lengths, layers[0].batch_first)
        outputs: list[Tensor] = []
        last = []
        for k, layer in enumerate(layers):
            given = self._between(k, outputs[-1]) if outputs else x
            y, after = layer(given, states[k], lengths=lengths)
            y = self.between.merged(y.chunk(2, -1)) if self._merges(layer) else y
            outputs.append(self.between.added(y, given, valid))
            last.append(after)
        return outputs, tuple(last)

    def step(
        self, x: Float[Tensor, "batch input"], state: Sequence[State | None] | None = None
    ) -> tuple[Float[Tensor, "batch output"], tuple[State, ...]]:
        """Run one time step; returns its output and the state of each layer."""
        layers = self._each()
        states = self._first(state, x.shape[0], unbatched=False)
        y, last = x, []
        for k, layer in enumerate(layers):
            given = self._between(k, y) if k else x
            y, after = layer.step(given, states[k])
            y = self.between.added(y, given, None)
            last.append(after)
        return y, tuple(last)

    def stepper(
        self,
        batch: int = 1,
        *,
        output: nn.Linear | None = None,
        quantize: Quantize | None = None,
    ) -> Stepper:
        """Steps in real time, with a copy of the weights; see ``elman.Recurrent.stepper``.

        ``stepper.state`` is a tuple with the states of each layer.  Raises ``OptionError`` if a
        layer is bidirectional.

        >>> import torch, elman
        >>> stack = elman.Stack([elman.Recurrent(elman.cells.gru, 10, 8),
        ...                      elman.Recurrent(elman.cells.mlstm, 8, 8, heads=2)])
        >>> stack.stepper()(torch.randn(1, 10)).shape
        torch.Size([1, 8])
        """
        layers = self._each()
        if any([layer.bidirectional for layer in layers]):
            raise OptionError(
                "Stack: a bidirectional layer cannot run step by step, because its output depends "
                "on later steps."
            )
        modules = [layer.step_layers() for layer in layers]
        for module, norm in zip(modules[1:], self.norms, strict=False):
            module[0] = module[0]._replace(norm=norm_parameters("Stack", norm))
        # an engine adds what one layer reads to its output, once
        is_simple = not self.between.residual or not any(
            [len(module) > 1 or module[0].residual for module in modules]
        )
        if self.between.residual and is_simple:
            modules = [[module[0]._replace(residual=True)] for module in modules]
        like = next(self.parameters(), torch.empty(0))  # cells may have no parameters
        chosen = {
            choose(layer.stack.backend, like.dtype, like.device, layer.cell)[0] for layer in layers
        }
        backend = chosen.pop() if len(chosen) == 1 and is_simple else None
        return make_stepper(
            "Stack.stepper", modules, batch, output, like, backend, self._frozen_step,
            first=self._learned(batch), quantize=quantize, is_stack=True,
        )  # fmt: skip

    def _frozen_step(self) -> Step:
        """``step`` with weights of its own."""
        own = copy.deepcopy(self).eval()
        for layer in own._each():
            layer.freeze()
        return own.step

    def _learned(self, batch: int) -> list[State] | None:
        """The initial state of each layer, if one is learned."""
        layers = self._each()
        first = self._first(None, batch, unbatched=False)
        if not len(self.initial) and not any([e.stack.between.learned_state for e in layers]):
            return None
        return [
            layer.first_state(batch) if state is None else state
            for layer, state in zip(layers, first, strict=True)
        ]

    def _between(self, k: int, y: Tensor) -> Tensor:
        """The input of layer k from the output of the one below."""
        if len(self.norms):
            y = normalised(y, *norm_parameters("Stack", self.norms[k - 1]))
        dropped: Tensor = self.dropout(y)
        return dropped

    def _first(
        self, state: Sequence[State | None] | None, batch: int, *, unbatched: bool
    ) -> Sequence[State | None]:
        """The initial state of each layer, as given, learned or ``None``."""
        layers = self._each()
        if state is not None:
            if not isinstance(state, (tuple, list)) or len(state) != len(layers):
                raise ShapeError(
                    f"Stack: state must have the state of each of the {len(layers)} layers, as "
                    "the stack returns it."
                )
            return state
        if not len(self.initial):
            return [None] * len(layers)
        learned, found = iter(self.initial), []
        for layer in layers:
            tensors = [next(learned) for _ in layer.cell.states]
            found.append(
                tuple(
                    [
                        t.squeeze(1) if unbatched else t.expand(-1, batch, *t.shape[2:])
                        for t in tensors
                    ]
                )
            )
        return found


def _valid(x: Tensor, lengths: Lengths, batch_first: bool) -> Tensor:
    """Whether each step is within its row's length, (time, batch, 1) or batch first."""
    many = torch.as_tensor(lengths, device=x.device)
    time = torch.arange(x.shape[1 if batch_first and x.dim() == 3 else 0], device=x.device)
    if x.dim() == 2:
        return time[:, None] < many
    if batch_first:
        return (time < many[:, None])[..., None]
    return (time[:, None] < many)[..., None]
