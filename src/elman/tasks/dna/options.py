"""The options of gene finding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import BidirectionalOptions


@dataclass(frozen=True)
class DnaOptions(BidirectionalOptions):
    """The options of gene finding."""

    cell: str = option("lstm", "a cell from the catalogue, or FILE.py:NAME for your own cell")
    hidden_size: int = option(64, "hidden units per layer and direction", minimum=1)
    num_layers: int = option(2, "number of stacked recurrent layers", minimum=1)
    bidirectional: bool = option(True, "read the sequence in both directions")
    stride: int = option(3, "number of bases per recurrent step", minimum=1)
    channels: int = option(64, "number of convolution channels", minimum=1)
    width: int = option(9, "convolution width in bases (odd)", minimum=1)
    motif_width: int = option(
        0, "width of the first convolution in bases (odd); 0: the same as the others", minimum=0
    )
    kmer: int = option(
        0,
        "length of k-mers whose log odds, counted in the training data, are added to the scores "
        "with those of sites and transitions; 0: none",
        minimum=0,
        maximum=6,
    )
    convolutions: int = option(2, "number of stacked convolutions", minimum=1)
    grammar: bool = option(True, "use a CRF over the grammar of genes; no: a softmax per base")
    strands: Literal["auto", "given", "both"] = option(
        "auto", "strands with genes: given, both, or auto (as in the training data)"
    )
    transcript: Literal["first", "longest"] = option(
        "first",
        "transcript to use per gene: the first in the file, or the one with most coding bases",
        reads_data=True,
    )
    shortest_intron: int = option(
        5,
        "minimum length of introns in the grammar",
        minimum=5,
        maximum=60,
        reads_data=True,
    )
    jitter: float = option(
        0.0,
        "augmentation: longest random shift of a part of a long sequence, as a fraction of longest",
        minimum=0,
        maximum=1,
    )
    fragments: float = option(
        0.0, "augmentation: fraction of sequences cropped to a random part", minimum=0, maximum=1
    )
    dropout: float = option(
        0.2, "dropout rate before, between and after the recurrent layers", minimum=0, below=1
    )
    longest: int = option(
        6000, "maximum sequence length; training splits longer sequences", minimum=100
    )
    skip_bad: bool = option(
        False, "skip and list faulty examples instead of stopping", reads_data=True, switch=True
    )

    def __post_init__(self) -> None:
        """Also rejects an even width."""
        super().__post_init__()
        if self.width % 2 == 0:
            raise OptionError(f"width is {self.width}; it must be odd.")
        if self.motif_width and self.motif_width % 2 == 0:
            raise OptionError(f"motif_width is {self.motif_width}; it must be odd, or 0.")


@dataclass(frozen=True)
class GeneFileOptions(DeclaredOptions):
    """The options of prediction: output files."""

    out: str = option("", "write the genes to this GFF3 file", scored=False)
    bed: str = option("", "write the genes to this BED file", scored=False)
    png: str = option("", "plot the label probabilities to this PNG file", scored=False)
