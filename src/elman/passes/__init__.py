"""Graph to graph: what turns a cell's equations into something worth running.

``simplify`` removes arithmetic with nothing to do, ``hoist`` moves work that needs only the
input out of the time loop, ``gradient`` is reverse-mode differentiation of one step, ``pack``
joins products that share an operand, and ``noise`` puts masks on a cell's values for training.
No pass knows the name of any cell.
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
