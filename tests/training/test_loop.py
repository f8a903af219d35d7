"""The loop learns, keeps the best weights, stops when it should, and reproduces itself."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from small_task import SmallClassifier, SmallTask, small_model, train, without_times
from torch import Tensor, nn

from elman.errors import RunError, TrainingError
from elman.training import signals
from elman.training.averaging import WeightAverage
from elman.training.checkpoint import TrainState, load_checkpoint
from elman.training.curves import draw_curves
from elman.training.loop import fit
from elman.training.optimizers import make_optimizer
from elman.training.options import LoopOptions
from elman.training.progress import BatchInfo, Silence
from elman.training.run_folder import RunFolder
from elman.training.weights import read_tensors


def options(**changes: Any) -> LoopOptions:
    return LoopOptions(**{"batch_size": 8, "epochs": 3, "threads": 1, **changes})


class Scripted:
    """A validation that says the given scores, and notes the weights that it was given."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores
        self.weights: list[Tensor] = []

    def __call__(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, SmallClassifier)
        assert not model.training
        assert not torch.is_grad_enabled()
        self.weights.append(model.output.weight.detach().clone())
        return {"f1": self.scores[len(self.weights) - 1]}


def scripted_run(path: Path, scores: list[float], **changes: Any) -> tuple[Scripted, Any, Any]:
    script = Scripted(scores)
    model, outcome = train(
        path, options(**changes), validate=script, metric="f1", higher_is_better=True
    )
    return script, model, outcome


def test_the_loss_falls_to_a_level_that_only_learning_reaches(tmp_path: Path) -> None:
    _, outcome = train(tmp_path, options(epochs=40, learning_rate=0.02, patience=40))
    assert outcome.best_metric < 0.3  # guessing costs log 2 = 0.69


def test_the_history_holds_the_mean_loss_of_all_examples(tmp_path: Path) -> None:
    # With a rate of nearly nothing and no randomness, it is the loss of the starting weights.
    model, task = small_model(dropout=0.0), SmallTask(rows=21, word_dropout=0.0)
    expected = task.validate(model)["loss"]
    train(tmp_path, options(epochs=1, learning_rate=1e-30), model=model, task=task)
    (line,) = RunFolder.open(tmp_path).history()
    assert line["train_loss"] == pytest.approx(expected, rel=1e-6)  # batches of 8, 8 and 5
    assert line["valid"]["loss"] == pytest.approx(expected, rel=1e-6)
    assert (line["epoch"], line["step"], line["best"]) == (1, 3, True)


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tmp_path / name, options(seed=seed))
        runs.append((tmp_path / name / "model.safetensors").read_bytes())
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_training_stops_when_patience_is_used_up_and_keeps_the_best_weights(
    tmp_path: Path,
) -> None:
    script, model, outcome = scripted_run(
        tmp_path, [0.5, 0.4, 0.6, 0.6, 0.55, 0.9], epochs=6, patience=2
    )
    assert len(script.weights) == 5  # an equal score is not a better one
    assert (outcome.best_metric, outcome.best_epoch) == (0.6, 3)
    assert (outcome.epochs, outcome.stopped_because) == (5, "patience")
    assert torch.equal(model.output.weight, script.weights[2])
    kept, _ = read_tensors(tmp_path / "model.safetensors")
    assert torch.equal(kept["output.weight"], script.weights[2])
    assert [line["best"] for line in RunFolder.open(tmp_path).history()] == [
        True, False, True, False, False,
    ]  # fmt: skip


def test_a_lower_metric_is_the_better_one_when_asked(tmp_path: Path) -> None:
    script = Scripted([0.5, 0.6, 0.4])
    _, outcome = train(tmp_path, options(), validate=script, metric="f1", higher_is_better=False)
    assert (outcome.best_metric, outcome.best_epoch) == (0.4, 3)
    assert outcome.stopped_because == "epochs"


