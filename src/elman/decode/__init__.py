"""From scores to answers: functions that search, and know nothing of models."""

from elman.decode.beam import beam_search
from elman.decode.greedy import greedy_search
from elman.decode.hypothesis import Hypothesis
from elman.decode.sampling import Sampler, generate
from elman.decode.viterbi import bio_constraints, viterbi

__all__ = [
    "Hypothesis",
    "Sampler",
    "beam_search",
    "bio_constraints",
    "generate",
    "greedy_search",
    "viterbi",
]
