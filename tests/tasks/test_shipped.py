"""The models that ship: small, documented, right on the demo, and as good as their cards say."""

import re
from pathlib import Path

import pytest
import safetensors
import torch

import elman
from elman import shipped
from elman.tasks import TASKS
from recipes import real_data
from tasks.conftest import needs

#: of a task that was taken out, the model may still lie there
MODELS = {name: path for name, path in shipped.models().items() if name in TASKS}
SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


#: the most that weights may weigh, in bytes, where it is not four megabytes
LARGEST = {"speech": 8_000_000, "translation": 8_000_000}
#: licences that a card has to name, where they are not these two
LICENCES = {
    "speech": ("CC BY 2.0", "CC BY-SA 4.0"),
    "music": ("public domain",),
    "language": ("public domain",),
    "dna": ("MIT",),
    "translation": ("CC BY 2.0",),
    "video": ("mocap.cs.cmu.edu",),
}


@pytest.mark.parametrize("task", MODELS)
def test_weights_are_half_precision_and_small(task):
    file = MODELS[task] / "model.safetensors"
    assert file.stat().st_size <= LARGEST.get(task, 4_000_000)
    with safetensors.safe_open(file, framework="pt") as tensors:
        assert torch.float32 not in {tensors.get_tensor(name).dtype for name in tensors.keys()}  # noqa: SIM118


def test_all_of_them_together_are_at_most_thirty_megabytes():
    files = [file for folder in MODELS.values() for file in folder.rglob("*")]
    assert sum([file.stat().st_size for file in files]) <= 30_000_000


@pytest.mark.parametrize("task", MODELS)
def test_the_card_names_data_licence_scores_and_time(task):
    card = (MODELS[task] / "card.md").read_text(encoding="utf-8")
    licences = LICENCES.get(task, ("CC BY 4.0", "PDDL"))
    for word in ("## Data and licences", *licences, "## Scores", "## Limits"):
        assert word in card
    assert re.search(r"trained in \d+ s", card)


@pytest.mark.parametrize("task", MODELS)
def test_nothing_in_a_shipped_folder_says_where_it_was_made(task):
    for file in MODELS[task].iterdir():
        assert file.name in {
            "model.safetensors",
            "run.toml",
            "cell.json",
            "symbols.json",
            "card.md",
        }
    settings = (MODELS[task] / "run.toml").read_text(encoding="utf-8")
    assert "/" not in settings.partition("[versions]")[0]


@needs("sentiment", "ner", "translation")
def test_the_demos_sentences_come_out_right():
    [rating] = elman.load("sentiment")("There is nothing to like in this movie.")
    assert rating.label == "negative"
    [answer] = elman.load("ner")("Yesterday, Harry Potter met Hermione Granger.")
    assert [(name.text, name.type) for name in answer.names] == [
        ("Harry Potter", "PER"),
        ("Hermione Granger", "PER"),
    ]
    [answer] = elman.load("translation")("Voulez-vous chanter avec moi ?")
    assert answer.translation == "Do you want to sing with me?"


@needs("speech")
def test_all_nine_words_of_the_demos_recording_are_right():
    [answer] = elman.load("speech")(TASKS["speech"].demo["fox.flac"])
    assert answer.text == "the quick brown fox jumped over the lazy dog"


def test_the_demo_shows_every_job(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = command("demo", *MODELS)
    assert status == 0, err
    assert "negative" in out or "sentiment" not in MODELS
    assert "Harry Potter (PER) met Hermione Granger (PER)." in out or "ner" not in MODELS
    assert len(re.findall(r"[\d.]+ s, including loading the model", out)) == len(MODELS)
    made = {file.suffix for file in (tmp_path / "elman-demo").glob("*")}
    if MODELS.keys() == TASKS.keys():
        assert made >= {".mid", ".wav", ".png"}


@needs("ner")
def test_a_folder_that_is_no_run_does_not_hide_a_model_of_its_name(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("new", "ner", "ner")[0] == 0
    assert elman.load("ner").folder.path == MODELS["ner"]


@pytest.mark.data
@pytest.mark.skipif(not SHARED.is_dir(), reason="the data of ../shared/data are not here")
@pytest.mark.parametrize(
    ("task", "metric", "files", "scale", "error"),
    [
        ("sentiment", "accuracy", real_data.sentence_polarity, 100, 0.15),
        ("ner", "f1", real_data.broad_twitter, 100, 0.15),
        ("music", "nll", real_data.chorales_in_voices, 1, 0.002),
        ("language", "bits_per_character", real_data.tiny_shakespeare, 1, 0.002),
    ],
)
def test_the_scores_are_those_of_the_card(task, metric, files, scale, error, tmp_path, monkeypatch):
    if task not in MODELS:
        pytest.skip(f"no model of {task} ships yet")
    monkeypatch.setattr(real_data, "SOURCE", SHARED)
    paths = files(tmp_path)
    card = (MODELS[task] / "card.md").read_text(encoding="utf-8")
    [claimed] = re.findall(rf"^\| {metric} \| ([\d.]+) \| ([\d.]+) \|$", card, re.MULTILINE)
    model = elman.load(task)
    for part, claim in zip(("valid", "test"), claimed, strict=True):
        measured = scale * model.evaluate(paths[part])[metric]
        # the card's figures were measured before the weights became float16
        assert measured == pytest.approx(float(claim), abs=error)
