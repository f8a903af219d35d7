"""N-gram models: probabilities sum to one, agree with the formula, and live in ARPA files."""

import math
import random
from collections import Counter

import pytest

from elman.errors import DataError
from elman.tasks.speech.arpa import parse_arpa, read_arpa, write_arpa
from elman.tasks.speech.ngrams import BEGIN, END, UNKNOWN, NGrams, train_ngrams
from elman.tasks.speech.pruning import most_informative

TEXT = ["a b a c", "a b", "b a b c a", "c a b a b", "c"]


def sentences(text=TEXT):
    return [line.split() for line in text]


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("cutoffs", [(), (0, 0, 1, 1), (1, 1, 2)])
@pytest.mark.parametrize("most", [None, 9, 15])
def test_after_any_context_the_probabilities_of_all_tokens_sum_to_one(order, cutoffs, most):
    model = train_ngrams(sentences([*TEXT, "d a"]), order, cutoffs=cutoffs, most=most)
    assert most is None or sum(len(table) for table in model.tables) <= most
    tokens = [t for (t,) in model.tables[0] if t != BEGIN]
    contexts = [
        (),
        (BEGIN,),
        ("a",),
        (BEGIN, "a"),
        ("a", "b"),
        ("c", "c", "c"),
        ("b", "a", "b"),
        ("z", "a"),
    ]
    for context in contexts:
        total = sum(math.exp(model.score(context, token)) for token in tokens)
        assert math.isclose(total, 1.0, rel_tol=1e-9), context


def test_a_bigram_is_kneser_and_neys_by_hand():
    model = train_ngrams(sentences(["a b", "a b", "a c"]), 2)
    # bigrams: <s> a 3, a b 2, a c 1, b </s> 2, c </s> 1: two of them once, two of them twice
    discount = 2 / (2 + 2 * 2)
    # continuations: a 1, b 1, c 1, </s> 2; of five tokens (<unk> too) one gets what is left
    below = 3 / (3 + 2 * 1)
    lower = (1 - below) / 5 + below * 4 / 5 / 5
    by_hand = (2 - discount) / 3 + discount * 2 / 3 * lower
    assert math.isclose(math.exp(model.score(("a",), "b")), by_hand, rel_tol=1e-9)


def test_more_context_and_the_right_text_are_less_of_a_surprise():
    draw = random.Random(0)
    walk, lines = "a", []
    for _ in range(300):
        line = []
        for _ in range(8):
            walk = draw.choice({"a": "bbc", "b": "caa", "c": "abb"}[walk])
            line.append(walk)
        lines.append(line)
    held_out, train = lines[:50], lines[50:]
    one, two = [train_ngrams(train, order).perplexity(held_out) for order in (1, 2)]
    assert two < 0.8 * one
    assert train_ngrams(train, 2).perplexity([["z", "z"]]) > 20 * two


def test_unknown_words_are_expected_as_often_as_words_that_occur_once():
    lines = sentences(["a b", "a b", "a c", "d b", "a e"])
    plain, expecting = train_ngrams(lines, 1), train_ngrams(lines, 1, expect_unknown=True)
    assert math.exp(plain.score((), UNKNOWN)) < 0.05
    # c, d and e occur once, of 15 tokens with the ends of sentences, and 3 are expected
    assert math.exp(expecting.score((), UNKNOWN)) == pytest.approx(3 / 18, rel=0.3)
    total = sum(math.exp(expecting.score((), t)) for (t,) in expecting.tables[0] if t != BEGIN)
    assert total == pytest.approx(1)


