"""Features of words for ``DirectScores``: the word, its affixes and its shape, as strings.

They are the usual ones of CRF taggers (Huang, Xu and Yu 2015, section 3.2).  ``shapes.py`` has the
few shapes whose embeddings the encoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

#: number of characters of a shape that are kept
SHAPE = 6


def spelling_features(words: Sequence[str], longest: int) -> list[list[str]]:
    """The features of each word of a sentence, as many for each.

    ``longest`` is the number of characters of the longest prefix and suffix; the shortest have two.

    >>> [features] = spelling_features(["Ada's"], 3)
    >>> features[:5]
    ["word Ada's", "lower ada's", "shape Xxx'x", "form Xx'x", "pair  ada's"]
    >>> features[5:]
    ['place first last', 'prefix ad', "suffix 's", 'prefix ada', "suffix a's"]
    """
    lower = [word.lower() for word in words]
    found = []
    for place, (word, low) in enumerate(zip(words, lower, strict=True)):
        shape = "".join([_kind(c) for c in word])
        form = "".join([kind for kind, _ in groupby(shape)])
        edges = [" first"] * (place == 0) + [" last"] * (place == len(words) - 1)
        own = [
            f"word {word}",
            f"lower {low}",
            f"shape {shape[:SHAPE]}",
            f"form {form[:SHAPE]}",
            f"pair {lower[place - 1] if place else ''} {low}",
            "place" + "".join(edges),
        ]
        for size in range(2, longest + 1):
            own += [f"prefix {low[:size]}", f"suffix {low[-size:]}"]
        found.append(own)
    return found


def num_features(longest: int) -> int:
    """The number of features of a word.

    >>> num_features(3) == len(spelling_features(["Ada"], 3)[0])
    True
    """
    return 6 + 2 * max(0, longest - 1)


def _kind(c: str) -> str:
    """X for a capital, x for a small letter, d for a digit, else the character."""
    return "X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c
