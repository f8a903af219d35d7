"""Analyse how far gradients reach back in time, in any cell, layer or trained model.

``diagnose`` takes cells, layers or a model with its loss, and returns a ``Comparison`` with a
``Diagnosis`` for each layer and direction (``examination.py``, ``comparison.py``,
``diagnosis.py``).  ``trajectory.py`` runs a layer in float64 and records every value, ``flow.py``
follows gradients back in time, ``jacobian.py`` computes exact Jacobians, ``gates.py`` the
statistics of gates and units, ``inside.py`` finds the layers of a model.  ``table.py``,
``plot.py`` and ``words.py`` show the results.

``problems.py`` has the standard problems with long-term dependencies; ``long_term.py`` trains
cells on them.
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
