import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.tasks.ner.shapes import NUM_SHAPES, word_shape

WORDS = {
    1: ["met", "don't", "café", "3rd"],
    2: ["7", "1999", "3.5", "1,000.50", "24/7", "10:30"],
    3: ["@ada", "#tag", "https://x.org/a", "http://x", "www.x.org"],
    4: ["!", "...", "-", "@", "(:", "😀"],
    5: ["Harry", "Émile", "Łukasz"],
    6: ["NATO", "U.S.", "A4"],
    7: ["I", "É"],
    8: ["iPhone", "McDonald", "Jean-Luc", "O'Brien"],
    9: ["日本", "$5", "_", ""],
}


@pytest.mark.parametrize(("shape", "words"), WORDS.items())
def test_a_word_has_the_shape_of_its_kind(shape, words):
    assert {word: word_shape(word) for word in words} == dict.fromkeys(words, shape)


@given(st.text())
def test_any_word_has_a_shape_that_is_not_paddings(word):
    assert 1 <= word_shape(word) < NUM_SHAPES
