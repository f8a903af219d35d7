"""Decoding: searches over scores, independent of models."""

from elman.decode.beam import beam_search
from elman.decode.ctc import PrefixBeam, align, best_path, prefix_beam
from elman.decode.greedy import greedy_search
from elman.decode.hypothesis import Hypothesis
from elman.decode.sampling import Sampler, generate
from elman.decode.transducer import (
    Emitted,
    GreedyTransducer,
    TransducerBeam,
    greedy_transducer,
    transducer_beam,
)
from elman.decode.viterbi import bio_constraints, viterbi
from elman.decode.word_beam import WordBeam, WordLanguage, WordModel
from elman.decode.word_trace import FoundWord
from elman.decode.word_tree import WordTree

__all__ = [
    "Emitted",
    "FoundWord",
    "GreedyTransducer",
    "Hypothesis",
    "PrefixBeam",
    "Sampler",
    "TransducerBeam",
    "WordBeam",
    "WordLanguage",
    "WordModel",
    "WordTree",
    "align",
    "beam_search",
    "best_path",
    "bio_constraints",
    "generate",
    "greedy_search",
    "greedy_transducer",
    "prefix_beam",
    "transducer_beam",
    "viterbi",
]
