"""Single steps with gradients, for loops in Python that are trained step by step.

``engine.py`` runs whole sequences.  For a single step, making tables, schedules and packed weights
takes far longer than the arithmetic, so this module keeps them: a step writes the addresses of its
tensors into a table and calls the kernel.  All layers of a stack run in one step.

A step's *tape* holds what its backward needs besides the arguments and the output: for each layer,
the saved values, the histories of states and the output that the next layer reads.  The gradients
of all parameters are in one tensor, *flat*, to which each backward adds its own.
"""

from __future__ import annotations

import ctypes
from array import array
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from math import prod
from operator import attrgetter, is_
from threading import Lock

import torch
from torch import Tensor

from elman.backends.native import tuning
from elman.backends.native.guard import Check, guard_of
from elman.backends.native.kernels import (
    CompiledLayer,
    CompiledOuter,
    CompiledProgram,
    layer_of,
    run_partitions,
)
from elman.backends.native.llvm.fingerprint import Fingerprint
from elman.backends.native.llvm.step import FIRST_BUFFER
from elman.backends.native.llvm.target import chosen_target
from elman.backends.native.memory import empty
from elman.backends.native.programs import buffers_of
from elman.backends.native.schedule import Schedule, all_at_once, make_schedule
from elman.graph import Cell
from elman.graph.sizes import Sizes

State = tuple[Tensor, ...]

_version, _address = attrgetter("_version"), Tensor.data_ptr
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_LINE = 64


class TrainingWeights:
    """Parameters and their packed weights, valid until the parameters change."""

    def __init__(self, parameters: Sequence[Tensor], layers: Sequence[_Layer]) -> None:
        self._parameters, self._layers = parameters, layers
        self._each = len(parameters) // len(layers)
        self._addresses = [*map(_address, parameters)]
        # both precede packing, so the next look detects a change in between
        self._versions = [*map(_version, parameters)]
        self._seen = Fingerprint([p.detach() for p in parameters])
        self._look, self._at = self._seen.look, self._seen.address
        self.forward = [
            layer.forward.pack(self._of(k), layer.dtype) for k, layer in enumerate(layers)
        ]

    def _of(self, k: int) -> Sequence[Tensor]:
        return self._parameters[k * self._each : (k + 1) * self._each]

    @cached_property
    def backward(self) -> list[tuple[Tensor, Tensor | None]]:
        """The packed weights of the adjoint step and of dL/dx, for each layer."""
        return [
            (
                layer.backward.pack(self._of(k), layer.dtype),
                None
                if layer.into_input is None
                else layer.into_input.pack(self._of(k), layer.dtype),
            )
            for k, layer in enumerate(self._layers)
        ]

    @property
    def were_changed(self) -> bool:
        """Whether torch has counted a change of the parameters since."""
        return [*map(_version, self._parameters)] != self._versions

    def are_those_of(self, parameters: Sequence[Tensor]) -> bool:
        """Whether the parameters are these, and no byte of them has changed since."""
        return (
            all(map(is_, parameters, self._parameters))
            and [*map(_address, parameters)] == self._addresses
            and not self.were_changed
            and not self._look(self._at)
        )


