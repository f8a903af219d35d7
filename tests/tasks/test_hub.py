"""``elman push`` and ``hf://``, with a folder in place of the Hugging Face Hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import pytest

import elman
from elman.errors import RunError


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder with a repository in each subfolder, behind the library's own functions."""
    place = tmp_path / "hub"

    class Api:
        def create_repo(self, name, *, private, exist_ok, repo_type):
            assert exist_ok
            assert repo_type == "model"
            (place / name).mkdir(parents=True, exist_ok=True)
            return f"https://hub.example/{name}"

        def create_commit(self, name, operations, *, commit_message, repo_type):
            for each in operations:
                content = each.path_or_fileobj
                data = content if isinstance(content, bytes) else Path(content).read_bytes()
                (place / name / each.path_in_repo).write_bytes(data)

    def snapshot_download(name, *, revision, allow_patterns, repo_type):
        if not (place / name).exists():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no network")
        found = tmp_path / "cache" / (revision or "main")
        shutil.copytree(place / name, found, dirs_exist_ok=True)
        return str(found)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    return place


def test_a_pushed_run_answers_by_its_address(hub, trained, command):
    run, text = trained["sentiment"], "a warm and funny film"
    status, out, err = command("push", run, "someone/films", "--licence", "apache-2.0")
    assert status == 0, err
    assert out == (
        f"uploaded {run} to https://hub.example/someone/films; use it as hf://someone/films\n"
    )
    files = {path.name for path in (hub / "someone" / "films").iterdir()}
    assert files >= {"run.toml", "model.safetensors", "symbols.json", "cell.json", "README.md"}
    assert not files & {"resume", "lock.json"}
    for name in files - {"README.md"}:
        assert (hub / "someone/films" / name).read_bytes() == (run / name).read_bytes()
    assert command("predict", "hf://someone/films", text) == command("predict", run, text)
    assert elman.load("hf://someone/films@v1")([text]) == elman.load(run)([text])


def test_the_card_begins_with_the_hub_s_metadata(hub, trained, command):
    assert command("push", trained["ner"], "someone/names", "--licence", "mit")[0] == 0
    card = (hub / "someone" / "names" / "README.md").read_text()
    header, card_of_run, usage = card.partition("\n# ")[0], card.split("---\n", 2)[2], card
    assert huggingface_hub.ModelCard(card).data.to_dict() == {
        "library_name": "elman",
        "license": "mit",
        "pipeline_tag": "token-classification",
        "tags": ["elman", "recurrent", "ner", "lstm"],
    }
    assert header.startswith("---\n")
    assert (trained["ner"] / "card.md").read_text().strip() in card_of_run
    assert "hf://someone/names" in usage


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("hf://someone/absent", "cannot download: the Hub cannot be reached"),
        ("hf://someone", "a model on the Hub is hf://USER/MODEL"),
    ],
)
def test_what_cannot_be_downloaded_is_a_sentence(address, sentence, hub, command):
    status, out, err = command("predict", address, "text")
    assert (status, out) == (1, "")
    assert err.startswith(f"elman: {address}: {sentence}")
    assert err.count("\n") == 1


def test_a_run_that_cannot_be_loaded_is_not_uploaded(hub, trained, command, tmp_path):
    shutil.copytree(trained["ner"], tmp_path / "cut")
    (tmp_path / "cut" / "model.safetensors").write_bytes(b"no tensors")
    status, _, err = command("push", tmp_path / "cut", "someone/names")
    assert (status, "model.safetensors" in err) == (1, True)
    status, _, err = command("push", trained["ner"], "names")
    assert (status, "a repository on the Hub is USER/MODEL" in err) == (1, True)
    assert not hub.exists()


class _Response:
    def __init__(self, code):
        self.status_code = code


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        (401, "denies access; run `hf auth login`"),
        (404, "has no such model"),
        (500, "answered 500"),
    ],
)
def test_what_the_hub_refuses_is_a_sentence(code, sentence, trained, monkeypatch):
    from elman.tasks import hub

    class Refused(Exception):
        response = _Response(code)

    class Api:
        def create_repo(self, *_, **__):
            raise Refused("see the page")

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    run = elman.load(trained["ner"])
    with pytest.raises(RunError, match=f"someone/names: cannot upload: the Hub {sentence}"):
        hub.push(run.folder, run.task, "someone/names")


@pytest.mark.slow
def test_offline_the_real_library_ends_in_one_sentence(tmp_path):
    program = "import elman; elman.load('hf://someone/absent')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (
        "RunError: hf://someone/absent: cannot download: the Hub cannot be reached" in done.stderr
    )
