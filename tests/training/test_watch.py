"""Why a training fails is said in one sentence, once, and training itself goes on as it was."""

from pathlib import Path

import pytest
import torch
from small_task import SmallTask, small_model, train, without_times
from torch import nn

from elman.training import watch
from elman.training.baselines import Baseline, Metric
from elman.training.options import LoopOptions
from elman.training.progress import Silence
from elman.training.run_folder import RunFolder
from elman.training.watch import Background, Finding, TrainingMonitor, UpdateRatio, symptoms

#: always answering one of two labels
GUESS = Baseline("always answering the most frequent label", 0.5, constant=True)


class Listener(Silence):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, sentence: str) -> None:
        self.said.append(sentence)


def watching(
    background: Background | None = None, **options: float
) -> tuple[TrainingMonitor, list[str]]:
    said: list[str] = []
    monitor = TrainingMonitor(LoopOptions(**options), Metric("accuracy"), said.append, background)
    return monitor, said


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
    ({"accuracy": 0.5, "answers": 1.0}, "the model gives the same answer"),
    ({"accuracy": 0.4, "answers": 2.0}, "the validation accuracy is 40.0 %, no better than a con"),
]


@pytest.mark.parametrize(("scores", "sentence"), SCORES)
def test_a_model_that_has_learned_nothing_is_said(scores: dict[str, float], sentence: str) -> None:
    watch, said = watching(Background(baselines=(GUESS,)))
    for epoch in (1, 2):
        watch.validated(scores, epoch, 0.69)
    assert said == []  # it may still be on its way
    for epoch in (3, 4, 5):
        watch.validated(scores, epoch, 0.69)
    (found,) = said
    assert sentence in found
    (last,) = watch.end(scores["accuracy"], 5)
    assert sentence.removeprefix("After 3 epochs") in last


def test_a_model_that_has_learned_something_is_not_spoken_of() -> None:
    watch, said = watching(Background(baselines=(GUESS,)))
    watch.validated({"accuracy": 0.9, "blanks": 0.99, "answers": 2.0}, 9)
    assert said == []
    assert watch.end(0.9, 9) == []
    watch, said = watching()
    watch.validated({"accuracy": 0.1}, 9)  # nothing is known to compare it with
    assert said == []
    error = Metric("error", higher_is_better=False)
    background = Background(baselines=(Baseline("guessing", 0.9, constant=True),))
    lower = TrainingMonitor(LoopOptions(), error, said.append, background)
    lower.validated({"error": 0.2}, 9)
    assert said == []
    lower.validated({"error": 1.2}, 9)
    assert len(said) == 1


def test_a_loss_that_falls_is_given_time() -> None:
    watch, said = watching(Background(baselines=(GUESS,)), epochs=20)
    for epoch in range(1, 10):
        watch.validated({"accuracy": 0.5}, epoch, 0.9**epoch)
    assert said == []
    watch.validated({"accuracy": 0.5}, 10, 0.9**10)
    (sentence,) = said
    assert "although the training loss has fallen from 0.9 to 0.349" in sentence


def test_a_failure_that_has_passed_is_not_repeated_at_the_end() -> None:
    watch, said = watching(Background(baselines=(GUESS,)))
    watch.validated({"accuracy": 0.5}, 3, 0.69)
    assert len(said) == 1
    watch.validated({"accuracy": 0.8}, 4, 0.4)
    assert watch.end(0.8, 4) == []


def test_a_short_training_is_judged_at_its_end() -> None:
    watch, said = watching(Background(baselines=(GUESS,)))
    watch.validated({"accuracy": 0.5}, 1, 0.69)
    assert said == []
    (sentence,) = watch.end(0.5, 1)
    assert sentence.startswith("After 1 epoch the validation accuracy is 50.0 %")


def test_a_common_label_is_named_with_its_share() -> None:
    common = Baseline("always ...", 0.99, constant=True, answer="good", fraction=0.985)
    watch, said = watching(Background(baselines=(common,)))
    watch.validated({"accuracy": 0.99, "answers": 1.0}, 3, 0.05)
    (sentence,) = said
    assert sentence.startswith('98.5% of the training examples have the label "good"')


def test_the_best_constant_answer_is_what_a_model_must_beat() -> None:
    rare = Baseline("always ...", 0.4, constant=True, best=0.6)  # rarer in validation
    watch, said = watching(Background(baselines=(rare,)))
    watch.validated({"accuracy": 0.55}, 3, 0.69)
    assert "no better than the best constant answer (60.0 %)" in said[0]


def test_steps_that_move_nothing_are_said() -> None:
    watch, said = watching(learning_rate=1e-8)
    for _ in range(100):
        watch.step(0.7, 1.0, 4e-8, 1000)
    (sentence,) = said
    assert sentence.startswith("A step changes the weights by 4e-08 of their size, so that all 10")
    assert sentence.endswith("Raise learning_rate from 1e-08 to about 0.0008.")


