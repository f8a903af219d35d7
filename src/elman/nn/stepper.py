"""``Stepper``: a layer that runs in real time, with its state inside and its weights frozen.

``Recurrent.step`` checks at each step whether a weight changed, and returns new tensors.  A
``Stepper`` copies the weights and uses its memory again, so that a step is one call of compiled
code.  ``Recurrent.stepper`` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice
from operator import is_
from typing import Any, Literal, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn

from elman.backends import find_engine
from elman.backends.arguments import is_plain
from elman.backends.engine import FrozenSteps, StepLayer
from elman.errors import OptionError, ShapeError
from elman.graph import cell
from elman.graph.sizes import Sizes
from elman.nn.stack import State


@cell
def _linear(x, h, *, W, b):  # type: ignore[no-untyped-def]
    return W.o @ x + b.o


#: how weights are rounded
Quantize = Literal["int8"]
#: runs a layer's step: (x, state, side inputs by name) to (y, state)
Step = Callable[..., tuple[Tensor, Any]]
#: the layers of each module: of a ``Recurrent`` alone, or of each in a stack
Modules = Sequence[Sequence[StepLayer]]


class _StatesOf:
    """The states of layers of one cell and one size: tensors (layers, batch, size)."""

    def __init__(self, layers: Sequence[StepLayer], batch: int) -> None:
        cell, sizes, self.depth = layers[0].cell, layers[0].sizes, len(layers)
        rows = [sizes.of_row(cell.state_size(name)) for name in cell.states]
        self.shapes = [(self.depth, batch, *row) for row in rows]

    def read(self, parts: Sequence[Sequence[Tensor]]) -> State:
        """A copy, from the states of each layer."""
        pairs = zip(zip(*parts, strict=True), self.shapes, strict=True)
        return tuple([torch.stack(each).reshape(shape) for each, shape in pairs])

    def write(self, state: State, parts: Sequence[Sequence[Tensor]]) -> None:
        """Copy the state into those of each layer."""
        with torch.no_grad():
            for own, given in zip(zip(*parts, strict=True), state, strict=True):
                for part, values in zip(own, given, strict=True):
                    part.copy_(values.reshape(part.shape))

    def check(self, where: str, state: Any) -> None:
        """Raise ``ShapeError`` unless it has these shapes."""
        count = len(self.shapes)
        if not isinstance(state, (tuple, list)) or len(state) != count:
            raise ShapeError(
                f"{where}: state must be a tuple of {count} "
                f"{'tensor' if count == 1 else 'tensors'}."
            )
        for k, (given, wanted) in enumerate(zip(state, self.shapes, strict=True)):
            if not isinstance(given, Tensor) or tuple(given.shape) != wanted:
                shape = tuple(given.shape) if isinstance(given, Tensor) else type(given).__name__
                raise ShapeError(
                    f"{where}: state {k} has the shape {shape}; it must be {wanted} (layers, "
                    "batch, and the sizes of the state)."
                )


class Stepper:
    """Runs a layer step by step: ``y = stepper(x)``, x (batch, input), y (batch, hidden or output).

    The cell's side inputs follow by name, ``stepper(x, dt=...)``, (batch, size) each.  The layer's
    weights are copied; later changes of the layer do not matter.  The state is inside
    and starts at zeros, or at the layer's learned state.  **The next step overwrites** ``y``; clone
    it to keep it.  There are no gradients and no noise of training.  A stepper belongs to one
    thread at a time; make one for each stream.

    Raises ``ShapeError`` for x or a side input of another shape, dtype or device.

    >>> import torch, elman
    >>> layer, output = elman.Recurrent(elman.cells.lstm, 10, 20, 2), torch.nn.Linear(20, 3)
    >>> stepper = layer.stepper(output=output)
    >>> for x in torch.randn(5, 1, 10):
    ...     y = stepper(x)
    >>> y.shape, [state.shape for state in stepper.state]
    (torch.Size([1, 3]), [torch.Size([2, 1, 20]), torch.Size([2, 1, 20])])
    """

    def __init__(
        self,
        title: str,
        steps: FrozenSteps,
        modules: Modules,
        batch: int,
        like: Tensor,
        first: Sequence[State] | None,
        *,
        is_stack: bool = False,
    ) -> None:
        self._title, self._steps, self._is_stack = title, steps, is_stack
        cell, sizes = modules[0][0].cell, modules[0][0].sizes
        self._dtype, self._device = like.dtype, like.device
        self._shape = (batch, sizes.input)
        #: the shape of each side input
        self._sides = {name: (batch, sizes.width((size,))) for name, size in cell.inputs}
        self._states = [_StatesOf(layers, batch) for layers in modules]
        self._step = steps.step
        self._first: list[State] | None = None
        if first is not None:
            with torch.inference_mode(False), torch.no_grad():
                self._first = [tuple([each.clone() for each in state]) for state in first]
            self.reset()

    def __call__(self, x: Float[Tensor, "batch input"], **inputs: Tensor) -> Tensor:
        """Run one step; the next step overwrites the result (batch, output)."""
        sides = self._in_order(inputs) if inputs or self._sides else ()
        y = self._step(x, *sides)
        return self._checked_step(x, sides) if y is None else y

    def _in_order(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor]:
        """The side inputs in the order of the cell."""
        if inputs.keys() != self._sides.keys():
            takes = f"the side inputs {', '.join(self._sides)}" if self._sides else "only x"
            given = f"x, {', '.join(inputs)}" if inputs else "only x"
            raise ShapeError(
                f"{self._title}: a step takes {takes}, by name as in stepper(x, dt=...); it was "
                f"given {given}."
            )
        return [inputs[name] for name in self._sides]

    def _checked_step(self, x: Tensor, sides: Sequence[Tensor]) -> Tensor:
        """A step on tensors that the engine has not seen the like of."""
        # a tensor with the negative bit has the negatives of the numbers in its memory
        x, *sides = [t.resolve_neg() if type(t) is Tensor else t for t in (x, *sides)]
        self._check("x", x, self._shape)
        for (name, shape), side in zip(self._sides.items(), sides, strict=True):
            self._check(name, side, shape)
        tensors = [tensor.detach().contiguous() for tensor in (x, *sides)]
        self._steps.expect(*tensors)
        y = self._steps.step(*tensors)
        assert y is not None
        return y

    def _check(self, name: str, x: Tensor, shape: tuple[int, int]) -> None:
        """Raise ``ShapeError`` or ``OptionError`` for what is no input of a step."""
        if not isinstance(x, Tensor) or not (is_plain(x) or x.device != torch.device("cpu")):
            raise ShapeError(
                f"{self._title}: {name} is {type(x).__name__}; a stepper takes an ordinary "
                "torch.Tensor."
            )
        if tuple(x.shape) != shape:
            size = "input" if name == "x" else "size"
            raise ShapeError(
                f"{self._title}: {name} has the shape {tuple(x.shape)}, but this stepper's "
                f"(batch, {size}) is {shape}."
            )
        if x.dtype is not self._dtype or x.device != self._device:
            raise ShapeError(
                f"{self._title}: {name} is {x.dtype} on {x.device}, but the weights are "
                f"{self._dtype} on {self._device}; convert {name} with .to(...)."
            )
        if x.requires_grad and torch.is_grad_enabled():
            raise OptionError(
                f"{self._title}: {name} requires gradients, and a stepper has none; use "
                f"layer.step, or pass {name}.detach()."
            )

    @property
    def state(self) -> Any:
        """A copy of the states (layers, batch, size); can be set, for the next step.

        Of ``elman.Stack``, it is a tuple with the states of each of its layers.  Raises
        ``ShapeError`` for states of other shapes.
        """
        parts = zip(self._states, self._parts(), strict=True)
        found = [states.read(part) for states, part in parts]
        return tuple(found) if self._is_stack else found[0]

    @state.setter
    def state(self, state: Any) -> None:
        count = len(self._states)
        if self._is_stack and (not isinstance(state, (tuple, list)) or len(state) != count):
            raise ShapeError(
                f"{self._title}: state must be a tuple with the states of each of the {count} "
                "layers of the stack."
            )
        each = list(state) if self._is_stack else [state]
        for k, (states, given) in enumerate(zip(self._states, each, strict=True)):
            where = f"{self._title}: layer {k}" if self._is_stack else self._title
            states.check(where, given)
        for states, given, parts in zip(self._states, each, self._parts(), strict=True):
            states.write(given, parts)

    def _parts(self) -> list[list[list[Tensor]]]:
        """The states of each layer of each module, in the memory that the next step reads.

        A tensor has the state's numbers; its shape is the engine's.
        """
        layers = iter(self._steps.states())
        return [list(islice(layers, states.depth)) for states in self._states]

    def reset(self) -> None:
        """Begin a new sequence: set the states to zeros, or to the layer's learned state."""
        if self._first is not None:
            for states, first, parts in zip(self._states, self._first, self._parts(), strict=True):
                states.write(first, parts)
            return
        for layer in chain.from_iterable(self._parts()):
            for part in layer:
                part.zero_()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self._title}: a stepper cannot be copied or pickled; make another from its layer "
            "and set its state."
        )


