"""Nodes: the immutable, interned values of which a cell's step graph is made.

A node is an operation applied to other nodes.  Building the same node twice gives the same
object, so common subexpressions merge by themselves and identity is equality (``==`` is never
overloaded).  Arithmetic on nodes builds nodes: that is how a cell is traced (``trace.py``) and
how the rules of differentiation are written (``ops.py``, which holds the table of operations).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from numbers import Real
from typing import Any, Literal, NoReturn, Protocol
from weakref import WeakValueDictionary

#: The size of a node's last axis: a symbol, bound to a number only when a layer is built.
#: ``"one"`` is the size of a constant, ``"matrix"`` marks a parameter that only products take.
Size = str

#: "parameter" is a leaf that is learned; "arithmetic" costs less to compute than to read back;
#: a "condition" may only be the first operand of ``where``; a "reduction" mixes a row's units
Kind = Literal["leaf", "parameter", "product", "arithmetic", "function", "condition", "reduction"]


@dataclass(frozen=True)
class Operation:
    """A row of the table in ``ops.py``: everything that there is to know of an operation.

    ``size`` gives the result's size from the operands' sizes and the attribute, or raises
    ``SizeClash``.  ``derivative(g, y, operands)`` gives the adjoint of each operand (``None``
    where there is none) from the adjoint ``g`` of the result ``y``.  ``evaluate`` writes the
    operation in terms of a ``Mathematics``, the few functions that every engine supplies.
    ``text`` and ``latex`` are templates, ``precedence`` says how tightly they bind.

    ``kind`` is what passes and engines group operations by; the sets that they use are derived
    from it at the end of ``ops.py``.  ``bounds`` are the ends of a function that saturates.
    ``internal`` operations are written by passes and never stand in a cell.
    """

    name: str
    size: Callable[[Sequence[Size], Any], Size]
    derivative: Callable[[Node, Node, tuple[Node, ...]], tuple[Node | None, ...]] | None = None
    evaluate: Callable[..., Any] | None = None
    text: str = ""
    latex: str = ""
    precedence: int = 9
    kind: Kind = "function"
    bounds: tuple[float, float] | None = None
    internal: bool = False

    @cached_property
    def arity(self) -> int | None:
        """How many operands it takes; ``None`` for leaves and products, which say so elsewhere."""
        return None if self.evaluate is None else len(signature(self.evaluate).parameters) - 1


#: The table of operations by name; ``ops.py`` fills it.
OPERATIONS: dict[str, Operation] = {}


class SizeClash(Exception):
    """Operands whose sizes do not fit; tracing turns it into a ``CellError`` with the line."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first, second)
        self.first, self.second = first, second
        self.operands: tuple[Node, ...] = ()


class Misuse(Exception):
    """Something that the language of cells does not have; becomes a ``CellError``."""


NO_MATRIX = "to the left of @ stands a matrix of learned parameters, as in W.f @ [h, x]"


class SupportsNode(Protocol):
    """What arithmetic accepts beside nodes and numbers: a learned parameter, see ``trace.py``."""

    def __node__(self) -> Node: ...


Operand = Any  # a Node, a number, or whatever has `__node__`


