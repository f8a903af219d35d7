"""Made training sentences in which a negation turns a word around: the option ``negation``.

Reviews seldom negate a word that decides their label, so a model of reviews learns that words
decide.  Here templates are filled with such words: "the story is dull" with the label of "dull",
"the story is not dull" with the other one.  Half of the sentences have a negation, and the labels
are balanced, so neither words nor negations change their meaning on their own.  Short reviews in
which "is" precedes such a word are copied with "not" inserted.

The templates are English.  Most words come from the training data, by their counts per label; a few
common ones are listed here.  Every fifth word is left out of all sentences, so that
``benchmarks/sentiment_negation.py`` can measure whether a model negates words that it has never
seen negated.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

from elman.data import split_words
from elman.errors import OptionError
from elman.tasks.sentiment.data import Review


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


#: words that training never hides
NEGATIONS = _set(
    "not n't never no nothing nobody none neither nor cannot hardly rarely few without lacks doubt "
    "wrong"
)
#: a word is polar if its log odds are above this, and above so many standard errors
LOG_ODDS, ERRORS = 0.6, 1.9
#: an adjective follows one of these words at least so often, and in this share of its occurrences
BEFORE = _set("is are was were very so too seems feels more quite really pretty")
TIMES, SHARE = 2, 0.1
NO_ADJECTIVES = _set(
    "always both care hard just killed left less meant neither nothing nowhere still supposed "
    "too trying worth"
)
IS = _set("is are was were")
#: a copy of a review is negated if the word follows "is" directly or after these
BETWEEN = _set("a an the so very really quite truly always often")
#: short reviews: in longer ones, other words decide too
SHORT = 16
#: the share of the negated sentences that are copies of short reviews, if there are enough
COPIES = 0.2
#: one in so many words is left out
HELD_OUT = 5

#: kind of word: common good ones, common bad ones
COMMON = {
    "adjective": (
        "good great nice funny fun interesting clever enjoyable entertaining exciting brilliant "
        "original smart moving memorable fresh charming wonderful convincing believable beautiful "
        "excellent special impressive scary satisfying",
        "bad boring awful terrible dull stupid silly predictable slow tedious annoying ugly lazy "
        "disappointing worse forgettable painful pointless bland messy confusing weak lame empty "
        "shallow ridiculous",
    ),
    "liking": (
        "like enjoy love recommend appreciate admire adore praise treasure",
        "hate regret dislike despise resent loathe detest mock",
    ),
    "moving": (
        "entertain amuse impress move delight thrill engage touch satisfy",
        "bore annoy disappoint insult irritate offend frustrate exhaust tire depress",
    ),
    "noun": (
        "charm wit humor suspense tension depth originality heart warmth energy imagination "
        "intelligence grace style magic passion",
        "boredom nonsense padding stupidity sentimentality cliche laziness confusion filler "
        "clumsiness vulgarity flaw pretension",
    ),
}
#: kind of word: a sentence, and one with the opposite meaning; {v} is a word of the same label as
#: {w}, {u} of the other; {an} is "a" or "an"
TEMPLATES = {
    "adjective": (
        ("{s} is {w}", "{s} is not {w}"),
        ("{s} is {w}", "{s} isn't {w}"),
        ("{s} was {w}", "{s} was not {w}"),
        ("{s} was {w}", "{s} wasn't {w}"),
        ("{s} is always {w}", "{s} is never {w}"),
        ("{s} was often {w}", "{s} was never {w}"),
        ("{s} is very {w}", "{s} is not very {w}"),
        ("{s} is so {w}", "{s} is not {w} at all"),
        ("{s} is really {w}", "{s} is hardly {w}"),
        ("{w}", "not {w}"),
        ("very {w} indeed", "not {w} at all"),
        ("everything about {s} is {w}", "nothing about {s} is {w}"),
        ("most things in {s} are {w}", "nothing in {s} is {w}"),
        ("every part of {s} is {w}", "no part of {s} is {w}"),
        ("each scene is {w}", "not one scene is {w}"),
        ("there is something {w} about {s}", "there is nothing {w} about {s}"),
        ("i found {s} {w}", "i did not find {s} {w}"),
        ("i find {s} {w}", "i don't find {s} {w}"),
        ("{s} feels {w}", "{s} does not feel {w}"),
        ("{s} feels {w}", "{s} never feels {w}"),
        ("{s} seems {w}", "{s} doesn't seem {w}"),
        ("i would call {s} {w}", "i would not call {s} {w}"),
        ("{s} is {an} {w} one", "{s} is not {an} {w} one"),
        ("this is {an} {w} film", "this is not {an} {w} film"),
        ("this is {an} {w} movie", "this isn't {an} {w} movie"),
        ("everyone will find {s} {w}", "no one will find {s} {w}"),
        ("anybody would call it {w}", "nobody would call it {w}"),
        ("{s} is {w} , not {u}", "{s} is not {w} but {u}"),
        ("{s} is {w} and never {u}", "{s} is {u} and never {w}"),
        ("{s} is {w} , it is not {u}", "{s} is not {w} , it is {u}"),
        ("{s} is both {w} and {v}", "{s} is neither {w} nor {v}"),
        ("{s} is {w} and {v}", "{s} is not {w} or {v}"),
        ("{s} does its work by being {w}", "{s} does its work without being {w}"),
        ("i know that {s} is {w}", "i doubt that {s} is {w}"),
        ("i would say that {s} is {w}", "i wouldn't say that {s} is {w}"),
        ("i can tell you that {s} is {w}", "i cannot tell you that {s} is {w}"),
        ("many will find {s} {w}", "few will find {s} {w}"),
        ("you have to call {s} {w}", "you can't call {s} {w}"),
        ("it would be right to call {s} {w}", "it would be wrong to call {s} {w}"),
        ("{s} is often {w}", "{s} is rarely {w}"),
        ("{s} has become {w}", "{s} has not become {w}"),
        ("{s} could be {w}", "{s} could not be less {w}"),
        ("{s} was trying to be {w} , and it is", "{s} was trying to be {w} , but it is not"),
        ("they are {w}", "they are not {w}"),
        ("the characters are {w}", "the characters aren't {w}"),
    ),
    "liking": (
        ("i did {w} it", "i did not {w} it"),
        ("i {w} {s}", "i don't {w} {s}"),
        ("i do {w} {s}", "i do not {w} {s}"),
        ("i {w} {s}", "i didn't {w} {s}"),
        ("you will {w} {s}", "you will not {w} {s}"),
        ("you will {w} it", "you won't {w} it"),
        ("i could only {w} {s}", "i could not {w} {s}"),
        ("everyone will {w} {s}", "nobody will {w} {s}"),
        ("most of us will {w} it", "none of us will {w} it"),
        ("there is much to {w} here", "there is not much to {w} here"),
        ("i had to {w} it", "i never had to {w} it"),
    ),
    "moving": (
        ("{s} did {w} me", "{s} did not {w} me"),
        ("it does {w} you", "it does not {w} you"),
        ("{s} will {w} you", "{s} won't {w} you"),
        ("{s} will {w} everyone", "{s} will {w} no one"),
        ("{s} does {w} us", "{s} doesn't {w} us"),
        ("it managed to {w} me", "it never managed to {w} me"),
    ),
    "noun": (
        ("there is {w} in {s}", "there is no {w} in {s}"),
        ("{s} has {w}", "{s} has no {w}"),
        ("{s} is told with {w}", "{s} is told without {w}"),
        ("{s} has some {w}", "{s} does not have any {w}"),
        ("{s} is full of {w}", "{s} lacks {w}"),
        ("there is a lot of {w}", "there isn't a lot of {w}"),
        ("much {w}", "no {w}"),
        ("i saw much {w} in {s}", "i did not see much {w} in {s}"),
    ),
}
#: how often each kind of word is taken
WEIGHTS = {"adjective": 10, "liking": 3, "moving": 2, "noun": 2}
SUBJECTS = (
    "it",
    "this",
    "the film",
    "this film",
    "the movie",
    "this movie",
    "the story",
    "the plot",
    "the script",
    "the acting",
    "the ending",
    "the music",
    "the dialogue",
    "the direction",
    "the comedy",
    "the cast",
    "the whole thing",
    "the first half",
    "her performance",
    "his latest work",
)
BEGINNINGS = ("", "", "", "", "in the end , ", "for me , ", "this time , ", "and ", "i think ")
ENDINGS = ("", " .", " .", " .", " .", " !", " , i think .", " from start to finish .")


@dataclass(frozen=True)
class PolarWords:
    """For each kind of word, the words of the first and of the second label."""

    kinds: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]

    def part(self, *, held_out: bool) -> PolarWords:
        """Every fifth word of each list, or the others."""
        return PolarWords(
            {
                kind: (_part(first, held_out), _part(second, held_out))
                for kind, (first, second) in self.kinds.items()
            }
        )


def _part(words: Sequence[str], held_out: bool) -> tuple[str, ...]:
    return tuple([word for k, word in enumerate(words) if (k % HELD_OUT == 0) == held_out])


def polar_words(examples: Sequence[Review], labels: Sequence[str]) -> PolarWords:
    """The words that decide, from the training data and from ``COMMON``.

    Raises ``OptionError`` if there are not two labels, or if the common words are not distributed
    over them as in English reviews.
    """
    if len(labels) != 2:
        raise OptionError(
            f"negation: the data have {len(labels)} labels, but a negation can only turn one of "
            "two labels into the other; set negation to 0."
        )
    texts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    times: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for example in examples:
        words = [word.lower() for word in example.words]
        texts[labels.index(str(example.label))].update(set(words))
        times.update(words)
        after.update([b for a, b in itertools.pairwise(words) if a in BEFORE])

    def odds(word: str) -> float:
        """The log odds of the second label."""
        return log((texts[1][word] + 1) / (texts[0][word] + 1))

    good, bad = COMMON["adjective"]
    sides = [sum([odds(word) for word in side.split()]) for side in (good, bad)]
    if abs(sides[0] - sides[1]) < 1:
        raise OptionError(
            "negation: the training texts do not tell which label English words such as good and "
            "bad belong to; set negation to 0 for other languages, other labels and few texts."
        )
    turned = sides[0] > sides[1]
    found = {kind: (bad, good) if turned else (good, bad) for kind, (good, bad) in COMMON.items()}
    kinds = {
        kind: (set(first.split()), set(second.split())) for kind, (first, second) in found.items()
    }
    adjectives = kinds["adjective"]
    common = adjectives[0] | adjectives[1]
    for word, count in after.items():
        if word in common | NO_ADJECTIVES or not word.isalpha() or word.endswith("ly"):
            continue
        error = sqrt(1 / (texts[0][word] + 1) + 1 / (texts[1][word] + 1))
        frequent = count >= TIMES and count >= SHARE * times[word]
        if frequent and abs(odds(word)) > max(LOG_ODDS, ERRORS * error):
            adjectives[odds(word) > 0].add(word)
    return PolarWords(
        {
            kind: (tuple(sorted(first)), tuple(sorted(second)))
            for kind, (first, second) in kinds.items()
        }
    )


def with_negations(
    examples: Sequence[Review], labels: Sequence[str], share: float, seed: int = 0
) -> list[Review]:
    """The examples, and ``share`` made sentences for each of them; the same for the same ``seed``.

    Raises ``OptionError`` as ``polar_words``.
    """
    polar = polar_words(examples, labels).part(held_out=False)
    draw = random.Random(seed)
    count = round(share * len(examples) / 2)
    copies = negated_copies(examples, labels, polar)
    draw.shuffle(copies)
    copies = copies[: round(COPIES * count)]
    pairs = count - len(copies) // 2
    return [*examples, *made(polar, labels, pairs, draw), *copies]


def made(
    polar: PolarWords,
    labels: Sequence[str],
    pairs: int,
    draw: random.Random,
    templates: dict[str, tuple[tuple[str, str], ...]] = TEMPLATES,
) -> list[Review]:
    """Pairs of sentences from templates: one with its word's label, one negated with the other."""
    kinds = [kind for kind in templates if all(polar.kinds[kind])]
    weights = [WEIGHTS[kind] for kind in kinds]
    found = []
    for k in range(pairs):
        (kind,) = draw.choices(kinds, weights)
        words = polar.kinds[kind][k % 2]
        word = draw.choice(words)
        values = {
            "s": draw.choice(SUBJECTS),
            "w": word,
            "v": draw.choice(words),
            "u": draw.choice(polar.kinds[kind][1 - k % 2]),
            "an": "an" if word[0] in "aeiou" else "a",
        }
        beginning, ending = draw.choice(BEGINNINGS), draw.choice(ENDINGS)
        both = zip(draw.choice(templates[kind]), (labels[k % 2], labels[1 - k % 2]), strict=True)
        for template, label in both:
            text = f"{beginning}{template.format(**values)}{ending}"
            found.append(Review(text, tuple(split_words(text)), label))
    return found


def negated_copies(
    examples: Sequence[Review], labels: Sequence[str], polar: PolarWords
) -> list[Review]:
    """Short examples with "not" inserted after "is", before a word of their label."""
    found = []
    for example in examples:
        if len(example) > SHORT:
            continue
        side = labels.index(str(example.label))
        words = [word.lower() for word in example.words]
        for k, word in enumerate(words):
            after = words[k + 1 :]
            while after and after[0] in BETWEEN:
                after = after[1:]
            if word in IS and after and after[0] in polar.kinds["adjective"][side]:
                negated = (*example.words[: k + 1], "not", *example.words[k + 1 :])
                found.append(Review(" ".join(negated), negated, labels[1 - side]))
                break
    return found
