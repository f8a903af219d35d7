"""The shape of a word: its capitalisation and kind of characters (Collobert et al. 2011)."""

import re

_SHAPES = (
    re.compile(r"\d+([.,:/-]\d+)*"),  # 2 numbers
    re.compile(r"[@#].+|https?:.+|www\..+"),  # 3 user names, hashtags and links
    re.compile(r"[^\w\s]+"),  # 4 punctuation
)

#: number of shapes, including 0 (padding)
NUM_SHAPES = 10


def word_shape(word: str) -> int:
    """1 lower case, 2 number, 3 user name or link, 4 punctuation, 5 Capitalised, 6 CAPITALS,
    7 single capital, 8 miXed, 9 anything else; 0 is padding.

    >>> [word_shape(word) for word in ("met", "3.5", "@ada", "!", "Harry", "NATO", "I", "iPhone")]
    [1, 2, 3, 4, 5, 6, 7, 8]
    """
    for shape, pattern in enumerate(_SHAPES, 2):
        if pattern.fullmatch(word):
            return shape
    if word.islower():
        return 1
    if word.isupper():
        return 7 if len(word) == 1 else 6
    if word[:1].isupper() and word[1:].islower():
        return 5
    return 8 if any(c.isupper() for c in word) else 9
