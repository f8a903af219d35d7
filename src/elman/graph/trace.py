"""Trace a Python function into a cell: ``@cell`` calls it once and records what it computes.

The first argument of the function is the input, the other positional arguments are the states and
the side inputs that ``inputs`` declares, and the keyword-only arguments are families of learned
parameters: ``W.f`` as the left operand of ``@`` is a matrix; anywhere else (``b.f``, ``p.f``) it is
a vector with one value per unit.  The function returns the next states, in the order of the
arguments.  Tracing does not parse source code; the lines and names in error messages come from
Python's frames.
"""

from __future__ import annotations

import dis
import inspect
import linecache
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal, NoReturn, overload
from unicodedata import normalize

from elman.errors import CellError
from elman.graph import node as nodes
from elman.graph.cell import Cell, Parameter
from elman.graph.node import (
    NO_DIVISION_BY_ZERO,
    Arithmetic,
    Misuse,
    Node,
    SizeClash,
    ancestors,
    as_node,
    intern,
    state_leaf,
)
from elman.graph.ops import CONDITIONS
from elman.graph.show import expression
from elman.graph.sizes import MEMORY_SIZES, is_own_size
from elman.graph.verify import PRODUCT_SIZES, SIDE_SIZES, SIZES, problems, verify

#: names that no side input can have, because a layer takes arguments of these names
RESERVED = ("self", "x", "state", "lengths")

#: what the options of a declaration map
_MAPPINGS = {
    "init": 'names of parameters to numbers, as in {"b.f": 1.0}',
    "inputs": 'names of inputs to sizes, as in {"dt": "one"}',
    "sizes": 'names of states and parameters to sizes, as in {"w.x": "input"}',
}


@overload
def cell(function: Callable[..., Any], /) -> Cell: ...
@overload
def cell(
    *,
    gates: str = "",
    init: Mapping[str, float] | None = None,
    inputs: Mapping[str, str | int] | None = None,
    sizes: Mapping[str, str | int] | None = None,
    start: Mapping[str, float] | None = None,
) -> Callable[[Callable[..., Any]], Cell]: ...
def cell(
    function: Callable[..., Any] | None = None,
    /,
    *,
    gates: str = "",
    init: Mapping[str, float] | None = None,
    inputs: Mapping[str, str | int] | None = None,
    sizes: Mapping[str, str | int] | None = None,
    start: Mapping[str, float] | None = None,
) -> Cell | Callable[[Callable[..., Any]], Cell]:
    """Make a cell from its equations.

    ``gates`` lists the gates in the order in which their parameters are packed, and catches a
    typo such as ``W.ff``; by default, gates are in the order of their first use.  ``init`` sets
    initial values of parameters (``start`` is its name in Elman 0.1).  Raises ``CellError`` with
    the line and its text if an equation is invalid.

    ``inputs`` names the arguments that are inputs beside the first one, with their sizes: "one"
    value per row, such as the time since the last step, "hidden" (one per unit) or "input" (one per
    feature of x).  The layer takes them by name, for each step or for each sequence:
    ``layer(x, dt=gaps)``.  They have gradients.  ``sizes={"w.x": "input"}`` gives a vector one
    value per feature of x.

    ``sizes={"S": "memory"}`` makes a state a matrix: a value for each unit and key, in heads.
    ``outer(v, k)`` is what it adds, ``S @ q`` reads it; other values can have the size "key" (one
    per key of each head) or "head", as can matrices' products: ``{"W.k": "key"}``.  Values of a
    smaller size are repeated.  Matrices multiply x and what is computed from it, but no state.

    Without a matrix state, a size can have any name, or be a number:
    ``sizes={"h": "projection", "W.p": "projection", "W.d": 16}``; a layer takes the number of each
    name, ``elman.Recurrent(cell, 10, 20, sizes={"projection": 8})``.  Inputs and states can have
    such sizes too.  A vector or product of size 1, ``{"b.s": 1, "W.g": 1}``, is repeated for all
    units.

    >>> from elman import cell, sigmoid, tanh
    >>> @cell(gates="f g", init={"b.f": 1.0})
    ... def minimal_gated_unit(x, h, *, W, b):
    ...     "Zhou et al. 2016."
    ...     f = sigmoid(W.f @ [h, x] + b.f)
    ...     g = tanh(W.g @ [f * h, x] + b.g)
    ...     h = (1 - f) * h + f * g
    ...     return h
    >>> print(minimal_gated_unit)
    f = σ(W.f · [h, x] + b.f)
    g = tanh(W.g · [f * h, x] + b.g)
    h' = (1 - f) * h + f * g

    >>> import elman, torch
    >>> from elman import exp, softplus
    >>> @cell(inputs={"dt": "one"})
    ... def decaying(x, h, dt, *, W, b, p):
    ...     "A state that decays with time."
    ...     return tanh(W.h @ [exp(-dt * softplus(p.h)) * h, x] + b.h)
    >>> layer = elman.Recurrent(decaying, 3, 4)
    >>> y, _ = layer(torch.randn(7, 2, 3), dt=torch.rand(7, 2, 1))

    >>> from elman import head_sum, outer, sqrt
    >>> @cell(sizes={"S": "memory", "W.k": "key", "W.q": "key", "W.b": "head"})
    ... def delta_net(x, y, S, *, W):
    ...     "A matrix state that is corrected (Yang et al. 2024)."
    ...     k = W.k @ x
    ...     k = k / sqrt(head_sum(k * k) + 1e-6)
    ...     S = S + outer(sigmoid(W.b @ x) * (W.v @ x - S @ k), k)
    ...     return S @ (W.q @ x), S
    >>> layer = elman.Recurrent(delta_net, 6, 8, heads=2)
    >>> y, (_, S) = layer(torch.randn(7, 3, 6))
    >>> y.shape, S.shape
    (torch.Size([7, 3, 8]), torch.Size([1, 3, 2, 4, 4]))
    """
    if function is None:
        if init is not None and start is not None:
            raise CellError("@cell: start is the old name of init; omit start.")
        return lambda f: _trace(f, gates, init or start or {}, inputs or {}, sizes or {})
    if not inspect.isfunction(function):
        raise CellError(
            f"@cell decorates a function, not {function!r}; pass options by keyword, as in "
            '@cell(gates="i f g o").'
        )
    return _trace(function, "", {}, {}, {})


