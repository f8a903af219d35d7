"""The table of torch's operators in ONNX's: one row an operator, for ``program.py``.

A rule is called with the values so far, the node (whose ``meta["val"]`` has the result's shape and
type) and the operator's own arguments.  An operator without a row is first taken apart by torch,
if torch knows how.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from elman.errors import ExportError
from elman.export.onnx_format.graph import Graph
from elman.export.onnx_format.values import Dynamic, Size, Values
from elman.graph import read_cell

Rule = Callable[..., Any]

#: checks that torch has made already
IGNORED = frozenset(
    {
        "aten._assert_tensor_metadata.default",
        "aten._assert_scalar.default",
        "aten.sym_constrain_range_for_size.default",
        "aten.sym_constrain_range.default",
    }
)

OPERATORS: dict[str, Rule] = {}


def _row(*names: str) -> Callable[[Rule], Rule]:
    def add(rule: Rule) -> Rule:
        OPERATORS.update(dict.fromkeys(names, rule))
        return rule

    return add


def _numpy(dtype: torch.dtype) -> Any:
    if dtype is torch.float64:
        dtype = torch.float32
    return torch.empty(0, dtype=dtype).numpy().dtype


def _dtype(node: Any) -> torch.dtype:
    found: torch.dtype = node.meta["val"].dtype
    return found


def _rank(node: Any) -> int:
    return node.meta["val"].dim() if hasattr(node.meta["val"], "dim") else 0


def _argument_type(argument: Any) -> torch.dtype | None:
    """The type of a node's argument, if it is a tensor."""
    value = argument.meta["val"] if isinstance(argument, torch.fx.Node) else argument
    return value.dtype if isinstance(value, torch.Tensor) else None


def _as(t: Values, argument: Any, value: Any, dtype: torch.dtype) -> Dynamic:
    """A value in a type."""
    name = t.tensor(value, dtype)
    own = _argument_type(argument)
    if isinstance(value, Dynamic | Size) and own is not dtype:
        if own is None:
            own = torch.int64  # a size
        return name if own is dtype else Dynamic(t.graph.cast(name, _numpy(dtype)))
    return name


# sizes


@_row("aten.sym_size.int")
def _sym_size(t: Values, node: Any, x: Dynamic, axis: int) -> Size:
    return Size(t.graph.size(x, axis % _rank(node.args[0])))


@_row("aten.sym_numel.default")
def _sym_numel(t: Values, node: Any, x: Dynamic) -> Size:
    return Size(t.size(Dynamic(t.graph.op("Size", x))))


def _of_sizes(operator: str) -> Rule:
    def rule(t: Values, node: Any, *values: Any) -> Size:
        return Size(t.graph.op(operator, *[t.size(value) for value in values]))

    return rule


OPERATORS |= {
    "mul": _of_sizes("Mul"),
    "add": _of_sizes("Add"),
    "sub": _of_sizes("Sub"),
    "floordiv": _of_sizes("Div"),
    "mod": _of_sizes("Mod"),
    "neg": _of_sizes("Neg"),
    "sym_max": _of_sizes("Max"),
    "sym_min": _of_sizes("Min"),
}


@_row("getitem")
def _getitem(t: Values, node: Any, values: Sequence[Any], place: int) -> Any:
    return values[place]


# element by element


def _arithmetic(operator: str) -> Rule:
    def rule(
        t: Values, node: Any, a: Any, b: Any, *, alpha: float = 1, rounding_mode: Any = None
    ) -> Dynamic:
        dtype = _dtype(node)
        first, second = [
            _as(t, argument, value, dtype)
            for argument, value in zip(node.args, (a, b), strict=False)
        ]
        if alpha != 1:
            second = Dynamic(t.graph.op("Mul", second, t.tensor(alpha, dtype)))
        if rounding_mode not in (None, "floor"):
            raise ExportError(f"division rounded by {rounding_mode!r} has no ONNX form here.")
        found = t.graph.op(operator, first, second)
        rounded = rounding_mode == "floor" and dtype.is_floating_point
        return Dynamic(t.graph.op("Floor", found) if rounded else found)

    return rule


for _kind in ("Tensor", "Scalar"):
    OPERATORS |= {
        f"aten.add.{_kind}": _arithmetic("Add"),
        f"aten.sub.{_kind}": _arithmetic("Sub"),
        f"aten.mul.{_kind}": _arithmetic("Mul"),
        f"aten.div.{_kind}": _arithmetic("Div"),
        f"aten.div.{_kind}_mode": _arithmetic("Div"),
    }
