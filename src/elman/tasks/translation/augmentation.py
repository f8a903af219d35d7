"""Prepares training pairs: placeholders on both sides, and sources that are typed carelessly."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from elman.data.words import without_accents
from elman.tasks.translation import french_english
from elman.tasks.translation.options import TranslationOptions
from elman.tasks.translation.placeholders import (
    CHARACTERS,
    PLACEHOLDER,
    Span,
    addresses,
    common_names,
    without_overlaps,
)
from elman.tasks.translation.preparation import (
    LANGUAGES,
    in_capitals,
    lowered,
    normalised,
    plain_quotes,
)
from elman.tasks.translation.words import KnownWords

#: how often known names become placeholders, words such as "three", and phrases such as "tomorrow"
_KNOWN_NAMES, _WORDS, _PHRASES = 0.5, 0.15, 0.3
#: how often a pair is put into quotation marks
_QUOTED = 0.02


def augmented(
    source: str,
    target: str,
    options: TranslationOptions,
    words: KnownWords,
    chance: random.Random,
) -> tuple[str, str]:
    """A pair for training.  All random choices are drawn from ``chance``.

    >>> options = TranslationOptions(lowercase=True, copied="french_english")
    >>> augmented("Il a 12 ans.", "He is 12 years old.", options, KnownWords(), random.Random(3))
    ('il a \\x08 ans.', 'He is \\x08 years old.')
    """
    text = normalised(source, options)
    if options.careless > 0 and chance.random() < options.careless:
        text, target = _careless(text, target, chance)
    if options.copied:
        target = plain_quotes(target)
        text, target = _with_placeholders(text, target, options, words, chance)
        if options.copied == "french_english" and chance.random() < _QUOTED:
            text, target = _quoted(text, target, chance)
    return (lowered(text, words) if options.lowercase else text), target


def _careless(source: str, target: str, chance: random.Random) -> tuple[str, str]:
    """The pair without the accents of the source, half of the time without a full stop."""
    source = without_accents(source)
    if chance.random() < 0.5 and source.endswith(".") and target.endswith("."):
        source, target = source[:-1], target[:-1]
    return source, target


def _with_placeholders(
    source: str, target: str, options: TranslationOptions, words: KnownWords, chance: random.Random
) -> tuple[str, str]:
    order = {}
    for kind, signs in CHARACTERS.items():
        shuffled = list(signs)
        chance.shuffle(shuffled)
        order[kind] = "".join(shuffled)
    if options.copied == "french_english":
        source, target, order = _phrases(source, target, order, chance)
    found: list[Span] = [
        *addresses(source),
        *LANGUAGES[options.copied].spans(source),
        *[
            span
            for span in common_names(source, target, words)
            if not words.knows(span.answer) or chance.random() < _KNOWN_NAMES
        ],
    ]
    kept = []
    for span in without_overlaps(found):
        match = _only(span.forms or (re.escape(span.answer),), target)
        if match is None:
            continue
        sign = next(iter(order[span.kind]), "")
        if sign:
            order[span.kind] = order[span.kind][1:]
            target = f"{target[: match.start()]}{sign}{target[match.end() :]}"
            kept.append((span, sign))
    for span, sign in reversed(kept):
        source = f"{source[: span.start]}{sign}{source[span.end :]}"
    return source, target


def _only(forms: Sequence[str], target: str) -> re.Match[str] | None:
    """The match of the first form that occurs, if it occurs once."""
    for form in forms:
        found = list(re.finditer(form, target))
        if found:
            return found[0] if len(found) == 1 else None
    return None


def _phrases(
    source: str, target: str, order: dict[str, str], chance: random.Random
) -> tuple[str, str, dict[str, str]]:
    """Puts placeholders for number words, days and hours, which have few examples in digits."""
    low = source.lower()
    for kind, pattern, left, form, right in french_english.PHRASES:
        sign = order[kind][:1]
        own = re.search(pattern, low)
        if own is None or not sign:
            continue
        theirs = re.search(form, target)
        if theirs is not None and chance.random() < _PHRASES:
            order = {**order, kind: order[kind][1:]}
            source = source[: own.start()] + left.format(sign) + source[own.end() :]
            target = target[: theirs.start()] + right.format(sign) + target[theirs.end() :]
            return source, target, order
    for french, english in french_english.NUMBER_WORDS.items():
        sign = order["number"][:1]
        if not sign or french not in low or english not in target:
            continue
        number = re.search(rf"\b{french}\b(?!-)", source)
        found = re.findall(rf"\b{english}\b(?!-)", target)
        if number is not None and len(found) == 1 and chance.random() < _WORDS:
            order = {**order, "number": order["number"][1:]}
            source = source[: number.start()] + sign + source[number.end() :]
            target = re.sub(rf"\b{english}\b", sign, target)
    return source, target, order


def _quoted(source: str, target: str, chance: random.Random) -> tuple[str, str]:
    """The pair in quotation marks, or as something that is said."""
    if '"' in source or '"' in target or source[-1:] not in ".?!" or target[-1:] not in ".?!":
        return source, target
    if in_capitals(source):
        return source, target
    choice = chance.random()
    # the names of the frames are placeholders that the pair does not have
    free = [sign for sign in CHARACTERS["name"] if sign not in source]
    if choice < 0.4 or not free:
        return f'"{source}"', f'"{target}"'
    sign = chance.choice(free)
    if choice < 0.75:
        before, after = chance.choice(french_english.SAID)
        ours = source if source[-1] in "?!" else source[:-1]
        theirs = target if target[-1] in "?!" else target[:-1] + ","
        source, target = f'"{ours}"{before}', f'"{theirs}"{after}'
    else:
        before, after = chance.choice(french_english.SAID_BEFORE)
        source, target = f'{before}"{source}"', f'{after}"{target}"'
    # what is a name in the tables
    if len(PLACEHOLDER.findall(before)) == 1 and "\x01" in before:
        source, target = _named(source, target, before, after, sign)
    return source, target


def _named(source: str, target: str, before: str, after: str, sign: str) -> tuple[str, str]:
    return (
        source.replace(before, before.replace("\x01", sign)),
        target.replace(after, after.replace("\x01", sign)),
    )
