"""Subword tokenization by byte-level byte pair encoding.

Frequent words are one piece, rare words several.  Other characters are encoded as their UTF-8
bytes, so no text has unknown symbols.  This module wraps the library ``tokenizers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from elman.errors import OptionError, RunError
from elman.extras import extra
from elman.saved import parse_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: indices of the special symbols: padding, unknown, start and end of a text
PAD, UNK, START, END = range(4)
_SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")

# A word with apostrophes and the space or hyphen before it; a digit; a run of other characters.
_WORDS = r" ?-?[\p{L}\p{M}]+(?:'[\p{L}\p{M}]*)*| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+"


class SubWords:
    """Encodes texts as subword indices, and decodes them.

    >>> pieces = SubWords.learn(["a low tower", "a lower tower"], size=300)
    >>> indices = pieces.encode("a lower town")
    >>> pieces.decode(indices), pieces.pieces(indices)[:3]
    ('a lower town', ['a', 'l', 'ower'])
    >>> SubWords.from_json(pieces.to_json()).encode("a lower town") == indices
    True
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def learn(cls, texts: Iterable[str], *, size: int) -> SubWords:
        """Learns at most ``size`` subwords by byte pair encoding (Sennrich et al. 2016).

        Repeatedly merges the most frequent pair of adjacent pieces.  The vocabulary includes 256
        bytes and four special symbols.  Raises ``OptionError`` if ``size`` is below 300.
        """
        if size < 300:
            raise OptionError(f"SubWords: size is {size}; it must be at least 300 (256 are bytes).")
        library = _tokenizers()
        # not the library's unigram model, which is not deterministic: resumed training learns the
        # subwords again
        tokenizer = library.Tokenizer(library.models.BPE())
        trainer = library.trainers.BpeTrainer(
            vocab_size=size,
            min_frequency=2,
            special_tokens=list(_SPECIAL),
            initial_alphabet=sorted(library.pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        )
        split = library.pre_tokenizers.Split(library.Regex(_WORDS), "isolated")
        level = library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([split, level])
        tokenizer.decoder = library.decoders.ByteLevel()
        tokenizer.train_from_iterator([f" {text}" for text in texts], trainer)
        return cls(tokenizer)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> list[int]:
        """The indices of a text, without special symbols."""
        if not text:
            return []
        # a leading space encodes the first word like words within the text
        return list(self._tokenizer.encode(f" {text}", add_special_tokens=False).ids)

    def decode(self, indices: Sequence[int]) -> str:
        """The text of the indices, without special symbols."""
        return str(self._tokenizer.decode(list(indices), skip_special_tokens=True)).strip()

    def pieces(self, indices: Sequence[int]) -> list[str]:
        """The text of each index, for display; ␣ is a space."""
        return [self.decode([index]) or "␣" for index in indices]

    def to_json(self) -> str:
        """Serialises to JSON."""
        return str(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> SubWords:
        """Loads the output of ``to_json``; ``RunError`` if it is invalid."""
        library = _tokenizers()
        try:
            parse_json(text, "subwords")
            return cls(library.Tokenizer.from_str(text))
        except Exception as error:  # the library raises plain Exception
            raise RunError(
                f"the subwords cannot be read ({error}); copy the run folder again."
            ) from error


def _tokenizers() -> Any:
    with extra("translation", "subword tokenization"):
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    return tokenizers