# of lengths, which are not negative: ONNX's division of integers cuts off
OPERATORS["aten.floor_divide.default"] = _arithmetic("Div")
OPERATORS |= {
    "aten.maximum.default": _arithmetic("Max"),
    "aten.minimum.default": _arithmetic("Min"),
    "aten.pow.Tensor_Scalar": _arithmetic("Pow"),
    "aten.pow.Tensor_Tensor": _arithmetic("Pow"),
    "aten.logical_and.default": _arithmetic("And"),
    "aten.logical_or.default": _arithmetic("Or"),
    "aten.bitwise_and.Tensor": _arithmetic("And"),
    "aten.bitwise_or.Tensor": _arithmetic("Or"),
}


@_row("aten.layer_norm.default")
def _layer_norm(
    t: Values,
    node: Any,
    x: Any,
    shape: Sequence[int],
    weight: Any,
    bias: Any,
    epsilon: float = 1e-5,
    cudnn: bool = True,
) -> Dynamic:
    tensors = [t.tensor(value, _dtype(node)) for value in (x, weight, bias)]
    found = t.graph.op("LayerNormalization", *tensors, axis=-len(shape), epsilon=epsilon)
    return Dynamic(found)


def _comparison(operator: str, *, negated: bool = False) -> Rule:
    def rule(t: Values, node: Any, a: Any, b: Any) -> Dynamic:
        types = [_argument_type(argument) for argument in node.args]
        known = [dtype for dtype in types if dtype is not None]
        dtype = known[0] if len(known) == 1 else torch.promote_types(known[0], known[-1])
        both = [
            _as(t, argument, value, dtype)
            for argument, value in zip(node.args, (a, b), strict=True)
        ]
        found = t.graph.op(operator, *both)
        return Dynamic(t.graph.op("Not", found) if negated else found)

    return rule


for _name, _operator, _negated in (
    ("lt", "Less", False),
    ("le", "LessOrEqual", False),
    ("gt", "Greater", False),
    ("ge", "GreaterOrEqual", False),
    ("eq", "Equal", False),
    ("ne", "Equal", True),
):
    for _kind in ("Tensor", "Scalar"):
        OPERATORS[f"aten.{_name}.{_kind}"] = _comparison(_operator, negated=_negated)


def _function(operator: str) -> Rule:
    def rule(t: Values, node: Any, x: Any) -> Dynamic:
        return Dynamic(t.graph.op(operator, _as(t, node.args[0], x, _dtype(node))))

    return rule


OPERATORS |= {
    f"aten.{name}.default": _function(operator)
    for name, operator in {
        "neg": "Neg", "abs": "Abs", "exp": "Exp", "log": "Log", "sqrt": "Sqrt", "tanh": "Tanh",
        "sigmoid": "Sigmoid", "relu": "Relu", "floor": "Floor", "ceil": "Ceil", "round": "Round",
        "reciprocal": "Reciprocal", "logical_not": "Not", "bitwise_not": "Not", "sin": "Sin",
        "cos": "Cos", "erf": "Erf", "sign": "Sign",
    }.items()
}  # fmt: skip


@_row("aten.rsqrt.default")
def _rsqrt(t: Values, node: Any, x: Dynamic) -> Dynamic:
    return Dynamic(t.graph.op("Reciprocal", t.graph.op("Sqrt", x)))


@_row("aten.clamp.default", "aten.clamp.Tensor", "aten.clamp_min.default", "aten.clamp_max.default")
def _clamp(t: Values, node: Any, x: Dynamic, low: Any = None, high: Any = None) -> Dynamic:
    if node.target is torch.ops.aten.clamp_max.default:
        low, high = None, low
    for operator, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            x = Dynamic(t.graph.op(operator, x, t.tensor(bound, _dtype(node))))
    return x


@_row("aten.where.self", "aten.where.ScalarOther", "aten.where.ScalarSelf", "aten.where.Scalar")
def _where(t: Values, node: Any, condition: Any, a: Any, b: Any) -> Dynamic:
    both = [
        _as(t, argument, value, _dtype(node))
        for argument, value in zip(node.args[1:], (a, b), strict=True)
    ]
    return Dynamic(t.graph.op("Where", t.tensor(condition), *both))


