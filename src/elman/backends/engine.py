"""What an engine is: a protocol, and the record of what it is asked to compute.

An engine computes one cell over a batch of sequences in one direction.  Everything that it needs
is in a ``Call``; layers, directions and noise are the business of ``nn/``, derivatives of
derivatives that of ``autograd.py``.
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
    """What an engine keeps between the calls of one layer in one direction.

    An example is weights in the order of its kernels.  A copy of a memo, also one in a file, is
    empty.  While it is frozen, the parameters are promised to stay as they are.
    """

    def __init__(self) -> None:
        self._made: dict[Callable[[], Any], Any] = {}
        self._lock = Lock()
        self.frozen = False

    def get(self, make: Callable[[], T]) -> T:
        """The one thing that ``make`` makes here, made when it is first asked for."""
        with self._lock:
            if make not in self._made:
                self._made[make] = make()
            found: T = self._made[make]
            return found

    def freeze(self, frozen: bool) -> None:
        """Whether the parameters of the next call stand still from there on; forgets all."""
        with self._lock:
            self._made.clear()
            self.frozen = frozen

    def __deepcopy__(self, memo: object) -> Memo:
        return Memo()

    def __reduce__(self) -> tuple[type[Memo], tuple[()]]:
        return Memo, ()


_MEMOS: WeakKeyDictionary[object, dict[int, Memo]] = WeakKeyDictionary()


def memo_of(owner: object, k: int) -> Memo:
    """The memo of the k-th layer of a module that has no place for it; it goes when that goes."""
    return _MEMOS.setdefault(owner, {}).setdefault(k, Memo())


@dataclass(frozen=True, eq=False, slots=True)
class Call:
    """One run of a cell over a batch, in one direction.

    ``x`` is (time, batch, input), each state (batch, hidden), ``parameters`` are in the order of
    the cell, ``lengths`` (batch,) or ``None``.  ``reverse`` runs from each row's last step to its
    first.  ``save`` saves what backward needs.  ``masks`` are those of the cell, (time, batch,
    hidden), or (batch, hidden) where one is of a sequence.  x and the states are of one type;
    parameters may be of a wider one, and their gradients are of theirs.

    Who makes a ``Call`` has it checked by ``arguments.check_call``; engines trust it.
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

    @property
    def sizes(self) -> Sizes:
        """The numbers that the cell's sizes stand for."""
        return Sizes(self.x.shape[-1], self.states[0].shape[-1])


class Outputs(NamedTuple):
    """``y`` (time, batch, hidden), and each state (batch, hidden) at each row's last step."""

    y: Tensor
    states: Sequence[Tensor]


#: an engine's own tensors, which its backward needs beside the arguments and y
Saved = Sequence[Tensor]


class Grads(NamedTuple):
    """The gradients of a call's x, states and parameters; x's is empty where it is not needed."""

    x: Tensor
    states: Sequence[Tensor]
    parameters: Sequence[Tensor]


class Stepper(Protocol):
    """A faster way through one step at a time, for one shape and type of input."""

    shape: torch.Size
    dtype: torch.dtype
    zeros: State

    def expect(self, x: Tensor, state: State, parameters: Sequence[Tensor] | None) -> None:
        """Take tensors that look like these, which fit, from the next run on."""

    def step(
        self, x: Tensor, state: State | None, parameters: Sequence[Tensor] | None
    ) -> tuple[Tensor, State] | None:
        """The output and the next state; ``None`` for tensors other than those expected."""

    def run(
        self, x: Tensor, state: State, parameters: Sequence[Tensor] | None
    ) -> tuple[Tensor, State]:
        """The same for contiguous tensors that are known to fit."""


class Engine(Protocol):
    """What computes a cell.  A new engine is a package with one such class, and a line in
    ``backends/__init__.py``.
    """

    name: str

    def unsupported_reason(self, dtype: torch.dtype, device: torch.device) -> str | None:
        """Why it cannot take such tensors, as the end of a sentence; ``None`` where it can."""

    def forward(self, call: Call) -> tuple[Outputs, Saved]:
        """Run all steps; nothing is saved without ``call.save``."""

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
        """Tensors like those that ``forward`` saves, without values; x may be on "meta"."""

    def stepper(
        self, cell: Cell, input_sizes: Sequence[int], x: Tensor, hidden_size: int
    ) -> Stepper | None:
        """A faster way through steps of inputs like x (batch, input); ``None`` if there is none.

        ``input_sizes`` are what each layer reads.
        """

    def report(self, dtype: torch.dtype, device: torch.device) -> str:
        """Type of number, processor and threads, as a sentence."""
