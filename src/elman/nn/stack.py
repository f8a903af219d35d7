"""Run stacked layers in one or both directions.

This module converts a user's tensors (batch first, unbatched, packed, ragged, with or without an
initial state) to the shape that the operator of ``autograd.py`` takes, and back.  Modules with
parameters are in ``recurrent.py`` and ``torch_layers.py``.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from elman.autograd import autocasts, run
from elman.backends import check, choose
from elman.backends.arguments import unusual
from elman.backends.engine import Memo
from elman.errors import OptionError, ShapeError
from elman.graph import Cell
from elman.graph.sizes import Sizes
from elman.nn.between import NO_PARAMETERS, PLAIN, Between, BetweenParameters, normalised
from elman.nn.early_steps import Sides
from elman.nn.matrix_states import MatrixStates, matrix_states_of
from elman.nn.noise import MaskCache, Noise
from elman.nn.penalties import Penalties
from elman.nn.pooling import running
from elman.nn.side_inputs import Early, checked, early_of

State = tuple[Tensor, ...]
Lengths = Tensor | Sequence[int]


def autocast_type(tensor: Tensor) -> torch.dtype:
    """The dtype in which torch would compute: that of ``torch.autocast`` if enabled.

    As in torch, float64 stays float64.
    """
    kind = tensor.device.type
    if tensor.dtype is torch.float64 or not autocasts(kind):
        return tensor.dtype
    return torch.get_autocast_dtype(kind)


def autocast(tensor: Tensor) -> Tensor:
    """The tensor in ``autocast_type``, for inputs and states.

    Parameters keep their dtype: engines round them if necessary, and return full gradients.
    """
    wanted = autocast_type(tensor)
    return tensor if tensor.dtype is wanted else tensor.to(wanted)


def expanded(initial: State, batch: int, dtype: torch.dtype) -> State:
    """Learned initial states (layers * directions, 1, ...) for each row of a batch."""
    return tuple([s.to(dtype).expand(-1, batch, *s.shape[2:]).contiguous() for s in initial])


@dataclass
class Training:
    """Inputs and results of a training run: cached masks, and the penalty to add to the loss."""

    penalties: Penalties
    masks: MaskCache = field(default_factory=MaskCache)
    penalty: Tensor | None = None


@dataclass(frozen=True)
class Stack:
    """The configuration of a recurrent module's layers."""

    cell: Cell
    input_size: int
    hidden_size: int
    num_layers: int
    bidirectional: bool
    batch_first: bool
    noise: Noise
    truncate: int | None
    backend: str
    #: the heads of a cell with a matrix state, and the keys of each
    heads: int = 1
    keys: int = 0
    #: the numbers of the cell's own sizes, by name
    own: tuple[tuple[str, int], ...] = ()
    between: Between = PLAIN
    #: the engines' caches for each layer and direction
    memos: dict[int, Memo] = field(init=False, compare=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("input_size", "hidden_size", "num_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise OptionError(
                    f"{self.title}: {name} is {value!r}; it must be a positive integer."
                )
        if self.cell.masks:
            raise OptionError(
                f"{self.title}: the cell's equations contain masks; pass the cell without them, "
                "and dropout or zoneout as options."
            )
        wide = [name for name, size in self.cell.inputs if size == "input"]
        wide += [p.key for p in self.cell.parameters if p.kind == "vector" and p.size == "input"]
        if wide and self.num_layers > 1:
            raise OptionError(
                f"{self.title}: {wide[0]} has the size of x, which the layers above do not read; "
                "use one layer, and other cells above it (elman.Stack)."
            )
        self._check_memory()
        self._check_own()
        self._check_heads()
        self.noise.check(self.title, self.cell)
        self.between.check(self.title)
        if self.between.merge != "concatenate" and not self.bidirectional:
            raise OptionError(
                f'{self.title}: merge is "{self.between.merge}", but the layers run in one '
                "direction; omit it, or use bidirectional=True."
            )
        if self.truncate is not None and self.truncate < 1:
            raise OptionError(
                f"{self.title}: truncate is {self.truncate!r}; it must be a positive integer or "
                "None."
            )
        check(self.backend)
        self._separate()

    def _check_own(self) -> None:
        """Whether each size of the cell's own has a number."""
        names, given = self.cell.own_sizes, dict(self.own)
        for name, number in given.items():
            if name not in names:
                has = f"the cell's own sizes are {', '.join(names)}"
                raise OptionError(
                    f"{self.title}: sizes names {name}, but "
                    f"{has if names else 'the cell has no sizes of its own'}."
                )
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise OptionError(
                    f"{self.title}: sizes gives {name} the number {number!r}; it must be a "
                    "positive integer."
                )
        for name in names:
            if name not in given:
                raise OptionError(
                    f"{self.title}: the cell has the size {name}; pass its number, as in "
                    f'sizes={{"{name}": 64}}.'
                )

    def _check_heads(self) -> None:
        for layer in range(min(self.num_layers, 2)):  # all above have the sizes of the second
            sizes = self.sizes(self.layer_input_size(layer))
            for p in self.cell.parameters:
                if p.kind == "vector":  # which has no heads, but may have a value per unit and key
                    continue
                for size in (p.rows, *p.columns):
                    width = sizes.width((size,))
                    if width % p.heads:
                        raise OptionError(
                            f"{self.title}: {p.key} has {p.heads} heads, but the {size} size "
                            f"{width} is not divisible by {p.heads}; choose another."
                        )

    def _check_memory(self) -> None:
        """Whether heads and keys fit the cell."""
        if not self.cell.has_memory:
            if (self.heads, self.keys) != (1, 0):
                raise OptionError(
                    f"{self.title}: heads and key_size are for cells with a matrix state; omit "
                    "them."
                )
            return
        for name, value in (("heads", self.heads), ("key_size", self.keys)):
            if not isinstance(value, int) or value < 1:
                raise OptionError(
                    f"{self.title}: {name} is {value!r}; it must be a positive integer."
                )
        if self.hidden_size % self.heads:
            raise OptionError(
                f"{self.title}: hidden_size {self.hidden_size} is not divisible by {self.heads} "
                "heads; choose another."
            )
        noise = self.noise
        if noise.recurrent_dropout or noise.candidate_dropout or noise.drop_connect:
            raise OptionError(
                f"{self.title}: no matrix multiplies a state of this cell, so it takes dropout "
                "between layers, on x and on y only."
            )
        if noise.zoneout:
            raise OptionError(f"{self.title}: a matrix state takes no zoneout; omit it.")

    def _separate(self) -> None:
        # computed now: torch.compile cannot trace the lock of a cached property in Python 3.11
        _ = self.early_in_training, self.early_in_evaluation, self.matrix_states

    def __getstate__(self) -> dict[str, Any]:
        # a saved layer holds its equations; what is derived from them is no part of the file
        derived = ("early_in_training", "early_in_evaluation", "matrix_states")
        return {name: value for name, value in vars(self).items() if name not in derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._separate()

    def freeze(self, frozen: bool, *, clear: bool = True) -> None:
        """Set whether the parameters stay unchanged from the next call on."""
        if frozen or self.memos:
            for k in range(self.num_layers * self.directions):
                self.memos.setdefault(k, Memo()).freeze(frozen, clear=clear)

    @property
    def title(self) -> str:
        """The module's name in error messages."""
        return f"Recurrent({self.cell.name})"

    @cached_property
    def in_training(self) -> Cell:
        """The cell with noise in its equations, for training."""
        return self.noise.in_training(self.cell)

    @cached_property
    def in_evaluation(self) -> Cell:
        """The cell for evaluation."""
        return self.noise.in_evaluation(self.cell)

    @cached_property
    def early_in_training(self) -> Early | None:
        """What is computed before the core of that cell, if it has side inputs."""
        return None if self.cell.has_memory else early_of(self.in_training, join=True)

    @cached_property
    def early_in_evaluation(self) -> Early | None:
        """The same for evaluation."""
        return None if self.cell.has_memory else early_of(self.in_evaluation, join=True)

    @cached_property
    def matrix_states(self) -> MatrixStates | None:
        """How a cell with a matrix state runs."""
        return matrix_states_of(self.cell)

    @property
    def directions(self) -> int:
        """1, or 2 for a bidirectional module."""
        return 2 if self.bidirectional else 1

    def layer_input_size(self, layer: int) -> int:
        """The layer's input size: the module's, or the output size of the layer below."""
        return self.input_size if layer == 0 else self.output_size

    @property
    def output_size(self) -> int:
        """The number of features of each layer's output."""
        return self.between.output_size(self.output_units, self.directions)

    @property
    def output_units(self) -> int:
        """The number of units of the output of one direction: the size of the first state."""
        (units,) = self.sizes(self.input_size).of_row(self.cell.state_size(self.cell.states[0]))
        return units

    @property
    def adds_inputs(self) -> bool:
        """Whether the input of any layer is added to its output."""
        sizes = [self.layer_input_size(k) for k in range(self.num_layers)]
        return self.between.residual and self.output_size in sizes

    def sizes(self, input_size: int) -> Sizes:
        """The sizes of a layer with that input."""
        return Sizes(input_size, self.hidden_size, self.heads, self.keys, self.own)

    def state_shape(self, name: str, batch: int) -> tuple[int, ...]:
        """The shape of a state: (layers * directions, batch, hidden), or with heads and keys."""
        row = self.sizes(self.input_size).of_row(self.cell.state_size(name))
        return (self.num_layers * self.directions, batch, *row)

    def check_memory(self, dtype: torch.dtype) -> None:
        """Raise ``OptionError`` if the parameters do not fit into this machine's memory."""
        if not hasattr(os, "sysconf"):
            return
        first, others = [
            sum([math.prod(p.shape(self.sizes(size))) for p in self.cell.parameters])
            for size in (self.input_size, self.output_size)
        ]
        count = self.directions * (first + (self.num_layers - 1) * others)
        needed = count * dtype.itemsize
        present = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if needed > present > 0:
            named = "hidden_size, sizes or" if self.own else "hidden_size or"
            raise OptionError(
                f"{self.title}: {count:,} parameters take {needed / 1e9:,.0f} GB, but this machine "
                f"has {present / 1e9:,.0f} GB of memory; choose a smaller input_size, {named} "
                "num_layers."
            )

    def run(
        self,
        parameters: Sequence[Sequence[Tensor]],
        x: Tensor | PackedSequence,
        state: State | None,
        lengths: Lengths | None,
        training: Training | None,
        inputs: Mapping[str, Tensor] = MappingProxyType({}),
        others: BetweenParameters = NO_PARAMETERS,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run all layers; ``parameters`` are those of layer 0 forward, layer 0 reverse, ...

        With ``training``, applies noise and stores the penalty of the outputs in it.  ``inputs``
        are the cell's side inputs by name, ``others`` the parameters that are not the cells'.
        """
        if isinstance(x, PackedSequence):
            return self._run_packed(parameters, x, state, lengths, training, inputs, others)
        if not isinstance(x, Tensor):
            self.check_kind(x)
        x = autocast(x)
        self.check_input(x, parameters)
        unbatched = x.dim() == 2
        if unbatched:
            x = x.unsqueeze(1)
            if state is not None:
                self._check_kind_of_state(state)
                state = tuple([s.unsqueeze(1) for s in state])
        elif self.batch_first:
            x = x.transpose(0, 1)
        batch = x.shape[1]
        row_lengths = self._check_lengths(lengths, batch)
        sides = self._checked_inputs(inputs, x, batch_first=self.batch_first, unbatched=unbatched)
        first = self._initial_state(state, x, batch, others)
        y, last = self._run_layers(parameters, x, first, row_lengths, training, sides, others)
        if unbatched:
            return y.squeeze(1), tuple([s.squeeze(1) for s in last])
        return (y.transpose(0, 1) if self.batch_first else y), last

    def _run_packed(
        self,
        parameters: Sequence[Sequence[Tensor]],
        x: PackedSequence,
        state: State | None,
        lengths: Lengths | None,
        training: Training | None,
        inputs: Mapping[str, Tensor],
        others: BetweenParameters,
    ) -> tuple[PackedSequence, State]:
        if lengths is not None:
            raise OptionError(f"{self.title}: a PackedSequence has its own lengths; omit lengths=.")
        padded, row_lengths = pad_packed_sequence(x)
        padded = autocast(padded)
        self.check_input(padded, parameters)
        sides = self._checked_inputs(inputs, padded, batch_first=self.batch_first, unbatched=False)
        first = self._initial_state(state, padded, padded.shape[1], others)
        y, last = self._run_layers(parameters, padded, first, row_lengths, training, sides, others)
        if x.sorted_indices is None:
            return pack_padded_sequence(y, row_lengths, enforce_sorted=True), last
        packed = pack_padded_sequence(
            y.index_select(1, x.sorted_indices), row_lengths[x.sorted_indices.cpu()]
        )
        return (
            PackedSequence(packed.data, packed.batch_sizes, x.sorted_indices, x.unsorted_indices),
            last,
        )

    def _run_layers(
        self,
        parameters: Sequence[Sequence[Tensor]],
        x: Tensor,  # time batch input
        first: State,
        lengths: Tensor | None,
        training: Training | None,
        sides: Sides,
        others: BetweenParameters,
    ) -> tuple[Tensor, State]:
        last: list[Sequence[Tensor]] = []
        noise, between = self.noise, self.between
        inside = None
        if between.residual and lengths is not None:
            inside = running(x, lengths)
        if training is not None:
            x = noise.drop(x, noise.input_dropout, training.masks, "input")
        for layer in range(self.num_layers):
            if layer > 0:
                x = normalised(x, *others.norms[layer - 1]) if between.norm else x
                if training is not None:
                    x = noise.drop(x, noise.dropout, training.masks, f"layer {layer - 1}")
            outputs = []
            for direction in range(self.directions):
                k = layer * self.directions + direction
                start = [state[k] for state in first]
                y, final = self.run_direction(
                    k, parameters[k], x, start, lengths, direction == 1, training, sides
                )
                outputs.append(y)
                last.append(final)
            x = between.added(between.merged(outputs), x, inside)
        if training is not None:
            whole = x
            x = noise.drop(x, noise.output_dropout, training.masks, "output")
            training.penalty = training.penalties.of(whole, x, lengths)
        if len(last) == 1:
            return x, tuple([state.unsqueeze(0) for state in last[0]])
        return x, tuple([torch.stack(states) for states in zip(*last, strict=True)])

    def run_direction(
        self,
        k: int,
        parameters: Sequence[Tensor],
        x: Tensor,  # time batch input
        states: Sequence[Tensor],  # batch hidden
        lengths: Tensor | None,
        reverse: bool,
        training: Training | None,
        sides: Sides,
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """The outputs (time, batch, hidden) and last states of one layer in one direction."""
        cell, early = self.in_evaluation, self.early_in_evaluation
        if training is not None:
            cell, early = self.in_training, self.early_in_training
        if self.matrix_states is not None:
            return self.matrix_states.run(
                x, sides, states, parameters, lengths, reverse, self.sizes(x.shape[-1]),
                self.backend, self.truncate,
            )  # fmt: skip
        core = cell if early is None else early.core
        sizes = self.sizes(x.shape[-1])
        masks: list[Tensor] = []
        if training is not None:
            masks = self.noise.masks(core, x, sizes, training.masks, str(k))
            parameters = self.noise.weights(cell, parameters, sizes, training.masks, str(k))
        given: list[Tensor] = []
        if early is not None:
            x, parameters, given = early.run(x, sides, parameters, lengths, sizes)
        tensors = (x, *states, *parameters, *given)
        keep = torch.is_grad_enabled() and any([t.requires_grad for t in tensors])
        backend, _ = choose(self.backend, x.dtype, x.device, core)
        memo = None
        if early is None and not torch.compiler.is_compiling():
            memo = self.memos.setdefault(k, Memo())
        time = x.shape[0]
        size = time if self.truncate is None else self.truncate
        if time <= size:
            return run(
                core.text, x, states, parameters, lengths, reverse, keep, backend, masks, memo,
                given,
            )  # fmt: skip
        starts = range(0, time, size)
        outputs: dict[int, Tensor] = {}
        for start in reversed(starts) if reverse else starts:
            if outputs:
                states = [state.detach() for state in states]
            within = slice(start, start + size)
            part = None if lengths is None else (lengths - start).clamp(0, min(size, time - start))
            cut = [mask[within] if mask.dim() == 3 else mask for mask in masks]
            outputs[start], states = run(
                core.text, x[within], states, parameters, part, reverse, keep, backend, cut, memo,
                [side[within] for side in given],
            )  # fmt: skip
        return torch.cat([outputs[start] for start in starts]), states

    def check_kind(self, x: Tensor) -> None:
        """Raise ``ShapeError`` for anything but a dense tensor, such as a nested one."""
        if not isinstance(x, Tensor):
            kind = f"{type(x).__module__}.{type(x).__name__}"
            raise ShapeError(f"{self.title}: x is a {kind}; it must be a torch.Tensor.")
        kind = unusual(x)
        if kind:
            raise ShapeError(f"{self.title}: x is {kind}.")

    def check_input(self, x: Tensor, parameters: Sequence[Sequence[Tensor]]) -> None:
        """Raise ``ShapeError`` if x does not match the module or its parameters."""
        self.check_kind(x)
        if x.dim() not in (2, 3):
            shape = "(batch, time, input)" if self.batch_first else "(time, batch, input)"
            raise ShapeError(
                f"{self.title}: x has the shape {tuple(x.shape)}; it must be {shape}, or "
                "(time, input) for one sequence."
            )
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.title}: x ends in {x.shape[-1]} features, but input_size is "
                f"{self.input_size}."
            )
        dtype, device = x.dtype, x.device
        by_torch = autocasts(device.type)
        for tensor in (t for group in parameters for t in group):
            own = autocast_type(tensor) if by_torch else tensor.dtype
            if dtype is not own or device != tensor.device:
                raise ShapeError(
                    f"{self.title}: x is {x.dtype} on {x.device}, but the parameters are "
                    f"{tensor.dtype} on {tensor.device}; convert one with .to(...)."
                )

    def _checked_inputs(
        self, inputs: Mapping[str, Tensor], x: Tensor, *, batch_first: bool, unbatched: bool
    ) -> Sides:
        if not (inputs or self.cell.inputs):
            return {}
        return checked(
            self.title, self.cell, inputs, x, self.sizes(x.shape[-1]),
            batch_first=batch_first, unbatched=unbatched,
        )  # fmt: skip

    def _check_lengths(self, lengths: Lengths | None, batch: int) -> Tensor | None:
        if lengths is None:
            return None
        if not isinstance(lengths, Tensor):  # as_tensor would move one to the default device
            lengths = torch.as_tensor(lengths, device="cpu")
        if lengths.numel() == 0:  # an empty list has no dtype of its own
            lengths = lengths.to(torch.int64)
        if lengths.dtype.is_floating_point or lengths.dtype in (torch.bool, torch.complex64):
            raise ShapeError(f"{self.title}: lengths are {lengths.dtype}; they must be integers.")
        if lengths.shape != (batch,):
            raise ShapeError(
                f"{self.title}: lengths has the shape {tuple(lengths.shape)}, but x has {batch} "
                f"{'row' if batch == 1 else 'rows'}; pass one length per row, ({batch},)."
            )
        return lengths.to("cpu", torch.int64)

    def _initial_state(
        self, state: State | None, x: Tensor, batch: int, others: BetweenParameters
    ) -> State:
        if state is None and others.initial:
            return expanded(others.initial, batch, x.dtype)
        if state is None:
            return tuple([x.new_zeros(self.state_shape(s, batch)) for s in self.cell.states])
        return self.checked_state(state, x, batch)

    def checked_state(self, state: State, x: Tensor, batch: int) -> State:
        """The state as contiguous tensors; raises ``ShapeError`` if one does not match."""
        self._check_kind_of_state(state)
        names = self.cell.states
        state = tuple([autocast(tensor) for tensor in state])
        for name, tensor in zip(names, state, strict=True):
            shape = self.state_shape(name, batch)
            kind = unusual(tensor)
            if kind:
                raise ShapeError(f"{self.title}: the initial {name} is {kind}.")
            if tuple(tensor.shape) != shape:
                size = self.cell.state_size(name)
                axes = {"memory": "heads, units, keys", "key": "heads, keys", "head": "heads"}
                raise ShapeError(
                    f"{self.title}: the initial {name} has the shape {tuple(tensor.shape)}, but "
                    f"(layers * directions, batch, {axes.get(size, size)}) is {shape}."
                )
            if tensor.dtype != x.dtype or tensor.device != x.device:
                raise ShapeError(
                    f"{self.title}: the initial {name} is {tensor.dtype} on {tensor.device}, but "
                    f"x is {x.dtype} on {x.device}."
                )
        return tuple([tensor.contiguous() for tensor in state])

    def _check_kind_of_state(self, state: State) -> None:
        """Raise ``ShapeError`` unless there is a tensor for each state of the cell."""
        names = self.cell.states
        came = f"of type {type(state).__name__}"
        if isinstance(state, Tensor):
            came = "a tensor"
        elif isinstance(state, (tuple, list)):
            others = [each for each in state if not isinstance(each, Tensor)]
            if not others and len(state) == len(names):
                return
            came = f"a tuple of {len(state)} {'tensor' if len(state) == 1 else 'tensors'}"
            if others:
                came = f"a tuple with an element of type {type(others[0]).__name__}"
        wanted = "1 tensor" if len(names) == 1 else f"{len(names)} tensors"
        raise ShapeError(
            f"{self.title}: state is {came}; it must be a tuple of {wanted} ({', '.join(names)}), "
            "or None."
        )
