"""The options of music generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import RecurrentOptions


@dataclass(frozen=True)
class MusicOptions(RecurrentOptions):
    """The options of music."""

    model: Literal["frames", "events"] = option(
        "frames",
        "frames: pitches on a grid; or events: notes as they were played, in seconds",
        reads_data=True,
    )
    prediction: Literal["ordered", "independent"] = option(
        "ordered", "the pitches of a frame: one after another (ordered), or each on its own"
    )
    grid: int = option(
        1,
        "steps of a quarter note: those of the JSON, or those to make of MIDI",
        minimum=1,
        reads_data=True,
    )
    tempo: float = option(
        80.0,
        "quarter notes a minute, where the data do not say",
        minimum=10,
        maximum=1000,
        reads_data=True,
    )
    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(200, "units of the recurrent layer", minimum=1)
    num_layers: int = option(1, "recurrent layers on top of each other", minimum=1)
    embedding_size: int = option(64, "numbers in an event's vector", minimum=1)
    choice_size: int = option(
        256, "units that choose the pitches of a frame one after another", minimum=1
    )
    descending: bool = option(True, "the highest pitch of a frame is chosen first")
    dropout: float = option(
        0.5, "part of the recurrent layer's outputs that training leaves out", minimum=0, below=1
    )
    choice_dropout: float = option(
        0.4, "part of the units that choose pitches, left out likewise", minimum=0, below=1
    )
    transpose: int = option(
        0, "training moves pieces by up to so many semitones up or down", minimum=0, maximum=24
    )
    bar: int = option(
        0, "quarter notes that a model of frames counts, over and over; 0 for none", minimum=0
    )
    ending: bool = option(False, "a model of frames knows how far away the end of the piece is")
    longest: int = option(640, "training cuts pieces that have more steps", minimum=2)


@dataclass(frozen=True)
class ComposeOptions(DeclaredOptions):
    """What tune is wanted, and where to."""

    out: str = option("", "the MIDI file to write", scored=False)
    wav: str = option("", "the sound file to write: .wav, .flac or .ogg", scored=False)
    png: str = option("", "the picture to write: a piano roll", scored=False)
    seconds: float = option(
        30.0, "how long the tune is, beyond its primer", above=0, maximum=3600, scored=False
    )
    primer: str = option("", "a MIDI file to go on from", scored=False)
    seed: int = option(0, "the same seed makes the same tune", minimum=0, scored=False)
    temperature: float = option(
        0.9, "below 1 keeps to what is likely; 0 takes the likeliest", minimum=0, scored=False
    )
    top_k: int = option(
        0, "only the so many likeliest choices each time; 0 for all", minimum=0, scored=False
    )
    top_p: float = option(
        1.0,
        "only the likeliest choices that have this probability together",
        above=0,
        maximum=1,
        scored=False,
    )
    tempo: float = option(
        0.0,
        "quarter notes a minute of frames; 0 for that of the training data",
        minimum=0,
        maximum=1000,
        scored=False,
    )

    def __post_init__(self) -> None:
        """Also refuse a tempo between 0 and 10, which no metronome has."""
        super().__post_init__()
        if 0 < self.tempo < 10:
            raise OptionError(f"tempo is {self.tempo}; it must be 0, or from 10 to 1000.")
