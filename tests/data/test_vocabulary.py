"""A vocabulary numbers words, and says so in a file that comes back the same."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elman.data.vocabulary import PADDING, UNKNOWN, Vocabulary
from elman.errors import OptionError, RunError


def test_padding_is_0_the_unknown_word_is_1_and_words_follow_in_their_order() -> None:
    vocabulary = Vocabulary(["And", "Harry"])
    assert (PADDING, UNKNOWN) == (0, 1)
    assert vocabulary.words == ("<pad>", "<unk>", "And", "Harry")
    assert len(vocabulary) == 4
    assert [vocabulary.index(word) for word in ("And", "Harry", "and", "")] == [2, 3, 1, 1]
    assert vocabulary.encode(["Harry", "Potter", "And"]) == [3, 1, 2]
    assert "Harry" in vocabulary
    assert "harry" not in vocabulary


def test_a_text_cannot_reach_the_place_of_padding() -> None:
    vocabulary = Vocabulary(["a"])
    assert vocabulary.encode(["<pad>", "<unk>"]) == [UNKNOWN, UNKNOWN]
    assert "<pad>" not in vocabulary
    assert "<unk>" not in vocabulary


def test_counting_puts_frequent_words_first_and_ties_in_alphabetical_order() -> None:
    sentences = [["b", "d", "c"], ["b", "a", "c"], ["b", "<unk>", "<pad>", "<unk>"]]
    assert Vocabulary.count(sentences).words[2:] == ("b", "c", "a", "d")
    assert Vocabulary.count(sentences, min_count=2).words[2:] == ("b", "c")
    assert Vocabulary.count(sentences, max_size=3).words[2:] == ("b", "c", "a")
    assert Vocabulary.count([]).words[2:] == ()


def test_characters_are_words_of_one_character() -> None:
    assert Vocabulary.count(["abba", "a"]).words[2:] == ("a", "b")


words = st.lists(st.text().filter(lambda word: word not in ("<pad>", "<unk>")), unique=True)


@given(words)
def test_every_index_belongs_to_its_word(words: list[str]) -> None:
    vocabulary = Vocabulary(words)
    assert vocabulary.encode(words) == list(range(2, len(words) + 2))


@given(words)
def test_json_brings_the_same_vocabulary_back(words: list[str]) -> None:
    vocabulary = Vocabulary(words)
    again = Vocabulary.from_json(vocabulary.to_json())
    assert again == vocabulary
    assert hash(again) == hash(vocabulary)
    assert again.encode(words) == vocabulary.encode(words)


def test_a_copy_is_equal_and_the_same_words_in_another_order_are_not() -> None:
    vocabulary = Vocabulary(["a", "b"])
    assert copy.deepcopy(vocabulary) == vocabulary
    assert vocabulary != Vocabulary(["b", "a"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "b", "a"], 'the word "a" occurs twice; remove it from the list.'),
        (["a", "<unk>"], 'the word "<unk>" is reserved; remove it from the list.'),
    ],
)
def test_words_that_cannot_be_have_their_sentences(words: list[str], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Vocabulary(words)
    assert str(caught.value) == f"Vocabulary: {message}"


def test_limits_that_cannot_be_have_their_sentences() -> None:
    with pytest.raises(OptionError) as caught:
        Vocabulary.count([["a"]], min_count=0)
    assert str(caught.value) == "Vocabulary.count: min_count is 0; give 1 or more."
    with pytest.raises(OptionError) as caught:
        Vocabulary.count([["a"]], max_size=0)
    assert str(caught.value) == "Vocabulary.count: max_size is 0; give 1 or more, or None."


AGAIN = "the file is damaged or not a vocabulary: save the model again."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"format": 1, "wo',
            (
                "its JSON cannot be read (Unterminated string starting at: line 1 column 15 "
                "(char 14)); copy it again."
            ),
        ),
        ("[]", f'its JSON has no "words"; {AGAIN}'),
        ('{"format": 1}', f'its JSON has no "words"; {AGAIN}'),
        ('{"format": 1, "words": ["a", 2]}', f'"words" is not a list of strings; {AGAIN}'),
        ('{"format": 1, "words": "ab"}', f'"words" is not a list of strings; {AGAIN}'),
        (
            '{"format": 9, "words": []}',
            "it is saved in format 9, but this version of Elman reads format 1; use the version that saved it.",
        ),
        (
            '{"format": 1, "words": ["a", "a"]}',
            (
                'the word "a" occurs twice; remove it from the list. The file is damaged: save the '
                "model again."
            ),
        ),
    ],
)
def test_a_damaged_or_foreign_file_has_its_sentence(text: str, message: str) -> None:
    with pytest.raises(RunError) as caught:
        Vocabulary.from_json(text)
    assert str(caught.value) == f"Vocabulary: {message}"
