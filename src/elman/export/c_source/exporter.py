"""C: a layer or a stepwise model as one C99 file and its header, one step a call.

What is written has no allocation, no library but ``math.h``, and compiles as C++ too.  The text
is made in ``program.py``; ``check.py`` compiles it and compares it with Elman.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import nn

from elman.errors import OptionError
from elman.export.c_source.check import compare
from elman.export.c_source.numbers import as_int8
from elman.export.c_source.program import Program
from elman.export.check import Exported, undisturbed, write_checked
from elman.export.stepwise import Stepwise, linear, stepwise
from elman.files import refuse_name

#: the largest difference from the reference engine with which a file is written
BOUND = 1e-5

#: headers of C, which a header of the same name beside the program would hide
_HEADERS = frozenset(
    {
        *("assert", "complex", "ctype", "errno", "fenv", "float", "inttypes", "iso646", "limits"),
        *("locale", "math", "setjmp", "signal", "stdarg", "stdbool", "stddef", "stdint", "stdio"),
        *("stdlib", "string", "tgmath", "time", "wchar", "wctype"),
    }
)


def c(
    module: nn.Module,
    path: str | Path,
    *,
    output: nn.Linear | None = None,
    quantize: Literal["int8"] | None = None,
    steps: int = 256,
) -> Exported:
    """Write a layer or a model as C: ``path`` ends in .c, and its header stands beside it.

    The functions are called after the file: ``amp.c`` has ``amp_init(&state)`` and
    ``amp_step(&state, input, output)`` on a ``struct amp_state``.  ``output`` is a linear layer
    that the outputs of a recurrent layer go through; a model brings its own.  ``quantize="int8"``
    stores matrices as int8 with a scale for each row.  Where a C compiler is found, the file is
    compiled and compared with the reference engine over ``steps`` random steps; above a
    difference of 1e-5 nothing is written.

    Raises ``ExportError`` for a model that has no step, such as one that reads in both
    directions, and ``OptionError`` for a path or an option that cannot be.

    >>> import elman, tempfile
    >>> layer = elman.Recurrent(elman.cells.gru, 1, 8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = elman.export.c(layer, f"{folder}/gru.c")
    ...     [path.name for path in done.files]
    ['gru.c', 'gru.h']
    """
    if quantize not in (None, "int8"):
        raise OptionError(f'C: quantize is {quantize!r}; it is "int8" or None.')
    target = Path(path)
    if target.suffix != ".c":
        raise OptionError(f"C: the path is {target}; give one that ends in .c, such as model.c.")
    if target.stem.lower() in _HEADERS:
        raise OptionError(
            f"C: {target.stem}.h is a header of the C library, which {target.name} would hide; "
            "choose another name."
        )
    refuse_name(target)
    if not isinstance(output, nn.Linear | None):
        raise OptionError(f"C: output is a {type(output).__name__}; pass a torch.nn.Linear.")
    if not isinstance(steps, int) or steps < 1:
        raise OptionError(f"C: steps is {steps!r}; give an integer of at least 1.")
    with undisturbed():
        return _export(module, target, output, quantize, steps)


def _export(
    module: nn.Module,
    target: Path,
    output: nn.Linear | None,
    quantize: Literal["int8"] | None,
    steps: int,
) -> Exported:
    model = stepwise(module)
    if output is not None:
        if output.in_features != model.layers.stack.output_size:
            raise OptionError(
                f"C: output reads {output.in_features} numbers, but the layer gives "
                f"{model.layers.stack.output_size}."
            )
        if model.output is not None:
            raise OptionError("C: output is for a recurrent layer; this model has its own.")
        model = replace(model, output=linear(output))
    program = Program(target.stem, model, quantized=quantize == "int8")
    contents = {target: program.source, target.with_suffix(".h"): program.header}
    compared = compare(program, as_int8_holds_it(model) if quantize else model, steps, BOUND)
    return write_checked(contents, compared.difference, compared.bound, compared.note)


def as_int8_holds_it(model: Stepwise) -> Stepwise:
    """The model whose values the file is to have: each matrix as int8 holds it."""
    cell = model.layers.cell
    layers = model.layers.mapped(
        lambda own: [
            as_int8(tensor) if parameter.kind == "matrix" else tensor
            for parameter, tensor in zip(cell.parameters, own, strict=True)
        ]
    )
    table = None if model.table is None else as_int8(model.table)
    output = model.output
    if output is not None:
        output = replace(output, weight=as_int8(output.weight))
    return replace(model, layers=layers, table=table, output=output)
