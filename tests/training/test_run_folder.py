"""A run folder says what is wrong with it, and never loses what it holds."""

import json
import platform
from pathlib import Path

import pytest
import torch
from torch import nn

from elman.errors import RunError
from elman.training.run_folder import FORMAT, RunFolder
from elman.training.weights import put_model_tensors, read_tensors


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run", {"job": "ner", "options": {"seed": 3}})
    folder.save_weights(nn.Linear(3, 2))
    return folder


def test_the_run_file_holds_options_format_and_versions(folder: RunFolder) -> None:
    settings = RunFolder.open(folder.path).settings()
    assert (settings["format"], settings["job"], settings["options"]) == (1, "ner", {"seed": 3})
    assert settings["versions"]["python"] == platform.python_version()
    assert settings["versions"]["torch"] == torch.__version__
    folder.write_settings({**settings, "format": 99, "job": "sentiment"})
    assert RunFolder.open(folder.path).settings() == {**settings, "job": "sentiment"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_come_back_bit_by_bit_or_rounded_to_half(
    folder: RunFolder, dtype: torch.dtype
) -> None:
    class Counter(nn.Linear):
        def __init__(self, fill: int) -> None:
            super().__init__(3, 2, dtype=dtype)
            self.register_buffer("counts", torch.full((2,), fill))

    model, copy = Counter(70000), Counter(0)
    folder.save_weights(model)
    folder.load_weights(copy)
    assert torch.equal(copy.weight, model.weight)
    whole = folder.model_path.stat().st_size
    folder.save_weights(model, half=True)
    assert folder.model_path.stat().st_size < whole
    folder.load_weights(copy)
    assert copy.weight.dtype == dtype
    assert torch.equal(copy.weight, model.weight.half().to(dtype))
    assert copy.counts.tolist() == [70000, 70000]  # whole numbers stay whole


def test_weights_too_large_for_half_are_said(folder: RunFolder) -> None:
    model = nn.Linear(3, 2)
    nn.init.constant_(model.bias, 1e5)
    before = folder.model_path.read_bytes()
    with pytest.raises(
        RunError, match=r"^bias reaches 1e\+05, but the largest float16 is 65504; save"
    ):
        folder.save_weights(model, half=True)
    assert folder.model_path.read_bytes() == before


def test_tied_weights_are_saved_once_and_come_back_tied(folder: RunFolder) -> None:
    def tied() -> nn.Sequential:
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        model[1].weight = model[0].weight
        return model

    model, copy = tied(), tied()
    folder.save_weights(model)
    folder.load_weights(copy)
    assert read_tensors(folder.model_path)[0].keys() == {"0.weight", "0.bias", "1.bias"}
    assert copy[1].weight is copy[0].weight
    assert torch.equal(copy[1].weight, model[0].weight)
    # a file of an earlier version has both
    both = {name: value.contiguous() for name, value in model.state_dict().items()}
    both["1.weight"] = both["1.weight"].clone()
    put_model_tensors(tied(), both, folder.model_path)
    with pytest.raises(RunError, match=r"0\.weight is missing"):
        put_model_tensors(tied(), {"0.bias": model[0].bias}, folder.model_path)


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        (nn.Linear(4, 2), r"weight has shape \(2, 3\), not \(2, 4\)"),
        (nn.Linear(3, 2, bias=False), "bias is not part of the model"),
        (nn.GRU(3, 2), "weight_ih_l0 is missing; .*; and 3 more"),
    ],
)
def test_weights_of_another_model_are_told(folder: RunFolder, model: nn.Module, fault: str) -> None:
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(RunError, match=rf"safetensors: these weights do not fit .*{fault}\). Load"):
        folder.load_weights(model)
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.equal(old, new)


@pytest.mark.parametrize("keep", [0, 4, 60, -1])
def test_a_truncated_weight_file_is_told(folder: RunFolder, keep: int) -> None:
    folder.model_path.write_bytes(folder.model_path.read_bytes()[:keep])
    with pytest.raises(
        RunError, match=r"model\.safetensors: this is not a complete safetensors file"
    ):
        folder.load_weights(nn.Linear(3, 2))


def test_a_missing_weight_file_is_told(folder: RunFolder) -> None:
    folder.model_path.unlink()
    with pytest.raises(RunError, match=r"there is no model\.safetensors; training stopped before"):
        folder.load_weights(nn.Linear(3, 2))


