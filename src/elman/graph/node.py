"""Nodes: the immutable, interned values of a cell's step graph.

A node is an operation applied to other nodes.  Building the same node twice gives the same
object, so common subexpressions are shared and equality is identity (``==`` is not overloaded).
Arithmetic on nodes builds nodes: this traces a cell (``trace.py``) and expresses the derivatives
(``ops.py``, the table of operations).
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

#: The size of a node's last axis: a symbol that becomes a number when a layer is built.
#: ``"one"`` is the size of a constant; ``"matrix"`` marks a matrix of parameters, or one computed
#: from them.  ``sizes.py`` lists them.
Size = str

#: "parameter": a learned leaf; "matrix": a function of matrices of parameters; "memory": for matrix
#: states; "arithmetic": cheaper to compute than to load; "condition": only allowed as the first
#: operand of ``where``; "reduction": combines all units of a row
Kind = Literal[
    "leaf",
    "parameter",
    "matrix",
    "memory",
    "product",
    "arithmetic",
    "function",
    "condition",
    "reduction",
]


@dataclass(frozen=True)
class Operation:
    """A row of the table in ``ops.py``: the complete definition of an operation.

    ``size`` gives the result's size from the operands' sizes and the attribute, or raises
    ``SizeClash``.  ``derivative(g, y, operands)`` gives the adjoint of each operand (``None``
    where there is none) from the adjoint ``g`` of the result ``y``.  ``evaluate`` expresses the
    operation in terms of a ``Mathematics``, the few functions that every engine supplies.
    ``text`` and ``latex`` are templates; ``precedence`` is that of their operator.

    Passes and engines group operations by ``kind``; the sets at the end of ``ops.py`` are derived
    from it.  ``bounds`` is the range of a function that saturates.  Passes create ``internal``
    operations; a cell never contains one.
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
        """The number of operands; ``None`` for leaves and products."""
        return None if self.evaluate is None else len(signature(self.evaluate).parameters) - 1


#: The table of operations by name, filled by ``ops.py``.
OPERATIONS: dict[str, Operation] = {}


class SizeClash(Exception):
    """The sizes of operands do not match; tracing raises a ``CellError`` with the line."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(first, second)
        self.first, self.second = first, second
        self.operands: tuple[Node, ...] = ()


class Misuse(Exception):
    """An expression that the cell language does not support; becomes a ``CellError``."""


NO_DIVISION_BY_ZERO = "this divides by the number 0; divide by another number"
NO_MATRIX = (
    "the left operand of @ must be a matrix of learned parameters, as in W.f @ [h, x], or a matrix "
    "state; write a matrix that is computed from parameters with matrix(W.f)"
)


class SupportsNode(Protocol):
    """An operand other than a node or a number: a learned parameter, see ``trace.py``."""

    def __node__(self) -> Node: ...


Operand = Any  # a Node, a number, or an object with `__node__`


class Arithmetic:
    """Python's operators, which build nodes."""

    __slots__ = ()
    #: makes numpy leave `np.float64(2) * h` to h, and reject its own functions
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
        if isinstance(other, Real) and other == 0:
            raise Misuse(NO_DIVISION_BY_ZERO)
        return apply("divide", self, other)

    def __rtruediv__(self, other: Operand) -> Node:
        return apply("divide", other, self)

    def __neg__(self) -> Node:
        return apply("negate", self)

    def __pos__(self) -> Node:
        return as_node(self)

    def __abs__(self) -> Node:
        return apply("abs", self)

    def __gt__(self, other: Operand) -> Node:
        return apply("greater", self, other)

    def __lt__(self, other: Operand) -> Node:
        return apply("greater", other, self)

    def __ge__(self, other: Operand) -> Node:
        return apply("at_least", self, other)

    def __le__(self, other: Operand) -> Node:
        return apply("at_least", other, self)

    def __matmul__(self, other: Operand) -> Node:
        matrix = as_node(self)
        if matrix.size == "memory":
            if isinstance(other, (list, tuple)):
                raise Misuse("a matrix state multiplies one value per key, not a list of them")
            return apply("read", matrix, other)
        if matrix.size != "matrix":
            raise Misuse(NO_MATRIX)
        operands = other if isinstance(other, (list, tuple)) else [other]
        return apply("product", matrix, *operands, attribute=rows_of(matrix))

    @property
    def T(self) -> Node:  # noqa: N802, as in NumPy
        """The transpose of a matrix."""
        return apply("transpose", as_matrix(self))

    def __rmatmul__(self, other: Operand) -> Node:
        raise Misuse(NO_MATRIX)

    def __pow__(self, other: Operand) -> NoReturn:
        raise Misuse("the cell language has no **; write a product, or exp(... * log(...))")

    def __bool__(self) -> NoReturn:
        raise Misuse(
            "a value is symbolic while the cell is traced, so Python cannot branch on it; use "
            "where(condition, a, b), maximum or minimum"
        )

    def __float__(self) -> NoReturn:
        raise Misuse(
            "a value is symbolic while the cell is traced; use Elman's sigmoid, tanh, exp ... "
            "instead of those of math, numpy or torch"
        )

    def __iter__(self) -> NoReturn:
        raise Misuse("a value of the cell cannot be iterated over or unpacked")

    def __getitem__(self, index: object) -> NoReturn:
        raise Misuse("a value of the cell cannot be indexed")


