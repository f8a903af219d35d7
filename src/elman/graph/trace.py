"""From a Python function to a cell: ``@cell`` calls it once and records what it computes.

The function's first argument is the input, its other positional arguments are the states, and
its keyword-only ones are families of learned parameters: ``W.f`` to the left of ``@`` is a
matrix, anywhere else (``b.f``, ``p.f``) a vector with a number for each unit.  What it returns
are the next states, in the order of the arguments.  Nothing reads its source; the lines and
names in error messages come from Python's own frames.
"""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, Literal, overload

from elman.errors import CellError
from elman.graph import node as nodes
from elman.graph.cell import Cell, Parameter
from elman.graph.node import Arithmetic, Misuse, Node, SizeClash, ancestors, as_node, intern
from elman.graph.show import expression
from elman.graph.verify import verify


@overload
def cell(function: Callable[..., Any], /) -> Cell: ...
@overload
def cell(
    *, gates: str = "", start: Mapping[str, float] | None = None
) -> Callable[[Callable[..., Any]], Cell]: ...
def cell(
    function: Callable[..., Any] | None = None,
    /,
    *,
    gates: str = "",
    start: Mapping[str, float] | None = None,
) -> Cell | Callable[[Callable[..., Any]], Cell]:
    """Make a cell from its equations.

    ``gates`` names the gates in the order in which their parameters are packed, and catches a
    typo such as ``W.ff``; without it they come in the order in which they are first used.
    ``start`` gives parameters a first value other than the usual one.  Raises ``CellError``
    with the line and its text when the equations cannot be understood.

    >>> from elman import cell, sigmoid, tanh
    >>> @cell(gates="f g", start={"b.f": 1.0})
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
    """
    if function is None:
        return lambda f: _trace(f, tuple(gates.split()), dict(start or {}))
    return _trace(function, (), {})


class LearnedParameter(Arithmetic):
    """``W.f`` inside the equations: a matrix to the left of ``@``, a vector anywhere else."""

    __slots__ = ("family", "gate", "recorder")

    def __init__(self, recorder: _Recorder, family: str, gate: str) -> None:
        self.recorder, self.family, self.gate = recorder, family, gate

    def __matmul__(self, other: Any) -> Node:
        operands = [as_node(v) for v in (other if isinstance(other, (list, tuple)) else [other])]
        self.recorder.use(self, "matrix")
        matrix = intern("matrix", (), (self.family, self.gate))
        product = nodes.apply("product", matrix, *operands)
        self.recorder.columns(self, tuple([operand.size for operand in operands]))
        return product

    def as_node(self) -> Node:
        """The parameter as a vector."""
        self.recorder.use(self, "vector")
        return intern("vector", (), (self.family, self.gate))


class Family:
    """``W`` inside the equations: its attributes are the parameters of its gates."""

    def __init__(self, recorder: _Recorder, name: str) -> None:
        self._recorder, self._name = recorder, name

    def __getattr__(self, gate: str) -> LearnedParameter:
        if gate.startswith("_"):
            raise AttributeError(gate)
        gates = self._recorder.declared
        if gates and gate not in gates:
            raise Misuse(
                f'{self._name}.{gate}: "{gate}" is not one of the declared gates '
                f'{", ".join(gates)}; correct it or add it to gates="..."'
            )
        return LearnedParameter(self._recorder, self._name, gate)

    def __matmul__(self, other: Any) -> Node:
        raise Misuse(
            f"{self._name} is a family of parameters; name one of them, such as {self._name}.f"
        )

    def as_node(self) -> Node:
        """Always refused: a family is not a value."""
        raise Misuse(
            f"{self._name} is a family of parameters; name one of them, such as {self._name}.f"
        )


class _Recorder:
    """What tracing notes beside the graph: how parameters are used, and the local names."""

    def __init__(self, code: CodeType, declared: tuple[str, ...]) -> None:
        self.code, self.declared = code, declared
        self.kinds: dict[tuple[str, str], Literal["matrix", "vector"]] = {}
        self.widths: dict[tuple[str, str], tuple[str, ...]] = {}
        self.names: dict[Node, str] = {}
        self.order: dict[str, None] = {}

    def use(self, parameter: LearnedParameter, kind: Literal["matrix", "vector"]) -> None:
        key = (parameter.family, parameter.gate)
        self.order.setdefault(parameter.gate)
        if self.kinds.setdefault(key, kind) != kind:
            raise Misuse(
                f"{'.'.join(key)} is used as a matrix (to the left of @) and as a vector; "
                "these are two parameters, give them two names"
            )

    def columns(self, parameter: LearnedParameter, sizes: tuple[str, ...]) -> None:
        key = (parameter.family, parameter.gate)
        first = self.widths.setdefault(key, sizes)
        if first != sizes:
            raise Misuse(
                f"{'.'.join(key)} multiplied [{', '.join(first)}] before and multiplies "
                f"[{', '.join(sizes)}] here; a matrix has one set of columns"
            )

    def note_names(self) -> None:
        """Called before each operation: what the function's locals are called by now."""
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self.code:
            frame = frame.f_back
        if frame is not None:
            self.names.update(
                {v: name for name, v in frame.f_locals.items() if isinstance(v, Node)}
            )