def test_plateau_halves_the_rate_after_its_patience_and_ends_below_the_minimum(
    tmp_path: Path,
) -> None:
    _, _, outcome = scripted_run(
        tmp_path,
        [0.5, 0.4, 0.6, 0.6, 0.6, 0.6, 0.5, 0.6, 0.6, 0.6],
        epochs=10,
        patience=10,
        plateau_patience=1,
        learning_rate=0.08,
        min_learning_rate=0.015,
    )
    rates = [line["learning_rate"] for line in RunFolder.open(tmp_path).history()]
    # Two epochs without a better metric halve it; a better one starts the count again.
    assert rates == [0.08, 0.08, 0.08, 0.08, 0.08, 0.04, 0.04, 0.02, 0.02]
    assert outcome.stopped_because == "learning rate"


def test_each_step_uses_the_rate_of_its_schedule(tmp_path: Path) -> None:
    # One weight, a loss that is the weight itself: each step takes the rate off it.
    class Slope(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros((), dtype=torch.float64))

        def loss(self, rows: Tensor) -> Tensor:
            return self.weight * 1

    slope = Slope()
    places = []

    def note(model: nn.Module) -> dict[str, float]:
        places.append(slope.weight.item())
        return {"f1": len(places)}

    fit(
        slope,
        batches=lambda epoch, size: [[0], [1], [2], [3]],
        collate=lambda rows, generator: {"rows": torch.tensor(rows)},
        validate=note,
        metric="f1",
        options=options(
            epochs=2, optimizer="sgd", schedule="linear", learning_rate=1.0, warmup_steps=2
        ),
        folder=RunFolder.create(tmp_path, {}),
        progress=Silence(),
    )
    first = 0.5 + 7 / 8 + 6 / 8 + 5 / 8  # warm-up: half of 1, then all of 7/8
    assert places == pytest.approx([-first, -first - (4 + 3 + 2 + 1) / 8], rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [-0.3, -0.4]),  # a gradient of length 0.5 is left as it is
        ({"clip_norm": 0.25}, [-0.15, -0.2]),
        ({"clip_value": 0.35}, [-0.3, -0.35]),
        ({"clip_value": 0.3, "clip_norm": 0.3}, [-0.3 / math.sqrt(2)] * 2),
    ],
)
def test_gradients_are_clipped_by_length_and_by_value(
    tmp_path: Path, changes: dict[str, float], expected: list[float]
) -> None:
    class Plane(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))

        def loss(self, slope: Tensor) -> Tensor:
            return self.weight @ slope

    plane = Plane()
    fit(
        plane,
        batches=lambda epoch, size: [[0]],
        collate=lambda rows, generator: {"slope": torch.tensor([0.3, 0.4])},
        validate=lambda model: {"f1": 1.0},
        metric="f1",
        options=options(epochs=1, optimizer="sgd", learning_rate=1.0, **changes),
        folder=RunFolder.create(tmp_path, {}),
        progress=Silence(),
    )
    # float32, and torch adds 1e-6 to the length before it divides
    assert plane.weight.tolist() == pytest.approx(expected, rel=2e-5)


@pytest.mark.parametrize("better", ["averaged", "last"])
def test_the_better_of_averaged_and_last_weights_is_saved(tmp_path: Path, better: str) -> None:
    pairs = [(0.1, 0.0), (0.2, 0.0), (0.3, 0.0)]
    script = Scripted(
        [value for pair in pairs for value in pair[:: 1 if better == "averaged" else -1]]
    )
    steps: list[Tensor] = []
    model = small_model()

    class Note(Silence):
        def batch(self, info: BatchInfo) -> None:
            steps.append(model.output.weight.detach().clone())

    train(
        tmp_path, options(average_weights=0.5), model=model, progress=Note(),
        validate=script, metric="f1", higher_is_better=True,
    )  # fmt: skip
    average = steps[0]
    for count, step in enumerate(steps[1:], 1):
        keep = min(0.5, count / (count + 9))
        average = keep * average + (1 - keep) * step
    averaged, last = script.weights[-2:]
    torch.testing.assert_close(averaged, average, rtol=1e-5, atol=1e-7)
    assert torch.equal(last, steps[-1])
    assert not torch.allclose(averaged, last, atol=1e-4)
    assert torch.equal(model.output.weight, averaged if better == "averaged" else last)


