"""Programs: the phases of a cell's step with a memory location for each value.

The native engine compiles programs.  A program runs over steps; each step reads and writes rows
of buffers.  ``Programs`` holds the programs of one cell:

forward     the step; writes what backward needs to ``saved`` and histories
projection  products that need only the input, for all steps at once, if that is faster
precompute  operands of products that depend only on the input, such as tanh(x)
backward    the adjoint step; writes ``gradients``, one for each row of each matrix
into_input  dL/dx from ``gradients``, for all steps at once
outer       the outer products and sums of the parameters' gradients

With ``bf16``, operands of products and the caller's tensors are stored as bfloat16; states, sums
and equations use the kernel's own type.  A value that is an operand and also used elsewhere is
stored twice.

Values of different sizes are in different buffers.  Sizes are symbolic; the compiler (``llvm/``)
binds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Literal

from elman.backends.native.phases import Phase, divide
from elman.backends.plan import Plan, plan_of
from elman.graph import Cell
from elman.graph.node import Node, Size, ancestors, as_node, intern
from elman.graph.ops import CONDITIONS
from elman.graph.rewrite import moved, rewrite
from elman.graph.sizes import Block
from elman.passes import lower
from elman.passes.gradient import ParameterKey

INPUT = intern("input", (), None)


def outer_gradient(cell: Cell) -> Node:
    """The leaf of dL/dy of a step, which is added to the gradient from later steps."""
    return intern("adjoint", (), (None, cell.state_size(cell.states[0])))


#: buffers for values that one phase stores for a later one, and for computed operands
SCRATCH = ("spilled", "operands")


@dataclass(frozen=True)
class Buffer:
    """Memory with rows of equal width.

    ``rows``: one row per sequence and ``step``, one per sequence of the ``batch``, or a ``pair`` of
    the latter, written alternately.  With ``segments``, a row holds that many values, each padded
    to whole vectors; otherwise a row is one unpadded value.  The caller's buffers are ``external``:
    their rows are in the caller's order, all others in the engine's.  ``bf16`` buffers hold
    bfloat16.

    The engine chooses names.  A buffer of a state is named by the state's number, so that names
    are unique for any cell; ``of`` is the state's own name, for display.
    """

    name: str
    rows: Literal["step", "batch", "pair"]
    segments: int = 0
    size: Size = "hidden"
    external: bool = False
    bf16: bool = False
    of: str = field(default="", compare=False)

    @property
    def is_scratch(self) -> bool:
        """Whether a program uses it between phases only."""
        return self.name.partition(" ")[0] in SCRATCH

    @property
    def in_bf16(self) -> Buffer:
        """The same buffer as bfloat16."""
        return replace(self, name=f"{self.name} bf16", bf16=True)

    @property
    def title(self) -> str:
        """The name for display, with the state's own name."""
        if not self.of:
            return self.name
        words = [self.of if word.isdecimal() else word for word in self.name.split()]
        return " ".join(words)


@dataclass(frozen=True)
class Place:
    """The memory location of a value.

    ``shift`` is 0 for the row of the current step, -1 or 1 for the previous or next step; if that
    does not exist, the row is in ``first``.
    """

    buffer: Buffer
    segment: int = 0
    shift: int = 0
    first: Buffer | None = None


def buffers_of(places: Mapping[Node, Place]) -> tuple[Buffer, ...]:
    """The buffers of these places, each once, in their order."""
    return tuple(dict.fromkeys([place.buffer for place in places.values()]))


@dataclass(frozen=True, eq=False)
class Program:
    """Phases with the places that they read and write.

    Products read ``operands``, equations read ``loads``.  ``direction`` is 1 to run from the first
    step, -1 from the last.  ``lasts``: after a sequence's last step, its row is copied from the
    place to the buffer.
    """

    name: str
    phases: tuple[Phase, ...]
    loads: Mapping[Node, Place]
    operands: Mapping[Node, Place]
    stores: Mapping[Node, tuple[Place, ...]]
    lasts: tuple[tuple[Place, Buffer], ...] = ()
    direction: Literal[1, -1] = 1
    bf16: bool = False

    @cached_property
    def buffers(self) -> tuple[Buffer, ...]:
        """All buffers, in the order of the kernel's table."""
        found: dict[Buffer, None] = {}
        for place in self._places():
            found.update(dict.fromkeys(filter(None, [place.buffer, place.first])))
        found.update(dict.fromkeys([buffer for _, buffer in self.lasts]))
        return tuple(found)

    def _places(self) -> Iterable[Place]:
        yield from self.loads.values()
        yield from self.operands.values()
        for places in self.stores.values():
            yield from places
        yield from [place for place, _ in self.lasts]


