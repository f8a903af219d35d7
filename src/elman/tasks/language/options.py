"""The options of language modelling."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option, option_of
from elman.tasks.recurrent_options import RecurrentOptions
from elman.tasks.text_options import TextOptions


@dataclass(frozen=True)
class LanguageOptions(RecurrentOptions):
    """The options of language modelling."""

    units: Literal["characters", "bytes", "subwords"] = option(
        "characters", "what a token is: a character, a byte of UTF-8, or a subword"
    )
    vocabulary: int = option(
        4000, "number of subwords, with units subwords", minimum=300, maximum=1_000_000
    )
    min_count: int = option(
        1, "rarer characters are treated as unknown, with units characters", minimum=1
    )
    cell: str = option_of(TextOptions, "cell", "lstm")
    hidden_size: int = option(256, "hidden units of each recurrent layer", minimum=1)
    num_layers: int = option_of(TextOptions, "num_layers", 1)
    embedding_size: int = option(
        64, "size of the token vectors; with tie_weights it is hidden_size", minimum=1
    )
    tie_weights: bool = option(
        False, "the output layer shares the weights of the embedding (Press and Wolf 2017)"
    )
    softmax: Literal["full", "adaptive"] = option(
        "full",
        "output layer: full, or adaptive, which is faster for large vocabularies (Grave et al. "
        "2017)",
    )
    dropout: float = option(
        0.1,
        "dropout rate between and after the recurrent layers, one mask per window",
        minimum=0,
        below=1,
    )
    embedding_dropout: float = option_of(TextOptions, "embedding_dropout", 0.0)
    backward: bool = option(
        False,
        "read texts from their end, for a model that is the second encoder of another task; such "
        "a model does not write",
    )
    carry_state: bool = option(
        True,
        "begin each window with the state at the end of the one before (stateful truncated "
        "backpropagation)",
    )
    longest: int = option(
        100, "tokens per window: gradients reach no further back (truncation)", minimum=1
    )


@dataclass(frozen=True)
class WritingOptions(DeclaredOptions):
    """The options of writing: how much, and how tokens are chosen."""

    length: int = option(
        200,
        "number of tokens to write, at most",
        minimum=1,
        maximum=1_000_000,
        scored=False,
        request_maximum=10_000,
    )
    samples: int = option(
        1,
        "number of texts to write for each input",
        minimum=1,
        maximum=1000,
        scored=False,
        request_maximum=20,
    )
    temperature: float = option(
        0.8, "sampling temperature; 0 always takes the most likely token", minimum=0, scored=False
    )
    top_k: int = option(
        0, "sample from the k most likely tokens only; 0: all", minimum=0, scored=False
    )
    top_p: float = option(
        1.0,
        "sample from the fewest tokens with this total probability (nucleus sampling)",
        above=0,
        maximum=1,
        scored=False,
    )
    seed: int = option(0, "random seed; the same seed writes the same", minimum=0, scored=False)
    beam: int = option(
        0,
        "search for the most likely texts with a beam of this width instead of sampling; samples "
        "is then the number of best ones; 0: sample",
        minimum=0,
        maximum=1000,
        scored=False,
        request_maximum=50,
    )

    dynamic_rate: float = option(
        0.0,
        "dynamic evaluation: rate of a gradient step on each window of the text that is read, "
        "after it is predicted (Krause et al. 2018); 0: off",
        minimum=0,
    )

    def __post_init__(self) -> None:
        """Also rejects a beam that is too narrow for the number of texts, or that would sample."""
        super().__post_init__()
        for each in fields(self) if self.beam else ():
            value = getattr(self, each.name)
            if each.name in ("temperature", "top_k", "top_p") and value != each.default:
                raise OptionError(
                    f"beam is {self.beam} and {each.name} is {value}; a beam search draws nothing "
                    "at random, so leave one of them out."
                )
        if 0 < self.beam < self.samples:
            raise OptionError(
                f"beam is {self.beam} and samples is {self.samples}; the beam must be at least as "
                "wide as the number of texts."
            )
