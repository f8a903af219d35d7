"""An ONNX graph while it is built: unique names, constants that are stored once, nodes in order.

Values are names.  A subgraph, such as the body of a ``Scan``, is a ``Graph`` of its own that reads
the outer one's values and leaves its constants there.  Nothing here knows about cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from elman.export.onnx_format.libraries import onnx

#: a value of the graph: its name
Name = str
Shape = Sequence[int | str]


class Graph:
    """Nodes of an ONNX graph, in the order in which they were added.

    ``opset`` is the version of ONNX's operators.  ``outer`` is the graph that a subgraph is in.
    """

    def __init__(self, opset: int, outer: Graph | None = None) -> None:
        self.opset = opset
        self.outer = outer
        self.nodes: list[Any] = []
        self.inputs: list[Any] = []
        self.outputs: list[Any] = []
        root = self if outer is None else outer._root
        self._root: Graph = root
        if outer is None:
            self._taken: set[str] = set()
            self._constants: dict[tuple[Any, ...], Name] = {}
            self.initializers: list[Any] = []

    def unique(self, hint: str) -> Name:
        """A name that no value of the model has; ``hint`` itself where it is free."""
        taken, name, number = self._root._taken, hint, 1
        while name in taken:
            number += 1
            name = f"{hint}_{number}"
        taken.add(name)
        return name

    def input(self, name: str, kind: Any, shape: Shape, default: np.ndarray | None = None) -> Name:
        """An input of the graph; with a ``default`` it may be left out when the model is run."""
        name = self.unique(name)
        self.inputs.append(_value_info(name, kind, shape))
        if default is not None:
            assert self.outer is None
            self.initializers.append(onnx().numpy_helper.from_array(default, name))
        return name

    def output(self, name: str, value: Name, kind: Any, shape: Shape) -> Name:
        """``value`` as an output of the graph with this name."""
        name = self.unique(name)
        self.nodes.append(onnx().helper.make_node("Identity", [value], [name]))
        self.outputs.append(_value_info(name, kind, shape))
        return name

    def constant(self, value: Any, kind: Any = np.float32, hint: str = "constant") -> Name:
        """A constant; the same numbers are stored once."""
        array = np.ascontiguousarray(value, dtype=kind).reshape(np.shape(value))
        key = (array.dtype.str, array.shape, array.tobytes())
        root = self._root
        if key not in root._constants:
            root._constants[key] = self.unique(hint)
            root.initializers.append(onnx().numpy_helper.from_array(array, root._constants[key]))
        return root._constants[key]

    def integers(self, *values: int) -> Name:
        """A vector of int64, as shapes and axes are."""
        return self.constant(np.array(values, np.int64), np.int64)

    def op(self, operator: str, *inputs: Name, hint: str | None = None, **attributes: Any) -> Name:
        """Add a node with one output; returns its name."""
        (name,) = self.ops(operator, *inputs, outputs=1, hint=hint, **attributes)
        return name

    def ops(
        self,
        operator: str,
        *inputs: Name,
        outputs: int,
        hint: str | None = None,
        **attributes: Any,
    ) -> list[Name]:
        """Add a node with several outputs; an input called "" is left out."""
        names = [self.unique(hint or operator.lower()) for _ in range(outputs)]
        self.nodes.append(onnx().helper.make_node(operator, list(inputs), names, **attributes))
        return names

    # what changed its form between versions of the operators, and what is needed everywhere

    def size(self, value: Name, axis: int) -> Name:
        """The length of an axis, as a vector of one int64."""
        return self.op("Shape", value, start=axis, end=axis + 1, hint="size")

    def reduce(self, operator: str, value: Name, axis: int, *, keep: bool = True) -> Name:
        """``ReduceMean``, ``ReduceMax`` ... over one axis."""
        if self.opset >= 18 or operator == "ReduceSum":
            return self.op(operator, value, self.integers(axis), keepdims=int(keep))
        return self.op(operator, value, axes=[axis], keepdims=int(keep))

    def cast(self, value: Name, kind: Any) -> Name:
        """The value as another type, such as ``np.int32``."""
        return self.op("Cast", value, to=onnx().helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def unsqueeze(self, value: Name, *axes: int) -> Name:
        """New axes of length 1."""
        return self.op("Unsqueeze", value, self.integers(*axes))

    def squeeze(self, value: Name, *axes: int) -> Name:
        """Axes of length 1 left out."""
        return self.op("Squeeze", value, self.integers(*axes))

    def slice(self, value: Name, axis: int, start: int, end: int) -> Name:
        """Places ``start`` to ``end`` of an axis."""
        places = [self.integers(number) for number in (start, end, axis)]
        return self.op("Slice", value, *places)

    def join(self, values: Sequence[Name], axis: int) -> Name:
        """Values side by side; one alone as it is."""
        return values[0] if len(values) == 1 else self.op("Concat", *values, axis=axis)

    def proto(self, name: str) -> Any:
        """The GraphProto, of a whole model or of a subgraph."""
        initializers = self.initializers if self.outer is None else []
        return onnx().helper.make_graph(self.nodes, name, self.inputs, self.outputs, initializers)

    def model(self, name: str, doc: str, metadata: Mapping[str, str]) -> Any:
        """The ModelProto, checked by onnx."""
        helper = onnx().helper
        opsets = [helper.make_opsetid("", self.opset)]
        made = helper.make_model(
            self.proto(name),
            opset_imports=opsets,
            ir_version=helper.find_min_ir_version_for(opsets),
            producer_name="elman",
            doc_string=doc,
        )
        helper.set_model_props(made, dict(metadata))
        onnx().checker.check_model(made, full_check=True)
        return made


def _value_info(name: str, kind: Any, shape: Shape) -> Any:
    helper = onnx().helper
    return helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), list(shape)
    )
