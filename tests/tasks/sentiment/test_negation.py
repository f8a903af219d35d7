"""Made sentences with a negation: labels, what is left out, and whether training learns from them."""

import random

import pytest

import elman
from elman.data import split_words
from elman.errors import OptionError
from elman.tasks import TASKS, Data, train
from elman.tasks.sentiment.data import Review
from elman.tasks.sentiment.negation import (
    HELD_OUT,
    TEMPLATES,
    made,
    negated_copies,
    polar_words,
    with_negations,
)
from elman.training.progress import Silence

sentiment = TASKS["sentiment"]
LABELS = ("negative", "positive")


def review(text, label=None):
    return Review(text, tuple(split_words(text)), label)


@pytest.fixture
def reviews(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text(sentiment.samples()["train.csv"])
    return [row.value for row in sentiment.read(path, sentiment.Options())]


def test_words_belong_to_the_label_of_the_texts_they_are_in(reviews):
    kinds = polar_words(reviews, LABELS).kinds
    assert {"dull", "boring"} <= set(kinds["adjective"][0])
    assert {"great", "beautiful"} <= set(kinds["adjective"][1])
    assert "hate" in kinds["liking"][0]
    assert "boredom" in kinds["noun"][0]


def test_labels_may_have_any_names_and_order(reviews):
    names = {"negative": "B", "positive": "A"}
    renamed = [Review(each.text, each.words, names[each.label]) for each in reviews]
    expected = polar_words(reviews, LABELS).kinds
    found = polar_words(renamed, ("A", "B")).kinds
    assert found == {kind: (second, first) for kind, (first, second) in expected.items()}


def test_a_new_adjective_is_found_by_the_words_before_it():
    texts = [("It is good and it is zesty.", "positive"), ("It is bad.", "negative")] * 12
    texts += [("Zorks are bad.", "negative"), ("It is xylic.", "positive")]
    kinds = polar_words([review(*each) for each in texts], LABELS).kinds
    first, second = kinds["adjective"]
    assert "zesty" in second
    # a noun, and an adjective that occurs once
    assert not {"zorks", "xylic"} & {*first, *second}


def test_a_negated_sentence_has_the_other_label(reviews):
    polar = polar_words(reviews, LABELS).part(held_out=False)
    kind = {"adjective": (("{s} is {w}", "{s} is not {w}"),)}
    found = made(polar, LABELS, 40, random.Random(0), kind)
    assert len(found) == 80
    for each in found:
        side = LABELS.index(each.label)
        negated = "not" in each.words
        words = set(polar.kinds["adjective"][1 - side if negated else side])
        assert words & set(each.words), each
    assert {each.label for each in found if "not" in each.words} == set(LABELS)


def test_neither_negations_nor_kinds_of_words_favour_a_label(reviews):
    found = with_negations(reviews, LABELS, 8)[len(reviews) :]
    assert abs(sum([each.label == "positive" for each in found]) - len(found) / 2) <= 10
    negated = [each for each in found if {"not", "n't", "never", "no"} & set(each.words)]
    good = sum([each.label == "positive" for each in negated]) / len(negated)
    assert 0.4 < good < 0.6


def test_the_examples_come_first_and_the_share_is_added(reviews):
    found = with_negations(reviews, LABELS, 0.5)
    assert found[: len(reviews)] == reviews
    assert abs(len(found) - 1.5 * len(reviews)) <= 2
    assert found == with_negations(reviews, LABELS, 0.5)
    assert found != with_negations(reviews, LABELS, 0.5, seed=1)


def test_every_fifth_word_is_in_no_made_sentence(reviews):
    polar = polar_words(reviews, LABELS)
    held_out, others = polar.part(held_out=True), polar.part(held_out=False)
    found = made(others, LABELS, 2000, random.Random(0), TEMPLATES)
    there = {word for each in found for word in each.words}
    for kind, sides in polar.kinds.items():
        for k, side in enumerate(sides):
            assert set(held_out.kinds[kind][k]) | set(others.kinds[kind][k]) == set(side)
            assert len(held_out.kinds[kind][k]) == -(-len(side) // HELD_OUT)
            # "less clumsy" has none of these, and no template has a polar word of its own
            assert not set(held_out.kinds[kind][k]) & there


def test_a_short_review_is_copied_with_not(reviews):
    polar = polar_words(reviews, LABELS).part(held_out=False)
    texts = [
        ("The cast is very charming", "positive"),
        ("The cast is charming", "negative"),  # other words decide
        ("The cast is here", "positive"),
        ("The cast is charming " + "and more " * 10, "positive"),
    ]
    (found,) = negated_copies([review(*each) for each in texts], LABELS, polar)
    assert (found.text, found.label) == ("The cast is not very charming", "negative")


def test_three_labels_are_refused(reviews):
    more = [*reviews, review("It is here.", "neutral")]
    with pytest.raises(OptionError, match=r"the data have 3 labels, .* set negation to 0"):
        polar_words(more, ("negative", "neutral", "positive"))


def test_another_language_is_refused(tmp_path):
    path = tmp_path / "train.csv"
    rows = ["Das ist wunderbar.,gut\n", "Das ist furchtbar.,schlecht\n"]
    path.write_text("text,label\n" + "".join(rows * 10))
    with pytest.raises(OptionError, match="set negation to 0 for other languages"):
        train(sentiment, Data(path, path), tmp_path / "run", {"negation": 0.5}, progress=Silence())
    assert not (tmp_path / "run" / "run.toml").exists()


def test_validation_data_get_no_made_sentences(tmp_path):
    for name in ("train.csv", "valid.csv"):
        (tmp_path / name).write_text(sentiment.samples()[name])
    data = Data(tmp_path / "train.csv", tmp_path / "valid.csv")
    settings = {"negation": 1, "epochs": 1, "hidden_size": 4, "embedding_size": 4, "seed": 0}
    trained, _ = train(sentiment, data, tmp_path / "run", settings, progress=Silence())
    assert trained.evaluate(data.valid)["examples"] == 20
    assert trained.folder.settings()["data"]["train_examples"] == 68
    # words of templates are not in the vocabulary: it is that of the data
    assert "wasn't" not in trained.symbols.words
    assert "laziness" not in trained.symbols.words


def test_a_stream_adds_sentences_to_every_window(tmp_path):
    text = sentiment.samples()["train.csv"]
    header, _, rows = text.partition("\n")
    path = tmp_path / "train.csv"
    path.write_text(header + "\n" + rows * 4)
    (tmp_path / "valid.csv").write_text(sentiment.samples()["valid.csv"])
    data = Data(path, tmp_path / "valid.csv")
    settings = {"hidden_size": 4, "embedding_size": 4, "epochs": 1, "batch_size": 16, "seed": 0}
    settings |= {"stream_above": 0, "buffer_examples": 100}
    steps = {}
    for share in (0, 1):
        folder = tmp_path / f"run{share}"
        train(sentiment, data, folder, {**settings, "negation": share}, progress=Silence())
        steps[share] = elman.load(folder).folder.history()[-1]["step"]
    assert steps[1] > 1.5 * steps[0]


def test_training_hides_no_negation(reviews):
    vocab = sentiment.build_vocab([*reviews, *reviews], sentiment.Options(), 0)
    for share, kept in ((0.0, set()), (0.5, {"not", "no", "without"})):
        options = sentiment.Options(negation=share, hidden_size=4)
        model = sentiment.build(options, elman.cells.gru, vocab)
        assert {vocab.symbols.words.words[k] for k in model.embedding.kept} >= kept
        assert bool(model.embedding.kept) == bool(kept)


@pytest.mark.thorough
def test_a_model_learns_to_negate(tmp_path, reviews):
    polar = polar_words(reviews, LABELS).part(held_out=False)
    there = {word.lower() for each in reviews for word in each.words} | {"not"}
    frame = {"adjective": (("{s} is {w}", "{s} is not {w}"),)}
    asked = made(polar, LABELS, 200, random.Random(7), frame)
    asked = [each for each in asked if set(each.words) <= there]
    plain = sum(["not" not in each.words for each in asked])
    assert len(asked) >= 40
    assert abs(plain - len(asked) / 2) <= len(asked) / 10
    rows = [f"{each.text},{each.label}\n" for each in asked if "," not in each.text]
    (tmp_path / "valid.csv").write_text("text,label\n" + "".join(rows))
    (tmp_path / "train.csv").write_text(sentiment.samples()["train.csv"])
    data = Data(tmp_path / "train.csv", tmp_path / "valid.csv")
    settings = {"epochs": 20, "hidden_size": 16, "embedding_size": 16, "seed": 0, "min_count": 1}
    settings |= {"word_dropout": 0, "dropout": 0.2, "average_weights": 0, "patience": 20}
    settings |= {"batch_size": 16, "learning_rate": 0.01}
    right = {}
    for share in (0, 8):
        folder, more = tmp_path / f"run{share}", {**settings, "negation": share}
        trained, _ = train(sentiment, data, folder, more, progress=Silence())
        right[share] = trained.evaluate(data.valid)["accuracy"]
    # words alone are right in half of them
    assert right[0] < 0.65
    assert right[8] > 0.85
