"""Answers for files of any size: read, answered and written piece by piece.

``inputs.py`` reads the inputs of a file one after another, ``records.py`` writes the answers whole
or not at all, and ``predicting.py`` joins the two.
"""

from elman.bulk.predicting import AT_ONCE, Outcome, Progress, predict_file

__all__ = ["AT_ONCE", "Outcome", "Progress", "predict_file"]