class TrainingSteps:
    """Steps with gradients for one shape and dtype of input; see the module's docstring."""

    def __init__(
        self, cell: Cell, sizes: Sequence[Sizes], shape: torch.Size, dtype: torch.dtype
    ) -> None:
        self.shape, self.dtype = shape, dtype
        #: by which of x and the states need gradients, which guards compare
        self._checks: dict[tuple[bool, ...], Check] = {}
        #: which parameters need gradients in all checks
        self._needed: list[bool] = []
        depth, batch = len(sizes), shape[0]
        widths = [sizes[0].width((cell.state_size(name),)) for name in cell.states]
        self._apart = [batch * width * dtype.itemsize for width in widths]
        self.zeros = tuple(
            [torch.zeros(depth, batch, width, dtype=dtype, device="cpu") for width in widths]
        )
        #: where each parameter's gradient begins in ``flat``, layer by layer
        self.places: list[int] = []
        self._layers: list[_Layer] = []
        tape = flat = 0
        for k, each in enumerate(sizes):
            starts = []
            for p in cell.parameters:
                starts.append(flat)
                flat += _in_lines(prod(p.shape(each)), dtype)
            self.places += starts
            compiled = layer_of(cell.text, each, dtype, chosen_target())
            layer = _Layer(compiled, batch, starts, tape, is_top=k == depth - 1)
            self._layers.append(layer)
            tape = layer.tape_end
        self.flat_size = flat
        # an empty tensor is made faster like another
        self._tape = torch.empty(tape, dtype=dtype, device="cpu")
        self._no_gradient = torch.zeros(batch, widths[0], dtype=dtype, device="cpu")
        self._covers = all([layer.outer.covers for layer in self._layers])
        #: the gradients between layers; zero for cells that do not read x
        self._between = [
            torch.zeros(batch, each.input, dtype=dtype, device="cpu") for each in sizes[1:]
        ]
        self._lock = Lock()

    def expect(self, x: Tensor, state: State, parameters: Sequence[Tensor]) -> None:
        """Accept tensors like these from now on; the caller has checked them.

        If other parameters need gradients than before, only tensors like these are accepted.
        """
        needed = [p.requires_grad for p in parameters]
        if needed != self._needed:
            self._checks, self._needed = {}, needed
        self._checks[_needs(x, state)] = guard_of([x, *state, *parameters])

    def accepts(self, x: Tensor, state: State, parameters: Sequence[Tensor]) -> bool:
        """Whether the tensors are as expected."""
        if type(x) is not Tensor or type(state) is not tuple:
            return False
        try:
            if x.is_nested or any([s.is_nested for s in state]):  # guards crash on nested tensors
                return False
            check = self._checks.get(_needs(x, state))
            return check is not None and check(x, *state, *parameters)
        except (AttributeError, TypeError, RuntimeError):  # not a tensor, too many, no memory
            return False

    def weights(self, parameters: Sequence[Tensor]) -> TrainingWeights:
        """The packed weights of checked parameters, layer by layer."""
        return TrainingWeights(parameters, self._layers)

    def forward(
        self, x: Tensor, state: State, weights: TrainingWeights
    ) -> tuple[Tensor, State, Tensor]:
        """The output, the next state and the tape; the tensors are checked and contiguous."""
        y, tape = torch.empty_like(self._no_gradient), torch.empty_like(self._tape)
        last = tuple(map(torch.empty_like, self.zeros))
        below, top, at = x.data_ptr(), y.data_ptr(), tape.data_ptr()
        starts, ends = [*map(_address, state)], [*map(_address, last)]
        with self._lock:
            for layer, packed in zip(self._layers, weights.forward, strict=True):
                output = top if layer.is_top else layer.output(at)
                layer.run_forward(packed, at, [below, output, *starts, *ends])
                if not layer.is_top:
                    below = output
                    starts, ends = self._above(starts), self._above(ends)
        return y, last, tape

    def _above(self, addresses: list[int], by: int = 1) -> list[int]:
        """The addresses of the states of another layer."""
        if by == 0:
            return addresses
        return [at + by * apart for at, apart in zip(addresses, self._apart, strict=True)]

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
        dy = self._no_gradient if grad_y is None else grad_y.contiguous()
        last = [
            zeros if grad is None else grad.contiguous()
            for grad, zeros in zip(grad_state, self.zeros, strict=True)
        ]
        first = tuple(map(torch.empty_like, self.zeros))
        again = flat is not None
        if need_parameters and flat is None:
            flat = empty((self.flat_size,), self.dtype)
            if not self._covers:
                flat.zero_()
        dx = torch.empty_like(x) if need_input else None
        if dx is not None and self._layers[0].into_input is None:
            dx.zero_()
        at, target = tape.data_ptr(), flat.data_ptr() if flat is not None and need_parameters else 0
        states = [[*map(_address, each)] for each in (state, last, first)]
        above = dy.data_ptr()
        with self._lock:
            for k in reversed(range(len(self._layers))):
                layer = self._layers[k]
                into = self._between[k - 1] if k else dx
                below = self._layers[k - 1].output(at) if k else x.data_ptr()
                output = y.data_ptr() if layer.is_top else layer.output(at)
                shifted = [each for group in states for each in self._above(group, k)]
                layer.run_backward(
                    weights.backward[k], at, [below, output, above, *shifted],
                    0 if into is None else into.data_ptr(), target, again,
                )  # fmt: skip
                above = 0 if into is None else into.data_ptr()
        return dx, first, flat


