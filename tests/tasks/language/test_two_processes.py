"""Language models, and encoders made of them, train in two processes as in one."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from elman.tasks import TASKS, train
from elman.training.progress import Silence

sys.path.append(str(Path(__file__).parent))
from language_processes_driver import LANGUAGE, carried, text, unfrozen

from two_processes import launch

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(1800)  # two processes start, which takes minutes on a busy machine


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder in which two processes have trained, as the driver says."""
    place = tmp_path_factory.mktemp("two")
    for name in ("language", "sentiment"):
        for file, content in TASKS[name].samples().items():
            # 137 windows of 11 tokens, none of them shorter: the last batch has 5 of 6 rows
            content = content[:1506] if name == "language" else content
            (place / file).write_text(content)
    one = {**LANGUAGE, "epochs": 1, "num_layers": 2, "batch_size": 4}
    train(TASKS["language"], text(place), place / "encoder", one, progress=Silence())
    launch(HERE / "language_processes_driver.py", place)
    return place


def same_weights(one, two):
    first, second = [load_file(run / "model.safetensors") for run in (one, two)]
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        # float32; the sums over the rows are taken in another order
        torch.testing.assert_close(tensor, second[name], rtol=1e-4, atol=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("softmax", ["full", "adaptive"])
def test_the_carried_state_of_two_processes_is_that_of_one(softmax, place):
    """Each process goes on with its own rows, and a batch may lack classes of the softmax."""
    same_weights(carried(place, 6, softmax), place / f"{softmax}-3")


@pytest.mark.thorough
def test_layers_unfreeze_in_two_processes_as_in_one(place):
    run = unfrozen(place, 4)
    same_weights(run, place / "sentiment-2")
    start = load_file(place / "encoder" / "model.safetensors")
    moved = {
        name.partition("encoders.0.")[2]
        for name, tensor in load_file(run / "model.safetensors").items()
        if "encoders.0." in name
        and not torch.equal(tensor, start[name.partition("encoders.0.")[2]])
    }
    assert moved, "no layer of the language model has been trained"
