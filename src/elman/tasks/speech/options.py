"""The options of speech recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import RecurrentOptions


@dataclass(frozen=True)
class SpeechOptions(RecurrentOptions):
    """The options of speech recognition."""

    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(256, "units of each layer, in each direction", minimum=1)
    num_layers: int = option(3, "recurrent layers on each other", minimum=1)
    bidirectional: bool = option(
        False, "read backwards too: better, but the whole sound has to be there first"
    )
    frames_per_step: int = option(
        3, "frames of 10 ms that make one step of the network", minimum=1, reads_data=True
    )
    dropout: float = option(0.1, "part of the units left out in training", minimum=0, below=1)
    sample_rate: int = option(
        8000, "the rate that every sound is resampled to, in hertz", minimum=4000, reads_data=True
    )
    num_mels: int = option(40, "bands of the log-mel features", minimum=1, reads_data=True)
    units: Literal["characters", "subwords"] = option("characters", "what is written")
    subwords: int = option(300, "how many sub-words", minimum=1)
    lowercase: bool = option(True, "write small letters only", reads_data=True)
    punctuation: bool = option(False, "write punctuation too", reads_data=True)
    speed: float = option(0.1, "augmentation: how much faster or slower", minimum=0, below=1)
    size: float = option(
        0.1, "augmentation: how much larger or smaller the speaker", minimum=0, below=1
    )
    noise: float = option(
        0.5, "augmentation: part of the sounds that get noise", minimum=0, maximum=1
    )
    colour: float = option(1.0, "augmentation: how far loudness and bands are changed", minimum=0)
    masks: int = option(
        2, "augmentation: bands and stretches of time hidden (SpecAugment)", minimum=0
    )
    longest: int = option(
        3000, "frames of 10 ms; longer recordings are left out of training", minimum=1
    )
    language: Literal["none", "words", "characters"] = option(
        "none", "the n-gram model of the training transcripts that weighs what is found"
    )
    language_text: str = option("", "a text file, a sentence a line, for that model beside them")
    language_order: int = option(3, "words or characters in its longest n-grams", minimum=1)
    language_size: int = option(
        100_000, "n-grams that it has at most; seldom ones go first", minimum=1
    )
    language_weight: float = option(0.5, "how much it counts")
    language_bonus: float = option(1.0, "what each of its words or characters adds to a score")
    audio_column: str = option("audio", "the column with the sound files", reads_data=True)
    text_column: str = option("text", "the column with the transcripts", reads_data=True)


@dataclass(frozen=True)
class TranscribeOptions(DeclaredOptions):
    """How a transcriber searches, and what it writes."""

    beam: int = option(32, "texts that the search keeps; 1 takes the best path", minimum=1)
    lm: str = option(
        "own", "an ARPA file to weigh the words with; own is the model's, none is none"
    )
    lm_weight: float | None = option(None, "how much the language model counts")
    lm_bonus: float | None = option(None, "what each of its words adds")
    rate: int = option(
        16_000, "samples a second of the raw sound that --stream reads", minimum=1000, scored=False
    )
    times: bool = option(False, "show when each word was heard", scored=False)
    png: str = option("", "the picture to write: the sound and its words", scored=False)