class LearnedParameter(Arithmetic):
    """``W.f`` in the equations: a matrix on the left of ``@`` or beside one, else a vector."""

    __slots__ = ("family", "gate", "recorder")

    def __init__(self, recorder: Recorder, family: str, gate: str) -> None:
        self.recorder, self.family, self.gate = recorder, family, gate

    def __matmul__(self, other: Any) -> Node:
        product: Node = self.__matrix__() @ other
        return product

    def __matrix__(self) -> Node:
        """The parameter as a matrix."""
        self.recorder.use(self, "matrix")
        key = f"{self.family}.{self.gate}"
        rows = self.recorder.sizes.get(key, "hidden")
        if rows not in PRODUCT_SIZES and not is_own_size(rows):
            raise Misuse(
                f"sizes gives {key} the size {rows}, but the product of a matrix has one of the "
                f"sizes {', '.join(PRODUCT_SIZES)}"
                + (f"; read learned values with (1 * {key}) @ k" if rows == "memory" else "")
            )
        sized = () if rows == "hidden" else (rows,)
        return intern("matrix", (), (self.family, self.gate, *sized))

    def __node__(self) -> Node:
        """The parameter as a vector."""
        self.recorder.use(self, "vector")
        size = self.recorder.sizes.get(f"{self.family}.{self.gate}", "hidden")
        sized = () if size == "hidden" else (size,)
        return intern("vector", (), (self.family, self.gate, *sized))


class Family(Arithmetic):
    """``W`` in the equations; its attributes are the parameters of the gates."""

    __slots__ = ("_name", "_recorder")

    def __init__(self, recorder: Recorder, name: str) -> None:
        self._recorder, self._name = recorder, name

    def __getattr__(self, gate: str) -> LearnedParameter:
        if gate.startswith("__"):  # Python and numpy look up protocols this way
            raise AttributeError(gate)
        if gate.startswith("_"):
            raise Misuse(f'{self._name}.{gate}: the name of a gate cannot begin with "_"')
        gates = self._recorder.declared
        if gates and gate not in gates:
            raise Misuse(
                f'{self._name}.{gate}: "{gate}" is not one of the declared gates '
                f'{", ".join(gates)}; correct it or add it to gates="..."'
            )
        return LearnedParameter(self._recorder, self._name, gate)

    def __node__(self) -> NoReturn:
        """Always raises: a family is not a value."""
        raise Misuse(f"{self._name} is a family of parameters; use one, such as {self._name}.f")

    def __matmul__(self, other: Any) -> NoReturn:
        self.__node__()

    def __getitem__(self, index: object) -> NoReturn:
        self.__node__()


