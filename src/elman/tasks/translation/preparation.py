"""Prepares a source sentence for the model, in training and in prediction alike.

Quotation marks become one kind, capitals lower case, missing accents are restored, and names and
numbers become placeholders.  ``augmentation.py`` prepares the pairs of a training batch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from elman.tasks.translation import french_english
from elman.tasks.translation.options import TranslationOptions
from elman.tasks.translation.parallel import tidy_source
from elman.tasks.translation.placeholders import (
    CHARACTERS,
    FindSpans,
    Titled,
    addresses,
    names,
    plain_numbers,
    replaced,
    without_overlaps,
)
from elman.tasks.translation.words import PART, KnownWords

_QUOTES = re.compile(r"[«»“”„‟❝❞＂]|<<|>>")


@dataclass(frozen=True)
class Language:
    """What ``copied`` selects: how numbers are found, and the words before names."""

    spans: FindSpans = plain_numbers
    titles: frozenset[str] = frozenset()
    titled: Titled = ()
    spelled_out: Callable[[str], str] = str


LANGUAGES: Mapping[str, Language] = {
    "as_written": Language(),
    "french_english": Language(
        french_english.spans,
        french_english.TITLES,
        french_english.TITLED,
        french_english.spelled_out,
    ),
}


@dataclass(frozen=True)
class Prepared:
    """A source for the model, the answers of its placeholders, and whether it was in capitals."""

    text: str
    answers: Mapping[str, str] = field(default_factory=dict)
    capitals: bool = False


def prepare(source: str, options: TranslationOptions, words: KnownWords) -> Prepared:
    """Prepares a source sentence.

    >>> options = TranslationOptions(lowercase=True, copied="french_english")
    >>> words = KnownWords(("le", "à", "loyer", "est", "de", "euros", "très"))
    >>> found = prepare("LE LOYER EST TRES DE 1 250 €.", options, words)
    >>> found.text, found.answers, found.capitals
    ('le loyer est très de \\x07.', {'\\x07': '1,250 euros'}, True)
    """
    text = normalised(source, options)
    capitals = options.lowercase and in_capitals(tidy_source(source))
    answers: Mapping[str, str] = {}
    if options.copied:
        language = LANGUAGES[options.copied]
        found = [*addresses(text), *language.spans(text)]
        found += names(text, words, language.titles, capitals, language.titled)
        text, answers = replaced(text, without_overlaps(found), CHARACTERS)
    if options.lowercase:
        text = lowered(text, words)
    return Prepared(text, answers, capitals)


def normalised(source: str, options: TranslationOptions) -> str:
    """The source with one kind of spaces, apostrophes, quotation marks and signs of currencies."""
    text = tidy_source(source)
    if options.copied:
        text = plain_quotes(text)
        text = LANGUAGES[options.copied].spelled_out(text)
    return text


def plain_quotes(text: str) -> str:
    """The text with straight double quotation marks.

    >>> plain_quotes("“Oui”, dit-il.")
    '"Oui", dit-il.'
    """
    return _QUOTES.sub('"', text)


def in_capitals(text: str) -> bool:
    """Whether all letters of a text are capitals, and there are at least two.

    >>> in_capitals("C' EST ICI!"), in_capitals("À 8 h."), in_capitals("A")
    (True, False, False)
    """
    return text.isupper() and sum(map(str.isalpha, text)) > 1


def lowered(text: str, words: KnownWords) -> str:
    """The text in lower case, unknown words with the accents of the known word.

    >>> lowered("TRES Joli", KnownWords(("très", "joli")))
    'très joli'
    """
    return PART.sub(lambda found: words.spelled(found[0]), text).lower()