class _Layer:
    """The kernels of one layer, with their tables of addresses."""

    def __init__(
        self, layer: CompiledLayer, batch: int, starts: Sequence[int], tape: int, *, is_top: bool
    ) -> None:
        programs, layout, dtype = layer.programs, layer.backward.layout, layer.dtype
        self.dtype, self.is_top = dtype, is_top
        self.forward = layer.forward(save=True, hoisted=False)
        self.backward, self.into_input, self.outer = layer.backward, layer.into_input, layer.outer
        buffers = [*buffers_of(programs.saved_places)]
        buffers += [programs.state_place(k, save=True) for k in programs.histories]
        buffers += [] if is_top else [programs.state_place(0, save=True)]
        taped: dict[str, int] = {}
        for buffer in buffers:
            taped[buffer.name] = tape * dtype.itemsize
            tape += _in_lines(batch * layout.stride(buffer), dtype)
        #: where the next layer's part of the tape begins
        self.tape_end = tape
        #: where the output begins on the tape, for the next layer
        self._output = 0 if is_top else taped.pop("y")
        self._taped = list(taped.values())
        numbers = range(len(programs.states))
        first, last, dlast, dfirst = [
            [f"{role} {k}" for k in numbers] for role in ("first", "last", "d last", "d first")
        ]
        self._schedule = make_schedule(1, batch, None, False)
        self._forward = _Table(
            self.forward, self._schedule, layer.scratch(self.forward.layout, batch),
            ["x", "y", *first, *last, *taped],
        )  # fmt: skip
        self._layer, self._starts = layer, starts
        #: the names of the addresses that backward is given
        self._names = ["x", "y", "dy", *first, *dlast, *dfirst, *taped]

    @cached_property
    def _tables_of_backward(self) -> tuple[_Table, _Table | None, _OuterTable]:
        """The adjoint step, dL/dx and the parameters' gradients, compiled when first needed."""
        layer, layout, schedule = self._layer, self.backward.layout, self._schedule
        batch, names = schedule.batch, self._names
        shared = {
            buffer.name: layer.memory(layout, buffer, batch)
            for buffer in buffers_of(layer.programs.gradient_places)
        }
        return (
            _Table(self.backward, schedule, shared | layer.scratch(layout, batch), names),
            None
            if self.into_input is None
            else _Table(self.into_input, all_at_once(schedule, 0, batch), shared, ["dx", *names]),
            _OuterTable(self.outer, schedule, shared, names, self._starts),
        )

    def output(self, tape: int) -> int:
        """The address of the output on the tape."""
        return tape + self._output

    def run_forward(self, packed: Tensor, tape: int, addresses: Sequence[int]) -> None:
        """``addresses``: of x, y, and the states before and after."""
        self._forward.run(packed, [*addresses, *[tape + at for at in self._taped]])

    def run_backward(
        self,
        packed: tuple[Tensor, Tensor | None],
        tape: int,
        addresses: Sequence[int],
        dx: int,
        flat: int,
        again: bool,
    ) -> None:
        """``addresses``: of x, y and dy, of the states, and of their gradients, last and first.

        The address of dx or ``flat`` is 0 if it is not needed.
        """
        adjoint, into_input = packed
        given = [*addresses, *[tape + at for at in self._taped]]
        backward, into, outer = self._tables_of_backward
        backward.run(adjoint, given)
        if flat:
            outer.run(given, flat, again)
        if dx and into is not None and into_input is not None:
            into.run(into_input, [dx, *given])


