"""Published cells in the language of cells, each beside a loop in torch written from its paper.

``published.py`` says what stands for a paper, and what its loop may use; ``gated``,
``oscillating``, ``timed``, ``elementwise`` and ``matrix`` are the groups, ``agreement.py`` compares
values and gradients.  ``benchmarks/published_cells.py`` measures the cells.
"""

from published.agreement import differences
from published.elementwise import ELEMENTWISE
from published.gated import GATED
from published.matrix import MATRIX
from published.oscillating import OSCILLATING
from published.published import Published, Weights
from published.timed import TIMED

#: in the order of the table
PUBLISHED: tuple[Published, ...] = (*GATED, *OSCILLATING, *TIMED, *ELEMENTWISE, *MATRIX)

__all__ = ["PUBLISHED", "Published", "Weights", "differences"]