def test_a_missing_or_foreign_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere: there is no such run folder\."):
        RunFolder.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"this is not an Elman run folder; it has no run\.toml\."):
        RunFolder.open(tmp_path)
    (tmp_path / "file").write_text("a file")
    with pytest.raises(RunError, match="file: this is not an Elman run folder"):
        RunFolder.open(tmp_path / "file")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"format = ", r"run\.toml: this is not TOML \(.*\); restore it as training"),
        (b"name = '\xff'", r"run\.toml: this is not UTF-8 text"),
        (b"", r"run\.toml: this is not an Elman run file; it has no format number\."),
        (b"format = '1'", r"this is not an Elman run file; it has no format number\."),
        (b"format = true", r"this is not an Elman run file; it has no format number\."),
        (
            b"format = 7\n",
            r"this run has format 7; this version of Elman reads format 1\. Upgrade Elman\.$",
        ),
    ],
)
def test_a_run_file_that_cannot_be_read_is_told(
    folder: RunFolder, content: bytes, message: str
) -> None:
    folder.settings_path.write_bytes(content)
    with pytest.raises(RunError, match=message):
        RunFolder.open(folder.path)


def test_this_version_reads_what_it_writes(folder: RunFolder) -> None:
    assert RunFolder.open(folder.path).settings()["format"] == FORMAT


def test_a_folder_with_a_run_is_not_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "run"
    folder = RunFolder.create(path, {"job": "first"})
    before = folder.settings_path.read_bytes()
    with pytest.raises(
        RunError, match=r"this folder already holds a run, .* with --resume, choose"
    ):
        RunFolder.create(path, {"job": "second"})
    assert folder.settings_path.read_bytes() == before
    folder.save_weights(nn.Linear(1, 1))
    with pytest.raises(RunError, match=r"already holds a trained model, which is left untouched"):
        RunFolder.create(path, {"job": "second"})
    folder.checkpoint_path.parent.mkdir()
    folder.checkpoint_path.write_bytes(b"a checkpoint")
    with pytest.raises(RunError, match=r"already holds a run, which is left untouched\. Continue"):
        RunFolder.create(path, {"job": "second"})
    (tmp_path / "file").write_text("a file")
    with pytest.raises(RunError, match="file: this is a file, but a run needs a folder; choose"):
        RunFolder.create(tmp_path / "file", {})
    RunFolder.create(path, {"job": "second"}, files={"cell.json": "{}"}, overwrite=True)
    assert {each.name for each in path.iterdir()} == {"run.toml", "cell.json"}


def test_a_folder_with_other_files_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    RunFolder.create(tmp_path, {})
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_only_the_main_process_begins_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "1")
    RunFolder.create(tmp_path / "run", {})
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("RANK", "0")
    RunFolder.create(tmp_path / "run", {})
    assert (tmp_path / "run" / "run.toml").exists()


def test_the_history_is_read_as_it_was_written(folder: RunFolder) -> None:
    assert folder.history() == []
    lines = [{"epoch": 1, "valid": {"f1": 0.1 + 0.2}}, {"epoch": 2, "valid": {"f1": None}}]
    folder.write_history(lines)
    assert folder.history() == lines
    assert [json.loads(line) for line in folder.history_path.read_text().splitlines()] == lines
    folder.history_path.write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(RunError, match=r"history\.jsonl, line 2: cannot be read \("):
        folder.history()


def test_further_files_are_kept_and_missed(folder: RunFolder) -> None:
    folder.write_file("card.md", "# A model\n")
    assert folder.read_text("card.md") == "# A model\n"
    with pytest.raises(RunError, match=r"the run has no vocabulary\.json, so it is incomplete\."):
        folder.read_text("vocabulary.json")
    folder.write_file("card.md", b"\xff")
    with pytest.raises(RunError, match=r"card\.md: this is not UTF-8 text"):
        folder.read_text("card.md")


def test_only_half_written_files_are_cleared_away(folder: RunFolder) -> None:
    (folder.path / ".model.safetensors.abc.part").write_bytes(b"half")
    (folder.path / "voice.part").write_bytes(b"the user's")
    folder.clear_leftovers()
    assert {path.name for path in folder.path.iterdir()} == {
        "run.toml", "model.safetensors", "voice.part",
    }  # fmt: skip
