"""POST /v1/{task}/predict answers as `elman predict --json` does."""

import json
import threading
from pathlib import Path

import pytest

import elman.shipped
from elman.tasks import TASKS

DEMO = Path(elman.shipped.__file__).parent / "demo"

TEXTS = {
    "sentiment": ["A warm and funny film.", "There is nothing to like in this movie."],
    "ner": ["Yesterday, Harry Potter met Hermione Granger.", "Nobody is here."],
    "translation": ["Where are you?", "I am tired."],
    "dna": ["AGCCCCTGTGAGGAACTAG", "ATGGCCTAA"],
}
OPTIONS = {"translation": {"beam": 3, "n_best": 2, "show": "attention"}}


def flags(options):
    return [part for k, v in options.items() for part in (f"--{k.replace('_', '-')}", str(v))]


@pytest.mark.parametrize("task", TEXTS)
@pytest.mark.parametrize("count", [1, 2])
def test_texts_are_answered_as_by_predict(client, command, task, count):
    options, texts = OPTIONS.get(task, {}), TEXTS[task][:count]
    answer = client(task).post(f"/v1/{task}/predict", json={"inputs": texts, "options": options})
    status, out, _ = command("predict", task, *texts, "--json", *flags(options))
    assert (answer.status_code, status) == (200, 0)
    assert answer.text == out.strip()
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(("task", "key"), [("sentiment", "label"), ("ner", "names")])
def test_an_unsure_answer_and_another_language_are_answered_as_by_predict(
    client, command, task, key
):
    texts = ["Ce film est bon, mais Paris n'est pas belle pour nous.", "A film."]
    body = {"inputs": texts, "options": {"abstain": 1.0}}
    answer = client(task).post(f"/v1/{task}/predict", json=body)
    status, out, _ = command("predict", task, *texts, "--json", "--abstain", 1.0)
    assert (answer.status_code, status) == (200, 0)
    assert answer.text == out.strip()
    french, english = answer.json()["predictions"]
    assert not french[key]
    assert not english[key]
    assert "French" in french["note"]
    assert "note" not in english


@pytest.mark.parametrize(
    ("task", "file", "options"),
    [("speech", "fox.flac", {"beam": 4, "lm": "none"}), ("video", "runner.mp4", {})],
)
def test_files_are_answered_as_by_predict(client, command, monkeypatch, task, file, options):
    monkeypatch.chdir(DEMO)  # the answer names the file as the client does
    service = client(task)
    for count in (1, 2):
        answer = service.post(
            f"/v1/{task}/predict",
            files=[("files", (file, (DEMO / file).read_bytes()))] * count,
            data={"options": json.dumps(options)},
        )
        status, out, _ = command("predict", task, *[file] * count, "--json", *flags(options))
        assert (answer.status_code, status) == (200, 0)
        assert answer.text == out.strip()


def test_sequences_of_an_uploaded_file_are_answered_as_by_predict(client, command, tmp_path):
    path = tmp_path / "two.fa"
    path.write_text(">one\nAGCCCCTGTGAGGAACTAG\n>two\nATGGCCTAA\n")
    answer = client("dna").post("/v1/dna/predict", files={"files": (path.name, path.read_bytes())})
    _, out, _ = command("predict", "dna", path, "--json")
    assert answer.text == out.strip()


def test_music_is_composed_from_nothing_and_from_an_uploaded_primer(client, command, tmp_path):
    service, options = client("music"), {"seconds": 4, "seed": 3, "temperature": 0.5}
    answer = service.post("/v1/music/predict", json={"options": options})
    _, out, _ = command("predict", "music", "--json", *flags(options))
    assert answer.text == out.strip()
    path = tmp_path / "primer.mid"
    path.write_bytes(TASKS["music"].samples()["primer.mid"])
    answer = service.post(
        "/v1/music/predict",
        files={"files": ("primer.mid", path.read_bytes())},
        data={"options": json.dumps(options)},
    )
    _, out, _ = command("predict", "music", path, "--json", *flags(options))
    assert answer.text == out.strip()


def test_requests_that_arrive_together_are_answered_as_alone(client):
    service = client("sentiment", "ner", "translation", "dna", batch_milliseconds=200)
    cases = [(task, text) for task, texts in TEXTS.items() for text in texts * 3]
    alone = {
        case: service.post(f"/v1/{case[0]}/predict", json={"inputs": [case[1]]}).text
        for case in dict.fromkeys(cases)
    }
    found = {}

    def ask(number, task, text):
        found[number] = service.post(f"/v1/{task}/predict", json={"inputs": [text]}).text

    threads = [
        threading.Thread(target=ask, args=(number, *case)) for number, case in enumerate(cases)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: alone[case] for number, case in enumerate(cases)}


def test_a_damaged_file_among_others_has_its_own_error(client, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = (DEMO / "fox.flac").read_bytes()
    (tmp_path / "good.flac").write_bytes(content)
    (tmp_path / "bad.flac").write_bytes(content[:2000])
    service = client("speech")
    both = [("files", (n, (tmp_path / n).read_bytes())) for n in ("good.flac", "bad.flac")]
    answer = service.post("/v1/speech/predict", files=both)
    _, out, _ = command("predict", "speech", "good.flac", "bad.flac", "--json")
    assert answer.status_code == 200
    assert answer.text == out.strip()
    assert "error" in answer.json()["predictions"][1]
    alone = service.post("/v1/speech/predict", files=both[1:])
    assert alone.status_code == 422
    assert alone.json()["error"].startswith("bad.flac: this file")
    assert "tmp" not in alone.text