@_row("aten.masked_fill.Scalar", "aten.masked_fill.Tensor")
def _masked_fill(t: Values, node: Any, x: Any, mask: Any, value: Any) -> Dynamic:
    filled = t.tensor(value, _dtype(node))
    return Dynamic(t.graph.op("Where", t.tensor(mask), filled, t.tensor(x)))


@_row(
    "aten.to.device", "aten.to.dtype", "aten.to.dtype_layout", "aten._to_copy.default",
    "aten.contiguous.default", "aten.clone.default", "aten.alias.default", "aten.detach.default",
    "aten.lift_fresh_copy.default", "aten.dropout.default", "aten.type_as.default",
)  # fmt: skip
def _same(t: Values, node: Any, x: Any, *_: Any, **__: Any) -> Dynamic:
    return _as(t, node.args[0], x, _dtype(node))


# constants with free shapes


@_row("aten.arange.default", "aten.arange.start", "aten.arange.start_step")
def _arange(t: Values, node: Any, *values: Any, **_: Any) -> Dynamic:
    start, end, step = (0, *values, 1)[:3] if len(values) == 1 else (*values, 1)[:3]
    dtype = _dtype(node)
    names = [
        t.graph.cast(t.tensor(value), _numpy(dtype)) if isinstance(value, Size)
        else t.tensor(value, dtype)
        for value in (start, end, step)
    ]  # fmt: skip
    return Dynamic(t.graph.op("Range", *names))


def _filled(t: Values, node: Any, shape: Sequence[Any], value: Any) -> Dynamic:
    return Dynamic(t.graph.op("Expand", t.tensor(value, _dtype(node)), t.shape(shape)))


@_row("aten.full.default", "aten.new_full.default")
def _full(t: Values, node: Any, *values: Any, **_: Any) -> Dynamic:
    return _filled(t, node, *values[-2:])


@_row("aten.new_zeros.default", "aten.zeros.default")
def _zeros(t: Values, node: Any, *values: Any, **_: Any) -> Dynamic:
    return _filled(t, node, values[-1], 0)


@_row("aten.new_ones.default", "aten.ones.default")
def _ones(t: Values, node: Any, *values: Any, **_: Any) -> Dynamic:
    return _filled(t, node, values[-1], 1)


@_row("aten.zeros_like.default", "aten.ones_like.default", "aten.full_like.default")
def _like(t: Values, node: Any, x: Dynamic, value: Any = None, **_: Any) -> Dynamic:
    if value is None:
        value = int(node.target is torch.ops.aten.ones_like.default)
    return Dynamic(t.graph.op("Expand", t.tensor(value, _dtype(node)), t.graph.op("Shape", x)))


# shapes


@_row("aten.view.default", "aten.reshape.default", "aten._unsafe_view.default")
def _reshape(t: Values, node: Any, x: Any, shape: Sequence[Any]) -> Dynamic:
    return Dynamic(t.graph.op("Reshape", t.tensor(x), t.shape(shape), allowzero=1))


def _sizes(t: Values, x: Dynamic, node: Any) -> list[Size | int]:
    """The lengths of a tensor's axes: numbers where they are fixed."""
    return [
        size if isinstance(size, int) else Size(t.graph.size(x, place))
        for place, size in enumerate(node.meta["val"].shape)
    ]


@_row("aten.flatten.using_ints")
def _flatten(t: Values, node: Any, x: Dynamic, start: int = 0, end: int = -1) -> Dynamic:
    sizes, rank = _sizes(t, x, node.args[0]), _rank(node.args[0])
    shape = [*sizes[: start % rank], -1, *sizes[end % rank + 1 :]]
    return Dynamic(t.graph.op("Reshape", x, t.shape(shape)))


@_row("aten.unflatten.int")
def _unflatten(t: Values, node: Any, x: Dynamic, axis: int, sizes: Sequence[Any]) -> Dynamic:
    own, axis = _sizes(t, x, node.args[0]), axis % _rank(node.args[0])
    return Dynamic(t.graph.op("Reshape", x, t.shape([*own[:axis], *sizes, *own[axis + 1 :]])))


@_row("aten.permute.default")
def _permute(t: Values, node: Any, x: Dynamic, axes: Sequence[int]) -> Dynamic:
    return Dynamic(t.graph.op("Transpose", x, perm=[axis % len(axes) for axis in axes]))


