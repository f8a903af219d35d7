"""An n-gram trie says what the tables say, for one context and for many; it is stored in few bytes."""

import itertools
import json
import lzma
import random

import numpy as np
import pytest

from elman.tasks.speech.ngram_trie import EMPTY, NO_WORD, NGramTrie
from elman.tasks.speech.ngrams import BEGIN, END, UNKNOWN, NGrams, train_ngrams
from elman.tasks.speech.packed_trie import packed, unpacked


def sentences(seed=0, words="abcdefg", count=60):
    draw = random.Random(seed)
    return [[draw.choice(words[: draw.randint(1, 7)]) for _ in range(6)] for _ in range(count)]


def compare(model, trie, tolerance=1e-5):
    """Every row of up to four words, some unknown: token by token, and all together."""
    contexts, tokens, scores = [], [], []
    for row in itertools.product("abdz", repeat=4):
        context, at = model.start, trie.start
        for token in (*row, END):
            wanted = model.score(context, token)
            assert trie.score(at, token) == pytest.approx(wanted, abs=tolerance)
            contexts.append(at)
            tokens.append(trie.numbers.get(token, trie.unknown))
            scores.append(wanted)
            context, at = model.after(context, token), trie.after(at, token)
    together, after = trie.extend(np.array(contexts), np.array(tokens))
    assert together == pytest.approx(scores, abs=tolerance)
    alone = [trie._extend_one(c, t) for c, t in zip(contexts, tokens, strict=True)]
    assert after.tolist() == [context for _, context in alone]


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("most", [None, 40, 120])
def test_a_trie_says_what_the_tables_say(order, most):
    model = train_ngrams(sentences(), order, most=most)
    trie = NGramTrie.of(model)
    compare(model, trie)
    assert trie.sizes == tuple(len(table) for table in model.tables)
    again = trie.to_ngrams()
    for table, found in zip(model.tables, again.tables, strict=True):
        assert table.keys() == found.keys()
        for gram, numbers in table.items():
            assert found[gram] == pytest.approx(numbers, abs=1e-5)


def test_a_model_of_another_tool_may_lack_beginnings_words_and_unknown_words():
    unigrams = {(w,): (-1.0 - k, -0.5) for k, w in enumerate((BEGIN, END, "a", "b", "d"))}
    bigrams = {("a", "b"): (-0.25, -0.125), ("a", "q"): (-0.1, 0.0)}
    trigrams = {("b", "a", "d"): (-0.75, 0.0), ("a", "b", "d"): (-0.375, 0.0)}
    model = NGrams((unigrams, bigrams, trigrams))
    trie = NGramTrie.of(model)
    assert trie.unknown == NO_WORD
    compare(model, trie)
    assert trie.sizes == (5, 2, 2), "(b, a) is added, (a, q) has a word that there is not"


def test_contexts_that_continue_alike_are_one():
    trie = NGramTrie.of(train_ngrams(sentences(), 4, most=30))
    assert trie.after(EMPTY, "never seen") == EMPTY
    rows = list(itertools.product("abcdefg", repeat=3))
    contexts = set()
    for row in rows:
        at = trie.start
        for token in row:
            at = trie.after(at, token)
        contexts.add(at)
    assert len(contexts) < 30 < len(rows)


@pytest.mark.parametrize("order", [1, 2, 4])
def test_a_stored_trie_is_almost_the_same_and_then_stays_so(order):
    model = train_ngrams(sentences(), order, expect_unknown=True)
    stored = packed(NGramTrie.of(model))
    trie = unpacked(stored)
    compare(model, trie, tolerance=0.1)
    assert packed(trie) == stored
    assert trie.known(UNKNOWN)


def test_a_large_model_takes_few_bytes():
    draw = random.Random(0)
    words = [f"{draw.randrange(10**6)}" for _ in range(300)]
    lines = [[words[int(300 * draw.random() ** 3)] for _ in range(10)] for _ in range(3000)]
    trie = NGramTrie.of(train_ngrams(lines, 3))
    assert len(packed(trie)) < 3.5 * sum(trie.sizes)


def test_a_damaged_trie_is_refused():
    stored = packed(NGramTrie.of(train_ngrams(sentences(), 3)))
    for bad in (stored[:-20], b"x" + stored, b"", stored[:50] + b"\0" + stored[51:]):
        with pytest.raises(ValueError, match="a language model that"):
            unpacked(bad)
    raw = lzma.decompress(stored)
    line, _, rest = raw.partition(b"\n")
    header = json.loads(line)
    for change in (
        {"sizes": header["sizes"][:-1]},
        {"sizes": [*header["sizes"][:-1], -1]},
        {"sizes": []},
        {"sizes": "many"},
        {"text": header["text"] + 1},
        {"text": None},
    ):
        bad = json.dumps({**header, **change}).encode() + b"\n" + rest
        with pytest.raises(ValueError, match="a language model"):
            unpacked(lzma.compress(bad))
    for place in range(header["text"] + 1, len(rest), 3):
        bad = line + b"\n" + rest[:place] + b"\xff" + rest[place + 1 :]
        try:
            unpacked(lzma.compress(bad)).extend(np.arange(3), np.array([0, 1, 2]))
        except ValueError as error:
            assert "a language model" in str(error)  # noqa: PT017