class _Table:
    """A program's table of addresses, of which a step writes those of ``names``."""

    def __init__(
        self,
        program: CompiledProgram,
        schedule: Schedule,
        memory: Mapping[str, Tensor],
        names: Sequence[str],
    ) -> None:
        buffers = [buffer.name for buffer in program.layout.program.buffers]
        assert {*buffers} <= {*names, *memory}, "every buffer has memory"
        counts, offsets, order, times = schedule.addresses
        addresses = [memory[name].data_ptr() if name in memory else 0 for name in buffers]
        spare = len(buffers)  # written for a buffer that is not read
        self._slots = [
            FIRST_BUFFER + (buffers.index(name) if name in buffers else spare) for name in names
        ]
        self._words = array("q", [counts, offsets, schedule.batch, 0, order, times, *addresses, 0])
        self._program, self._schedule, self._memory = program, schedule, memory
        at = self._words.buffer_info()[0]
        self._call: Callable[..., None] = program.functions[0]
        self._arguments: tuple[int, ...] = (at, 0, schedule.batch, 0, 1)
        if program.layout.program.lasts:  # a function of one argument is called faster
            self._call, self._arguments = _CALL(program.kernel.address("step")), (at,)
        self._is_small = program.work * schedule.batch < tuning.MIN_PARALLEL_WORK

    def run(self, packed: Tensor, addresses: Sequence[int]) -> None:
        """Run the step with these weights, and the addresses of ``names``."""
        words = self._words
        words[3] = packed.data_ptr()
        for slot, address in zip(self._slots, addresses, strict=True):
            words[slot] = address
        if self._is_small:
            self._call(*self._arguments)
        else:
            self._program.launch(self._schedule, words, 0, 1)


class _OuterTable:
    """The same for the parameters' gradients, which begin at ``starts`` in ``flat``."""

    def __init__(
        self,
        outer: CompiledOuter,
        schedule: Schedule,
        memory: Mapping[str, Tensor],
        names: Sequence[str],
        starts: Sequence[int],
    ) -> None:
        words = [0, schedule.total, 0, 0]
        self._slots: list[tuple[int, int]] = []
        self._targets: list[tuple[int, int]] = []
        for k, (kind, what) in enumerate(outer.entries, len(words)):
            word = 0  # a step writes it, or nothing reads it
            if kind == "parameter":
                self._targets.append((k, starts[what] * outer.dtype.itemsize))
            elif kind == "rows":
                word = getattr(schedule, what).ctypes.data
            elif what in names:
                self._slots.append((k, names.index(what)))
            elif what:
                word = memory[what].data_ptr()
            words.append(word)
        self._outer, self._rows, self._memory = outer, schedule.total, memory
        self._is_small = outer.work(self._rows) < tuning.MIN_PARALLEL_WORK
        self._threads, self._scratch = 1, outer.scratch(1)
        words[3] = self._scratch.data_ptr()
        self._words = array("q", words)
        self._arguments = (self._words.buffer_info()[0], 0, 1, 1, 0)

    def run(self, addresses: Sequence[int], flat: int, again: bool) -> None:
        """Add the gradients to those at ``flat``, or write them there unless ``again``."""
        words = self._words
        words[2] = again
        for slot, k in self._slots:
            words[slot] = addresses[k]
        for slot, shift in self._targets:
            words[slot] = flat + shift
        if self._is_small:
            self._outer.call[0](*self._arguments)
            return
        threads = self._outer.threads(self._rows)
        if threads != self._threads:
            self._threads, self._scratch = threads, self._outer.scratch(threads)
            words[3] = self._scratch.data_ptr()
        run_partitions(*self._outer.call, words, range(threads + 1), threads, 0)


def _needs(x: Tensor, state: State) -> tuple[bool, ...]:
    return (x.requires_grad, *[s.requires_grad for s in state])


def _in_lines(count: int, dtype: torch.dtype) -> int:
    """Round up to whole cache lines."""
    each = _LINE // dtype.itemsize
    return -(-count // each) * each