@dataclass(frozen=True)
class Outer:
    """dW[:, block] = Σ over rows of a value in ``gradients`` ⊗ the operand."""

    matrix: ParameterKey
    block: Block
    gradient: Node
    place: Place
    operand: Node


@dataclass(frozen=True, eq=False)
class Programs:
    """All programs of one cell; see the module's docstring."""

    plan: Plan
    bf16: bool = False

    @property
    def cell(self) -> Cell:
        """The cell of these programs."""
        return self.plan.cell

    # shared by the programs

    @cached_property
    def next_states(self) -> tuple[Node, ...]:
        """The next states in elementary operations."""
        return lower(self.plan.next_states)

    @cached_property
    def states(self) -> tuple[Node, ...]:
        """The leaves of the states."""
        return self.cell.state_leaves

    @cached_property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of the states."""
        return tuple(dict.fromkeys([state.size for state in self.states]))

    @cached_property
    def inputs(self) -> tuple[Node, ...]:
        """The operands of products that depend only on the input, x first."""
        found = [
            operand
            for node in ancestors(self.next_states)
            if node.operation == "block_product"
            for operand in node.operands[1:]
            if operand.size == "input"
        ]
        return tuple(dict.fromkeys([INPUT, *found]))

    @cached_property
    def precomputed(self) -> dict[Node, Place]:
        """The places of ``inputs``."""
        return {
            node: Place(
                self.external("x", "input")
                if node is INPUT
                else Buffer(f"x {k}", "step", size="input", bf16=self.bf16)
            )
            for k, node in enumerate(self.inputs)
        }

    @cached_property
    def masks(self) -> dict[Node, Place]:
        """The places of the caller's masks, with a row per step or per sequence."""
        rows: dict[str, Literal["step", "batch"]] = {"step": "step", "sequence": "batch"}
        return {
            node: Place(Buffer(f"mask {k}", rows[node.attribute[2]], size=node.size, external=True))
            for k, node in enumerate(self.cell.masks)
        }

    @cached_property
    def sides(self) -> dict[Node, Place]:
        """The places of the caller's side inputs."""
        return {
            leaf: Place(Buffer(f"side {k}", "step", size=leaf.size, external=True))
            for k, leaf in enumerate(self.cell.side_leaves)
        }

    def external(self, name: str, size: Size | None = None) -> Buffer:
        """A buffer for a tensor of the caller: x, y and their gradients; of y's size by default."""
        size = size or self.states[0].size
        return Buffer(name, "step", size=size, external=True, bf16=self.bf16)

    @cached_property
    def saved(self) -> tuple[Node, ...]:
        """The values that forward saves for backward.

        Backward uses some forward values directly.  Of these, states have histories, and values
        that follow from others by elementwise operations are recomputed: a tanh is cheaper than
        storing and loading a vector.
        """
        gradient = self.plan.gradient
        forward = frozenset(ancestors(self.plan.next_states))
        at_hand = {*self.states, *self.plan.next_states}
        direct: dict[Node, None] = {}
        for node in ancestors(gradient.roots):
            if node not in forward:
                direct.update(dict.fromkeys([o for o in _numbers(node.operands) if o in forward]))
        operands = {product.operand for product in gradient.products}
        direct.update(dict.fromkeys(operands))
        saved: list[Node] = []
        for node in [node for node in ancestors(direct) if node in direct]:
            if node.size in {"input", "matrix"} or node in at_hand:
                continue
            if not node.operands and node not in operands:
                continue
            free = all([not o.operands or o in at_hand for o in node.operands])
            if node in operands or not free or node.operation in {"block_product", "layer_norm"}:
                saved.append(node)
            at_hand.add(node)
        return tuple(saved)

    @cached_property
    def adjoint(self) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
        """dL/d(states), and the gradients for matrices and vectors, in elementary operations."""
        gradient = self.plan.gradient
        zero = as_node(0.0)
        states = [zero if node is None else node for node in gradient.states]
        left = [product.gradient for product in gradient.products] + [*gradient.vectors.values()]
        lowered = self.in_adjoint([*states, *dict.fromkeys(left)])
        return lowered[: len(states)], tuple(dict.fromkeys(lowered[len(states) :]))

    def in_adjoint(self, gradients: Sequence[Node]) -> tuple[Node, ...]:
        """The plan's gradients as nodes of ``adjoint``."""
        seed = self.plan.gradient.seeds[0]
        total = intern("add", (seed, outer_gradient(self.cell)), None)
        return _replaced(lower(gradients), seed, total)

    @cached_property
    def side_gradients(self) -> tuple[tuple[Node, Place], ...]:
        """The gradients of the side inputs, and their places."""
        found = enumerate(self.plan.gradient.of_sides(self.cell))
        wanted = [(k, node) for k, node in found if node is not None]
        places = [
            Place(Buffer(f"d side {k}", "step", size=self.cell.inputs[k][1], external=True))
            for k, _ in wanted
        ]
        return tuple(zip(self.in_adjoint([node for _, node in wanted]), places, strict=True))

    @cached_property
    def _backward_reads(self) -> frozenset[Node]:
        roots = [*self.adjoint[0], *self.adjoint[1], *[node for node, _ in self.side_gradients]]
        found = ancestors(roots, stop=self._given_to_backward)
        operands = [product.operand for product in self.plan.gradient.products]
        return frozenset([*found, *operands])

    @cached_property
    def _given_to_backward(self) -> frozenset[Node]:
        return frozenset([*lower(self.saved), *self.states, *self.next_states, *self.inputs])

    @cached_property
    def histories(self) -> tuple[int, ...]:
        """The states that backward reads at every step, except the first, which is the output."""
        return tuple(
            [
                k
                for k, (state, node) in enumerate(zip(self.states, self.next_states, strict=True))
                if k > 0 and (state in self._backward_reads or node in self._backward_reads)
            ]
        )

    def state_place(self, k: int, *, save: bool) -> Buffer:
        """The buffer of a state's next value."""
        if k == 0:
            return self.external("y")
        if save and k in self.histories:
            return self.of_state(k, "history", "step")
        return self.of_state(k, "pair", "pair")

    def of_state(
        self,
        k: int,
        role: Literal["history", "pair", "first", "last", "d pair", "d first", "d last"],
        rows: Literal["step", "batch", "pair"],
        *,
        external: bool = False,
        bf16: bool = False,
    ) -> Buffer:
        """The buffer of state ``k`` with this role."""
        of, size = self.cell.states[k], self.states[k].size
        return Buffer(f"{role} {k}", rows, size=size, external=external, bf16=bf16, of=of)

    def first(self, k: int) -> Buffer:
        """The buffer of a state's initial values, in the row order of its next values."""
        found = self.of_state(k, "first", "batch", external=k == 0)
        return found.in_bf16 if k == 0 and self.bf16 else found

    def operand_place(self, node: Node) -> Place:
        """The place of a product's operand after backward."""
        if node in self.precomputed:
            return self.precomputed[node]
        if node in self.states:
            k = self.states.index(node)
            return Place(self.state_place(k, save=True), 0, -1, self.first(k))
        if node in self.saved_places:
            return self.saved_places[node]
        return Place(self.state_place(self.next_states.index(node), save=True))

    @cached_property
    def saved_places(self) -> dict[Node, Place]:
        """Where forward saves values for backward, by their elementary operations."""
        return _segments("saved", "step", lower(self.saved))

    @cached_property
    def gradient_places(self) -> dict[Node, Place]:
        """Where the adjoint step writes gradients for parameters and input."""
        return _segments("gradients", "step", self.adjoint[1], bf16=self.bf16)

    @cached_property
    def projected_places(self) -> dict[Node, Place]:
        """Where ``projection`` writes what the step reads."""
        return _segments("projected", "step", self.hoisted)

    # the programs

    @cached_property
    def hoisted(self) -> tuple[Node, ...]:
        """The initial values of the step's sums that ``projection`` computes from the input.

        Hoisting does not change any bit of a sum.
        """
        programs = [self.forward(save=save, hoisted=False) for save in (False, True)]
        totals = [t for p in programs for phase in p.phases for t in phase.accumulators]
        return tuple(dict.fromkeys([t.initial for t in totals if t.initial is not None]))

    @cached_property
    def precompute(self) -> Program | None:
        """The operands that depend only on the input."""
        made = [node for node in self.inputs if node is not INPUT]
        if not made:
            return None
        roots = lower(made)
        phases, _ = divide(roots, ())
        stores = _gathered([(r, self.precomputed[n]) for r, n in zip(roots, made, strict=True)])
        loads = {INPUT: self.precomputed[INPUT]}
        return self._program("precompute", phases, loads, stores)

    @cached_property
    def projection(self) -> Program:
        """The products that need only the input."""
        phases, spilled = divide(self.hoisted, frozenset(self.inputs))
        scratch = _segments("spilled", "batch", spilled)
        stores = _gathered([*self.projected_places.items(), *scratch.items()])
        return self._program("projection", phases, self.precomputed | scratch, stores)

    def forward(self, *, save: bool, hoisted: bool) -> Program:
        """The step; ``save`` saves for backward, ``hoisted`` uses the results of ``projection``."""
        saved = tuple(zip(lower(self.saved), self.saved, strict=True)) if save else ()
        roots = [*self.next_states, *[node for node, _ in saved]]
        phases, spilled = divide(roots, frozenset(self.inputs), self.sizes)
        loads = self.precomputed | self.masks | self.sides
        if hoisted:
            phases = tuple([phase.from_initial() for phase in phases])
            loads |= self.projected_places
        stores: list[tuple[Node, Place]] = []
        multiplied: dict[Node, Place] = {}
        lasts = []
        for k, (leaf, node) in enumerate(zip(self.states, self.next_states, strict=True)):
            buffer = self.state_place(k, save=save)
            last = self.of_state(k, "last", "batch", external=True, bf16=buffer.bf16)
            lasts.append((Place(buffer), last))
            stores.append((node, Place(buffer)))
            before, now = Place(buffer, 0, -1, self.first(k)), Place(buffer)
            if buffer.bf16:  # y is rounded, so the full state needs its own buffer
                multiplied |= {leaf: before, node: now}
                pair = self.of_state(k, "pair", "pair")
                before = Place(pair, 0, -1, self.of_state(k, "first", "batch"))
                now = Place(pair)
                stores.append((node, now))
            loads[leaf] = before
            if node.operands:
                loads.setdefault(node, now)
        for node, _ in saved:
            place = self.saved_places[node]
            stores.append((node, place))
            loads.setdefault(node, place)
        scratch = _segments("spilled", "batch", [node for node in spilled if node not in loads])
        stores += scratch.items()
        return self._program(
            "forward" + (" saving" if save else "") + (" hoisted" if hoisted else ""),
            phases,
            loads | scratch,
            _gathered(stores),
            tuple(lasts),
            multiplied=multiplied,
        )

    @cached_property
    def backward(self) -> Program:
        """The adjoint step."""
        dstates, left = self.adjoint
        given = self._given_to_backward
        dsides = self.side_gradients
        roots = [*dstates, *left, *[node for node, _ in dsides]]
        phases, spilled = divide(roots, given, self.sizes)
        loads = self.precomputed | self.masks | self.sides | self.saved_places
        for k, (leaf, node) in enumerate(zip(self.states, self.next_states, strict=True)):
            buffer = self.state_place(k, save=True)
            if buffer.rows == "step":
                loads[leaf] = Place(buffer, 0, -1, self.first(k))
                if node.operands:
                    loads[node] = Place(buffer)
        stores = [*self.gradient_places.items(), *dsides]
        loads |= {node: place for node, place in stores if node not in loads}
        lasts = []
        for k in range(len(self.states)):
            pair = self.of_state(k, "d pair", "pair")
            carry = Place(pair, 0, 1, self.of_state(k, "d last", "batch"))
            loads[self.plan.gradient.seeds[k]] = carry
            stores.append((dstates[k], Place(pair)))
            if dstates[k].operands:  # a later phase may read it
                loads.setdefault(dstates[k], Place(pair))
            lasts.append((Place(pair), self.of_state(k, "d first", "batch", external=True)))
        loads[outer_gradient(self.cell)] = Place(self.external("dy"))
        scratch = _segments("spilled", "batch", [node for node in spilled if node not in loads])
        loads |= scratch
        stores += scratch.items()
        return self._program(
            "backward", phases, loads, _gathered(stores), tuple(lasts), direction=-1
        )

    @cached_property
    def into_input(self) -> Program | None:
        """dL/dx."""
        if self.plan.gradient.input is None:
            return None
        (root,) = self.in_adjoint([self.plan.gradient.input])
        left = self.adjoint[1]
        phases, spilled = divide([root], frozenset(left))
        assert not spilled, "the input's gradient only depends on stored gradients"
        loads = {**self.gradient_places, INPUT: self.precomputed[INPUT]}
        stores = {root: (Place(self.external("dx", "input")),)}
        return self._program("input gradient", phases, loads, stores)

    def _program(
        self,
        name: str,
        phases: tuple[Phase, ...],
        loads: Mapping[Node, Place],
        stores: Mapping[Node, tuple[Place, ...]],
        lasts: tuple[tuple[Place, Buffer], ...] = (),
        direction: Literal[1, -1] = 1,
        multiplied: Mapping[Node, Place] = MappingProxyType({}),
    ) -> Program:
        """A program without unused places.

        ``multiplied`` overrides the places of values for products.
        """
        read, factors = _used(phases)
        operands = {n: place for n, place in {**loads, **multiplied}.items() if n in factors}
        loads = {n: place for n, place in loads.items() if n in read}
        if self.bf16:
            operands, stores = _in_bf16(operands, stores)
        places = [*loads.values(), *operands.values(), *[place for place, _ in lasts]]
        used = {place.buffer for place in places}
        stores = {
            node: tuple([p for p in places if p.buffer.rows == "step" or p.buffer in used])
            for node, places in stores.items()
        }
        return Program(name, phases, loads, operands, stores, lasts, direction, self.bf16)

    @cached_property
    def outer(self) -> tuple[Outer, ...]:
        """The outer products that make up the gradients of matrices."""
        products = self.plan.gradient.products
        nodes = self.in_adjoint([product.gradient for product in products])
        operands = [
            p.operand if p.operand.size == "input" else lower([p.operand])[0] for p in products
        ]
        return tuple(
            [
                Outer(product.matrix, product.block, node, self.gradient_places[node], operand)
                for product, node, operand in zip(products, nodes, operands, strict=True)
            ]
        )

    @cached_property
    def sums(self) -> tuple[tuple[ParameterKey, Node], ...]:
        """The values in ``gradients`` whose sums over rows are the gradients of vectors."""
        vectors = self.plan.gradient.vectors
        return tuple(zip(vectors, self.in_adjoint([*vectors.values()]), strict=True))


