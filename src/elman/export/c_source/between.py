"""What stands between recurrent layers in C: normalisation, residual connections, first states."""

from __future__ import annotations

from collections.abc import Iterable

from elman.export.c_source.layer import LayerInC
from elman.export.c_source.numbers import as_array
from elman.export.c_source.text import literal, table
from elman.export.layers import Layers
from elman.nn.between import EPSILON


class BetweenInC:
    """The tables and functions of what stands between layers, and its lines in others'."""

    def __init__(self, prefix: str, layers: Layers) -> None:
        self._prefix, self._layers = prefix, layers
        self.tables: list[str] = []
        #: the names of the tables of learned states, in the order of layers and states
        self._first: list[str] = []
        for k, norm in enumerate(layers.others.norms, 1):
            for name, tensor in zip(("scale", "shift"), norm, strict=True):
                self.tables.append(table("float", f"{prefix}_norm_{name}_{k}", tensor.tolist()))
        for k in range(layers.stack.num_layers if layers.others.initial else 0):
            for n, initial in enumerate(layers.others.initial):
                self._first.append(f"{prefix}_first_{k}_{n}")
                values = as_array(initial[k, 0], layers.cell.state_leaves[n].size)
                self.tables.append(table("float", self._first[-1], values.tolist()))

    @property
    def functions(self) -> list[str]:
        """The function that normalises, if it is needed."""
        size = self._layers.stack.output_size
        if not self._layers.others.norms:
            return []
        return [
            f"""\
/* values with mean 0 and variance 1, scaled and shifted */
static void {self._prefix}_norm(const float *x, const float *scale, const float *shift, float *y)
{{
    float mean = 0.0f, variance = 0.0f;
    for (int u = 0; u < {size}; ++u)
        mean += x[u];
    mean /= {literal(size)};
    for (int u = 0; u < {size}; ++u)
        variance += (x[u] - mean) * (x[u] - mean);
    variance /= {literal(size)};
    const float factor = 1.0f / sqrtf(variance + {literal(EPSILON)});
    for (int u = 0; u < {size}; ++u)
        y[u] = (x[u] - mean) * factor * scale[u] + shift[u];
}}
"""
        ]

    def first_values(self, layer: LayerInC) -> list[str]:
        """Lines that set a layer's states, which are zero, to those that it has learned."""
        if not self._first:
            return []
        own = self._first[layer.index * len(layer.members) :][: len(layer.members)]
        names = dict(zip(layer.members, own, strict=True))
        return layer.over_states(layer.width_of, lambda state: f"{names[state]}[u]")

    def step(self, layer: LayerInC, source: str, sides: Iterable[str]) -> tuple[list[str], str]:
        """The lines of a layer's step on the array ``source``, and the array of its output.

        ``sides`` are the names of the inputs beside x.
        """
        k, stack, lines = layer.index, self._layers.stack, []
        if k and self._layers.others.norms:
            tables = [f"{self._prefix}_norm_{name}_{k}" for name in ("scale", "shift")]
            lines.append(f"    float input_{k}[{layer.sizes.input}];")
            lines.append(f"    {self._prefix}_norm({source}, {', '.join(tables)}, input_{k});")
            source = f"input_{k}"
        given = ", ".join([f"&state->layer_{k}", source, *sides])
        lines.append(f"    {layer.name}_step({given});")
        found = f"state->layer_{k}.{next(iter(layer.members.values()))}"
        if stack.between.residual and stack.layer_input_size(k) == stack.output_size:
            lines += [
                f"    float output_{k}[{stack.output_size}];",
                f"    for (int u = 0; u < {stack.output_size}; ++u)",
                f"        output_{k}[u] = {found}[u] + {source}[u];",
            ]
            found = f"output_{k}"
        return lines, found
