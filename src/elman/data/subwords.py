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
    def learn(cls, texts: Iterable[str], *, size: int, verbatim: bool = False) -> SubWords:
        """Learns at most ``size`` subwords by byte pair encoding (Sennrich et al. 2016).

        Repeatedly merges the most frequent pair of adjacent pieces.  The vocabulary includes 256
        bytes and four special symbols.  With ``verbatim``, the first word of a text has no space
        before it.  Raises ``OptionError`` if ``size`` is below 300.
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
        start = "" if verbatim else " "
        tokenizer.train_from_iterator([f"{start}{text}" for text in texts], trainer)
        return cls(tokenizer)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str, *, verbatim: bool = False) -> list[int]:
        """The indices of a text, without special symbols.

        A leading space encodes the first word like words within the text; with ``verbatim`` there
        is none, and the bytes of the pieces are those of the text.
        """
        if not text:
            return []
        start = "" if verbatim else " "
        return list(self._tokenizer.encode(f"{start}{text}", add_special_tokens=False).ids)

    def decode(self, indices: Sequence[int]) -> str:
        """The text of the indices, without special symbols."""
        return str(self._tokenizer.decode(list(indices), skip_special_tokens=True)).strip()

    def pieces(self, indices: Sequence[int]) -> list[str]:
        """The text of each index, for display; ␣ is a space."""
        return [self.decode([index]) or "␣" for index in indices]

    def bytes_of_pieces(self) -> list[bytes]:
        """The bytes of each index; those of the special symbols are their names.

        >>> SubWords.learn(["a low tower"], size=300).bytes_of_pieces()[:4]
        [b'<pad>', b'<unk>', b'<s>', b'</s>']
        """
        byte_of = {sign: byte for byte, sign in enumerate(_byte_signs())}
        found = []
        for index in range(len(self)):
            token = str(self._tokenizer.id_to_token(index))
            if index < len(_SPECIAL):
                found.append(token.encode())
            else:
                found.append(bytes([byte_of[sign] for sign in token]))
        return found

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


def _byte_signs() -> list[str]:
    """The character that stands for each byte in byte-level pieces (Radford et al. 2019).

    Printable characters of Latin-1 stand for themselves; the others follow from U+0100 on.
    """
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)) for byte in range(256)]


def _tokenizers() -> Any:
    with extra("translation", "subword tokenization"):
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    return tokenizers