class Node(Arithmetic):
    """An operation applied to operands.  Made only by ``apply``, which interns equal nodes."""

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
    """Callbacks that receive each node that `apply` makes in this thread; tracing adds one."""

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
    """The unique node with these fields.  Raises ``SizeClash`` if the sizes do not match."""
    key = (operation, operands, attribute, type(attribute))
    node = _interned.get(key)
    if node is None:
        try:
            size = OPERATIONS[operation].size([operand.size for operand in operands], attribute)
        except SizeClash as clash:
            clash.operands = operands
            raise
        with _lock:  # two threads must not create the same node
            node = _interned.setdefault(key, Node(operation, operands, attribute, size))
    return node


def apply(operation: str, *operands: Operand, attribute: Any = None) -> Node:
    """Apply the operation of that name; numbers become constants."""
    if OPERATIONS[operation].kind != "product" and any(map(_is_matrix, operands)):
        # beside a matrix, W.f is one too
        operands = tuple([as_matrix(o) if hasattr(o, "__matrix__") else o for o in operands])
    node = intern(operation, tuple([as_node(operand) for operand in operands]), attribute)
    for observe in observers.called:
        observe(node)
    return node


def rows_of(matrix: Node) -> Size | None:
    """The size of a matrix's products, if that is not hidden."""
    leaf = next(node for node in ancestors([matrix]) if node.operation == "matrix")
    return leaf.attribute[2] if len(leaf.attribute) > 2 else None


def state_leaf(name: str, size: Size = "hidden") -> Node:
    """The leaf of a state's previous value."""
    return intern("state", (), name if size == "hidden" else (name, size))


def name_of(state: Node) -> str:
    """The name of a state, from its leaf."""
    return str(state.attribute if isinstance(state.attribute, str) else state.attribute[0])


def sum_of(terms: Sequence[Node]) -> Node:
    """The sum of one or more values, from the first to the last."""
    total = terms[0]
    for term in terms[1:]:
        total = intern("add", (total, term), None)
    return total


def _is_matrix(value: Operand) -> bool:
    return isinstance(value, Node) and value.size == "matrix"


def as_matrix(value: Operand) -> Node:
    """The matrix that a learned parameter or a node is."""
    node = value.__matrix__() if hasattr(value, "__matrix__") else value
    if not (isinstance(node, Node) and node.size == "matrix"):
        raise Misuse("this takes a matrix of learned parameters, such as W.f")
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
            f"{value} is a Python bool, such as == and != return; write a condition with >, <, "
            ">= or <="
        )
    if isinstance(value, (list, tuple)):
        raise Misuse(
            f"this takes one value, not a {type(value).__name__}; only a matrix product takes a "
            "list, as in W.f @ [h, x]"
        )
    if not isinstance(value, Real):
        raise Misuse(
            f"{value!r} is a {type(value).__name__}; equations may only contain the cell's "
            "values, its parameters and plain numbers"
        )
    return intern("constant", (), float(value))


def ancestors(roots: Iterable[Node], stop: Container[Node] = ()) -> tuple[Node, ...]:
    """The roots and every node that they depend on, in topological order.

    A node in ``stop`` is included, but not its operands.
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
