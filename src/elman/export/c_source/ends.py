"""What stands before and after the recurrent layers in C: a look-up, a linear layer, a softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from elman.export.c_source.numbers import to_int8
from elman.export.c_source.text import table
from elman.export.stepwise import Linear
from elman.nn.embedding import UNKNOWN

#: outputs that one loop computes side by side; fewer than 8 are sums of products each
LANES = 64


class Lookup:
    """The vectors of symbols as a table, and the function that copies one."""

    def __init__(self, prefix: str, vectors: Tensor, *, quantized: bool) -> None:
        self.count, size = vectors.shape
        #: what an index that is none is read as
        self.unknown = min(UNKNOWN, self.count - 1)
        name = f"{prefix}_vectors"
        value = f"{name}[row * {size} + k]"
        if quantized:
            whole, scale = to_int8(vectors.double())
            self.tables = [
                "/* the vectors of the symbols: integers, to be multiplied by their scale */\n"
                + table("signed char", name, whole.reshape(-1).to(torch.int64).tolist()),
                table("float", f"{prefix}_vector_scale", scale.tolist()),
            ]
            value = f"{prefix}_vector_scale[row] * (float){value}"
        else:
            self.tables = [
                "/* the vectors of the symbols */\n"
                + table("float", name, vectors.reshape(-1).tolist())
            ]
        self.function = "\n".join(
            [
                f"static void {prefix}_lookup(int symbol, float *x)",
                "{",
                f"    const int known = symbol >= 0 && symbol < {self.count};",
                f"    const int row = known ? symbol : {self.unknown};",
                f"    for (int k = 0; k < {size}; ++k)",
                f"        x[k] = {value};",
                "}",
            ]
        )


class Dense:
    """A linear layer: its tables, and the function that computes it."""

    def __init__(self, prefix: str, linear: Linear, *, quantized: bool, helpers: set[str]) -> None:
        weight, bias = linear.weight.double(), linear.bias
        self.size, inputs = weight.shape
        kind, aligned = ("signed char" if quantized else "float"), f" {prefix}_ALIGNED"
        scale = torch.ones(self.size)
        if quantized:
            weight, scale = to_int8(weight)
        few = self.size < 8
        lanes = 1 if few else min(LANES, -(-self.size // 8) * 8)
        padded = -(-self.size // lanes) * lanes
        rows = torch.nn.functional.pad(weight, (0, 0, 0, padded - self.size))
        packed = rows.reshape(-1, lanes, inputs).transpose(1, 2).reshape(-1)
        numbers = packed.to(torch.int64).tolist() if quantized else packed.tolist()
        order = "[output][k]" if few else "[block][k][output]"
        self.tables = [
            f"/* the output layer: {order} */\n"
            + table(kind, f"{prefix}_dense_weights", numbers, aligned),
            table("float", f"{prefix}_dense_bias", bias.tolist()),
        ]
        if quantized:
            self.tables.append(table("float", f"{prefix}_dense_scale", scale.tolist()))
        scaled = f"{prefix}_dense_scale[u] * " if quantized else ""
        helpers.add("dot" if few else "mad")
        lines = [f"static void {prefix}_dense(const float *x, float *y)", "{"]
        if few:
            lines += [
                f"    for (int u = 0; u < {self.size}; ++u)",
                f"        y[u] = {prefix}_dense_bias[u] + {scaled}"
                f"{prefix}_dot({prefix}_dense_weights + u * {inputs}, x, {inputs});",
                "}",
            ]
        else:
            read = "(float)w[i]" if quantized else "w[i]"
            lines += [
                f"    const {kind} *w = {prefix}_dense_weights;",
                f"    for (int first = 0; first < {padded}; first += {lanes}) {{",
                f"        float sum[{lanes}];",
                f"        for (int i = 0; i < {lanes}; ++i)",
                "            sum[i] = 0.0f;",
                f"        for (int k = 0; k < {inputs}; ++k, w += {lanes}) {{",
                "            const float value = x[k];",
                f"            for (int i = 0; i < {lanes}; ++i)",
                f"                sum[i] = {prefix}_mad({read}, value, sum[i]);",
                "        }",
                f"        for (int u = first; u < first + {lanes} && u < {self.size}; ++u)",
                f"            y[u] = {prefix}_dense_bias[u] + {scaled}sum[u - first];",
                "    }",
                "}",
            ]
        self.function = "\n".join(lines)


def log_softmax(prefix: str, size: int) -> str:
    """The function that makes scores into log probabilities."""
    return f"""\
static void {prefix}_log_softmax(float *y)
{{
    float largest = y[0], sum = 0.0f;
    for (int u = 1; u < {size}; ++u)
        largest = y[u] > largest ? y[u] : largest;
    for (int u = 0; u < {size}; ++u)
        sum += expf(y[u] - largest);
    largest += logf(sum);
    for (int u = 0; u < {size}; ++u)
        y[u] -= largest;
}}
"""
