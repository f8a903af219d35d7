"""The options of activity recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import BidirectionalOptions

if TYPE_CHECKING:
    from elman.tasks.video.augmentation import Augmentation
    from elman.tasks.video.decoding import FrameShape


@dataclass(frozen=True)
class VideoOptions(BidirectionalOptions):
    """The options of activity recognition."""

    cell: str = option("gru", "a cell from the catalogue, or FILE.py:NAME for your own cell")
    hidden_size: int = option(64, "hidden units per layer and direction", minimum=1)
    num_layers: int = option(1, "number of stacked recurrent layers", minimum=1)
    bidirectional: bool = option(False, "also read backwards; such a model cannot stream")
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "mean", "how the outputs of all frames are pooled; attention cannot stream"
    )
    size: int = option(
        32,
        "frame width and height in pixels, a multiple of 8; frames are letterboxed",
        minimum=8,
        reads_data=True,
    )
    rate: float = option(10.0, "frames per second", above=0, maximum=1000, reads_data=True)
    follow: bool = option(
        False,
        "crop frames to what moves, so that the shape of the film and the size of figures do not "
        "matter",
        reads_data=True,
    )
    colour: bool = option(False, "use RGB frames instead of grey", reads_data=True)
    features: int = option(64, "dimension of the frame vectors", minimum=1)
    width: int = option(
        16, "channels of the first convolution; each next one doubles them", minimum=1
    )
    dropout: float = option(
        0.3, "dropout rate between and after the recurrent layers", minimum=0, below=1
    )
    label_smoothing: float = option(
        0.0, "label smoothing (Szegedy et al. 2016)", minimum=0, below=1
    )
    balance: float = option(
        0.0,
        "class weights are label count ** -balance: 0 none, 1 equal total weight per label",
        minimum=0,
    )
    flip: bool = option(True, "augmentation: mirror videos with probability 0.5")
    shift: float = option(
        0.1, "augmentation: maximum shift, as a fraction of the frame size", minimum=0
    )
    zoom: float = option(0.15, "augmentation: maximum relative change of the size", minimum=0)
    turn: float = option(5.0, "augmentation: maximum rotation in degrees", minimum=0)
    speed: float = option(0.25, "augmentation: maximum relative change of the speed", minimum=0)
    cut: float = option(
        0.1, "augmentation: maximum fraction of a video's time to drop", minimum=0, below=1
    )
    longest: int = option(600, "maximum number of frames; training truncates videos", minimum=1)
    file_column: str = option("file", "name of the column of video files", reads_data=True)
    label_column: str = option("label", "name of the label column", reads_data=True)

    def __post_init__(self) -> None:
        """Also rejects a size that is not a multiple of 8."""
        super().__post_init__()
        if self.size % 8:
            raise OptionError(f"size is {self.size}; it must be a multiple of 8.")

    @property
    def shape(self) -> FrameShape:
        """The frame size, rate and colour to which videos are converted."""
        from elman.tasks.video.decoding import FrameShape

        return FrameShape(self.size, self.rate, self.colour, self.follow)

    @property
    def augmentation(self) -> Augmentation:
        """The augmentation of training videos."""
        from elman.tasks.video.augmentation import Augmentation

        return Augmentation(self.flip, self.shift, self.zoom, self.turn, self.speed, self.cut)


@dataclass(frozen=True)
class StripOptions(DeclaredOptions):
    """The options of prediction."""

    abstain: float = option(
        0.0,
        "give no label if its probability is lower than this",
        minimum=0,
        maximum=1,
        scored=False,
    )
    frames: bool = option(
        False, "also list the label probabilities after each frame (with --json)", scored=False
    )
    png: str = option("", "plot frames and label probabilities to this PNG file", scored=False)
