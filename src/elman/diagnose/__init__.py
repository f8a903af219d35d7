"""Seeing what gradients do: how far back they reach, in any cell, layer or trained model.

``diagnose`` takes cells, layers or a model with its loss, and gives a ``Comparison`` of
``Diagnosis``, one for each layer and direction (``examination.py``, ``comparison.py``,
``diagnosis.py``).  How the numbers come about: ``trajectory.py`` runs a layer in float64 with every
value at hand, ``flow.py`` follows gradients back a distance at a time, ``jacobian.py`` has exact
Jacobians, ``gates.py`` what gates and units do, ``inside.py`` finds the layers of a model.
``table.py``, ``plot.py`` and ``words.py`` show it.

``problems.py`` has the standard problems with long-term dependencies, ``long_term.py`` trains
cells on them side by side.
"""

from elman.diagnose.comparison import Comparison
from elman.diagnose.diagnosis import Diagnosis, Exploding
from elman.diagnose.examination import diagnose, gradient_terms
from elman.diagnose.gates import Gate, Units
from elman.diagnose.jacobian import Jacobians

__all__ = [
    "Comparison",
    "Diagnosis",
    "Exploding",
    "Gate",
    "Jacobians",
    "Units",
    "diagnose",
    "gradient_terms",
]