def _trace(function: Callable[..., Any], gates: tuple[str, ...], start: dict[str, float]) -> Cell:
    name, code = function.__name__, function.__code__
    input_name, states, families = _arguments(name, function)
    recorder = _Recorder(code, gates)
    leaves = [intern("input", (), None), *[intern("state", (), state) for state in states]]
    nodes._observers.append(recorder.note_names)
    try:
        result = function(*leaves, **{family: Family(recorder, family) for family in families})
    except SizeClash as clash:
        frame, line = _place(clash.__traceback__, code)
        first, second = clash.operands[clash.first], clash.operands[clash.second]
        raise CellError(
            f"{_where(name, code, line)}{_called(first, frame)} has size {first.size}, "
            f"{_called(second, frame)} has size {second.size}."
        ) from None
    except Misuse as misuse:
        _, line = _place(misuse.__traceback__, code)
        raise CellError(f"{_where(name, code, line)}{misuse}.") from None
    except CellError:
        raise
    except Exception as error:
        _, line = _place(error.__traceback__, code)
        raise CellError(f"{_where(name, code, line)}{error}.") from error
    finally:
        nodes._observers.remove(recorder.note_names)

    returned = result if isinstance(result, (tuple, list)) else (result,)
    if len(returned) != len(states):
        raise CellError(
            f"{_where(name, code, _return_line(code))}{name} has {len(states)} "
            f"{'state' if len(states) == 1 else 'states'} ({', '.join(states)}) but returns "
            f"{len(returned)}; return the next value of each, in that order."
        )
    for state, value in zip(states, returned, strict=True):
        if not isinstance(value, Node) or value.size != "hidden":
            what = f"has size {value.size}" if isinstance(value, Node) else f"is {value!r}"
            raise CellError(
                f"{_where(name, code, _return_line(code))}the next {state} {what}; a state has "
                "size hidden."
            )
    unused = [gate for gate in gates if gate not in recorder.order]
    if unused:
        raise CellError(
            f"{name}: the declared {'gate' if len(unused) == 1 else 'gates'} {', '.join(unused)} "
            'never occur in the equations; correct gates="..." or use them.'
        )
    made = Cell(
        name=name,
        input=input_name,
        states=states,
        next_states=tuple(returned),
        parameters=_parameters(recorder, families, gates or tuple(recorder.order)),
        gates=gates or tuple(recorder.order),
        names=_final_names(recorder.names, tuple(returned)),
        start=start,
        doc=inspect.cleandoc(function.__doc__ or ""),
    )
    verify(made)
    keys = [parameter.key for parameter in made.parameters]
    for key in start:
        if key not in keys:
            raise CellError(f"{name}: start names {key}; its parameters are {', '.join(keys)}.")
    return made


def without_family(cell: Cell, family: str) -> Cell:
    """The cell with a family of vectors taken out of the sums that they stand in."""
    rebuilt: dict[Node, Node | None] = {}
    for node in cell.nodes:
        if node.operation == "vector" and node.attribute[0] == family:
            rebuilt[node] = None
            continue
        operands = [rebuilt[operand] for operand in node.operands]
        left = [operand for operand in operands if operand is not None]
        if len(left) == len(operands):
            rebuilt[node] = intern(node.operation, tuple(left), node.attribute)
        elif node.operation == "add":
            rebuilt[node] = left[0] if left else None
        else:
            raise CellError(
                f"{cell.name}: bias=False cannot leave {family} out of "
                f"`{expression(node, cell)}`; it can only where {family} is added."
            )
    following = [rebuilt[node] for node in cell.next_states]
    assert all(node is not None for node in following)
    kept = tuple([p for p in cell.parameters if p.family != family])
    return Cell(
        name=cell.name,
        input=cell.input,
        states=cell.states,
        next_states=tuple([node for node in following if node is not None]),
        parameters=kept,
        gates=cell.gates,
        names={new: name for old, name in cell.names.items() if (new := rebuilt[old]) is not None},
        start={k: v for k, v in cell.start.items() if k in {p.key for p in kept}},
        doc=cell.doc,
    )


def _arguments(
    name: str, function: Callable[..., Any]
) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The names of the input, of the states and of the families of parameters."""
    positional: list[str] = []
    families: list[str] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise CellError(f"{name}: {parameter} is not allowed; name every state and family.")
        (families if parameter.kind is parameter.KEYWORD_ONLY else positional).append(
            parameter.name
        )
    if len(positional) < 2:
        raise CellError(
            f"{name}: a cell takes its input, then at least one state, then its families of "
            f"parameters after a *, as in def {name}(x, h, *, W, b)."
        )
    return positional[0], tuple(positional[1:]), tuple(families)


def _parameters(
    recorder: _Recorder, families: Sequence[str], gates: Sequence[str]
) -> tuple[Parameter, ...]:
    return tuple(
        [
            Parameter(f, g, recorder.kinds[f, g], recorder.widths.get((f, g), ()))
            for f in families
            for g in gates
            if (f, g) in recorder.kinds
        ]
    )


def _final_names(names: Mapping[Node, str], returned: tuple[Node, ...]) -> dict[Node, str]:
    """The named values in the author's order; of two with one name, the later has it."""
    inside = set(ancestors(returned))
    owner = {name: value for value, name in names.items() if value in inside and value.operands}
    return {value: name for value, name in names.items() if owner.get(name) is value}


def _place(trace: TracebackType | None, code: CodeType) -> tuple[FrameType | None, int]:
    """The frame and line of the cell's own function in a traceback."""
    frame, line = None, code.co_firstlineno
    while trace is not None:
        if trace.tb_frame.f_code is code:
            frame, line = trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next
    return frame, line


def _return_line(code: CodeType) -> int:
    return max([line for _, _, line in code.co_lines() if line is not None])


def _where(name: str, code: CodeType, line: int) -> str:
    source = linecache.getline(code.co_filename, line).strip()
    file = Path(code.co_filename).name
    place = "" if file.startswith("<") else f" of {file}"
    return f"{name}, line {line}{place}" + (f", `{source}`: " if source else ": ")


def _called(value: Node, frame: FrameType | None) -> str:
    """What the author calls a value: the name of a local, or the expression."""
    for name, local in (frame.f_locals if frame else {}).items():
        if local is value:
            return str(name)
    return expression(value)