def test_what_an_ngram_costs_is_the_relative_entropy_of_the_model_without_it():
    model = train_ngrams(sentences(), 2)
    contexts = [Counter({("a",): 5, ("b",): 4, ("c",): 3, (BEGIN,): 5})]
    bigrams = list(model.tables[1])
    tokens = [t for (t,) in model.tables[0] if t != BEGIN]
    by_hand = {}
    for gram in bigrams:
        context = gram[:1]
        others = [g for g in bigrams if g[0] == gram[0] and g != gram]
        left = 1 - sum(math.exp(model.tables[1][g][0]) for g in others)
        lower = 1 - sum(math.exp(model.score((), g[1])) for g in others)
        table = {g: p for g, p in model.tables[1].items() if g != gram}
        unigrams = {
            **model.tables[0],
            context: (model.tables[0][context][0], math.log(left / lower)),
        }
        without = NGrams((unigrams, table))
        by_hand[gram] = contexts[0][context] * sum(
            math.exp(model.score(context, t))
            * (model.score(context, t) - without.score(context, t))
            for t in tokens
        )
    assert min(by_hand.values()) > 0
    ranked = sorted(bigrams, key=lambda gram: -by_hand[gram])
    for count in range(1, len(ranked)):
        kept = most_informative(model, contexts, len(model.tables[0]) + count)
        # two bigrams may cost the same
        assert sum(by_hand[g] for g in kept) == pytest.approx(
            sum(by_hand[g] for g in ranked[:count])
        )


def test_a_vocabulary_keeps_the_most_frequent_and_the_others_are_unknown():
    model = train_ngrams(sentences(), 2, vocabulary=2)
    assert model.known("a")
    assert not model.known("c")
    assert model.score(("a",), "c") == model.score(("a",), UNKNOWN)


def test_an_arpa_file_says_what_the_model_says(tmp_path):
    model = train_ngrams(sentences(), 3)
    path = tmp_path / "m.arpa"
    path.write_text(write_arpa(model, digits=7))
    read = read_arpa(path)
    assert read.order == 3
    for context in ((), (BEGIN,), ("a", "b"), ("c", "b")):
        for token in ("a", "c", END, "never"):
            assert read.score(context, token) == pytest.approx(
                model.score(context, token), abs=1e-5
            )


def test_an_arpa_file_of_another_toolkit_is_read(tmp_path):
    path = tmp_path / "m.arpa"
    path.write_text(
        "made by hand\n\n\\data\\\nngram 1=4\nngram  2 = 1\n\n\\1-grams:\n-0.5 <s> -0.3\n"
        "-0.7\ta\t-0.2\n-1.0 b\n-0.9 </s>\n\n\\2-grams:\n-0.1 a b\n\n\\end\\\n"
    )
    model = read_arpa(path)
    assert model.score(("a",), "b") == pytest.approx(-0.1 * math.log(10))
    assert model.score(("b",), "a") == pytest.approx(-0.7 * math.log(10))
    assert model.score(("a",), "a") == pytest.approx((-0.2 - 0.7) * math.log(10))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("\\data\\\nngram 1=1\n\\1-grams:\n-1 a\n", "is missing"),
        (
            "\\data\\\nngram 1=2\n\\1-grams:\n-1 a\n\\end\\\n",
            "announces 2 1-grams, but the file has 1",
        ),
        ("\\data\\\nngram 1=1\n\\2-grams:\n-1 a b\n\\end\\\n", "line 3: .*order must rise by one"),
        (
            "\\data\\\nngram 1=1\n\\1-grams:\n-1 a b c\n\\end\\\n",
            "line 4: expected a number, 1 words",
        ),
        ("\\data\\\nngram 1=1\n\\1-grams:\n-1_0 a\n\\end\\\n", "line 4: .*not a number"),
        ("\\data\\\nngram 1=1\n\\1-grams:\nx a\n\\end\\\n", "line 4: .*not a number"),
        ("\\data\\\nwords 1=1\n\\end\\\n", 'line 2: expected .*, got "words 1=1"'),
    ],
)
def test_a_damaged_arpa_file_is_refused_with_its_line(text, sentence, tmp_path):
    with pytest.raises(DataError, match=sentence):
        parse_arpa(text, tmp_path / "m.arpa")


def test_a_text_without_words_is_refused():
    with pytest.raises(DataError, match="has no words"):
        train_ngrams([[]], 2)
