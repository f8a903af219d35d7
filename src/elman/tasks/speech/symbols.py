"""The saved vocabulary of a speech model: text pieces, feature statistics, language model."""

from __future__ import annotations

import base64
import binascii
import json
import sys
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from elman.errors import DataError, OptionError, RunError
from elman.saved import different, of_kind, parse_json, sentences
from elman.tasks.speech.data import (
    Utterance,
)
from elman.tasks.speech.features import Cmvn
from elman.tasks.speech.language_model import Language, Unit, train_language
from elman.tasks.speech.options import SpeechOptions
from elman.tasks.speech.packed_trie import packed, unpacked
from elman.tasks.speech.phonemes import (
    Phonemes,
    packed_dictionary,
    read_dictionary,
    unpacked_dictionary,
)
from elman.tasks.speech.reading import feature_config
from elman.tasks.speech.transcripts import Pieces, build_pieces, refuse_empty
from elman.tasks.task import Vocab

#: format 1 held the language model as ARPA text, and no level; format 2 compressed that text
_FORMAT, _TEXT_FORMAT, _PLAIN_FORMAT = 3, 2, 1
#: maximum size of a language model's ARPA text in bytes
_LARGEST = 2**30


@dataclass(frozen=True)
class SpeechSymbols:
    """The text pieces, the feature statistics and the language model."""

    pieces: Pieces
    cmvn: Cmvn
    language: Language | None = None

    def to_json(self) -> str:
        """Serialises to JSON, with the language model in base64 (``packed_trie.py``)."""
        language = base64.b64encode(packed(self.language.ngrams)) if self.language else b""
        saved = {
            "format": _FORMAT,
            "pieces": list(self.pieces.pieces),
            "tokenizer": self.pieces.tokenizer,
            "mean": list(self.cmvn.mean),
            "spread": list(self.cmvn.std),
            "level": self.cmvn.level,
            "language_unit": self.language.unit if self.language else "",
            "language": language.decode(),
        }
        if isinstance(self.pieces, Phonemes):
            dictionary = packed_dictionary(self.pieces.dictionary)
            saved["dictionary"] = base64.b64encode(dictionary).decode()
        return json.dumps(saved, ensure_ascii=False)


def load_symbols(text: str) -> SpeechSymbols:
    """Loads the symbols.json of a run folder."""
    saved = parse_json(text, "symbols.json")
    with sentences("symbols.json"):
        if saved["format"] not in (_FORMAT, _TEXT_FORMAT, _PLAIN_FORMAT):
            raise RunError(
                f"symbols.json has format {saved['format']}, but this version of Elman reads "
                f"formats up to {_FORMAT}; use the version that saved it."
            )
        language = None
        if of_kind(saved, "language", str):
            unit: Unit = saved["language_unit"]
            if unit not in get_args(Unit):
                raise ValueError(f"the unit {unit!r} of its language model")
            language = _language_of(saved["format"], saved["language"], unit)
        return SpeechSymbols(_pieces_of(saved), _cmvn(saved), language)


def _pieces_of(saved: dict[str, Any]) -> Pieces:
    pieces = different(saved, "pieces")
    if "dictionary" not in saved:
        return Pieces(pieces, of_kind(saved, "tokenizer", str))
    text = of_kind(saved, "dictionary", str)
    try:
        dictionary = unpacked_dictionary(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError("a dictionary that is not in base64") from error
    phonemes = Phonemes(pieces, dictionary=dictionary)
    lacking = set(Phonemes.of(dictionary).pieces) - set(pieces)
    if lacking:
        raise ValueError(f"a dictionary with other phonemes: {', '.join(sorted(lacking))}")
    return phonemes


def _language_of(saved_format: int, text: str, unit: Unit) -> Language:
    if saved_format == _PLAIN_FORMAT:
        return Language.parse(text, unit, Path("symbols.json"))
    try:
        data = base64.b64decode(text, validate=True)
        if saved_format == _FORMAT:
            return Language(unpacked(data), unit)
        inflater = zlib.decompressobj()
        arpa = inflater.decompress(data, _LARGEST).decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError) as error:
        raise ValueError("a language model that cannot be decompressed") from error
    if not inflater.eof:
        raise ValueError("a language model that is cut off or too large")
    return Language.parse(arpa, unit, Path("symbols.json"))


def _cmvn(saved: dict[str, Any]) -> Cmvn:
    mean, std = tuple(of_kind(saved, "mean", list)), tuple(of_kind(saved, "spread", list))
    if not mean or len(mean) != len(std):
        raise ValueError(f"{len(mean)} means and {len(std)} standard deviations")
    if not all([isinstance(each, int | float) and abs(each) < 1e9 for each in (*mean, *std)]):
        raise ValueError("a mean or standard deviation that is not a number")
    if min(std) <= 0:
        raise ValueError(f"a standard deviation of {min(std)}")
    level = saved.get("level", False)
    if not isinstance(level, bool):
        raise ValueError(f"a level {level!r} that is neither true nor false")
    return Cmvn(mean, std, level)


def build_vocab(
    examples: Sequence[Utterance], options: SpeechOptions, seed: int
) -> Vocab[SpeechSymbols]:
    """Computes the text pieces, the feature statistics and, on request, a language model."""
    texts = [str(example.text) for example in examples]
    if options.units == "phonemes":
        pieces: Pieces = _phonemes(texts, options)
    else:
        pieces = build_pieces(texts, options.units, options.subwords)
    language = _trained_language(texts, options)
    if isinstance(pieces, Phonemes) and language is not None:
        said = [word for text in texts for word in text.split()]
        pieces = pieces.only(dict.fromkeys([*said, *language.ngrams.words]))
    sounds = (example.frames.astype(np.float32) for example in examples)
    cmvn = Cmvn.of(sounds, level=True)
    return Vocab(SpeechSymbols(pieces, cmvn, language), None)


def _phonemes(texts: Sequence[str], options: SpeechOptions) -> Phonemes:
    """The phonemes of the dictionary, which has words of the transcripts."""
    if not options.dictionary or options.language != "words":
        raise OptionError(
            "--units phonemes needs a pronouncing dictionary and a language model of words; give "
            "--dictionary FILE, in the format of CMUdict, and --language words."
        )
    if options.decoder != "ctc":
        raise OptionError("--units phonemes needs --decoder ctc; leave --decoder out.")
    refuse_empty(texts)
    phonemes = Phonemes.of(read_dictionary(Path(options.dictionary)))
    said = Counter([word for text in texts for word in text.split()])
    lacking = [word for word, _ in said.most_common() if word not in phonemes.dictionary]
    if len(lacking) == len(said):
        raise DataError(
            f"{options.dictionary} has none of the words of the transcripts; give a dictionary of "
            "their language."
        )
    if lacking:
        print(
            f"{len(lacking)} of {len(said)} different words of the transcripts are not in "
            f"{options.dictionary} ({', '.join(lacking[:5])}{', ...' if lacking[5:] else ''}): "
            "the model will not write them; add their pronunciations.",
            file=sys.stderr,
        )
    return phonemes


def _trained_language(texts: list[str], options: SpeechOptions) -> Language | None:
    if options.language == "none":
        return None
    if options.language_text:
        from elman.data.plain_text import read_lines

        config = feature_config(options)
        texts = texts + [config.plain(line) for line in read_lines(Path(options.language_text))]
    return train_language(texts, options.language, options.language_order, options.language_size)