def test_an_average_of_many_steps_is_validated_alone(tmp_path: Path) -> None:
    script = Scripted([0.1, 0.2, 0.3])
    train(
        tmp_path, options(average_weights=1e-9, batch_size=1), validate=script, metric="f1",
        higher_is_better=True,
    )  # fmt: skip
    assert len(script.weights) == 3


def test_averaging_never_hurts_a_training_of_fifty_steps(tmp_path: Path) -> None:
    best = {}
    for decay in (0.0, 0.99, 0.999):
        _, outcome = train(tmp_path / str(decay), options(epochs=10, average_weights=decay))
        assert outcome.epochs == 10
        best[decay] = outcome.best_metric
    assert best[0.99] <= best[0.0] * 1.0001
    assert best[0.999] <= best[0.0] * 1.0001


class Still(nn.Linear):
    """A model whose gradient is zero."""

    def __init__(self) -> None:
        super().__init__(2, 2)
        self.idle = nn.Parameter(torch.ones(2, 2))  # has no gradient at all

    def loss(self, rows: Tensor) -> Tensor:
        return 0 * (self.weight.sum() + self.bias.sum())


def train_still(path: Path, still: nn.Module, **changes: Any) -> None:
    fit(
        still,
        batches=lambda epoch, size: [[0]],
        collate=lambda rows, generator: {"rows": torch.tensor(rows)},
        validate=lambda model: {"f1": 1.0},
        metric="f1",
        options=options(epochs=1, learning_rate=0.01, **changes),
        folder=RunFolder.create(path, {}),
        progress=Silence(),
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_weight_decay_shrinks_matrices_and_spares_biases(tmp_path: Path, optimizer: Any) -> None:
    still = Still()
    weight, bias = still.weight.detach().clone(), still.bias.detach().clone()
    train_still(tmp_path, still, optimizer=optimizer, weight_decay=0.1)
    expected = weight * (1 - 0.001)
    torch.testing.assert_close(still.weight.detach(), expected, rtol=1e-5, atol=1e-7)
    assert torch.equal(still.bias, bias)
    assert (still.idle == 1).all()


def test_l1_draws_matrices_to_zero_where_they_stay(tmp_path: Path) -> None:
    still = Still()
    with torch.no_grad():
        still.weight.copy_(torch.tensor([[0.5, -0.5], [0.001, -0.001]]))
    bias = still.bias.detach().clone()
    train_still(tmp_path, still, l1=0.2)
    expected = torch.tensor([[0.498, -0.498], [0.0, 0.0]])
    torch.testing.assert_close(still.weight.detach(), expected)
    assert (still.weight[1] == 0).all()
    assert torch.equal(still.bias, bias)


def test_what_a_layer_costs_is_added_to_the_loss(tmp_path: Path) -> None:
    class Costly(Still):
        penalty: Tensor | None = None

        def loss(self, rows: Tensor) -> Tensor:
            self.penalty = 3 * self.bias.sum() if self.training else None
            return super().loss(rows)

    still = Costly()
    bias = still.bias.detach().clone()
    train_still(tmp_path, still, optimizer="sgd")
    torch.testing.assert_close(still.bias.detach(), bias - 0.03)
    assert still.penalty is None
    assert RunFolder.open(tmp_path).history()[0]["train_loss"] == pytest.approx(
        3 * bias.sum().item()
    )


def averages(path: Path, **changes: Any) -> tuple[list[Tensor], Scripted]:
    """The weights after each step, of which an epoch has one, and those that were validated."""
    steps: list[Tensor] = []
    model = small_model()

    class Note(Silence):
        def batch(self, info: BatchInfo) -> None:
            steps.append(model.output.weight.detach().clone())

    script = Scripted([0.5, 0.6, 0.6, 0.7])
    train(
        path, options(epochs=4, batch_size=38, average_weights=1.0, **changes), model=model,
        progress=Note(), validate=script, metric="f1", higher_is_better=True,
    )  # fmt: skip
    return steps, script


@pytest.mark.parametrize(("start", "first"), [(0, 0), (2, 2), ("plateau", 3)])
def test_averaged_sgd_is_the_mean_of_the_steps_since_it_began(
    tmp_path: Path, start: Any, first: int
) -> None:
    steps, script = averages(tmp_path, average_from=start, optimizer="sgd", learning_rate=1.0)
    for epoch, found in enumerate(script.weights):
        expected = steps[epoch] if epoch < first else torch.stack(steps[first : epoch + 1]).mean(0)
        torch.testing.assert_close(found, expected)
    assert not torch.allclose(steps[2], steps[3], atol=1e-4)


def test_frozen_parameters_stay_as_they_are(tmp_path: Path) -> None:
    model = small_model()
    before = model.embedding.weight.detach().clone()
    model.embedding.weight.requires_grad_(False)
    train(tmp_path, options(weight_decay=0.1, average_weights=0.9), model=model)
    assert torch.equal(model.embedding.weight, before)


class Clock:
    """Time that passes only when a batch is done: one second each."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def ticking(self) -> Silence:
        clock = self

        class Ticking(Silence):
            def batch(self, info: BatchInfo) -> None:
                clock.now += 1

        return Ticking()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(signals, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_the_curves_are_drawn_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elman.training.loop.draw_curves", draw_curves)
    train(tmp_path, options(epochs=2))
    assert (tmp_path / "curves.png").read_bytes() == draw_curves(
        RunFolder.open(tmp_path).history(), metric="loss"
    )


def test_time_ends_training_at_the_next_batch_with_a_validation(
    tmp_path: Path, clock: Clock
) -> None:
    # 5 batches an epoch; after 7 seconds are up, one more batch is trained on.
    _, outcome = train(tmp_path, options(max_minutes=7 / 60), progress=clock.ticking())
    assert outcome.stopped_because == "time"
    assert (outcome.epochs, outcome.seconds) == (1.6, 8)
    history = RunFolder.open(tmp_path).history()
    assert [(line["epoch"], line["step"]) for line in history] == [(1, 5), (1.6, 8)]


def test_a_validation_for_want_of_time_costs_no_patience(tmp_path: Path, clock: Clock) -> None:
    script = Scripted([0.5, 0.4, 0.4, 0.4])
    arguments: dict[str, Any] = {"validate": script, "metric": "f1", "higher_is_better": True}
    train(
        tmp_path,
        options(max_minutes=7 / 60, patience=2, epochs=4),
        progress=clock.ticking(),
        **arguments,
    )
    _, outcome = train(
        tmp_path,
        options(patience=2, epochs=4),
        resume=True,
        progress=clock.ticking(),
        **arguments,
    )
    assert (outcome.epochs, outcome.stopped_because) == (3, "patience")  # epochs 2 and 3


def test_more_time_goes_on_where_time_was_up(tmp_path: Path, clock: Clock) -> None:
    train(tmp_path / "whole", options())
    train(tmp_path / "parts", options(max_minutes=7 / 60), progress=clock.ticking())
    before = RunFolder.open(tmp_path / "parts").history()
    _, outcome = train(tmp_path / "parts", options(), resume=True, progress=clock.ticking())
    assert (outcome.epochs, outcome.seconds) == (3, 15)
    assert RunFolder.open(tmp_path / "parts").history()[:2] == before
    assert last_weights(tmp_path / "parts") == last_weights(tmp_path / "whole")


def test_time_that_was_up_before_any_validation_still_leaves_a_model(
    tmp_path: Path, clock: Clock
) -> None:
    class Fault(Silence):
        def batch(self, info: BatchInfo) -> None:
            clock.now += 100
            if info.batch == 2:
                raise RuntimeError("the machine fails in the second batch")

    brief = options(max_minutes=1, checkpoint_seconds=0)
    with pytest.raises(RuntimeError):
        train(tmp_path, brief, progress=Fault())
    # 100 of 60 seconds are over, as the checkpoint after batch 1 says: one more, and a validation.
    _, outcome = train(tmp_path, brief, resume=True, progress=clock.ticking())
    assert (outcome.stopped_because, outcome.epochs) == ("time", 0.4)
    RunFolder.open(tmp_path).load_weights(small_model())
    _, outcome = train(tmp_path, brief, resume=True, progress=clock.ticking())
    assert (outcome.stopped_because, outcome.epochs) == ("time", 0.4)


def last_weights(path: Path) -> dict[str, list[float]]:
    """The weights of the checkpoint, which are the last ones, not the best ones."""
    tensors, _ = read_tensors(RunFolder(path).checkpoint_path)
    return {name: value.tolist() for name, value in tensors.items()}


@pytest.mark.parametrize("resume", [False, True])
def test_a_finished_run_is_not_trained_again(tmp_path: Path, resume: bool) -> None:
    train(tmp_path, options())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    if resume:
        _, outcome = train(tmp_path, options(), resume=True)
        assert (outcome.epochs, outcome.stopped_because) == (3, "epochs")
        before.pop(tmp_path / "resume" / "checkpoint.safetensors")  # its seconds may differ
    else:
        with pytest.raises(
            RunError, match=r"this folder already holds a run, which is left untouched\. Cont"
        ):
            fit_again(tmp_path)
    assert {path: path.read_bytes() for path in before} == before


def fit_again(path: Path) -> None:
    task = SmallTask()
    fit(
        small_model(),
        batches=task.batches,
        collate=task.collate,
        validate=task.validate,
        metric="loss",
        options=options(),
        folder=RunFolder.open(path),
        progress=Silence(),
    )


def test_more_epochs_go_on_from_a_finished_run_as_if_it_had_not_ended(tmp_path: Path) -> None:
    train(tmp_path / "whole", options(epochs=5, average_weights=0.9))
    train(tmp_path / "parts", options(epochs=3, average_weights=0.9))
    train(tmp_path / "parts", options(epochs=5, average_weights=0.9), resume=True)
    whole, parts = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "parts")
    assert parts.model_path.read_bytes() == whole.model_path.read_bytes()
    assert without_times(parts.history()) == without_times(whole.history())


@pytest.mark.parametrize(
    ("number", "said"), [(math.nan, "the loss is nan"), (math.inf, "the loss is inf")]
)
def test_a_loss_that_is_no_number_ends_training_and_keeps_the_best_weights(
    tmp_path: Path, number: float, said: str
) -> None:
    class Spoilt(SmallClassifier):
        losses = 0

        def loss(self, words: Tensor, labels: Tensor) -> Tensor:
            self.losses += 1
            loss = super().loss(words, labels)
            return loss * number if self.losses == 7 else loss

    with pytest.raises(TrainingError) as caught:
        train(tmp_path, options(learning_rate=0.01), model=Spoilt())
    message = str(caught.value)
    assert message.startswith(f"epoch 2, batch 2 of 5: {said}. The best weights so far (epoch 1, ")
    assert "lower learning_rate (now 0.01) or clip_norm (now 5)" in message
    folder = RunFolder.open(tmp_path)
    model = small_model()
    folder.load_weights(model)
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert len(folder.history()) == 1


def test_a_gradient_that_is_no_number_never_reaches_the_weights(tmp_path: Path) -> None:
    class Steep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(2))

        def loss(self, rows: Tensor) -> Tensor:
            return self.weight.norm().sqrt()  # 0, but with an endless slope

    steep = Steep()
    with pytest.raises(TrainingError, match=r"epoch 1, batch 1 of 1: the gradient norm"):
        fit(
            steep,
            batches=lambda epoch, size: [[0]],
            collate=lambda rows, generator: {"rows": torch.tensor(rows)},
            validate=lambda model: {"f1": 1.0},
            metric="f1",
            options=options(),
            folder=RunFolder.create(tmp_path, {}),
            progress=Silence(),
        )
    assert steep.weight.tolist() == [0, 0]


def test_a_metric_that_is_no_number_or_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="epoch 1, batch 5 of 5: the validation metric f1 is n"):
        scripted_run(tmp_path / "a", [math.nan])
    with pytest.raises(
        TrainingError, match="validation returned loss, accuracy, but not f1, which"
    ):
        train(tmp_path / "b", options(), metric="f1")


def test_no_examples_are_said(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"epoch 1 has no batches; give at least one example\."):
        train(tmp_path, options(), batches=lambda epoch, size: [])


def test_resuming_refuses_what_would_not_go_on_in_the_same_way(tmp_path: Path) -> None:
    train(tmp_path, options(seed=1, epochs=1))
    with pytest.raises(RunError) as caught:
        train(tmp_path, options(seed=2, learning_rate=0.5), resume=True)
    assert str(caught.value).endswith(
        "checkpoint.safetensors: the run was started with learning_rate = 0.001, but "
        "learning_rate is now 0.5; resume with the same learning_rate, seed."
    )
    other = small_model()
    other.output = nn.Linear(8, 3)
    with pytest.raises(RunError, match=r"do not fit the model \(output.weight has shape \(2, 8\)"):
        train(tmp_path, options(seed=1), model=other, resume=True)
    _, outcome = train(tmp_path, options(seed=1, epochs=2, patience=9), resume=True)
    assert outcome.epochs == 2


def train_state(model: nn.Module, processes: int = 1) -> TrainState:
    return TrainState(
        model, make_optimizer(model, options()), WeightAverage(model, 0.0), options(), processes
    )


def test_checkpoints_that_cannot_be_used_are_told_apart(tmp_path: Path) -> None:
    train(tmp_path, options(epochs=1))
    path = RunFolder(tmp_path).checkpoint_path
    whole = path.read_bytes()
    with pytest.raises(
        RunError, match="started with 1 processes, but now there are 2; resume with"
    ):
        load_checkpoint(path, train_state(small_model(), processes=2))
    for content, message in (
        (whole[:-100], "this is not a complete safetensors file"),
        (b"", "this is not a complete safetensors file"),
        ((tmp_path / "model.safetensors").read_bytes(), "this is not an Elman checkpoint"),
        (
            whole.replace(rb"\"format\": 1", rb"\"format\": 8"),
            "this checkpoint has format 8; this version of Elman reads format 1. Upgrade Elman.",
        ),
    ):
        path.write_bytes(content)
        with pytest.raises(RunError, match=message):
            load_checkpoint(path, train_state(small_model()))
    path.write_bytes(whole)
    assert load_checkpoint(path, train_state(small_model())).epoch == 2


def test_a_checkpoint_is_tensors_and_json_and_nothing_that_runs(tmp_path: Path) -> None:
    train(tmp_path, options(epochs=1, optimizer="adam"))
    tensors, notes = read_tensors(RunFolder(tmp_path).checkpoint_path)
    about = json.loads(notes["elman"])
    assert about["position"]["step"] == 5
    assert about["options"]["batch_size"] == 8
    assert {name.split(".")[0] for name in tensors} == {"model", "optimizer"}
    assert "optimizer.0.exp_avg" in tensors


def test_measuring_threads_changes_nothing_but_the_number_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr("elman.training.threads.CLEARLY_FASTER", 0.0)  # one thread is chosen
    said: list[str] = []

    class Listener(Silence):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    _, outcome = train(tmp_path / "auto", options(threads="auto"), progress=Listener())
    train(tmp_path / "one", options())
    assert outcome.threads == 1
    assert said[0].startswith("Training with 1 thread: a step takes ")
    one, auto = RunFolder(tmp_path / "one"), RunFolder(tmp_path / "auto")
    assert auto.model_path.read_bytes() == one.model_path.read_bytes()


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    said: list[str] = []

    class Listener(Silence):
        def say(self, sentence: str) -> None:
            said.append(sentence)

    try:
        train(tmp_path, options(epochs=1, threads=2))
        torch.set_num_threads(1)
        train(tmp_path, options(epochs=2, threads=2), resume=True, progress=Listener())
        assert torch.get_num_threads() == 2
        assert said[0] == "Resuming in epoch 2 after batch 0, with 2 threads as before."
    finally:
        torch.set_num_threads(before)
