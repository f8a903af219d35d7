"""From scores to answers: functions that search, and know nothing of models."""

from elman.decode.beam import beam_search
from elman.decode.greedy import greedy_search
from elman.decode.hypothesis import Hypothesis
from elman.decode.viterbi import bio_constraints, viterbi

__all__ = ["Hypothesis", "beam_search", "bio_constraints", "greedy_search", "viterbi"]