@_row("aten.transpose.int", "aten.t.default")
def _transpose(t: Values, node: Any, x: Dynamic, a: int = 0, b: int = 1) -> Dynamic:
    axes = [*range(_rank(node))]
    axes[a], axes[b] = axes[b], axes[a]
    return Dynamic(t.graph.op("Transpose", x, perm=axes))


@_row("aten.unsqueeze.default")
def _unsqueeze(t: Values, node: Any, x: Any, axis: int) -> Dynamic:
    return Dynamic(t.graph.unsqueeze(t.tensor(x), axis % _rank(node)))


@_row("aten.squeeze.dim", "aten.squeeze.dims")
def _squeeze(t: Values, node: Any, x: Dynamic, axes: int | Sequence[int]) -> Dynamic:
    given = [axes] if isinstance(axes, int) else axes
    rank, shape = _rank(node.args[0]), node.args[0].meta["val"].shape
    ones = [axis % rank for axis in given if shape[axis] == 1]
    return Dynamic(t.graph.squeeze(x, *ones)) if ones else x


@_row("aten.expand.default")
def _expand(t: Values, node: Any, x: Any, shape: Sequence[Any], **_: Any) -> Dynamic:
    # -1 keeps an axis, and so does ONNX's 1
    wanted = [1 if isinstance(size, int) and size == -1 else size for size in shape]
    return Dynamic(t.graph.op("Expand", t.tensor(x), t.shape(wanted)))


@_row("aten.repeat.default")
def _repeat(t: Values, node: Any, x: Dynamic, times: Sequence[Any]) -> Dynamic:
    missing = len(times) - _rank(node.args[0])
    source = t.graph.unsqueeze(x, *range(missing)) if missing else x
    return Dynamic(t.graph.op("Tile", source, t.shape(times)))


@_row("aten.cat.default")
def _cat(t: Values, node: Any, values: Sequence[Any], axis: int = 0) -> Dynamic:
    arguments = node.args[0]
    names = [_as(t, a, v, _dtype(node)) for a, v in zip(arguments, values, strict=True)]
    return Dynamic(t.graph.op("Concat", *names, axis=axis % _rank(node)))


@_row("aten.stack.default")
def _stack(t: Values, node: Any, values: Sequence[Any], axis: int = 0) -> Dynamic:
    axis %= _rank(node)
    names = [t.graph.unsqueeze(t.tensor(value), axis) for value in values]
    return Dynamic(t.graph.op("Concat", *names, axis=axis))


# parts


@_row("aten.select.int")
def _select(t: Values, node: Any, x: Dynamic, axis: int, place: Any) -> Dynamic:
    index = t.tensor(place, torch.int64)
    return Dynamic(t.graph.op("Gather", x, index, axis=axis % _rank(node.args[0])))


@_row("aten.slice.Tensor")
def _slice(
    t: Values, node: Any, x: Dynamic, axis: int = 0, start: Any = None, end: Any = None,
    step: int = 1,
) -> Dynamic:  # fmt: skip
    places = [
        t.size(0 if start is None else start),
        t.size(sys.maxsize if end is None else end),
        t.graph.integers(axis % _rank(node)),
        t.graph.integers(step),
    ]
    return Dynamic(t.graph.op("Slice", x, *places))


@_row("aten.flip.default")
def _flip(t: Values, node: Any, x: Dynamic, axes: Sequence[int]) -> Dynamic:
    count, rank = len(axes), _rank(node)
    places = [[-1] * count, [-sys.maxsize] * count, [a % rank for a in axes], [-1] * count]
    return Dynamic(t.graph.op("Slice", x, *[t.graph.integers(*each) for each in places]))


@_row("aten.roll.default")
def _roll(
    t: Values, node: Any, x: Dynamic, shifts: Sequence[int], axes: Sequence[int] = ()
) -> Dynamic:
    for shift, axis in zip(shifts, axes, strict=True):
        ends = [(-shift, sys.maxsize), (0, -shift)]
        x = Dynamic(t.graph.join([t.graph.slice(x, axis, *places) for places in ends], axis))
    return x


@_row("aten.embedding.default")
def _embedding(t: Values, node: Any, table: Any, index: Any, *_: Any) -> Dynamic:
    return Dynamic(t.graph.op("Gather", t.tensor(table), t.tensor(index), axis=0))


@_row("aten.index_select.default")
def _index_select(t: Values, node: Any, x: Any, axis: int, index: Any) -> Dynamic:
    axis %= _rank(node)
    return Dynamic(t.graph.op("Gather", t.tensor(x), t.tensor(index), axis=axis))


