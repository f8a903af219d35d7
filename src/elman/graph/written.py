"""Read the equations of a cell from text, without executing it.

``trace.py`` calls a Python function; whoever writes that function can do anything.  Here the same
function is parsed, and its equations are evaluated one by one: assignments of names, numbers,
parameters such as ``W.f``, arithmetic, comparisons, and calls of the operations in ``ops.py``.
Everything else is refused.  The cell is the same as that of ``@cell``, and so are the messages.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, NoReturn

from elman.errors import CellError
from elman.graph import ops
from elman.graph.cell import Cell
from elman.graph.node import OPERATIONS, Arithmetic, Misuse, SizeClash, as_matrix
from elman.graph.trace import (
    Declaration,
    Family,
    Recorder,
    assembled,
    clashing,
    declared_gates,
    declared_mapping,
    declared_sizes,
    foreign,
)

#: maximum number of characters, and of nodes of the syntax tree
MAX_CHARACTERS, MAX_PARTS = 20_000, 5000
#: the options of the decorator that are read
OPTIONS = ("gates", "init", "inputs", "sizes")

#: the functions of the cell language by name
FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    name: getattr(ops, name)
    for name in OPERATIONS
    if getattr(getattr(ops, name, None), "__module__", None) == ops.__name__
}

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.MatMult: operator.matmul,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.Lt: operator.lt,
    ast.GtE: operator.ge,
    ast.LtE: operator.le,
}
_EXAMPLE = "def my_cell(x, h, *, W, b):"


def read_equations(source: str) -> Cell:
    """The cell of a function as ``@cell`` takes it, from its text, which is never executed.

    ``source`` is one function, with or without the decorator ``@cell(gates=..., init={...},
    inputs={...}, sizes={...})``;
    lines ``from elman import ...`` above it are ignored.  Raises ``CellError`` with the line and
    its text if it is anything else.

    >>> found = read_equations('''
    ... @cell(init={"b.f": 1.0})
    ... def minimal_gated_unit(x, h, *, W, b):
    ...     f = sigmoid(W.f @ [h, x] + b.f)
    ...     g = tanh(W.g @ [f * h, x] + b.g)
    ...     return (1 - f) * h + f * g
    ... ''')
    >>> print(found)
    f = σ(W.f · [h, x] + b.f)
    g = tanh(W.g · [f * h, x] + b.g)
    h' = (1 - f) * h + f * g
    >>> read_equations("import os")
    Traceback (most recent call last):
        ...
    elman.errors.CellError: the equations, line 1, `import os`: this is not an equation; write one \