class Arithmetic:
    """The operators of Python, building nodes."""

    __slots__ = ()
    #: numpy leaves `np.float64(2) * h` to h, and refuses its own functions
    __array_ufunc__ = None

    def __add__(self, other: Operand) -> Node:
        return apply("add", self, other)

    def __radd__(self, other: Operand) -> Node:
        return apply("add", other, self)

    def __sub__(self, other: Operand) -> Node:
        return apply("subtract", self, other)

    def __rsub__(self, other: Operand) -> Node:
        return apply("subtract", other, self)

    def __mul__(self, other: Operand) -> Node:
        return apply("multiply", self, other)

    def __rmul__(self, other: Operand) -> Node:
        return apply("multiply", other, self)

    def __truediv__(self, other: Operand) -> Node:
        return apply("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return apply("divide", other, self)

    def __neg__(self) -> Node:
        return apply("negate", self)

    def __pos__(self) -> Node:
        return as_node(self)

    def __gt__(self, other: Operand) -> Node:
        return apply("greater", self, other)

    def __lt__(self, other: Operand) -> Node:
        return apply("greater", other, self)

    def __ge__(self, other: Operand) -> Node:
        return apply("at_least", self, other)

    def __le__(self, other: Operand) -> Node:
        return apply("at_least", other, self)

    def __matmul__(self, other: Operand) -> Node:
        raise Misuse(NO_MATRIX)

    def __rmatmul__(self, other: Operand) -> Node:
        raise Misuse(NO_MATRIX)

    def __pow__(self, other: Operand) -> NoReturn:
        raise Misuse("** is not in the language of cells; write a product, or exp(... * log(...))")

    def __bool__(self) -> NoReturn:
        raise Misuse(
            "the equations are read once, before there are values, so Python cannot branch on "
            "one; use where(condition, a, b), maximum or minimum"
        )

    def __float__(self) -> NoReturn:
        raise Misuse(
            "a value of the cell has no number yet; use Elman's own sigmoid, tanh, exp ... "
            "instead of those of math, numpy or torch"
        )

    def __iter__(self) -> NoReturn:
        raise Misuse("a value of the cell cannot be iterated over or unpacked")

    def __getitem__(self, index: object) -> NoReturn:
        raise Misuse("a value of the cell cannot be indexed")


class Node(Arithmetic):
    """An operation applied to operands; made by ``apply`` only, so that equal nodes are one."""

    __slots__ = ("__weakref__", "attribute", "operands", "operation", "size")

    operation: str
    operands: tuple[Node, ...]
    attribute: Any
    size: Size

    def __init__(
        self, operation: str, operands: tuple[Node, ...], attribute: Any, size: Size
    ) -> None:
        for name, value in zip(
            ("operation", "operands", "attribute", "size"),
            (operation, operands, attribute, size),
            strict=True,
        ):
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a node is immutable: cannot set {name}")

    def __repr__(self) -> str:
        inside = ", ".join([repr(operand) for operand in self.operands])
        if self.attribute is not None:
            inside = f"{self.attribute}" + (f"; {inside}" if inside else "")
        return f"{self.operation}({inside})"

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: object) -> Node:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return intern, (self.operation, self.operands, self.attribute)


class Observers(threading.local):
    """Who is told of each node that `apply` makes in this thread: cells that are being traced."""

    def __init__(self) -> None:
        self.called: list[Callable[[Node], None]] = []


observers = Observers()
_interned: WeakValueDictionary[tuple[Any, ...], Node] = WeakValueDictionary()
_lock = threading.RLock()
if hasattr(os, "register_at_fork"):  # a child must not inherit a lock that another thread holds
    os.register_at_fork(
        before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
    )


def intern(operation: str, operands: tuple[Node, ...], attribute: Any) -> Node:
    """The one node with these fields; raises ``SizeClash`` where the sizes do not fit."""
    key = (operation, operands, attribute, type(attribute))
    node = _interned.get(key)
    if node is None:
        try:
            size = OPERATIONS[operation].size([operand.size for operand in operands], attribute)
        except SizeClash as clash:
            clash.operands = operands
            raise
        with _lock:  # two threads must not both make the one node
            node = _interned.setdefault(key, Node(operation, operands, attribute, size))
    return node


def apply(operation: str, *operands: Operand, attribute: Any = None) -> Node:
    """Apply the operation of that name; numbers become constants."""
    node = intern(operation, tuple([as_node(operand) for operand in operands]), attribute)
    for observe in observers.called:
        observe(node)
    return node


def as_node(value: Operand) -> Node:
    """A node from a node, a number or a learned parameter."""
    if isinstance(value, Node):
        return value
    if hasattr(value, "__node__"):
        node = value.__node__()
        assert isinstance(node, Node)
        return node
    if isinstance(value, bool):
        raise Misuse(
            f"{value} is a truth value of Python, such as == and != give; a condition is made "
            "with >, <, >= or <="
        )
    if not isinstance(value, Real):
        raise Misuse(
            f"{value!r} is a {type(value).__name__}; the equations may hold the cell's own "
            "values, its parameters and plain numbers"
        )
    return intern("constant", (), float(value))


def ancestors(roots: Iterable[Node], stop: Container[Node] = ()) -> tuple[Node, ...]:
    """Every node that the roots are made from, and they themselves, operands first.

    A node in ``stop`` is listed, but not what it is made from.
    """
    order: dict[Node, None] = {}
    stack: list[tuple[Node, bool]] = [(root, False) for root in reversed(tuple(roots))]
    while stack:
        node, visited = stack.pop()
        if node in order:
            continue
        if visited:
            order[node] = None
        else:
            stack.append((node, True))
            if node not in stop:
                stack.extend((operand, False) for operand in reversed(node.operands))
    return tuple(order)
