"""Passes over graphs, which make a cell's equations efficient to run.

``simplify`` removes redundant arithmetic, ``hoist`` moves work that needs only the input out of
the time loop, ``gradient`` differentiates one step in reverse mode, ``pack`` merges products that
share an operand, ``lower`` expands layer normalisation, ``noise`` applies masks to a cell's
values for training, and ``separate`` splits off what depends on side inputs alone.  ``recognise``
sees which of ONNX's operators a cell is.  No pass depends on the name of a cell.
"""

from elman.passes.gradient import Gradient, OuterProduct, differentiate
from elman.passes.hoist import Hoisted, hoist
from elman.passes.lower import lower
from elman.passes.pack import PackedProduct, pack
from elman.passes.simplify import simplify

__all__ = [
    "Gradient",
    "Hoisted",
    "OuterProduct",
    "PackedProduct",
    "differentiate",
    "hoist",
    "lower",
    "pack",
    "simplify",
]
