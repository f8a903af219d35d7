"""The options of gene finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import RecurrentOptions


@dataclass(frozen=True)
class DnaOptions(RecurrentOptions):
    """The options of DNA."""

    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(64, "units of the recurrent layers, in each direction", minimum=1)
    num_layers: int = option(2, "recurrent layers on top of each other", minimum=1)
    bidirectional: bool = option(True, "read the sequence in both directions")
    stride: int = option(3, "bases that the recurrent layers read in one step", minimum=1)
    channels: int = option(64, "features of a base's neighbourhood", minimum=1)
    width: int = option(9, "bases that a convolution sees, an odd number", minimum=1)
    convolutions: int = option(2, "convolutions on top of each other", minimum=1)
    grammar: bool = option(True, "weigh labels by the grammar of genes; else a softmax a base")
    strands: Literal["auto", "given", "both"] = option(
        "auto", "strands that genes are on: given, both, or auto: as in the training data"
    )
    transcript: Literal["first", "longest"] = option(
        "first",
        "which transcript of a gene: the first in the file, or that with most coding bases",
        reads_data=True,
    )
    fragments: float = option(
        0.0, "part of the training sequences of which a random piece is read", minimum=0, maximum=1
    )
    dropout: float = option(
        0.2, "part of the features that training leaves out", minimum=0, below=1
    )
    longest: int = option(6000, "training cuts sequences that have more bases", minimum=100)
    skip_bad: bool = option(
        False, "leave out examples that are wrong, and list them", reads_data=True, switch=True
    )

    def __post_init__(self) -> None:
        """Also refuse an even width, which has no middle."""
        super().__post_init__()
        if self.width % 2 == 0:
            raise OptionError(f"width is {self.width}; it must be an odd number.")


@dataclass(frozen=True)
class GeneFileOptions(DeclaredOptions):
    """What is written beside the answer."""

    out: str = option("", "a GFF3 file for the genes that are found", scored=False)
    bed: str = option("", "a BED file for them", scored=False)
    png: str = option("", "a picture of the probabilities along each sequence", scored=False)