def make_stepper(
    title: str,
    modules: Modules,
    batch: int,
    output: nn.Linear | None,
    like: Tensor,
    backend: str | None,
    step: Callable[[], Step],
    *,
    first: Sequence[State] | None,
    quantize: Quantize | None = None,
    is_stack: bool = False,
) -> Stepper:
    """A stepper by the engine's ``frozen_steps``, or with ``step()`` if the engine has none.

    Tensors of a step have the dtype and device of ``like``.  ``step`` returns a function that runs
    one step of all layers with weights of its own.  ``first`` is the state of each module to start
    at, if it is not zero.  Without a ``backend``, no engine can run all layers.
    """
    layers = [layer for module in modules for layer in module]
    if quantize not in (None, "int8"):
        raise OptionError(f'{title}: quantize is {quantize!r}; it must be "int8" or None.')
    int8 = quantize == "int8"
    if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
        raise OptionError(f"{title}: batch is {batch!r}; it must be a positive integer.")
    hidden = layers[-1].output_size
    if output is not None and (
        not isinstance(output, nn.Linear)
        or output.in_features != hidden
        or output.weight.dtype is not like.dtype
        or output.weight.device != like.device
    ):
        raise OptionError(
            f"{title}: output is {output!r}; it must be a torch.nn.Linear with in_features "
            f"{hidden}, {like.dtype} on {like.device}."
        )
    parts = [*layers]
    if output is not None:
        head = _linear if output.bias is not None else _linear.without("b")
        tensors = [output.weight] if output.bias is None else [output.weight, output.bias]
        parts.append(StepLayer(head, tensors, Sizes(hidden, output.out_features)))
    tensors = [p for each in parts for p in each.parameters]
    tensors += [p for each in parts for p in each.norm or ()]
    plain = all([is_plain(p) and 0 not in p.shape for p in tensors])
    # buffers are ordinary tensors, even in inference mode
    with torch.inference_mode(False), torch.no_grad():
        steps: FrozenSteps | None = None
        if plain and backend is not None:
            steps = find_engine(backend).frozen_steps(parts, batch, like.dtype, int8=int8)
        if steps is None and int8:
            raise OptionError(
                f'{title}: quantize="int8" is for float32 on the native engine, for cells without '
                "a matrix state, and for residuals around one layer each; omit it."
            )
        if steps is None:
            steps = _GeneralSteps(step(), modules, batch, output, like, is_stack)
    return Stepper(title, steps, modules, batch, like, first, is_stack=is_stack)