class Recorder(ABC):
    """What tracing records besides the graph: the use of parameters, and local names."""

    def __init__(self, declared: tuple[str, ...], sizes: Mapping[str, str]) -> None:
        self.declared, self.sizes = declared, sizes
        self.kinds: dict[tuple[str, str], Literal["matrix", "vector"]] = {}
        self.widths: dict[tuple[str, str], tuple[str, ...]] = {}
        self.heads: dict[tuple[str, str], int] = {}
        self.names: dict[Node, str] = {}
        self.order: dict[str, None] = {}

    @abstractmethod
    def local_names(self) -> Mapping[str, object]:
        """The names that the equations have assigned so far, with their values."""

    def use(self, parameter: LearnedParameter, kind: Literal["matrix", "vector"]) -> None:
        """Note that a parameter is used as a matrix or as a vector."""
        key = (parameter.family, parameter.gate)
        self.order.setdefault(parameter.gate)
        if self.kinds.setdefault(key, kind) != kind:
            raise Misuse(
                f"{'.'.join(key)} is used as a matrix (left operand of @) and as a vector; these "
                "are two parameters, so give them two names"
            )

    def columns(self, key: tuple[str, str], sizes: tuple[str, ...]) -> None:
        """Note the sizes of the operands of a matrix."""
        first = self.widths.setdefault(key, sizes)
        if first != sizes:
            raise Misuse(
                f"{'.'.join(key)} multiplies [{', '.join(sizes)}] here but multiplied "
                f"[{', '.join(first)}] before; the columns of a matrix must match"
            )

    def parameter(self, family: str, gate: str) -> Parameter:
        """A parameter, as the equations use it."""
        size = self.sizes.get(f"{family}.{gate}", "hidden")
        if self.kinds[family, gate] == "vector":
            return Parameter(family, gate, "vector", () if size == "hidden" else (size,))
        columns = self.widths.get((family, gate), ())
        return Parameter(family, gate, "matrix", columns, self.heads.get((family, gate), 1), size)

    def note(self, made: Node) -> None:
        """Called after each operation: check its grammar and record the names of locals."""
        for sentence in problems([made]):
            raise Misuse(sentence.removesuffix("."))
        if made.operation == "heads":
            self.heads[made.operands[0].attribute[:2]] = int(made.operands[1].attribute)
        if made.operation == "product":
            sizes = tuple([operand.size for operand in made.operands[1:]])
            for leaf in ancestors(made.operands[:1]):
                if leaf.operation == "matrix":
                    self.columns(leaf.attribute[:2], sizes)
        self.names.update(
            {v: name for name, v in self.local_names().items() if isinstance(v, Node)}
        )

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record the operations inside the ``with`` block."""
        nodes.observers.called.append(self.note)
        try:
            yield
        finally:
            nodes.observers.called.remove(self.note)


class _FrameRecorder(Recorder):
    """Takes the names from the frame of the function that is traced."""

    def __init__(self, code: CodeType, declared: tuple[str, ...], sizes: Mapping[str, str]) -> None:
        super().__init__(declared, sizes)
        self._code = code

    def local_names(self) -> Mapping[str, object]:
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self._code:
            frame = frame.f_back
        return {} if frame is None else frame.f_locals


@dataclass(frozen=True)
class Declaration:
    """What stands around the equations of a cell: its names, sizes, gates and initial values.

    ``arguments`` are those after the input: states, and side inputs, whose sizes are in ``inputs``.
    ``place`` begins the messages about the cell, and ``return_place`` those about its result.
    """

    name: str
    input: str
    arguments: tuple[str, ...]
    families: tuple[str, ...]
    gates: tuple[str, ...]
    init: Mapping[str, Any]
    inputs: Mapping[str, str]
    sizes: Mapping[str, str]
    doc: str
    place: str
    return_place: str

    @property
    def states(self) -> tuple[str, ...]:
        """The arguments that are no side inputs."""
        return tuple([name for name in self.arguments if name not in self.inputs])

    def leaves(self) -> dict[str, Node]:
        """The input, the states and the side inputs, in the order of the arguments."""
        found = {self.input: intern("input", (), None)}
        for name in self.arguments:
            if name in self.inputs:
                found[name] = intern("side", (), (name, self.inputs[name]))
            else:
                found[name] = state_leaf(name, self.sizes.get(name, "hidden"))
        return found

    def check(self) -> None:
        """Raise ``CellError`` unless ``inputs`` and ``sizes`` name what there is, with its size."""
        for name, size in self.inputs.items():
            if name not in self.arguments:
                raise CellError(
                    f"{self.place}inputs names {name}; the arguments after {self.input} are "
                    f"{', '.join(self.arguments)}."
                )
            if name in RESERVED:
                raise CellError(
                    f"{self.place}an input cannot be named {name}, an argument of every layer."
                )
            if size not in SIDE_SIZES and not is_own_size(size):
                raise CellError(
                    f"{self.place}inputs gives {name} the size {size!r}; it must be one of "
                    f"{', '.join(SIDE_SIZES)}, a name of your own or a positive integer."
                )
        if not self.states:
            raise CellError(
                f"{self.place}a cell needs at least one state; all arguments are inputs."
            )
        for key, size in self.sizes.items():
            allowed = SIZES if "." in key else ("hidden", *MEMORY_SIZES)
            if size not in allowed and not is_own_size(size):
                raise CellError(
                    f"{self.place}sizes gives {key} the size {size!r}; it must be one of "
                    f"{', '.join(allowed)}, a name of your own or a positive integer."
                )
            if "." not in key and key not in self.states:
                raise CellError(
                    f"{self.place}sizes names {key}; the states are {', '.join(self.states)}."
                )


def _trace(
    function: Callable[..., Any],
    gates: str,
    init: Mapping[str, float],
    inputs: Mapping[str, str | int],
    sizes: Mapping[str, str | int],
) -> Cell:
    name, code = function.__name__, function.__code__
    place = _where(name, code, code.co_firstlineno)
    gates_declared = declared_gates(place, gates)
    input_name, arguments, families = _arguments(place, name, function)
    declaration = Declaration(
        name, input_name, arguments, families, gates_declared,
        declared_mapping(place, "init", init), declared_sizes(place, "inputs", inputs),
        declared_sizes(place, "sizes", sizes),
        inspect.cleandoc(function.__doc__ or ""), place, _where(name, code, _return_line(code)),
    )  # fmt: skip
    declaration.check()
    recorder = _FrameRecorder(code, gates_declared, declaration.sizes)
    try:
        with recorder.recording():
            returned = function(
                *declaration.leaves().values(),
                **{family: Family(recorder, family) for family in families},
            )
    except SizeClash as clash:
        frame, line = _place(clash.__traceback__, code)
        names = {} if frame is None else frame.f_locals
        raise CellError(f"{_where(name, code, line)}{clashing(clash, names)}.") from None
    except Misuse as misuse:
        _, line = _place(misuse.__traceback__, code)
        raise CellError(f"{_where(name, code, line)}{misuse}.") from None
    except CellError:
        raise
    except Exception as error:
        _, line = _place(error.__traceback__, code)
        raise CellError(f"{_where(name, code, line)}{foreign(error)}.") from error
    return assembled(declaration, recorder, returned)


def assembled(declaration: Declaration, recorder: Recorder, returned: object) -> Cell:
    """The cell of a declaration, from what its equations recorded and returned."""
    try:
        following = _next_states(declaration, returned)
    except Misuse as misuse:
        raise CellError(f"{declaration.return_place}{misuse}.") from None
    declared = declaration.gates
    unused = [gate for gate in declared if gate not in recorder.order]
    if unused:
        raise CellError(
            f"{declaration.place}the declared {'gate' if len(unused) == 1 else 'gates'} "
            f"{', '.join(unused)} never {'occurs' if len(unused) == 1 else 'occur'} in the "
            'equations; correct gates="..." or use them.'
        )
    gates = declared or tuple(recorder.order)
    init = declaration.init
    sides = tuple([(name, declaration.inputs[name]) for name in declaration.inputs])
    made = Cell(
        name=declaration.name,
        input=declaration.input,
        states=declaration.states,
        next_states=following,
        parameters=_parameters(recorder, declaration.families, gates),
        gates=gates,
        names=_final_names(recorder.names, following, (declaration.input, *declaration.arguments)),
        init={key: float(value) for key, value in init.items() if _is_number(value)},
        doc=declaration.doc,
        inputs=sides,
        sizes={
            name: declaration.sizes[name]
            for name in declaration.states
            if declaration.sizes.get(name, "hidden") != "hidden"
        },
    )
    read = {node.attribute[0] for node in made.nodes if node.operation == "side"}
    for side, _ in sides:
        if side not in read:
            raise CellError(
                f"{declaration.place}no state depends on the input {side}; use it or omit it."
            )
    keys = [parameter.key for parameter in made.parameters]
    for key in declaration.sizes:
        if key not in keys and key not in declaration.states:
            raise CellError(
                f"{declaration.place}sizes names {key}; the cell's parameters are "
                f"{', '.join(keys) or 'none'}."
            )
    for key, value in init.items():
        if key not in keys:
            known = f"its parameters are {', '.join(keys)}" if keys else "it has no parameters"
            raise CellError(f"{declaration.place}init names {key}; {known}.")
        if not _is_number(value):
            raise CellError(
                f"{declaration.place}init gives {key} the value {value!r}, not a number."
            )
    verify(made)
    return made


def _next_states(declaration: Declaration, returned: object) -> tuple[Node, ...]:
    """The function's result, as one value per state, of the state's size."""
    name, states = declaration.name, declaration.states
    wanted = f"end with `return {', '.join(states)}`, the next value of each state"
    if returned is None:
        raise Misuse(f"{name} returns nothing; {wanted}")
    values = returned if isinstance(returned, (tuple, list)) else (returned,)
    if len(values) != len(states):
        raise Misuse(
            f"{name} has {len(states)} {'state' if len(states) == 1 else 'states'} "
            f"({', '.join(states)}) but returns {len(values)}; {wanted}"
        )
    following: list[Node] = []
    for state, value in zip(states, values, strict=True):
        if not isinstance(value, Arithmetic):
            raise Misuse(f"the next {state} is {value!r}, which is not a value of the cell")
        node = as_node(value)
        if node.operation in CONDITIONS:
            raise Misuse(f"the next {state} is a comparison; use where(condition, a, b)")
        size = declaration.sizes.get(state, "hidden")
        if node.size != size:
            article = "a state" if size == "hidden" else state
            advice = ""
            if node.size == "one" and size != "hidden":
                advice = (
                    "; a value of size one is repeated for the units that it meets, so give what "
                    f'makes it the size of {state}, by a name, as in sizes={{"{state}": "single", '
                    '"W.d": "single"}'
                )
            raise Misuse(
                f"the next {state} has size {node.size}; {article} has size {size}{advice}"
            )
        following.append(node)
    return tuple(following)


def declared_gates(declaration: str, gates: str) -> tuple[str, ...]:
    """The names in ``gates``; ``declaration`` begins the messages."""
    # normalised as Python normalises the names in the equations
    found = tuple(normalize("NFKC", gates).split()) if isinstance(gates, str) else ()
    if not isinstance(gates, str) or not all([gate.isidentifier() for gate in found]):
        raise CellError(
            f"{declaration}gates is {gates!r}; separate the names with blanks, as in "
            'gates="i f g o".'
        )
    for gate in found:
        if found.count(gate) > 1:
            raise CellError(f"{declaration}the gate {gate} is declared twice.")
    return found


def declared_mapping(declaration: str, option: str, given: object) -> Mapping[str, Any]:
    """What ``init``, ``inputs`` or ``sizes`` gives; ``declaration`` begins the messages."""
    if not isinstance(given, Mapping) or not all([isinstance(key, str) for key in given]):
        raise CellError(f"{declaration}{option} must map {_MAPPINGS[option]}.")
    # normalised as Python normalises the names in the equations
    return {normalize("NFKC", key): value for key, value in given.items()}


def declared_sizes(declaration: str, option: str, given: object) -> dict[str, Any]:
    """What ``inputs`` or ``sizes`` gives; a number becomes the size of that name.

    That of an input, parameter or product of size 1 is "one", which is repeated for all units.
    """
    found = declared_mapping(declaration, option, given)

    def size_of(key: str, size: object) -> object:
        if isinstance(size, bool) or not isinstance(size, (int, str)):
            return size
        repeated = option == "inputs" or "." in key
        return "one" if str(size) == "1" and repeated else str(size)

    return {key: size_of(key, size) for key, size in found.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def foreign(error: Exception) -> str:
    """The message of an exception from outside Elman, with advice if a cell's value caused it."""
    said = str(error).rstrip(".") or type(error).__name__
    if isinstance(error, ZeroDivisionError):
        return NO_DIVISION_BY_ZERO
    ours = (Node.__name__, LearnedParameter.__name__, Family.__name__)
    if isinstance(error, AttributeError) and isinstance(error.obj, Node):
        return (
            f'a value of a cell has no attribute "{error.name}"; declare parameters after a *, as '
            "in def c(x, h, *, W, b), and call functions as in tanh(h)"
        )
    if isinstance(error, (TypeError, AttributeError)) and any([word in said for word in ours]):
        return (
            "the cell language does not support this; it has + - * /, @, comparisons in where, "
            f"and Elman's sigmoid, tanh, relu, exp ... ({said})"
        )
    return said