@pytest.mark.parametrize(("ratio", "steps", "warmup"), [(1e-5, 1000, 0), (1e-9, 1000, 200)])
def test_steps_that_move_enough_or_warm_up_are_not_spoken_of(
    ratio: float, steps: int, warmup: int
) -> None:
    watch, said = watching(warmup_steps=warmup)
    for _ in range(100):
        watch.step(0.7, 1.0, ratio, steps)
    assert said == []


def test_a_gradient_that_is_cut_to_nothing_is_said_after_a_few_steps() -> None:
    watch, said = watching(clip_norm=1e-7)
    for _ in range(20):
        watch.step(0.7, 0.2, 1e-4)
    (sentence,) = said
    assert sentence.startswith("The gradient norm, 0.2, is 2,000,000 times what clip_norm (1e-07)")
    assert sentence.endswith("Raise clip_norm to about 0.4.")


def test_a_loss_that_rises_is_said_with_the_steps_that_raised_it() -> None:
    watch, said = watching(learning_rate=50.0, clip_norm=torch.inf)
    for k in range(20):
        watch.step(0.7 if k == 0 else 60.0, 9.0, 150.0)
    watch.validated({"accuracy": 0.5}, 1, 60.0)
    (sentence,) = said
    assert sentence.startswith("The training loss has risen from 0.7 to 60: a step changed the we")
    assert sentence.endswith("Lower learning_rate from 50 to about 0.001 and set clip_norm to 1.")
    watch, said = watching()
    for k in range(20):
        watch.step(0.7 if k == 0 else 60.0, 9.0, 0.01)  # longer sequences have larger losses
    watch.validated({"accuracy": 0.5}, 1, 60.0)
    assert said == []


@pytest.mark.parametrize(("repeated", "said"), [(9, 0), (10, 1), (100, 1)])
def test_validation_data_from_the_training_data_are_said(repeated: int, said: int) -> None:
    watch, sentences = watching(Background(repeated=repeated, valid_examples=100))
    watch.begin()
    assert len(sentences) == said
    assert all("are also in the training data" in sentence for sentence in sentences)


def test_a_look_into_the_model_comes_before_general_advice() -> None:
    asked: list[bool] = []

    def inspect(model: nn.Module, failing: bool) -> list[Finding]:
        asked.append(failing)
        return [Finding("reach", "The gradient is short.")] if failing else []

    watch, said = watching(Background(baselines=(GUESS,), valid_examples=80, inspect=inspect))
    for epoch in (1, 2, 3, 4):
        watch.validated({"accuracy": 0.52}, epoch, 0.69, nn.Linear(1, 1))  # better, by luck
    assert asked == [False, True, True]
    assert said == ["The gradient is short."]
    assert watch.end(0.52, 4) == said


def test_the_relative_change_of_weights_is_measured_in_a_sample_of_steps() -> None:
    weights = [nn.Parameter(torch.full((3,), 2.0)), nn.Parameter(torch.zeros(2))]
    ratio = UpdateRatio(weights)
    measured = []
    for step in range(41):
        ratio.before(step)
        with torch.no_grad():
            weights[0].mul_(1.01)
        measured.append(ratio.after())
    assert [k for k, each in enumerate(measured) if each is not None] == [*range(21), 30, 40]
    assert measured[0] == pytest.approx(0.01, rel=1e-4)


def test_validation_data_with_one_label_are_no_symptom() -> None:
    assert symptoms(["a", "a"], ["a", "a"]) == {}
    assert symptoms(["a", "b", "b", "b"], ["b", "a", "a", "a"]) == {"answers": 2.0}


def test_the_loop_speaks_through_its_progress_and_trains_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dull(SmallTask):
        def validate(self, model: nn.Module) -> dict[str, float]:
            labels = self.labels.tolist()
            return {**super().validate(model), **symptoms(labels, [0] * len(labels))}

    options = LoopOptions(batch_size=8, epochs=30, threads=1, clip_norm=1e-3, patience=30)
    listener = Listener()
    _, outcome = train(tmp_path / "a", options, task=Dull(), model=small_model(), progress=listener)
    spoken = [s for s in listener.said if not s.startswith("Training stopped")]
    assert len(spoken) == 4
    assert spoken[0].startswith("After 3 epochs the model gives the same answer")
    assert spoken[1].startswith("The gradient norm exceeded clip_norm")
    assert spoken[2:] == spoken[:2], "what still holds is said again at the end"
    assert list(outcome.findings) == spoken[2:]

    monkeypatch.setattr(watch.TrainingMonitor, "step", lambda *given: None)
    monkeypatch.setattr(watch.UpdateRatio, "before", lambda *given: None)
    train(tmp_path / "b", options, task=Dull(), model=small_model())
    one, two = (RunFolder.open(tmp_path / name).history() for name in "ab")
    assert without_times(one) == without_times(two)
