"""Emoji and emoticons count as words of their feeling, unless the vocabulary has them."""

import pytest

import elman
from elman.data import split_words
from elman.tasks import TASKS
from elman.tasks.sentiment.data import Review
from elman.tasks.sentiment.emoji import meaning
from elman.tasks.sentiment.options import SentimentOptions

sentiment = TASKS["sentiment"]


@pytest.fixture(scope="module")
def positive():
    """The probability of "positive" by the shipped model."""
    model = elman.load("sentiment")
    return lambda text: model([text])[0].probabilities["positive"]


@pytest.mark.parametrize(
    ("happy", "sad"),
    [("😍", "😡"), (":)", ":("), ("👍", "👎"), ("❤️", "💔"), ("😂", "🤮"), (":-D", ":'(")],
)
def test_happy_signs_raise_a_rating_and_sad_ones_lower_it(positive, happy, sad):
    for text in ("", "I saw it yesterday", "The film with the dog"):
        base = positive(text) if text else 0.5
        assert positive(f"{text} {happy}".strip()) > base > positive(f"{text} {sad}".strip())


@pytest.mark.parametrize(("plain", "other"), [("👍", "👍🏿"), ("❤", "❤️"), ("🤦", "🤦‍♀️")])
def test_skin_tones_and_forms_do_not_matter(plain, other):
    assert split_words(other) == [other]
    assert meaning(other) == meaning(plain) is not None


def test_a_sign_that_the_vocabulary_has_keeps_its_own_vector_and_counts():
    options = SentimentOptions(min_count=1, phrases=2)
    texts = [("bad film 👍", "bad"), ("excellent film :)", "good"), ("a good day", "good")]
    reviews = [Review(text, tuple(split_words(text)), label) for text, label in texts]
    symbols = sentiment.build_vocab(reviews, options, 0).symbols
    batch = sentiment.collate([Review("👍 👎 👌", ("👍", "👎", "👌"))], symbols, options)
    words = [symbols.words.words[k] for k in batch["words"].flatten().tolist()]
    # 👎 and 👌 are unknown; the words "bad" and "excellent" stand for them
    assert words == ["👍", "bad", "excellent"]
    phrases = [symbols.phrases.words[k] for k in batch["phrases"].flatten().tolist() if k > 1]
    assert phrases == ["👍", "bad", "excellent"]


def test_without_the_english_words_a_sign_stays_unknown():
    options = SentimentOptions(min_count=1)
    reviews = [Review("ein film", ("ein", "film"), "gut"), Review("x", ("x",), "schlecht")]
    symbols = sentiment.build_vocab(reviews, options, 0).symbols
    batch = sentiment.collate([Review("👍", ("👍",))], symbols, options)
    assert batch["words"].tolist() == [[1]]