@lru_cache(maxsize=256)
def programs_of(text: str, *, bf16: bool = False) -> Programs:
    """The programs of the cell with this text (``Cell.text``)."""
    return Programs(plan_of(text), bf16)


def _numbers(nodes: Iterable[Node]) -> Iterable[Node]:
    """The nodes, with conditions replaced by their operands, because memory holds no masks."""
    for node in nodes:
        if node.operation in CONDITIONS:
            yield from _numbers(node.operands)
        else:
            yield node


def _segments(
    name: str, rows: Literal["step", "batch"], nodes: Sequence[Node], *, bf16: bool = False
) -> dict[Node, Place]:
    """Places for values, in a buffer for each size."""
    by_size: dict[Size, list[Node]] = {}
    for node in nodes:
        by_size.setdefault("hidden" if node.size == "one" else node.size, []).append(node)
    found: dict[Node, Place] = {}
    for size, members in by_size.items():
        title = name if size == "hidden" else f"{name} {size}"
        buffer = Buffer(title, rows, len(members), size=size, bf16=bf16)
        found |= {node: Place(buffer, k) for k, node in enumerate(members)}
    return {node: found[node] for node in nodes}


def _gathered(pairs: Iterable[tuple[Node, Place]]) -> dict[Node, tuple[Place, ...]]:
    found: dict[Node, tuple[Place, ...]] = {}
    for node, place in pairs:
        found[node] = (*found.get(node, ()), place)
    return found


