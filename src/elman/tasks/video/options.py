"""The options of activity recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import RecurrentOptions

if TYPE_CHECKING:
    from elman.tasks.video.augmentation import Changes
    from elman.tasks.video.decoding import FrameShape


@dataclass(frozen=True)
class VideoOptions(RecurrentOptions):
    """The options of activity recognition."""

    cell: str = option("gru", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(64, "units of the recurrent layer, in each direction", minimum=1)
    num_layers: int = option(1, "recurrent layers on top of each other", minimum=1)
    bidirectional: bool = option(False, "read in both directions; such a model cannot stream")
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "mean", "how the outputs of all frames become one; attention cannot stream"
    )
    size: int = option(
        32,
        "pixels of a frame's sides, a multiple of 8; frames are letterboxed",
        minimum=8,
        reads_data=True,
    )
    rate: float = option(10.0, "frames a second", above=0, maximum=1000, reads_data=True)
    colour: bool = option(False, "see colours, not only grey", reads_data=True)
    features: int = option(64, "numbers in a frame's vector", minimum=1)
    width: int = option(
        16, "channels after the first convolution; they double with each", minimum=1
    )
    dropout: float = option(
        0.3, "part of the features that training leaves out", minimum=0, below=1
    )
    label_smoothing: float = option(
        0.0, "part of the target that goes to the other labels", minimum=0, below=1
    )
    balance: float = option(
        0.0,
        "how far rare labels count more in training: 0 not at all, 1 as much as frequent ones",
        minimum=0,
    )
    flip: bool = option(True, "mirror every other video in training")
    shift: float = option(
        0.1, "part of the picture by which videos move in training, at most", minimum=0
    )
    zoom: float = option(
        0.15, "part by which videos get larger or smaller in training, at most", minimum=0
    )
    turn: float = option(5.0, "degrees by which videos turn in training, at most", minimum=0)
    speed: float = option(
        0.25, "part by which videos get faster or slower in training, at most", minimum=0
    )
    cut: float = option(
        0.1, "part of a video's time that training leaves out, at most", minimum=0, below=1
    )
    longest: int = option(600, "training cuts videos that have more frames", minimum=1)
    file_column: str = option("file", "the column with the video's file", reads_data=True)
    label_column: str = option("label", "the column with the label", reads_data=True)

    def __post_init__(self) -> None:
        """Also refuse a size that three halvings do not divide."""
        super().__post_init__()
        if self.size % 8:
            raise OptionError(f"size is {self.size}; it must be a multiple of 8.")

    @property
    def shape(self) -> FrameShape:
        """What every video is brought to."""
        from elman.tasks.video.decoding import FrameShape

        return FrameShape(self.size, self.rate, self.colour)

    @property
    def changes(self) -> Changes:
        """How videos are changed in training."""
        from elman.tasks.video.augmentation import Changes

        return Changes(self.flip, self.shift, self.zoom, self.turn, self.speed, self.cut)


@dataclass(frozen=True)
class StripOptions(DeclaredOptions):
    """What can be asked of a model of videos."""

    png: str = option("", "draw frames with the label over time to this PNG file", scored=False)
