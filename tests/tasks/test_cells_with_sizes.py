"""Tasks take cells whose output has a size of its own."""

import pytest
import torch

import elman
from elman import cell, sigmoid, tanh
from elman.nn.characters import CharacterRecurrence
from elman.tasks import TASKS, Data, train
from elman.tasks.music.model import build
from elman.tasks.music.options import MusicOptions
from elman.training.progress import Silence


@cell(sizes={"h": 6, "W.p": 6})
def projected(x, h, c, *, W, b):
    f = sigmoid(W.f @ [h, x] + b.f)
    c = f * c + (1 - f) * tanh(W.g @ [h, x] + b.g)
    return W.p @ tanh(c), c


def test_words_are_read_by_their_characters():
    read = CharacterRecurrence(projected, 20, 5, 8)
    lengths = torch.tensor([4, 2, 0])
    assert read(torch.ones(4, 3, dtype=torch.int64), lengths).shape == (3, 12)
    assert read.output_size == 12


@pytest.mark.parametrize(
    "settings", [{}, {"prediction": "independent"}, {"model": "events"}], ids=str
)
def test_what_is_predicted_from_the_output_of_a_layer_has_its_size(settings):
    model = build(MusicOptions(hidden_size=9, **settings), projected, None)
    weights = [p for name, p in model.prediction.named_parameters() if p.dim() == 2]
    assert any([p.shape[-1] == 6 for p in weights])
    assert not any([p.shape[-1] == 9 for p in weights])


def test_a_forecast_reads_the_output_of_another_layer(tmp_path):
    (tmp_path / "a.csv").write_text("v\n" + "\n".join([str(k % 5) for k in range(60)]) + "\n")
    settings = {"hidden_size": 9, "horizon": 3, "longest": 12, "epochs": 1, "threads": 1}
    (tmp_path / "own.py").write_text(
        "from elman import cell, tanh\n\n"
        '@cell(sizes={"h": 6, "W.h": 6})\n'
        "def small(x, h, *, W):\n"
        "    return tanh(W.h @ [h, x])\n"
    )
    settings["cell"] = f"{tmp_path / 'own.py'}:small"
    run = tmp_path / "run"
    train(TASKS["series"], Data(tmp_path / "a.csv"), run, settings, progress=Silence())
    assert elman.load(run).model.decoder.output_size == 6