def _replaced(roots: Sequence[Node], old: Node, new: Node) -> tuple[Node, ...]:
    """Replace a leaf by another value."""
    found = rewrite(roots, lambda node, became: new if node is old else moved(node, became))
    return tuple([found[root] for root in roots])


def _used(phases: Sequence[Phase]) -> tuple[set[Node | None], set[Node]]:
    """The values that equations read, and those that products read."""
    read: set[Node | None] = set()
    factors: set[Node] = set()
    for phase in phases:
        computed_here = set(phase.values)
        for total in phase.accumulators:
            factors |= {term.operand for term in total.terms}
            read |= {total.start, *total.rest}
        summed = {total.value for total in phase.accumulators}
        for value in phase.values:
            if value not in summed:
                read |= {o for o in value.operands if o not in computed_here}
        read |= {value for value in phase.stored if value not in computed_here}
    return read, factors


def _in_bf16(
    operands: Mapping[Node, Place], stores: Mapping[Node, tuple[Place, ...]]
) -> tuple[dict[Node, Place], dict[Node, tuple[Place, ...]]]:
    """Add a second place, as bfloat16, for operands that need one."""
    own = [n for n, place in operands.items() if not (place.buffer.bf16 or place.shift)]
    assert all([n in stores for n in own]), "another program's operand is not bf16"
    twice = _segments("operands", "batch", own, bf16=True)
    found, more = {**operands, **twice}, [*twice.items()]
    for node, place in operands.items():
        if place.shift and not place.buffer.bf16:
            assert place.first is not None
            twin = replace(place.buffer, rows="pair", external=False, bf16=False).in_bf16
            found[node] = Place(twin, 0, place.shift, place.first.in_bf16)
            more += [
                (written, Place(twin))
                for written, places in stores.items()
                if Place(place.buffer) in places
            ]
    return found, _gathered([*[(n, p) for n, places in stores.items() for p in places], *more])