@_row("aten.index.Tensor")
def _index(t: Values, node: Any, x: Any, index: Sequence[Any]) -> Dynamic:
    given = [(axis, value) for axis, value in enumerate(index) if value is not None]
    kinds = [_argument_type(node.args[1][axis]) for axis, _ in given]
    if len(given) != 1 or kinds != [torch.int64]:
        raise ExportError("indexing by several tensors or by a mask has no ONNX form here.")
    ((axis, value),) = given
    return Dynamic(t.graph.op("Gather", t.tensor(x), t.tensor(value), axis=axis))


@_row("aten.gather.default")
def _gather(t: Values, node: Any, x: Any, axis: int, index: Any, **_: Any) -> Dynamic:
    axis %= _rank(node)
    return Dynamic(t.graph.op("GatherElements", t.tensor(x), t.tensor(index), axis=axis))


@_row("aten.pad.default", "aten.constant_pad_nd.default")
def _pad(t: Values, node: Any, x: Dynamic, pads: Sequence[Any], *rest: Any) -> Dynamic:
    mode, value = (rest if rest and isinstance(rest[0], str) else ("constant", *rest))[:1][0], 0.0
    numbers = [each for each in rest if isinstance(each, int | float)]
    if mode != "constant":
        raise ExportError(f"padding by {mode!r} has no ONNX form here.")
    if numbers:
        value = numbers[0]
    # torch: from the last axis back, (before, after) each; ONNX: all before, then all after
    free = _rank(node) - len(pads) // 2
    before = [0] * free + [*pads[0::2]][::-1]
    after = [0] * free + [*pads[1::2]][::-1]
    return Dynamic(t.graph.op("Pad", x, t.shape([*before, *after]), t.tensor(value, _dtype(node))))


# products and sums


@_row("aten.linear.default")
def _linear(t: Values, node: Any, x: Any, weight: Any, bias: Any = None) -> Dynamic:
    if isinstance(weight, torch.Tensor):
        turned = t.tensor(weight.mT.contiguous())
    else:
        turned = Dynamic(t.graph.op("Transpose", weight, perm=[1, 0]))
    y = t.graph.op("MatMul", t.tensor(x), turned)
    return Dynamic(y if bias is None else t.graph.op("Add", y, t.tensor(bias)))


@_row("aten.mm.default", "aten.bmm.default", "aten.matmul.default", "aten.mv.default")
def _matmul(t: Values, node: Any, a: Any, b: Any) -> Dynamic:
    return Dynamic(t.graph.op("MatMul", t.tensor(a), t.tensor(b)))


@_row("aten.addmm.default")
def _addmm(t: Values, node: Any, bias: Any, a: Any, b: Any) -> Dynamic:
    return Dynamic(
        t.graph.op("Add", t.graph.op("MatMul", t.tensor(a), t.tensor(b)), t.tensor(bias))
    )


def _convolution(
    t: Values, node: Any, x: Any, weight: Any, bias: Any = None, stride: Any = 1,
    padding: Any = 0, dilation: Any = 1, *rest: Any,
) -> Dynamic:  # fmt: skip
    axes = _rank(node) - 2
    groups = rest[-1] if rest else 1
    if len(rest) == 3 and rest[0]:
        raise ExportError("a transposed convolution has no ONNX form here.")

    def each(value: Any) -> list[int]:
        values = [value] if isinstance(value, int) else [*value]
        return values * axes if len(values) == 1 else values

    inputs = [t.tensor(x), t.tensor(weight)] + ([] if bias is None else [t.tensor(bias)])
    return Dynamic(
        t.graph.op(
            "Conv",
            *inputs,
            strides=each(stride),
            pads=each(padding) * 2,
            dilations=each(dilation),
            group=groups,
        )
    )


OPERATORS |= dict.fromkeys(
    ("aten.conv1d.default", "aten.conv2d.default", "aten.convolution.default"), _convolution
)


@_row("aten.softmax.int", "aten._softmax.default")
def _softmax(t: Values, node: Any, x: Dynamic, axis: int, *_: Any) -> Dynamic:
    return Dynamic(t.graph.op("Softmax", x, axis=axis % _rank(node)))


@_row("aten.log_softmax.int", "aten._log_softmax.default")
def _log_softmax(t: Values, node: Any, x: Dynamic, axis: int, *_: Any) -> Dynamic:
    return Dynamic(t.graph.op("LogSoftmax", x, axis=axis % _rank(node)))


