"""The options of speech recognition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elman.options import DeclaredOptions, option
from elman.tasks.recurrent_options import BidirectionalOptions

#: how samples of raw audio are encoded
Encoding = Literal["linear", "float", "mulaw", "alaw"]


@dataclass(frozen=True)
class SpeechOptions(BidirectionalOptions):
    """The options of speech recognition."""

    cell: str = option("lstm", "a cell from the catalogue, or FILE.py:NAME for your own cell")
    decoder: Literal["ctc", "transducer"] = option(
        "ctc",
        "what finds the symbols: ctc, each step by itself, or a transducer, given those before",
        reads_data=True,
    )
    hidden_size: int = option(256, "hidden units per layer and direction", minimum=1)
    num_layers: int = option(3, "number of stacked recurrent layers", minimum=1)
    bidirectional: bool = option(
        False, "also read backwards: more accurate, but needs the whole recording (no --stream)"
    )
    prediction_size: int = option(
        128, "with --decoder transducer: units of the network that reads the symbols", minimum=1
    )
    joint_size: int = option(
        128, "with --decoder transducer: hidden units of the joint network", minimum=1
    )
    ctc_weight: float = option(
        0.5,
        "with --decoder transducer: weight of CTC's loss on the encoder, in training",
        minimum=0,
    )
    frames_per_step: int = option(
        3, "feature frames (10 ms each) per step of the network", minimum=1, reads_data=True
    )
    dropout: float = option(
        0.1, "dropout rate between and after the recurrent layers", minimum=0, below=1
    )
    sample_rate: int = option(
        8000, "sample rate in hertz to which all audio is resampled", minimum=4000, reads_data=True
    )
    num_mels: int = option(40, "number of log-mel bands", minimum=1, reads_data=True)
    units: Literal["characters", "subwords", "phonemes"] = option(
        "characters", "output units of the network; phonemes need a --dictionary"
    )
    dictionary: str = option(
        "",
        "with --units phonemes: pronouncing dictionary, a word and its phonemes per line (CMUdict)",
    )
    subwords: int = option(300, "number of subwords, with --units subwords", minimum=1)
    lowercase: bool = option(True, "convert transcripts to lower case", reads_data=True)
    punctuation: bool = option(False, "keep punctuation in transcripts", reads_data=True)
    speed: float = option(
        0.1, "augmentation: maximum relative change of the speaking rate", minimum=0, below=1
    )
    size: float = option(
        0.1, "augmentation: maximum relative change of the vocal tract length", minimum=0, below=1
    )
    noise: float = option(
        0.5, "augmentation: fraction of recordings to which noise is added", minimum=0, maximum=1
    )
    colour: float = option(1.0, "augmentation: strength of random gain and equalisation", minimum=0)
    masks: int = option(
        2, "augmentation: maximum number of time and of frequency masks (SpecAugment)", minimum=0
    )
    longest: int = option(
        3000, "maximum length in frames of 10 ms; training skips longer recordings", minimum=1
    )
    language: Literal["none", "words", "characters"] = option(
        "none", "tokens of the n-gram language model, which is trained on the transcripts"
    )
    language_text: str = option("", "extra training text for the language model, a sentence a line")
    language_order: int = option(3, "maximum n-gram length of the language model", minimum=1)
    language_size: int = option(
        100_000, "maximum number of n-grams; those that inform least are pruned", minimum=1
    )
    language_weight: float = option(0.5, "weight of the language model in the search")
    language_bonus: float = option(1.0, "score added per token of the language model")
    audio_column: str = option("audio", "name of the column of audio files", reads_data=True)
    text_column: str = option("text", "name of the column of transcripts", reads_data=True)


@dataclass(frozen=True)
class TranscribeOptions(DeclaredOptions):
    """The options of transcription: search and output."""

    beam: int | None = option(
        None,
        "beam size; 1 decodes greedily (default: 200 for CTC with a language model of words and "
        "letters or phonemes as units, else 32)",
        minimum=1,
        request_maximum=200,
    )
    lm: str = option(
        "own",
        "language model: an ARPA file, own (trained with the model) or none",
        request_choices=("own", "none"),
    )
    lm_weight: float | None = option(None, "weight of the language model (default: as trained)")
    lm_bonus: float | None = option(
        None, "score added per token of the language model (default: as trained)"
    )
    pause: float = option(
        1.0,
        "length in seconds of a pause that ends a sentence; 0: no pause does",
        minimum=0,
        request_maximum=3600,
    )
    rate: int = option(
        16_000,
        "sample rate in hertz of the raw audio read by --stream",
        minimum=1000,
        scored=False,
        request_maximum=768_000,
    )
    encoding: Literal["linear", "float", "mulaw", "alaw"] = option(
        "linear",
        "samples of the raw audio read by --stream: linear (16 bits), float (32 bits), or G.711's "
        "mulaw and alaw (8 bits)",
        scored=False,
    )
    times: bool = option(False, "show the start, end and confidence of each word", scored=False)
    subtitles: str = option(
        "", "write subtitles to this file, SubRip (.srt) or WebVTT (.vtt)", scored=False
    )
    png: str = option("", "write a spectrogram with the words to this PNG file", scored=False)