def _arguments(
    declaration: str, name: str, function: Callable[..., Any]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The names of the input, of the states and of the families of parameters."""
    positional: list[str] = []
    families: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise CellError(
                f"{declaration}{parameter} is not allowed; name every state and family."
            )
        if parameter.default is not parameter.empty:
            raise CellError(
                f"{declaration}{parameter.name} has the default {parameter.default!r}; arguments "
                "are the input, the states and the families of parameters. Write numbers in the "
                "equations."
            )
        (families if parameter.kind is parameter.KEYWORD_ONLY else positional).append(
            parameter.name
        )
    if len(positional) < 2:
        raise CellError(
            f"{declaration}a cell takes an input, at least one state, and families of parameters "
            f"after a *, as in def {name}(x, h, *, W, b)."
        )
    return positional[0], tuple(positional[1:]), tuple(families)


def _parameters(
    recorder: Recorder, families: Sequence[str], gates: Sequence[str]
) -> tuple[Parameter, ...]:
    return tuple(
        [recorder.parameter(f, g) for f in families for g in gates if (f, g) in recorder.kinds]
    )


def _final_names(
    names: Mapping[Node, str], following: tuple[Node, ...], leaves: tuple[str, ...]
) -> dict[Node, str]:
    """The named values in the author's order; if two have one name, the later one keeps it.

    The earlier one, or a value named like a state or the input, is inlined where it is used; if it
    is used more than once, it gets a numbered name such as ``c_1``.
    """
    inside = ancestors(following)
    uses = Counter([operand for node in inside for operand in node.operands])
    named = {value: name for value, name in names.items() if value in uses or value in following}
    named = {value: name for value, name in named.items() if value.operands}
    owner = {name: value for value, name in named.items()}
    final: dict[Node, str] = {}
    for value, name in named.items():
        if value in following or (owner[name] is value and name not in leaves):
            final[value] = name
        elif uses[value] > 1:
            numbered = (f"{name}_{number}" for number in range(1, len(named) + 2))
            taken = {*owner, *leaves, *final.values()}
            final[value] = next(label for label in numbered if label not in taken)
    return final


def _place(trace: TracebackType | None, code: CodeType) -> tuple[FrameType | None, int]:
    """The frame and line of the cell's own function in a traceback."""
    frame, line = None, code.co_firstlineno
    while trace is not None:
        if trace.tb_frame.f_code is code:
            frame, line = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    return frame, line


def _return_line(code: CodeType) -> int:
    """The line of the function's last ``return``, or its last line if it has none."""
    lines = [
        instruction.positions.lineno
        for instruction in dis.get_instructions(code)
        if instruction.opname in {"RETURN_VALUE", "RETURN_CONST"} and instruction.positions
    ]
    return max([line for line in lines if line is not None], default=code.co_firstlineno)


def _where(name: str, code: CodeType, line: int) -> str:
    source = linecache.getline(code.co_filename, line).strip()
    file = Path(code.co_filename).name
    place = "" if file.startswith("<") else f" of {file}"
    return f"{name}, line {line}{place}" + (f", `{source}`: " if source else ": ")


def clashing(clash: SizeClash, names: Mapping[str, object]) -> str:
    """What is wrong with two sizes, in the author's names or as expressions of them."""
    known: dict[Node, str] = {}
    for name, local in names.items():
        if isinstance(local, Node):
            known.setdefault(local, name)
    first, second = clash.operands[clash.first], clash.operands[clash.second]
    return (
        f"{expression(first, names=known)} has size {first.size}, "
        f"{expression(second, names=known)} has size {second.size}"
    )