def _reduction(operator: str) -> Rule:
    def rule(
        t: Values, node: Any, x: Any, axes: Any = None, keep: bool = False, **_: Any
    ) -> Dynamic:
        value, rank = _as(t, node.args[0], x, _dtype(node)), _rank(node.args[0])
        given = [*range(rank)] if not axes and axes != 0 else axes
        given = [given] if isinstance(given, int) else given
        for axis in sorted([axis % rank for axis in given], reverse=True):
            value = Dynamic(t.graph.reduce(operator, value, axis, keep=keep))
        return value

    return rule


OPERATORS |= {
    "aten.sum.dim_IntList": _reduction("ReduceSum"),
    "aten.sum.default": _reduction("ReduceSum"),
    "aten.mean.dim": _reduction("ReduceMean"),
    "aten.mean.default": _reduction("ReduceMean"),
    "aten.amax.default": _reduction("ReduceMax"),
    "aten.amin.default": _reduction("ReduceMin"),
}


@_row("aten.cumsum.default")
def _cumsum(t: Values, node: Any, x: Dynamic, axis: int, **_: Any) -> Dynamic:
    place = t.graph.constant(axis % _rank(node), np.int64)
    return Dynamic(t.graph.op("CumSum", _as(t, node.args[0], x, _dtype(node)), place))


@_row("aten.cummax.default")
def _cummax(t: Values, node: Any, x: Dynamic, axis: int) -> list[Any]:
    """The values alone."""
    if any([user.args[1] == 1 for user in node.users]):
        raise ExportError("the indices of torch.cummax have no ONNX form here.")
    axis, kind = axis % _rank(node.args[0]), _numpy(_dtype(node.args[0]))
    shape = [f"axis_{k}" for k in range(_rank(node.args[0])) if k != axis]
    body = Graph(t.graph.opset, t.graph)
    before, now = [body.input(name, kind, shape) for name in ("before", "now")]
    largest = body.op("Max", before, now)
    for name in ("after", "largest"):
        body.output(name, largest, kind, shape)
    first = t.graph.squeeze(t.graph.slice(x, axis, 0, 1), axis)
    _, values = t.graph.ops(
        "Scan", first, x, outputs=2, body=body.proto("cummax"), num_scan_inputs=1,
        scan_input_axes=[axis], scan_output_axes=[axis],
    )  # fmt: skip
    return [Dynamic(values), None]


@_row("aten.expm1.default")
def _expm1(t: Values, node: Any, x: Dynamic) -> Dynamic:
    exp = t.graph.op("Exp", _as(t, node.args[0], x, _dtype(node)))
    return Dynamic(t.graph.op("Sub", exp, t.graph.constant(1.0)))


@_row("elman.recurrent.default")
def _recurrent(
    t: Values, node: Any, x: Dynamic, states: Sequence[Any], parameters: Sequence[Any],
    lengths: Any, cell: str, reverse: bool, *_: Any,
) -> list[Dynamic]:  # fmt: skip
    _refuse_dynamic(parameters)
    ends = None if lengths is None else t.tensor(lengths)
    return t.recurrent(t.tensor(x), [t.tensor(s) for s in states], parameters, ends, cell, reverse)


def _refuse_dynamic(parameters: Sequence[Any]) -> None:
    if not all([isinstance(parameter, torch.Tensor) for parameter in parameters]):
        raise ExportError("a recurrent layer whose weights depend on the input has no ONNX form.")


@_row("elman.equations.default")
def _equations(
    t: Values, node: Any, x: Dynamic, states: Sequence[Any], parameters: Sequence[Any],
    lengths: Any, cell: str, reverse: bool, heads: int, keys: int, sides: Sequence[Any],
) -> list[Dynamic]:  # fmt: skip
    _refuse_dynamic(parameters)
    time, _, width = node.args[0].meta["val"].shape
    chosen = read_cell(cell)
    widths = [[each.meta["val"].shape[-1] for each in node.args[k]] for k in (1, 8)]
    shapes = [parameter.shape for parameter in parameters]
    return t.equations(
        t.tensor(x),
        [t.tensor(state) for state in states],
        parameters,
        None if lengths is None else t.tensor(lengths),
        chosen,
        chosen.bind(width, widths[0], shapes, widths[1], heads, keys),
        [t.tensor(side) for side in sides],
        reverse=reverse,
        single=isinstance(time, int) and time == 1,
    )
