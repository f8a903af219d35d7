"""Sub-words: the pieces of words that a text becomes, learned from the text itself.

Frequent words are one piece, rare ones several, and any character at all is at worst its bytes
in UTF-8, so that no text has an unknown.  The learning and the cutting are done by the library
``tokenizers``; here it is set up, saved as JSON, and kept apart from the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from elman.errors import OptionError, RunError
from elman.extras import extra
from elman.saved import parse_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: the first indices of every set of sub-words: padding, unknown, and the ends of a text
PAD, UNK, START, END = range(4)
_SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")

# A word with its apostrophes and the space or hyphen before it; a digit; other signs together.
_WORDS = r" ?-?[\p{L}\p{M}]+(?:'[\p{L}\p{M}]*)*| ?\p{N}| ?[^\s\p{L}\p{M}\p{N}]+|\s+"


class SubWords:
    """Texts as indices of sub-words, and back.

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
        """At most ``size`` sub-words for these texts, by byte-pair encoding.

        The two pieces that stand together most often become one, again and again (Sennrich et al.
        2016).  256 bytes and four signs are always among the sub-words, so a ``size`` below 300 is
        an ``OptionError``.
        """
        if size < 300:
            raise OptionError(f"SubWords: size is {size}; 256 bytes are among them: give 300.")
        library = _tokenizers()
        # not the library's unigrams, which come out a little different each time: a training that
        # is gone on with learns its sub-words again
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
        """The indices of a text; the four signs are never among them."""
        if not text:
            return []
        # a word is the same at the start of a text as within it: after a space
        return list(self._tokenizer.encode(f" {text}", add_special_tokens=False).ids)

    def decode(self, indices: Sequence[int]) -> str:
        """The text of these indices, without the four signs."""
        return str(self._tokenizer.decode(list(indices), skip_special_tokens=True)).strip()

    def pieces(self, indices: Sequence[int]) -> list[str]:
        """The text of each index by itself, to look at; ␣ is one that is only a space."""
        return [self.decode([index]) or "␣" for index in indices]

    def to_json(self) -> str:
        """All of it as a JSON object."""
        return str(self._tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str) -> SubWords:
        """What ``to_json`` wrote; ``RunError`` for anything else."""
        library = _tokenizers()
        try:
            parse_json(text, "sub-words")
            return cls(library.Tokenizer.from_str(text))
        except Exception as error:  # the library raises nothing more special than this
            raise RunError(
                f"the sub-words cannot be read ({error}); copy the run folder again."
            ) from error


def _tokenizers() -> Any:
    with extra("translation", "cutting words into parts"):
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.pre_tokenizers
        import tokenizers.trainers
    return tokenizers
