"""Encodes transcripts as symbols (characters or subwords) and decodes them.

Symbol 0 is the CTC blank.  Every other symbol is a piece of text; decoding concatenates them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from elman.errors import DataError
from elman.extras import extra

BLANK = 0


def plain(text: str, *, lowercase: bool = True, punctuation: bool = False) -> str:
    """Normalises a transcript: single spaces, lower case, no punctuation.

    Apostrophes within words and letters of any alphabet stay.

    >>> plain("“Don’t,” she said -- TWICE!")
    "don't she said twice"
    >>> plain("Well, no.", lowercase=False, punctuation=True)
    'Well, no.'
    """
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    if lowercase:
        text = text.lower()
    if not punctuation:
        text = "".join([c if _spoken(c) else " " for c in text])
        text = " ".join([word.strip("'") for word in text.split()])
    return " ".join(text.split())


def _spoken(character: str) -> bool:
    return character == "'" or unicodedata.category(character)[0] in "LMN"


@dataclass(frozen=True)
class Pieces:
    """The output vocabulary of a transcriber: ``pieces[k - 1]`` is the text of symbol k.

    >>> pieces = Pieces.characters(["one two"])
    >>> pieces.encode("two"), pieces.decode(pieces.encode("two one"))
    ([5, 6, 4], 'two one')
    """

    pieces: tuple[str, ...]
    #: the JSON of the subword tokenizer, or "" for characters
    tokenizer: str = ""

    @classmethod
    def characters(cls, texts: Sequence[str]) -> Pieces:
        """Every character of the texts, and the space."""
        return cls((" ", *sorted({c for text in texts for c in text} - {" "})))

    @classmethod
    def subwords(cls, texts: Sequence[str], size: int) -> Pieces:
        """About ``size`` subwords, by byte pair encoding of characters (Sennrich et al. 2016)."""
        with extra("speech", "subword tokenization"):
            import tokenizers
            from tokenizers import decoders, models, pre_tokenizers, trainers

        tokenizer = tokenizers.Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
        by_number = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
        pieces = tuple([piece.replace("▁", " ") for piece, _ in by_number])
        return cls(pieces, tokenizer.to_str())

    def encode(self, text: str) -> list[int]:
        """The symbols of a text; unknown characters are skipped."""
        if self.tokenizer:
            return [number + 1 for number in self._cutter().encode(text).ids]
        index = self._index()
        return [index[c] for c in text if c in index]

    def decode(self, symbols: Sequence[int]) -> str:
        """The text of symbols."""
        return "".join([self.pieces[k - 1] for k in symbols]).strip()

    def __len__(self) -> int:
        """The number of symbols, including the CTC blank."""
        return len(self.pieces) + 1

    def _index(self) -> dict[str, int]:
        found: dict[str, int] | None = _INDEX.get(self)
        if found is None:
            found = _INDEX[self] = {piece: k for k, piece in enumerate(self.pieces, 1)}
        return found

    def _cutter(self) -> Any:
        with extra("speech", "subword tokenization"):
            import tokenizers

        found = _CUTTERS.get(self)
        if found is None:
            found = _CUTTERS[self] = tokenizers.Tokenizer.from_str(self.tokenizer)
        return found


_INDEX: dict[Pieces, dict[str, int]] = {}
_CUTTERS: dict[Pieces, Any] = {}


def refuse_empty(texts: Sequence[str]) -> None:
    """Raises ``DataError`` if nothing is said in any transcript."""
    if not any([text.strip() for text in texts]):
        raise DataError("every transcript is empty; provide recordings with speech.")


def build_pieces(
    texts: Sequence[str], units: Literal["characters", "subwords"], size: int
) -> Pieces:
    """Builds the vocabulary of the training texts; ``DataError`` if all are empty."""
    refuse_empty(texts)
    return Pieces.characters(texts) if units == "characters" else Pieces.subwords(texts, size)


def steps_needed(symbols: Sequence[int]) -> int:
    """The minimum number of CTC steps for the symbols: equal neighbours need a blank between them.

    >>> steps_needed([3, 3, 4])
    4
    """
    return len(symbols) + sum([a == b for a, b in pairwise(symbols)])