class _GeneralSteps:
    """``FrozenSteps`` by a layer's own step, on any engine and device."""

    def __init__(
        self,
        step: Step,
        modules: Modules,
        batch: int,
        output: nn.Linear | None,
        like: Tensor,
        is_stack: bool,
    ) -> None:
        self._one_step, self._weights, self._is_stack = step, None, is_stack
        if output is not None:
            bias = None if output.bias is None else output.bias.detach().clone()
            self._weights = output.weight.detach().clone(), bias
        self._names = [name for name, _ in modules[0][0].cell.inputs]
        shapes = [_StatesOf(layers, batch).shapes for layers in modules]
        self._state = [tuple([like.new_zeros(shape) for shape in each]) for each in shapes]
        size = modules[-1][-1].output_size if output is None else output.out_features
        self.y = like.new_zeros(batch, size)
        self._known: tuple[Tensor, ...] = ()

    def expect(self, x: Tensor, *sides: Tensor) -> None:
        """Accept these tensors in the next step."""
        self._known = x, *sides

    def step(self, x: Tensor, *sides: Tensor) -> Tensor | None:
        """The output, if ``expect`` has accepted the tensors."""
        if len(self._known) != 1 + len(sides) or not all(map(is_, (x, *sides), self._known)):
            return None
        self._known = ()
        inputs = dict(zip(self._names, sides, strict=True))
        with torch.inference_mode(False), torch.no_grad():
            given = tuple(self._state) if self._is_stack else self._state[0]
            y, after = self._one_step(x, given, **inputs)
            self._state = list(after) if self._is_stack else [after]
            if self._weights is not None:
                y = nn.functional.linear(y, *self._weights)
            return self.y.copy_(y)

    def states(self) -> list[list[Tensor]]:
        """The states of each layer."""
        return [
            [state[k] for state in states] for states in self._state for k in range(len(states[0]))
        ]
