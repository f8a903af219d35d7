"""A cell: the step graph of a recurrent layer, with the author's names.

A cell is a value: immutable, safe to copy, and compared by its text.  ``text.py`` writes it as
JSON; reading it back runs no code.  ``trace.py`` makes a cell from a Python function; ``show.py``
prints it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from elman.errors import CellError
from elman.graph import show
from elman.graph.node import Node, Size, ancestors, intern, state_leaf
from elman.graph.ops import PARAMETERS
from elman.graph.rewrite import moved, rewrite
from elman.graph.show import expression
from elman.graph.sizes import MEMORY_SIZES, Sizes, own_names
from elman.graph.text import write_cell


@dataclass(frozen=True)
class Parameter:
    """A learned parameter of a cell: ``W.f`` is ``Parameter("W", "f", "matrix", columns)``.

    A vector has one value per unit, or per feature of the input if ``columns`` says so.  A matrix
    with ``heads`` holds the blocks of a block-diagonal matrix, one below the other.
    """

    family: str
    gate: str
    kind: Literal["matrix", "vector"]
    #: the sizes of the operands of a matrix, in the order written; for a vector its size, if that
    #: is not hidden
    columns: tuple[Size, ...] = ()
    heads: int = 1
    #: the size of a matrix's products
    rows: Size = "hidden"

    @property
    def key(self) -> str:
        """The name in the equations and in a ``state_dict``, such as ``W.f``."""
        return f"{self.family}.{self.gate}"

    @property
    def leaf(self) -> Node:
        """Its node in a graph."""
        sized = () if self.size == "hidden" else (self.size,)
        return intern(self.kind, (), (self.family, self.gate, *sized))

    @property
    def size(self) -> Size:
        """The size of a vector, or of a matrix's products."""
        if self.kind == "matrix":
            return self.rows
        return self.columns[0] if self.columns else "hidden"

    def shape(self, sizes: Sizes) -> tuple[int, ...]:
        """(hidden, total size of the operands / heads) of a matrix, (size,) of a vector.

        Instead of hidden, ``rows``.  A vector of size memory has a value for each unit and key.
        """
        if self.columns == ("memory",):
            return (sizes.hidden, sizes.keys)
        if self.kind == "vector":
            return (sizes.width(self.columns or ("hidden",)),)
        return (sizes.width((self.rows,)), sizes.width(self.columns) // self.heads)

    def blocks(self, sizes: Sizes) -> list[tuple[Size, slice, slice]]:
        """The rows and columns of a matrix that multiply each operand, for each head.

        >>> Parameter("W", "h", "matrix", ("hidden", "input")).blocks(Sizes(3, 4))[1]
        ('input', slice(0, 4, None), slice(4, 7, None))
        """
        rows = sizes.width((self.rows,)) // self.heads
        found, start = [], 0
        for size in self.columns:
            end = start + sizes.width((size,)) // self.heads
            found += [
                (size, slice(k * rows, (k + 1) * rows), slice(start, end))
                for k in range(self.heads)
            ]
            start = end
        return found


@dataclass(frozen=True, eq=False)
class Cell:
    """The equations of one step: from the input and the states to the next states.

    ``next_states`` are in the order of ``states``; the first state is the output of a layer.
    ``names`` holds the author's names of values in the author's order, ``init`` the initial values
    of parameters that do not have the default, ``doc`` the docstring.  ``inputs`` are the names and
    sizes of the inputs beside ``input`` (side inputs), such as the time since the last step;
    ``sizes`` are those of the states that are not hidden.

    >>> from elman.cells import gru
    >>> gru.states
    ('h',)
    >>> [parameter.key for parameter in gru.parameters]
    ['W.z', 'W.r', 'W.h', 'b.z', 'b.r', 'b.h']
    """

    name: str
    input: str
    states: tuple[str, ...]
    next_states: tuple[Node, ...]
    parameters: tuple[Parameter, ...]
    gates: tuple[str, ...]
    names: Mapping[Node, str] = field(default_factory=dict)
    init: Mapping[str, float] = field(default_factory=dict)
    doc: str = ""
    inputs: tuple[tuple[str, Size], ...] = ()
    sizes: Mapping[str, Size] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # computed now: torch.compile cannot trace the lock of a cached property in Python 3.11
        if self.names.keys() <= set(self.nodes):  # otherwise ``verify`` rejects the cell
            _ = self.masks, self.text, self.own_sizes

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Every node of the step, in topological order."""
        return ancestors(self.next_states)

    @cached_property
    def masks(self) -> tuple[Node, ...]:
        """The masks that a step takes in training, besides its input (``passes/noise.py``)."""
        return tuple([node for node in self.nodes if node.operation == "mask"])

    @property
    def has_memory(self) -> bool:
        """Whether it has a matrix state, and so heads and keys."""
        return any([size in MEMORY_SIZES for size in self.sizes.values()])

    @cached_property
    def own_sizes(self) -> tuple[Size, ...]:
        """The names of sizes of its own, to which a layer gives numbers.

        >>> from elman.cells import lstmp
        >>> lstmp.own_sizes
        ('projection',)
        """
        used = [*self.sizes.values(), *[size for _, size in self.inputs]]
        for p in self.parameters:
            used += [*p.columns, p.rows]
        return own_names(used)

    @property
    def side_leaves(self) -> tuple[Node, ...]:
        """The leaves of the inputs beside ``input``."""
        return tuple([intern("side", (), each) for each in self.inputs])

    @property
    def state_leaves(self) -> tuple[Node, ...]:
        """The leaves of the states' previous values."""
        return tuple([state_leaf(name, self.state_size(name)) for name in self.states])

    def state_size(self, name: str) -> Size:
        """The size of a state."""
        return self.sizes.get(name, "hidden")

    def bind(
        self,
        input_size: int,
        states: Sequence[int],
        parameters: Sequence[Sequence[int]] = (),
        sides: Sequence[int] = (),
        heads: int = 1,
        keys: int = 0,
    ) -> Sizes:
        """A layer's sizes from those of its states and side inputs and its parameters' shapes.

        >>> from elman.cells import lstmp
        >>> lstmp.bind(3, [8, 20]).own
        (('projection', 8),)
        """
        if self.has_memory or not (self.sizes or self.own_sizes):
            return Sizes(input_size, states[0], heads, keys)
        found: dict[Size, int] = {}
        for name, width in zip(self.states, states, strict=False):
            found.setdefault(self.state_size(name), width)
        for (_, size), width in zip(self.inputs, sides, strict=False):
            found.setdefault(size, width)
        for parameter, shape in zip(self.parameters, parameters, strict=False):
            found.setdefault(parameter.size, shape[0])
        own = tuple([(name, found[name]) for name in self.own_sizes if name in found])
        return Sizes(input_size, found.get("hidden", 0), own=own)

    @cached_property
    def text(self) -> str:
        """The whole cell as one line of JSON; ``elman.graph.read_cell`` reads it back."""
        return write_cell(self)

    def without(self, family: str) -> Cell:
        """The same cell without a family of vectors; ``bias=False`` removes ``b`` this way."""
        gone: set[Node] = set()

        def refuse(node: Node) -> CellError:
            return CellError(
                f"{self.name}: bias=False cannot remove {family} from "
                f"`{expression(node, self, top=True)}`; {family} must be added to something."
            )

        def leave_out(node: Node, new: Mapping[Node, Node]) -> Node:
            if node.operation in PARAMETERS and node.attribute[0] == family:
                gone.add(node)
                return node
            left = [operand for operand in node.operands if operand not in gone]
            if len(left) == len(node.operands):
                return moved(node, new)
            if node.operation != "add" or (left and new[left[0]].size != node.size):
                raise refuse(node)
            if not left:
                gone.add(node)
                return node
            return new[left[0]]

        new = rewrite(self.next_states, leave_out)
        for node in self.next_states:
            if node in gone:
                raise refuse(node)
        kept = tuple([p for p in self.parameters if p.family != family])
        keys = {p.key for p in kept}
        return replace(
            self,
            next_states=tuple([new[node] for node in self.next_states]),
            parameters=kept,
            names={new[old]: name for old, name in self.names.items() if old not in gone},
            init={key: value for key, value in self.init.items() if key in keys},
        )

    def latex(self) -> str:
        """The equations as LaTeX, one line each, aligned at the equals sign."""
        return show.latex(self)

    def __str__(self) -> str:
        return show.text(self)

    def __repr__(self) -> str:
        return f"<cell {self.name}: states {', '.join(self.states)}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cell) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __copy__(self) -> Cell:
        return self

    def __deepcopy__(self, memo: object) -> Cell:
        return self
