"""The search for words against every path and every row of words."""

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest

from elman.decode import FoundWord, WordBeam, WordModel, WordTree
from elman.decode.ctc import merge
from elman.decode.word_tree import UNKNOWN_WORD
from elman.errors import OptionError

SPACE = 1


def steps(time, symbols, seed, sharp=1.5):
    draw = np.random.default_rng(seed).standard_normal((time, symbols)) * sharp
    return draw - np.log(np.exp(draw).sum(1, keepdims=True))


class Bigrams:
    """A language model by a table: a context is the last word; the last word is the unknown one."""

    def __init__(self, seed, words):
        draw = np.random.default_rng(seed)
        self.table = draw.standard_normal((words + 2, words + 2)) - 2
        self.start = words + 1
        self.words = words

    def unigrams(self):
        return self.table[self.start, :-1]

    def extend(self, contexts, words):
        words = np.where(words == UNKNOWN_WORD, self.words, words)
        return self.table[contexts, words], words

    def finish(self, contexts):
        return self.table[contexts, -1]

    def of(self, words, letters, weight, bonus, letter):
        """The score of a text; ``letters`` are those of its unknown words."""
        numbers = [self.start, *[self.words if w == UNKNOWN_WORD else w for w in words]]
        likely = sum(self.table[a, b] for a, b in itertools.pairwise(numbers))
        return weight * (likely + letter * letters + self.table[numbers[-1], -1]) + bonus * len(
            words
        )


def readings(symbols, lexicon, open_, optional):
    """All ways to read symbols as words: rows of (word, symbols)."""
    if not symbols:
        return [()]
    if symbols[0] == SPACE:
        return readings(symbols[1:], lexicon, open_, optional)
    found = []
    for end in range(1, len(symbols) + 1):
        row = symbols[:end]
        if SPACE in row:
            break
        if not optional and end < len(symbols) and symbols[end] != SPACE:
            continue
        words = [word for word, spelling in lexicon if tuple(spelling) == row]
        if open_ and not words:
            words = [UNKNOWN_WORD]
        for word in words:
            found += [
                ((word, row), *rest) for rest in readings(symbols[end:], lexicon, open_, optional)
            ]
    return found


def best_words(log_probs, lexicon, language, open_, optional, weight, bonus, letter):
    """The best words of all, by the sum over all paths, and their score."""
    paths = defaultdict(float)
    for path in itertools.product(range(log_probs.shape[1]), repeat=len(log_probs)):
        likely = math.exp(sum(log_probs[t, s] for t, s in enumerate(path)))
        paths[tuple(merge(path))] += likely
    texts = defaultdict(float)
    for symbols, likely in paths.items():
        for reading in readings(symbols, lexicon, open_, optional):
            key = tuple(word if word != UNKNOWN_WORD else row for word, row in reading)
            texts[key] += likely

    def score(key):
        words = [UNKNOWN_WORD if isinstance(each, tuple) else each for each in key]
        letters = sum(len(each) for each in key if isinstance(each, tuple))
        return math.log(texts[key]) + language.of(words, letters, weight, bonus, letter)

    return max(texts, key=score)


LEXICON = [(0, [2]), (1, [2, 3]), (2, [3, 3]), (3, [2, 3]), (1, [3, 2, 2]), (4, [3])]
LETTERS = [(0, [2]), (1, [2, 3]), (2, [3, 3, 2]), (3, [3, 2])]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("kind", ["letters", "spaces", "optional spaces"])
def test_a_wide_beam_finds_the_words_that_all_paths_show_to_be_best(seed, kind):
    lexicon = LETTERS if kind == "letters" else LEXICON
    log_probs, language = steps(5, 4, seed), Bigrams(seed, 5)
    optional, letter = kind == "optional spaces", -0.5
    tree = WordTree(lexicon, 4, open=kind == "letters")
    model = WordModel(
        tree, language, space=SPACE, weight=0.7, bonus=1.0, letter=letter, optional_space=optional
    )
    beam = WordBeam(model, 100_000, least=-math.inf)
    beam.advance(log_probs)
    found = tuple(w.word if w.word != UNKNOWN_WORD else w.symbols for w in beam.words())
    assert found == best_words(log_probs, lexicon, language, tree.open, optional, 0.7, 1.0, letter)
    spelled = tuple(s for w in beam.words() for s in w.symbols)
    assert tuple(s for s in beam.best() if s != SPACE) == spelled


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("optional", [False, True])
def test_a_search_fed_in_pieces_finds_the_same_and_settles_only_what_stays(seed, optional):
    log_probs = steps(600, 4, seed, sharp=3)
    model = WordModel(
        WordTree(LEXICON, 4), Bigrams(seed, 5), space=SPACE, weight=0.7, bonus=1.0,
        optional_space=optional,
    )  # fmt: skip
    whole = WordBeam(model, 6)
    whole.advance(log_probs)
    pieces, stable = WordBeam(model, 6), []
    draw, at = np.random.default_rng(seed), 0
    while at < len(log_probs):
        size = draw.integers(0, 20)
        pieces.advance(log_probs[at : at + size])
        at += size
        now = pieces.stable()
        assert now[: len(stable)] == stable
        words = pieces.stable_words()
        assert pieces.words()[: len(words)] == words
        stable = now
    assert pieces.best() == whole.best()
    assert pieces.words() == whole.words()
    assert whole.best()[: len(stable)] == stable
    assert len(stable) > 50
    assert len(pieces._trace._parent) == 1024, "records that are not needed are forgotten"


def test_a_narrow_beam_is_as_good_as_a_wide_one_where_texts_continue_alike():
    # after a word, a context is the word: of texts that end in the same word one is enough
    log_probs, language = steps(25, 4, 1), Bigrams(1, 5)
    model = WordModel(WordTree(LEXICON, 4), language, space=SPACE, weight=1.0, bonus=0.0)
    wide, narrow = WordBeam(model, 20_000), WordBeam(model, 60)
    for beam in (wide, narrow):
        beam.advance(log_probs)
    assert narrow.words() == wide.words()
    assert len(wide._integers.T) < 200


def test_an_unfinished_word_is_left_out_where_no_word_can_end():
    model = WordModel(WordTree([(0, [2, 3])], 4), Bigrams(0, 1), space=SPACE, weight=0.0, bonus=0.0)
    sure = np.log(np.eye(4) + 1e-12)
    beam = WordBeam(model, 8)
    beam.advance(sure[[2, 3, 1, 2]])
    assert beam.words() == [FoundWord(0, (2, 3))]
    assert beam.words(ended=False) == [FoundWord(0, (2, 3))]
    assert (beam.best(), beam.best(ended=False)) == ([2, 3], [2, 3, 1, 2])
    beam = WordBeam(model, 8)
    beam.advance(sure[[2]])
    assert (beam.words(), beam.best(), beam.best(ended=False)) == ([], [], [2])


def test_what_cannot_be_searched_is_said():
    tree = WordTree([(0, [2])], 4, open=True)
    with pytest.raises(OptionError, match="optional_space"):
        WordModel(tree, Bigrams(0, 1), space=1, weight=1.0, bonus=0.0, optional_space=True)
    with pytest.raises(OptionError, match="width is 0"):
        WordBeam(WordModel(tree, Bigrams(0, 1), space=1, weight=1.0, bonus=0.0), 0)
    with pytest.raises(OptionError, match="has no symbols"):
        WordTree([(0, [])], 4)
    with pytest.raises(OptionError, match="from 1 to 3, but one is 4"):
        WordTree([(0, [1, 4])], 4)
