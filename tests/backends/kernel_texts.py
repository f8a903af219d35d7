"""The text of a cell's native programs for any processor, without running them."""

from elman.backends.native import kernels
from elman.graph.sizes import Sizes


class Unused:
    """Stands for a kernel."""


def programs_as_text(cell, target, scalar, monkeypatch, input_size=5, hidden_size=11):
    """LLVM's language for every program of a cell."""
    texts = []

    def keep(key, target, write, explain):
        texts.append(write())
        return Unused()

    monkeypatch.setattr(kernels, "load", keep)
    sizes = Sizes(input_size, hidden_size)
    layer = kernels.CompiledLayer(kernels.programs_of(cell.text), sizes, scalar, target)
    found = [layer.forward(save=k, hoisted=h) for k in (False, True) for h in (False, True)]
    found += [layer.projection, layer.precompute, layer.backward, layer.into_input, layer.outer]
    for program in found:
        if program is not None:
            assert isinstance(program.kernel, Unused)
    return texts
