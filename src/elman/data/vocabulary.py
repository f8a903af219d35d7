"""A vocabulary maps words to indices, with an index each for padding and unknown words.

``words.py`` defines what a word is; in a vocabulary of characters each word is one character.
``vectors.py`` has the vectors for the indices.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from elman.errors import OptionError, RunError
from elman.saved import parse_json

PADDING: Final = 0  # the index that pads shorter rows of a batch
UNKNOWN: Final = 1  # the index of every word that is not in the list
_SPECIAL: Final = ("<pad>", "<unk>")
_FORMAT: Final = 1


class Vocabulary:
    """An immutable list of words; ``words`` get the indices from 2 on.

    Raises ``OptionError`` for a duplicate word, and for "<pad>" and "<unk>".

    >>> vocabulary = Vocabulary(["And", "Harry"])
    >>> vocabulary.encode(["Harry", "snored"]), len(vocabulary)
    ([3, 1], 4)
    >>> vocabulary.words
    ('<pad>', '<unk>', 'And', 'Harry')
    """

    __slots__ = ("_indices", "_words")

    def __init__(self, words: Sequence[str]) -> None:
        self._words = (*_SPECIAL, *words)
        self._indices = {word: index for index, word in enumerate(self._words)}
        if len(self._indices) != len(self._words):
            word = next(word for word, count in Counter(self._words).items() if count > 1)
            why = "is reserved" if word in _SPECIAL else "occurs twice"
            raise OptionError(f'Vocabulary: the word "{word}" {why}; remove it from the list.')
        # "<pad>" as a word of a text is unknown, not padding.
        self._indices[_SPECIAL[PADDING]] = UNKNOWN

    @classmethod
    def count(
        cls, sentences: Iterable[Iterable[str]], *, min_count: int = 1, max_size: int | None = None
    ) -> "Vocabulary":
        """The words of the sentences, the most frequent first, ties in alphabetical order.

        Words that occur less than ``min_count`` times are left out, as are all after the first
        ``max_size``.

        >>> Vocabulary.count([["a", "spell"], ["a", "new", "spell"]], min_count=2).words[2:]
        ('a', 'spell')
        """
        if min_count < 1:
            raise OptionError(f"Vocabulary.count: min_count is {min_count}; give 1 or more.")
        if max_size is not None and max_size < 1:
            raise OptionError(f"Vocabulary.count: max_size is {max_size}; give 1 or more, or None.")
        counts = Counter(word for sentence in sentences for word in sentence)
        for word in _SPECIAL:
            del counts[word]
        kept = [word for word, count in counts.items() if count >= min_count]
        kept.sort(key=lambda word: (-counts[word], word))
        return cls(kept[:max_size])

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """The vocabulary that `to_json` wrote; ``RunError`` if ``text`` is anything else."""
        again = "the file is damaged or not a vocabulary: save the model again."
        saved = parse_json(text, "Vocabulary: its JSON")
        if not isinstance(saved, dict) or "words" not in saved:
            raise RunError(f'Vocabulary: its JSON has no "words"; {again}')
        if saved.get("format") != _FORMAT:
            raise RunError(
                f"Vocabulary: it is saved in format {saved.get('format')}, but this version of "
                f"Elman reads format {_FORMAT}; use the version that saved it."
            )
        words = saved["words"]
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise RunError(f'Vocabulary: "words" is not a list of strings; {again}')
        try:
            return cls(words)
        except OptionError as error:
            raise RunError(f"{error} The file is damaged: save the model again.") from error

    def to_json(self) -> str:
        """The vocabulary as JSON text, with a format number.

        >>> Vocabulary(["And"]).to_json()
        '{"format": 1, "words": ["And"]}'
        """
        words = self._words[len(_SPECIAL) :]
        return json.dumps({"format": _FORMAT, "words": words}, ensure_ascii=False)

    @property
    def words(self) -> tuple[str, ...]:
        """The word of each index; "<pad>" and "<unk>" are the first two."""
        return self._words

    def index(self, word: str) -> int:
        """The index of a word; 1 if it is unknown."""
        return self._indices.get(word, UNKNOWN)

    def encode(self, words: Iterable[str]) -> list[int]:
        """The index of each word."""
        return [self._indices.get(word, UNKNOWN) for word in words]

    def __contains__(self, word: object) -> bool:
        return word not in _SPECIAL and word in self._indices

    def __len__(self) -> int:
        """The number of indices, including padding and the unknown word."""
        return len(self._words)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self._words == other._words

    def __hash__(self) -> int:
        return hash(self._words)

    def __repr__(self) -> str:
        return f"Vocabulary of {len(self)} indices, from {', '.join(self._words[2:6])}"
