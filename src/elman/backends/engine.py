"""The protocol of an engine, and ``Call``, the record of what it computes.

An engine runs one cell over a batch of sequences in one direction; a ``Call`` holds everything
that it needs.  ``nn/`` handles layers, directions and dropout, ``autograd.py`` second derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NamedTuple, Protocol, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from elman.backends.plan import Plan
from elman.graph import Cell
from elman.graph.sizes import Sizes

T = TypeVar("T")
State = tuple[Tensor, ...]


class Memo:
    """An engine's cache for one layer in one direction, such as packed weights.

    Copies and pickles of a memo are empty.  While ``frozen`` is set, the caller promises not to
    change the parameters.
    """

    def __init__(self) -> None:
        self._made: dict[Callable[[], Any], Any] = {}
        self._lock = Lock()
        #: the promise that holds now, if any; an engine compares it with that of the last call
        self.frozen: object | None = None

    def get(self, make: Callable[[], T]) -> T:
        """The result of ``make()``, computed once."""
        with self._lock:
            if make not in self._made:
                self._made[make] = make()
            found: T = self._made[make]
            return found

    def freeze(self, frozen: bool, *, clear: bool = True) -> None:
        """Set whether the parameters stay unchanged from the next call on; clears the cache."""
        with self._lock:
            if clear:
                self._made.clear()
            self.frozen = object() if frozen else None

    def __deepcopy__(self, memo: object) -> Memo:
        return Memo()

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        return Memo, ()


_MEMOS: WeakKeyDictionary[object, dict[int, Memo]] = WeakKeyDictionary()


def memo_of(owner: object, k: int) -> Memo:
    """The memo of a module's k-th layer, for modules that cannot store one; freed with them."""
    return _MEMOS.setdefault(owner, {}).setdefault(k, Memo())


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One run of a cell over a batch, in one direction.

    ``x`` is (time, batch, input), each state (batch, its size), ``parameters`` are in the order of
    the cell, ``lengths`` is (batch,) or ``None``.  ``reverse`` runs from each row's last step to
    its first.  ``save`` saves what backward needs.  ``masks`` are the cell's masks: (time, batch,
    size) per step, or (batch, size) per sequence.  ``sides`` (time, batch, size) are the cell's
    side inputs, of hidden size or one of the cell's own (``passes/separate.py``).  x and the
    states have one dtype; parameters, side inputs and their gradients may have a wider one.

    Check a new ``Call`` with ``arguments.check_call``; engines do not check it.
    """

    plan: Plan
    x: Tensor
    states: Sequence[Tensor]
    parameters: Sequence[Tensor]
    lengths: Tensor | None
    reverse: bool
    save: bool = True
    masks: Sequence[Tensor] = ()
    memo: Memo | None = None
    sides: Sequence[Tensor] = ()

    @property
    def sizes(self) -> Sizes:
        """The values of the cell's sizes, from the shapes of states, side inputs and parameters."""
        cell = self.plan.cell
        if not (cell.sizes or cell.own_sizes):
            return Sizes(self.x.shape[-1], self.states[0].shape[-1])
        return cell.bind(
            self.x.shape[-1],
            [state.shape[-1] for state in self.states],
            [parameter.shape for parameter in self.parameters],
            [side.shape[-1] for side in self.sides],
        )

    @property
    def output_size(self) -> int:
        """The number of features of y, which is the first state."""
        return self.states[0].shape[-1]


class Outputs(NamedTuple):
    """``y`` (time, batch, size), and each state (batch, size) at each row's last step."""

    y: Tensor
    states: Sequence[Tensor]


#: an engine's own tensors, which its backward needs besides the arguments and y
Saved = Sequence[Tensor]


class Grads(NamedTuple):
    """The gradients of a call's tensors; that of x is empty if not needed."""

    x: Tensor
    states: Sequence[Tensor]
    parameters: Sequence[Tensor]
    sides: Sequence[Tensor] = ()


