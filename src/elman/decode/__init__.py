"""From scores to answers: functions that search, and know nothing of models."""

from elman.decode.viterbi import bio_constraints, viterbi

__all__ = ["bio_constraints", "viterbi"]
