"""Phrases are the words of a text and their neighbours, each counted once for a text."""

from elman.tasks.sentiment.phrases import count_phrases, phrases_of


def test_phrases_are_all_groups_of_neighbours_each_once():
    words = ["a", "b", "a", "b"]
    assert set(phrases_of(words, 1)) == {"a", "b"}
    assert set(phrases_of(words, 3)) == {"a", "b", "a b", "b a", "a b a", "b a b"}
    assert len(phrases_of(words, 3)) == 6
    assert phrases_of(["alone"], 3) == ["alone"]
    assert phrases_of([], 3) == []


def test_texts_are_counted_and_not_occurrences():
    vocabulary, counts = count_phrases([["a", "a", "b"], ["a"], ["b"]], [0, 1, 1], 2, longest=1)
    assert dict(zip(vocabulary.words, counts, strict=True)) == {
        "<pad>": [0, 0], "<unk>": [0, 0], "a": [1, 1], "b": [1, 1],
    }  # fmt: skip


def test_rare_phrases_and_the_names_of_padding_are_left_out():
    vocabulary, counts = count_phrases(
        [["a", "b", "<pad>"], ["a", "c", "<pad>"]], [0, 1], 2, longest=2, min_count=2
    )
    assert vocabulary.words[2:] == ("a",)
    assert counts == [[0, 0], [0, 0], [1, 1]]