function, such as def my_cell(x, h, *, W, b):.
    """
    if len(source) > MAX_CHARACTERS:
        raise CellError(
            f"the equations have {len(source):,} characters; at most {MAX_CHARACTERS:,} are read."
        )
    lines = source.splitlines()
    function = _function(_parsed(source, lines), lines)
    where = _Where(function.name, lines)
    declaration = _declaration(function, where, _decorator(function, where))
    return _Reader(function, where, declaration).read()


class _Where:
    """The beginning of messages about a line."""

    def __init__(self, name: str, lines: Sequence[str]) -> None:
        self._name, self._lines = name, lines

    def __call__(self, node: ast.AST) -> str:
        number = getattr(node, "lineno", 1)
        text = self._lines[number - 1].strip() if number <= len(self._lines) else ""
        shown = text if len(text) <= 100 else f"{text[:100]}..."
        return f"{self._name}, line {number}" + (f", `{shown}`: " if shown else ": ")


def _parsed(source: str, lines: Sequence[str]) -> ast.Module:
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        number = error.lineno or 1
        text = lines[number - 1].strip() if number <= len(lines) else ""
        place = f"the equations, line {number}" + (f", `{text[:100]}`: " if text else ": ")
        raise CellError(f"{place}this is not valid Python ({error.msg}).") from None
    except (RecursionError, MemoryError):
        raise CellError("the equations are nested too deeply; assign parts to names.") from None
    except ValueError as error:  # null characters, halves of surrogate pairs
        raise CellError(f"the equations are not valid text ({error}).") from None
    if sum([1 for _ in ast.walk(tree)]) > MAX_PARTS:
        raise CellError("the equations are too long; write a smaller step, or stack layers.")
    return tree


def _function(tree: ast.Module, lines: Sequence[str]) -> ast.FunctionDef:
    where = _Where("the equations", lines)
    found: ast.FunctionDef | None = None
    for statement in tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "elman":
            continue
        if not isinstance(statement, ast.FunctionDef):
            raise CellError(
                f"{where(statement)}this is not an equation; write one function, such as "
                f"{_EXAMPLE}."
            )
        if found is not None:
            raise CellError(f"{where(statement)}there is a second function; write one cell.")
        found = statement
    if found is None:
        raise CellError(f"the equations are missing; write one function, such as {_EXAMPLE}.")
    return found


def _decorator(function: ast.FunctionDef, where: _Where) -> Mapping[str, Any]:
    """The options of the decorator, if there is one."""
    given: dict[str, Any] = {}
    if len(function.decorator_list) > 1:
        raise CellError(f"{where(function)}a cell has one decorator, @cell.")
    for decorator in function.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
        if not (isinstance(call.func, ast.Name) and call.func.id == "cell") or call.args:
            raise CellError(
                f"{where(decorator)}the decorator must be @cell or "
                '@cell(gates="...", init={...}).'
            )
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg not in OPTIONS:
                raise CellError(
                    f"{where(decorator)}@cell takes {', '.join(OPTIONS)} here, not {keyword.arg}."
                )
            try:
                given[keyword.arg] = ast.literal_eval(keyword.value)
            except (ValueError, TypeError, MemoryError, RecursionError):
                raise CellError(
                    f"{where(decorator)}{keyword.arg} must be written out, without names."
                ) from None
    return given


def _declaration(
    function: ast.FunctionDef, where: _Where, options: Mapping[str, Any]
) -> Declaration:
    place = where(function)
    arguments = function.args
    if arguments.vararg or arguments.kwarg:
        raise CellError(f"{place}* and ** are not allowed; name every state and family.")
    if arguments.defaults or any([each is not None for each in arguments.kw_defaults]):
        raise CellError(
            f"{place}an argument has a default; arguments are the input, the states and the "
            "families of parameters. Write numbers in the equations."
        )
    positional = [each.arg for each in [*arguments.posonlyargs, *arguments.args]]
    if len(positional) < 2:
        raise CellError(
            f"{place}a cell takes an input, at least one state, and families of parameters after "
            f"a *, as in def {function.name}(x, h, *, W, b)."
        )
    families = tuple([each.arg for each in arguments.kwonlyargs])
    names = [*positional, *families]
    for name in names:  # Python refuses this only when it compiles
        if names.count(name) > 1:
            raise CellError(f"{place}the argument {name} is declared twice.")
    init, inputs, sizes = [
        (declared_mapping if option == "init" else declared_sizes)(
            place, option, options.get(option) or {}
        )
        for option in OPTIONS[1:]
    ]
    declaration = Declaration(
        function.name, positional[0], tuple(positional[1:]), families,
        declared_gates(place, options.get("gates", "")), init, inputs, sizes,
        inspect.cleandoc(ast.get_docstring(function) or ""), place, where(function.body[-1]),
    )  # fmt: skip
    declaration.check()
    return declaration


class _WrittenRecorder(Recorder):
    """Takes the names from the assignments that were read."""

    def __init__(self, declaration: Declaration) -> None:
        super().__init__(declaration.gates, declaration.sizes)
        self.values: dict[str, Any] = {}

    def local_names(self) -> Mapping[str, object]:
        return self.values


class _Reader:
    """Evaluates the statements of one function in their order."""

    def __init__(self, function: ast.FunctionDef, where: _Where, declaration: Declaration) -> None:
        self._function, self._where, self._declaration = function, where, declaration
        self._recorder = _WrittenRecorder(declaration)
        self._values = self._recorder.values
        self._values.update(declaration.leaves())
        for family in declaration.families:
            self._values[family] = Family(self._recorder, family)

    def read(self) -> Cell:
        """The cell."""
        returned: Any = None
        body = self._function.body
        for number, statement in enumerate(body):
            if number == 0 and _is_docstring(statement):
                continue
            try:
                with self._recorder.recording():
                    if isinstance(statement, ast.Return):
                        returned = self._returned(statement, last=number == len(body) - 1)
                    else:
                        self._statement(statement)
            except SizeClash as clash:
                said = clashing(clash, self._values)
                raise CellError(f"{self._where(statement)}{said}.") from None
            except Misuse as misuse:
                raise CellError(f"{self._where(statement)}{misuse}.") from None
            except CellError:
                raise
            except RecursionError:
                raise CellError(
                    f"{self._where(statement)}this is nested too deeply; assign parts to names."
                ) from None
            except Exception as error:  # such as a division of numbers by zero
                raise CellError(f"{self._where(statement)}{foreign(error)}.") from error
        made = assembled(self._declaration, self._recorder, returned)
        if not all([isfinite(n.attribute) for n in made.nodes if n.operation == "constant"]):
            raise CellError(f"{self._declaration.place}a number is too large or not a number.")
        return made

    def _returned(self, statement: ast.Return, *, last: bool) -> Any:
        if not last:
            raise Misuse("return must be the last line")
        if statement.value is None:
            return None
        if isinstance(statement.value, ast.Tuple | ast.List):
            return tuple([self._value(each) for each in statement.value.elts])
        return self._value(statement.value)

    def _statement(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                self._assign(target, statement.value)
        elif isinstance(statement, ast.AugAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
            self._values[name] = self._binary(
                statement.op, self._named(name), self._value(statement.value)
            )
        else:
            raise Misuse(
                "this is not an equation; a cell has lines such as "
                "f = sigmoid(W.f @ [h, x] + b.f), then return"
            )

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Name):
            self._values[target.id] = self._value(value)
            return
        both = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        if not (both and len(target.elts) == len(value.elts)):  # type: ignore[attr-defined]
            raise Misuse("the left side of an equation must be a name")
        names = [each.id for each in target.elts if isinstance(each, ast.Name)]  # type: ignore[attr-defined]
        if len(names) != len(target.elts):  # type: ignore[attr-defined]
            raise Misuse("the left side of an equation must be a name")
        values = [self._value(each) for each in value.elts]  # type: ignore[attr-defined]
        self._values.update(zip(names, values, strict=True))

    def _value(self, part: ast.expr) -> Any:
        """The value of an expression: a node, a parameter, a family or a number."""
        match part:
            case ast.Constant(value=bool() | str() | bytes() | complex() | None):
                raise Misuse(f"{part.value!r} is not a number")
            case ast.Constant(value=int() | float() as number):
                return float(number) if isinstance(number, float) else _small(number)
            case ast.Name(id=name):
                return self._named(name)
            case ast.Attribute(value=ast.Name(id=family), attr=gate):
                return self._parameter(family, gate)
            case ast.Attribute(value=matrix, attr="T"):
                return as_matrix(self._value(matrix)).T
            case ast.BinOp(left=left, op=ast.MatMult(), right=ast.List() | ast.Tuple() as right):
                operands = [self._value(each) for each in right.elts]
                return operator.matmul(self._value(left), operands)
            case ast.BinOp(left=left, op=sign, right=right):
                return self._binary(sign, self._value(left), self._value(right))
            case ast.UnaryOp(op=sign, operand=operand) if type(sign) in _UNARY:
                return _UNARY[type(sign)](self._value(operand))
            case ast.Compare(left=left, ops=[sign], comparators=[right]) if (
                type(sign) in _COMPARISONS
            ):
                return _COMPARISONS[type(sign)](self._value(left), self._value(right))
            case ast.Call():
                return self._call(part)
        raise Misuse(
            f"the cell language does not have {_shown(part)}; it has + - * /, @, comparisons in "
            f"where, and {', '.join(FUNCTIONS)}"
        )

    def _binary(self, sign: ast.operator, left: Any, right: Any) -> Any:
        if type(sign) not in _BINARY:
            what = "**; write a product, or exp(... * log(...))"
            if not isinstance(sign, ast.Pow):
                what = "such operator; it has + - * / and @"
            raise Misuse(f"the cell language has no {what}")
        return _BINARY[type(sign)](left, right)

    def _named(self, name: str) -> Any:
        if name in self._values:
            return self._values[name]
        if name in FUNCTIONS:
            raise Misuse(f"{name} is a function; call it, as in {name}(h)")
        raise Misuse(
            f"{name} is not defined; the names are {', '.join(self._values)}, and the functions "
            f"{', '.join(FUNCTIONS)}"
        )

    def _parameter(self, family: str, gate: str) -> Any:
        found = self._values.get(family)
        if not isinstance(found, Family):
            if gate == "T" and isinstance(found, Arithmetic):
                return found.T
            if family in self._values:
                raise Misuse(
                    f'{family} has no attribute "{gate}"; declare families of parameters after a '
                    "*, as in def c(x, h, *, W, b)"
                )
            raise Misuse(f"{family} is not a family of parameters; declare it after a *")
        if gate.startswith("_"):  # never an attribute of Python's
            raise Misuse(f'{family}.{gate}: the name of a gate cannot begin with "_"')
        return found.__getattr__(gate)

    def _call(self, call: ast.Call) -> Any:
        if not isinstance(call.func, ast.Name):
            raise Misuse(f"call a function by its name: {', '.join(FUNCTIONS)}")
        name = call.func.id
        if name in self._values:
            raise Misuse(f"{name} is a value here, not a function")
        if name not in FUNCTIONS:
            raise Misuse(f"there is no function {name}; there are {', '.join(FUNCTIONS)}")
        if call.keywords or any([isinstance(each, ast.Starred) for each in call.args]):
            raise Misuse(f"{name} takes its operands without names, as in {name}(h)")
        return FUNCTIONS[name](*[self._value(each) for each in call.args])


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _small(number: int) -> int:
    if abs(number) > 2**53:
        _refuse_number()
    return number


def _refuse_number() -> NoReturn:
    raise Misuse("a number is too large; write it as a float, such as 1e20")


def _shown(part: ast.expr) -> str:
    text = ast.unparse(part)
    return f"`{text}`" if len(text) <= 60 else f"`{text[:60]}...`"
