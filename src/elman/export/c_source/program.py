"""A model with a step as the text of a C file and of its header."""

from __future__ import annotations

import re

from elman.export.c_source.between import BetweenInC
from elman.export.c_source.ends import Dense, Lookup, log_softmax
from elman.export.c_source.layer import LayerInC
from elman.export.c_source.plan import Plan
from elman.export.c_source.text import Names, comment, helper_functions, mangled
from elman.export.stepwise import Stepwise


def prefix_of(stem: str) -> str:
    """What every name of a file's functions and types begins with.

    >>> prefix_of("my-amp"), prefix_of("808"), prefix_of("_x")
    ('my_amp', 'm808', 'm_x')
    """
    name = mangled(re.sub(r"[-. ]", "_", stem))
    return name if name[:1].isalpha() else f"m{name}"


class Program:
    """A stepwise model as the text of a source file and of its header."""

    def __init__(self, stem: str, model: Stepwise, *, quantized: bool) -> None:
        self.stem, self.prefix, self.model = stem, prefix_of(stem), model
        layers, self.helpers = model.layers, set[str]()
        plan = Plan(layers.cell, merge=not quantized)
        names = Names(f"{self.prefix}_")
        #: the arguments of a step that are inputs beside x, by their names in the equations
        self.sides = {name: names.take("in_", name) for name, _ in layers.cell.inputs}
        self.kind = "signed char" if quantized else "float"
        self.layers = [
            LayerInC(
                self.prefix, k, plan, layers.sizes(k), layers.parameters[k][0],
                quantized=quantized, helpers=self.helpers, sides=self.sides,
            )
            for k in range(layers.stack.num_layers)
        ]  # fmt: skip
        self.between = BetweenInC(self.prefix, layers)
        self.lookup = None
        if model.table is not None:
            self.lookup = Lookup(self.prefix, model.table, quantized=quantized)
        self.dense = None
        if model.output is not None:
            self.dense = Dense(self.prefix, model.output, quantized=quantized, helpers=self.helpers)
        self.input_size = layers.stack.input_size
        #: what the last layer gives
        self.features = layers.stack.output_size
        self.output_size = self.features if self.dense is None else self.dense.size

    @property
    def signature(self) -> str:
        """The declaration of the function of a step, without its end."""
        given = ["int symbol" if self.lookup is not None else "const float *input"]
        given += [f"const float *{name}" for name in self.sides.values()]
        arguments = ", ".join([f"{self.prefix}_state *state", *given, "float *output"])
        return f"void {self.prefix}_step({arguments})"

    def side_size(self, name: str) -> int:
        """How many numbers an input beside x is."""
        size = dict(self.model.layers.cell.inputs)[name]
        return self.layers[0].sizes.width((size,))

    @property
    def header(self) -> str:
        """The text of the header."""
        prefix, upper = self.prefix, self.prefix.upper()
        about = self._about()
        if self.lookup is not None:
            said = (
                f"/* One step: reads symbol, an index below {prefix.upper()}_SYMBOLS, and writes "
                f"{self.output_size} numbers.\n   Another index is read as "
                f"{self.lookup.unknown}. */"
            )
            sizes = [f"#define {upper}_SYMBOLS {self.lookup.count}"]
        else:
            beside = [f"{self.side_size(name)} of {arg}" for name, arg in self.sides.items()]
            read = f"{self.input_size} number{'s' if self.input_size > 1 else ''}"
            if beside:
                read = ", ".join([f"{read} of input", *beside])
            said = f"/* One step: reads {read}, writes {self.output_size}. */"
            sizes = [f"#define {upper}_INPUT_SIZE {self.input_size}"]
        begins = "as the layers have learned it" if self.model.layers.others.initial else "zero"
        members = "\n".join([f"    {each.name} layer_{each.index};" for each in self.layers])
        return "\n".join(
            [
                about,
                f"#ifndef {upper}_H",
                f"#define {upper}_H",
                "",
                *sizes,
                f"#define {upper}_OUTPUT_SIZE {self.output_size}",
                "",
                *[each.struct + "\n" for each in self.layers],
                "/* What a stream carries from step to step; one for each stream. */",
                f"typedef struct {prefix}_state {{\n{members}\n}} {prefix}_state;",
                "",
                "#ifdef __cplusplus",
                'extern "C" {',
                "#endif",
                "",
                f"/* A stream begins: every state is {begins}. */",
                f"void {prefix}_init({prefix}_state *state);",
                "",
                said,
                f"{self.signature};",
                "",
                "#ifdef __cplusplus",
                "}",
                "#endif",
                "",
                "#endif",
                "",
            ]
        )

    @property
    def source(self) -> str:
        """The text of the source file."""
        prefix = self.prefix
        step = self._step()
        tables = [t for each in self.layers for t in each.tables] + self.between.tables
        functions = [each.function + "\n" for each in self.layers] + self.between.functions
        for end in (self.lookup, self.dense):
            if end is not None:
                tables += end.tables
                functions.append(end.function + "\n")
        if self.model.log_probabilities:
            functions.append(log_softmax(prefix, self.output_size))
        loops = []
        for each in self.layers:
            loops += each.over_states(each.room_of, lambda state: "0.0f")
            loops += self.between.first_values(each)
        return "\n".join(
            [
                self._about(),
                f'#include "{self.stem}.h"',
                "",
                "#include <math.h>",
                "",
                "/* tables begin where a vector of the processor does */",
                "#if defined(__GNUC__)",
                f"#define {prefix}_ALIGNED __attribute__((aligned(64)))",
                "#else",
                f"#define {prefix}_ALIGNED",
                "#endif",
                "",
                *tables,
                helper_functions(prefix, self.helpers, self.kind),
                *functions,
                f"void {prefix}_init({prefix}_state *state)",
                "{",
                *loops,
                "}",
                "",
                *step,
                "",
            ]
        )

    def _step(self) -> list[str]:
        prefix, lines = self.prefix, [self.signature, "{"]
        source = "input"
        if self.lookup is not None:
            lines.append(f"    float input[{self.input_size}];")
            lines.append(f"    {prefix}_lookup(symbol, input);")
        for each in self.layers:
            own, source = self.between.step(each, source, self.sides.values())
            lines += own
        if self.dense is not None:
            lines.append(f"    {prefix}_dense({source}, output);")
        else:
            lines.append(f"    for (int u = 0; u < {self.features}; ++u)")
            lines.append(f"        output[u] = {source}[u];")
        if self.model.log_probabilities:
            lines.append(f"    {prefix}_log_softmax(output);")
        return [*lines, "}"]

    def _about(self) -> str:
        stack = self.model.layers.stack
        equations = [f"     {comment(line)}" for line in str(self.model.layers.cell).splitlines()]
        count = f"{stack.num_layers} layer{'s' if stack.num_layers > 1 else ''}"
        sizes = [f"{stack.hidden_size} units"]
        sizes += [f"{comment(name)} {number}" for name, number in stack.own]
        if stack.cell.has_memory:
            heads = f"{stack.heads} head{'s' if stack.heads > 1 else ''}"
            sizes.append(f"{heads} of {stack.keys} keys")
        title = (
            f"/* {comment(self.stem)}: {count} of {comment(self.model.layers.cell.name)}, "
            f"{', '.join(sizes)}, written by Elman."
        )
        said = [f"   The output is {self.model.meaning}."] if self.model.meaning else []
        return "\n".join([title, *said, "", *equations, "*/"])
