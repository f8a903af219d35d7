"""Extracts phrases (word n-grams), such as "not", "good" and "not good".

A phrase is its words joined by spaces; a vocabulary of phrases is a ``Vocabulary`` of these.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from elman.data.vocabulary import Vocabulary


def phrases_of(words: Sequence[str], longest: int) -> list[str]:
    """The distinct phrases of up to ``longest`` words, ordered by their first position.

    >>> phrases_of(["not", "good", ",", "not"], 2)
    ['not', 'not good', 'good', 'good ,', ',', ', not']
    """
    found = [
        " ".join(words[start : start + size])
        for start in range(len(words))
        for size in range(1, min(longest, len(words) - start) + 1)
    ]
    return list(dict.fromkeys(found))


def count_phrases(
    texts: Iterable[Sequence[str]],
    labels: Iterable[int],
    num_labels: int,
    *,
    longest: int,
    min_count: int = 1,
) -> tuple[Vocabulary, list[list[int]]]:
    """The phrases in at least ``min_count`` texts, and the number of texts per phrase and label.

    The rows of padding and unknown are zero.

    >>> phrases, counts = count_phrases([["a", "b"], ["a"]], [0, 1], 2, longest=2)
    >>> phrases.words[2:], counts
    (('a', 'a b', 'b'), [[0, 0], [0, 0], [1, 1], [1, 0], [1, 0]])
    """
    found = [phrases_of(words, longest) for words in texts]
    vocabulary = Vocabulary.count(found, min_count=min_count)
    pairs = zip(found, labels, strict=True)
    times = Counter([(each, label) for phrases, label in pairs for each in phrases])
    numbers = range(num_labels)
    counts = [[times[word, label] for label in numbers] for word in vocabulary.words[2:]]
    return vocabulary, [[0] * num_labels, [0] * num_labels, *counts]
