"""The options of music generation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import RecurrentOptions

_TONICS = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
_MODES = ("major", "minor")


def named_key(name: str) -> tuple[int, bool]:
    """The pitch class of the tonic of a key, and whether it is minor; ``OptionError`` for no key.

    >>> named_key("G minor"), named_key("B♭ major"), named_key("D#  minor")
    ((7, True), (10, False), (3, True))
    """
    tonic, _, mode = name.replace("♯", "#").replace("♭", "b").strip().partition(" ")
    letters = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    signs = {"": 0, "#": 1, "b": -1}
    if tonic[:1] not in letters or tonic[1:] not in signs or mode.strip() not in _MODES:
        raise OptionError(
            f"key is {name!r}; it must be a tonic and major or minor, such as 'G minor' or "
            "'Bb major'."
        )
    return (letters[tonic[:1]] + signs[tonic[1:]]) % 12, mode.strip() == "minor"


@dataclass(frozen=True)
class MusicOptions(RecurrentOptions):
    """The options of music generation."""

    model: Literal["frames", "events"] = option(
        "frames",
        "frames: sets of pitches on a time grid; or events: notes with timing in seconds",
        reads_data=True,
    )
    prediction: Literal["ordered", "independent", "voices"] = option(
        "ordered",
        "pitches of a frame: predicted in order, each given the last, or independently; or of each "
        "voice in turn, for music with a constant number of voices",
        reads_data=True,
    )
    grid: int = option(
        1,
        "steps per quarter note: of the JSON data, or to quantise MIDI to",
        minimum=1,
        reads_data=True,
    )
    tempo: float = option(
        80.0,
        "quarter notes per minute of data without a tempo",
        minimum=10,
        maximum=1000,
        reads_data=True,
    )
    cell: str = option("lstm", "a cell from the catalogue, or FILE.py:NAME for your own cell")
    hidden_size: int = option(200, "hidden units per layer", minimum=1)
    num_layers: int = option(1, "number of stacked recurrent layers", minimum=1)
    embedding_size: int = option(64, "dimension of the event embeddings", minimum=1)
    choice_size: int = option(
        256, "hidden units of the ordered prediction of pitches or voices", minimum=1
    )
    descending: bool = option(True, "predict the highest pitch or voice of a frame first")
    dropout: float = option(
        0.5, "dropout rate between and after the recurrent layers", minimum=0, below=1
    )
    choice_dropout: float = option(
        0.4, "dropout rate in the ordered prediction of pitches or voices", minimum=0, below=1
    )
    common_key: Literal["none", "tonic", "relative"] = option(
        "none",
        "bring each piece to C major, or to C minor (tonic) or A minor (relative); a primer too, "
        "and its continuation back",
        reads_data=True,
    )
    transpose: int = option(
        0, "augmentation: maximum transposition in semitones, up or down", minimum=0, maximum=24
    )
    bar: int = option(
        0,
        "quarter notes per bar, to feed the position in the bar (frames only); 0: off, or with "
        "prediction = voices 4 or 3, estimated for each piece",
        minimum=0,
    )
    ending: bool = option(
        False,
        "feed the distance to the end of the piece (frames only; prediction = voices always does)",
    )
    longest: int = option(640, "maximum number of steps; training splits longer pieces", minimum=2)

    def __post_init__(self) -> None:
        """Also rejects options that do not go with ``prediction = voices``."""
        super().__post_init__()
        if self.prediction != "voices":
            return
        if self.model == "events":
            raise OptionError(
                "prediction is voices, but model is events; voices are predicted on a time grid: "
                "use model = frames."
            )
        if self.common_key != "none":
            raise OptionError(
                f"prediction is voices, but common_key is {self.common_key}; models of voices know "
                "the key of a piece and keep its register: use common_key = none."
            )

    @property
    def by_voices(self) -> bool:
        """Whether a step is a pitch for each voice."""
        return self.prediction == "voices"


@dataclass(frozen=True)
class ComposeOptions(DeclaredOptions):
    """The options of composition: sampling and output files."""

    out: str = option("", "write this MIDI file", scored=False)
    wav: str = option("", "write this audio file (.wav, .flac or .ogg)", scored=False)
    png: str = option("", "write a piano roll to this PNG file", scored=False)
    seconds: float = option(
        30.0,
        "duration of the tune, without the primer",
        above=0,
        maximum=3600,
        scored=False,
        request_maximum=600,
    )
    primer: str = option("", "a MIDI file to continue", scored=False)
    seed: int = option(0, "random seed; the same seed makes the same tune", minimum=0, scored=False)
    samples: int = option(
        1,
        "number of tunes to compose, with seeds from the given one on",
        minimum=1,
        maximum=1000,
        scored=False,
        request_maximum=16,
    )
    temperature: float = option(
        0.9, "sampling temperature; 0 always takes the most likely choice", minimum=0, scored=False
    )
    key: str = option(
        "",
        'key of the tune, such as "G minor" (prediction = voices only); default: that of a '
        "training piece",
        scored=False,
        request_choices=["", *[f"{tonic} {mode}" for tonic in _TONICS for mode in _MODES]],
    )
    top_k: int = option(
        0, "sample from the k most likely choices only; 0: all", minimum=0, scored=False
    )
    top_p: float = option(
        1.0,
        "sample from the fewest choices with this total probability (nucleus sampling)",
        above=0,
        maximum=1,
        scored=False,
    )
    tempo: float = option(
        0.0,
        "quarter notes per minute (frames only); 0: that of the primer or the training data",
        minimum=0,
        maximum=1000,
        scored=False,
    )

    def __post_init__(self) -> None:
        """Also rejects a tempo between 0 and 10, and what is no key."""
        super().__post_init__()
        if self.key:
            named_key(self.key)
        if 0 < self.tempo < 10:
            raise OptionError(f"tempo is {self.tempo}; it must be 0 or from 10 to 1000.")
