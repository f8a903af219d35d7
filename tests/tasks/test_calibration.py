"""Probabilities are right as often as they say, after training on any data, and can abstain."""

import json
import math

import pytest
import torch

import elman
from elman.nn.crf import LinearChainCRF
from elman.tasks import TASKS, Data, train
from elman.tasks.calibration import calibrate
from elman.tasks.ner.span_probabilities import span_probabilities
from elman.tasks.ner.tag_schemes import Span
from elman.training.metrics import calibration_error
from elman.training.progress import Silence
from tasks.conftest import samples


@pytest.fixture(scope="module")
def overconfident(tmp_path_factory):
    """A sentiment run on noisy labels, trained far too long; validation labels are as noisy."""
    folder = tmp_path_factory.mktemp("noisy")
    draw = torch.Generator().manual_seed(0)
    for name, count in (("train", 120), ("valid", 200)):
        lines = ["text,label"]
        for k in range(count):
            good = bool(torch.rand((), generator=draw) < 0.5)
            word = "fine" if good else "poor"
            label = good if torch.rand((), generator=draw) < 0.75 else not good
            lines.append(f"a {word} film number {k},{'pos' if label else 'neg'}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    settings = {
        "epochs": 30, "hidden_size": 16, "embedding_size": 16, "word_dropout": 0.0, "dropout": 0.0,
        "learning_rate": 0.01, "average_weights": 0.0, "patience": 30, "threads": 1, "phrases": 1,
    }  # fmt: skip
    data = Data(folder / "train.csv", folder / "valid.csv")
    trained, _ = train(TASKS["sentiment"], data, folder / "run", settings, progress=Silence())
    return folder, trained


def test_a_temperature_makes_an_overconfident_model_honest(overconfident):
    folder, trained = overconfident
    sentiment = TASKS["sentiment"]
    examples = [row.value for row in sentiment.read(folder / "valid.csv", trained.options)]
    honest = sentiment.score(trained.fitted, examples, sentiment.PredictOptions())
    before = [rating.label for rating in trained.predict_file(folder / "valid.csv")]
    with torch.no_grad():  # as if it had not been calibrated, and were far too sure
        for name, tensor in trained.model.state_dict().items():
            if name.startswith(sentiment.label_layers):
                tensor.mul_(5)
    sure = sentiment.score(trained.fitted, examples, sentiment.PredictOptions())
    assert sure["calibration_error"] > honest["calibration_error"] + 0.05
    temperature = calibrate(sentiment, trained.fitted, examples)
    again = sentiment.score(trained.fitted, examples, sentiment.PredictOptions())
    assert temperature == pytest.approx(5, rel=0.1)
    assert again["loss"] == pytest.approx(honest["loss"], rel=1e-3)
    assert again["accuracy"] == sure["accuracy"] == honest["accuracy"]
    assert [rating.label for rating in trained.predict_file(folder / "valid.csv")] == before
    # a second time there is nothing left to correct
    assert calibrate(sentiment, trained.fitted, examples) == pytest.approx(1, abs=0.1)


def test_training_saves_the_calibrated_model_and_its_card_says_how_honest_it_is(overconfident):
    folder, _ = overconfident
    scores = elman.load(folder / "run").evaluate(folder / "valid.csv")
    assert scores["calibration_error"] < 0.1
    assert (
        f"calibration_error: {scores['calibration_error']:.4f}"
        in (folder / "run" / "card.md").read_text()
    )


def test_a_few_examples_and_tasks_without_labels_are_left_alone(tmp_path):
    folder = samples(tmp_path, "music")
    model = elman.load("music")
    assert calibrate(model.task, model.fitted, [None] * 100) == 1
    ner = elman.load("ner")
    assert calibrate(ner.task, ner.fitted, [None] * 10) == 1
    assert folder.exists()


def test_a_rating_abstains_below_its_threshold(command):
    texts = ["A warm and funny film.", "A film."]
    model = elman.load("sentiment")
    sure, unsure = sorted(model(texts), key=lambda rating: -rating.probability)
    threshold = (sure.probability + unsure.probability) / 2
    labels = {rating.text: rating.label for rating in model(texts, abstain=threshold)}
    assert labels == {sure.text: sure.label, unsure.text: None}
    status, out, _ = command("predict", "sentiment", *texts, "--abstain", threshold, "--json")
    assert status == 0
    assert [each["label"] for each in json.loads(out)["predictions"]] == [labels[t] for t in texts]
    status, out, _ = command("predict", "sentiment", unsure.text, "--abstain", threshold)
    assert out.startswith(f"not sure ({unsure.label})")


LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]


def by_hand(scores, crf, matches):
    """The share of all tag sequences for which ``matches`` holds."""
    total = right = 0.0
    if crf is not None:
        crf.requires_grad_(False)
    tags = range(len(LABELS))
    for path in [(a, b, c) for a in tags for b in tags for c in tags]:
        score = sum(float(scores[t, tag]) for t, tag in enumerate(path))
        if crf is not None:
            score += float(crf.start[path[0]] + crf.end[path[-1]])
            score += sum(float(crf.transitions[path[t], path[t + 1]]) for t in range(2))
        weight = math.exp(score)
        total += weight
        right += weight * matches([LABELS[tag] for tag in path])
    return right / total


@pytest.mark.parametrize("with_crf", [True, False])
def test_a_name_is_as_sure_as_the_sum_of_all_taggings_that_have_it(with_crf):
    torch.manual_seed(1)
    scores = torch.randn(3, len(LABELS))
    crf = LinearChainCRF(len(LABELS)) if with_crf else None
    for span, matches in (
        (Span(0, 2, "PER"), lambda t: t[0] == "B-PER" and t[1] == "I-PER" and t[2] != "I-PER"),
        (Span(1, 2, "LOC"), lambda t: t[1] == "B-LOC" and t[2] != "I-LOC"),
        (Span(1, 3, "LOC"), lambda t: t[1] == "B-LOC" and t[2] == "I-LOC"),
    ):
        [[found]] = span_probabilities(scores[:, None], [len(scores)], [[span]], LABELS, crf)
        assert found == pytest.approx(by_hand(scores, crf, matches), rel=1e-5)


@pytest.mark.parametrize("with_crf", [True, False])
def test_how_sure_a_name_is_does_not_depend_on_the_other_sentences(with_crf):
    torch.manual_seed(2)
    scores = 5 * torch.randn(9, 4, len(LABELS))
    crf = LinearChainCRF(len(LABELS)) if with_crf else None
    lengths = [3, 9, 5, 1]
    spans = [[Span(0, 2, "PER"), Span(2, 3, "LOC")], [Span(4, 9, "LOC")], [], [Span(0, 1, "PER")]]
    together = span_probabilities(scores, lengths, spans, LABELS, crf)
    for k, length in enumerate(lengths):
        alone = span_probabilities(scores[:length, k : k + 1], [length], [spans[k]], LABELS, crf)
        assert alone == [together[k]]
        assert len(together[k]) == len(spans[k])


def test_names_have_a_confidence_and_every_format(command):
    text = "Yesterday, Harry Potter met Hermione & Ron in London."
    [answer] = elman.load("ner")([text])
    assert len(answer.names) > 1
    assert all(0 < name.confidence <= 1 for name in answer.names)
    threshold = sorted(name.confidence for name in answer.names)[1]
    [fewer] = elman.load("ner")([text], abstain=threshold)
    assert fewer.names == tuple(n for n in answer.names if n.confidence >= threshold)
    outs = {}
    for kind in ("brat", "conll", "jsonl", "html"):
        status, outs[kind], err = command("predict", "ner", text, "--format", kind)
        assert status == 0, err
    for line, name in zip(outs["brat"].splitlines(), answer.names, strict=True):
        mark, place, words = line.split("\t")
        kind, start, end = place.split()
        assert (kind, text[int(start) : int(end)]) == (name.type, words)
        assert mark[0] == "T"
    rows = [line.split("\t") for line in outs["conll"].splitlines() if line]
    assert [row[0] for row in rows][:4] == ["Yesterday", ",", "Harry", "Potter"]
    assert [row[1] for row in rows][2:4] == [
        f"B-{answer.names[0].type}",
        f"I-{answer.names[0].type}",
    ]
    assert json.loads(outs["jsonl"])["names"][0]["confidence"] == answer.names[0].confidence
    assert outs["html"].count("<mark") == len(answer.names)
    assert "&amp;" in outs["html"]


def test_the_calibration_error_is_the_gap_between_confidence_and_being_right():
    assert calibration_error([1.0, 1.0], [True, True]) == 0
    assert calibration_error([0.99] * 10, [True] * 5 + [False] * 5) == pytest.approx(0.49)
    assert calibration_error([], []) == 0
