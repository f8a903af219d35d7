"""Why a training fails is said in one sentence, once, and training itself goes on as it was."""

from pathlib import Path

import pytest
import torch
from small_task import SmallTask, small_model, train, without_times
from torch import nn

from elman.training import watch
from elman.training.metrics import macro_f1
from elman.training.options import LoopOptions
from elman.training.progress import Silence
from elman.training.run_folder import RunFolder
from elman.training.watch import TrainingMonitor, symptoms


class Listener(Silence):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def watching(**options: float) -> tuple[TrainingMonitor, list[str]]:
    said: list[str] = []
    return TrainingMonitor(LoopOptions(**options), "accuracy", True, said.append), said


def test_long_gradients_are_said_once() -> None:
    watch, said = watching(clip_norm=2.0)
    for _ in range(500):
        watch.step(0.7, 90.0)
    (sentence,) = said
    assert sentence.startswith(
        "The gradient norm exceeded clip_norm (2) in 100 of the last 100 steps, with a median of "
        "90. Lower learning_rate"
    )


@pytest.mark.parametrize(
    ("clip_norm", "lengths"),
    [
        (2.0, [19.0]),  # clipped, but not by much
        (2.0, [90.0, 1.0]),  # half of the steps are as they should be
        (torch.inf, [90.0]),  # nothing is clipped
        (2.0, [0.3]),
    ],
)
def test_usual_gradients_are_not_spoken_of(clip_norm: float, lengths: list[float]) -> None:
    watch, said = watching(clip_norm=clip_norm)
    for k in range(500):
        watch.step(0.7, lengths[k % len(lengths)])
    assert said == []


def test_a_gradient_of_nothing_is_said_unless_everything_is_learned() -> None:
    watch, said = watching()
    for _ in range(200):
        watch.step(0.7, 1e-12)
    (sentence,) = said
    assert sentence.startswith("The gradient has vanished (median norm 1e-12 over 100 steps)")
    watch, said = watching()
    for _ in range(200):
        watch.step(1e-6, 1e-12)
    assert said == []


SCORES = [
    ({"accuracy": 0.5, "blanks": 1.0}, "After 3 epochs the model predicts only blanks"),
    ({"accuracy": 0.5, "answers": 1.0, "chance": 0.5}, "the model gives the same answer"),
    ({"accuracy": 0.4, "answers": 2.0, "chance": 0.5}, "the validation accuracy is 0.4000, no"),
]


@pytest.mark.parametrize(("scores", "sentence"), SCORES)
def test_a_model_that_has_learned_nothing_is_said(scores: dict[str, float], sentence: str) -> None:
    watch, said = watching()
    for epoch in (1, 2):
        watch.validated(scores, epoch)
    assert said == []  # it may still be on its way
    for epoch in (3, 4, 5):
        watch.validated(scores, epoch)
    (found,) = said
    assert sentence in found


def test_a_model_that_has_learned_something_is_not_spoken_of() -> None:
    watch, said = watching()
    watch.validated({"accuracy": 0.9, "blanks": 0.99, "answers": 2.0, "chance": 0.5}, 9)
    watch.validated({"accuracy": 0.9}, 9)
    assert said == []
    lower = TrainingMonitor(LoopOptions(), "error", False, said.append)
    lower.validated({"error": 0.2, "chance": 0.9}, 9)
    assert said == []
    lower.validated({"error": 1.2, "chance": 0.9}, 9)
    assert len(said) == 1


def test_validation_data_with_one_label_are_no_symptom() -> None:
    assert symptoms(["a", "a"], ["a", "a"]) == {}
    assert symptoms(["a", "b", "b", "b"], ["b", "a", "a", "a"]) == {"chance": 0.75, "answers": 2.0}
    scores = symptoms(["a", "b", "b", "b"], ["b", "a", "a", "a"], macro_f1)
    assert scores["chance"] == pytest.approx((0 + 6 / 7) / 2)


def test_the_loop_speaks_through_its_progress_and_trains_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dull(SmallTask):
        def validate(self, model: nn.Module) -> dict[str, float]:
            labels = self.labels.tolist()
            return {**super().validate(model), **symptoms(labels, [0] * len(labels))}

    options = LoopOptions(batch_size=8, epochs=30, threads=1, clip_norm=1e-3, patience=30)
    listener = Listener()
    train(tmp_path / "a", options, task=Dull(), model=small_model(), progress=listener)
    spoken = [s for s in listener.said if not s.startswith("Training stopped")]
    assert len(spoken) == 2
    assert spoken[0].startswith("After 3 epochs the model gives the same answer")
    assert spoken[1].startswith("The gradient norm exceeded clip_norm")

    monkeypatch.setattr(watch.TrainingMonitor, "step", lambda *given: None)
    train(tmp_path / "b", options, task=Dull(), model=small_model())
    one, two = (RunFolder.open(tmp_path / name).history() for name in "ab")
    assert without_times(one) == without_times(two)