class Stepper(Protocol):
    """A fast path for single steps, for one shape and dtype of input."""

    shape: torch.Size
    dtype: torch.dtype
    zeros: State

    def expect(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> None:
        """Accept tensors like these from the next run on; the caller has checked them."""

    def step(
        self,
        x: Tensor,
        state: State | None,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> tuple[Tensor, State] | None:
        """The output and the next state; ``None`` if the tensors are not as expected.

        ``sides`` (batch, size) are the side inputs of a cell of one layer.
        """

    def run(
        self,
        x: Tensor,
        state: State,
        parameters: Sequence[Tensor] | None,
        sides: Sequence[Tensor] = (),
    ) -> tuple[Tensor, State]:
        """Like ``step``, for contiguous tensors that the caller has checked."""


class TrainingWeights(Protocol):
    """A cell's parameters as an engine reads them, valid until they change."""

    @property
    def were_changed(self) -> bool:
        """Whether torch has counted a change of the parameters since."""

    def are_those_of(self, parameters: Sequence[Tensor]) -> bool:
        """Whether the parameters are these, and no byte of them has changed since."""


class TrainingSteps(Protocol):
    """A fast path for single steps with gradients, for one shape and dtype of input.

    *flat* is one tensor with the gradients of all parameters, layer by layer; that of the k-th
    begins at ``places[k]``.
    """

    shape: torch.Size
    dtype: torch.dtype
    zeros: State
    places: Sequence[int]
    flat_size: int

    def expect(self, x: Tensor, state: State, parameters: Sequence[Tensor]) -> None:
        """Accept tensors like these from now on; the caller has checked them."""

    def accepts(self, x: Tensor, state: State, parameters: Sequence[Tensor]) -> bool:
        """Whether the tensors are as expected."""

    def weights(self, parameters: Sequence[Tensor]) -> TrainingWeights:
        """The weights of checked parameters, layer by layer."""

    def forward(
        self, x: Tensor, state: State, weights: TrainingWeights
    ) -> tuple[Tensor, State, Tensor]:
        """The output, the next state and what backward needs besides."""

    def backward(
        self,
        x: Tensor,
        state: State,
        y: Tensor,
        tape: Tensor,
        weights: TrainingWeights,
        grad_y: Tensor | None,
        grad_state: Sequence[Tensor | None],
        flat: Tensor | None,
        *,
        need_input: bool,
        need_parameters: bool,
    ) -> tuple[Tensor | None, State, Tensor | None]:
        """The gradients of x, the state and the parameters; the last are added to ``flat``."""


class StepLayer(NamedTuple):
    """A layer that runs step by step: its cell, the parameters in the cell's order, its sizes.

    ``norm``, a weight and a bias, normalises what the layer reads; with ``residual``, that is added
    to its output.
    """

    cell: Cell
    parameters: Sequence[Tensor]
    sizes: Sizes
    norm: tuple[Tensor, Tensor] | None = None
    residual: bool = False

    @property
    def output_size(self) -> int:
        """The number of features of its output, the first state."""
        (units,) = self.sizes.of_row(self.cell.state_size(self.cell.states[0]))
        return units


class FrozenSteps(Protocol):
    """Steps through layers, each of which reads the output of the one below; starts at zeros.

    Weights are copied.  ``y`` (batch, size) is the last layer's output, overwritten by each step.
    All layers take the side inputs (batch, size) of the first, in its cell's order.
    """

    y: Tensor

    def expect(self, x: Tensor, *sides: Tensor) -> None:
        """Accept tensors like these from the next step on; the caller has checked them."""

    def step(self, x: Tensor, *sides: Tensor) -> Tensor | None:
        """Run a step; returns ``y``, or ``None`` if the tensors are not as expected."""

    def states(self) -> list[list[Tensor]]:
        """The states of each layer that the next step reads, in its memory.

        They begin with the batch; the rest of a shape is the engine's, with the numbers in order.
        """


class Engine(Protocol):
    """The protocol that every engine implements."""

    name: str

    def unsupported_reason(
        self, dtype: torch.dtype, device: torch.device, cell: Cell | None = None
    ) -> str | None:
        """Why the engine does not support them, as a clause; ``None`` if it does."""

    def forward(self, call: Call) -> tuple[Outputs, Saved]:
        """Run all steps; saves tensors only with ``call.save``."""

    def backward(
        self,
        call: Call,
        outputs: Outputs,
        saved: Saved,
        grads: Outputs,
        *,
        need_input: bool = True,
        need_parameters: bool = True,
    ) -> Grads:
        """Backpropagation through time, from the gradients of the outputs."""

    def saved_like(self, call: Call) -> list[Tensor]:
        """Empty tensors like those that ``forward`` saves; x may be on "meta"."""

    def stepper(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> Stepper | None:
        """A fast path for steps with inputs like x (batch, input); ``None`` if there is none.

        ``sizes`` holds those of each layer.
        """

    def training_steps(self, cell: Cell, sizes: Sequence[Sizes], x: Tensor) -> TrainingSteps | None:
        """A fast path for steps with gradients; ``None`` if there is none."""

    def frozen_steps(
        self, layers: Sequence[StepLayer], batch: int, dtype: torch.dtype, *, int8: bool = False
    ) -> FrozenSteps | None:
        """Steps with weights and memory that never change; ``None`` if the engine has none.

        ``int8`` rounds matrices to int8, with a scale for each unit and operand.
        """

    def report(self, dtype: torch.dtype, device: torch.device) -> str:
        """The dtype, processor and threads, as a sentence."""
