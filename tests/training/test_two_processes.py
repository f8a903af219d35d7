"""Two processes train like one with the doubled batch, and do everything together."""

import json
from pathlib import Path
from typing import Any

import pytest
from small_task import train, without_times
from two_processes_driver import OPTIONS, exact_model, uneven_task, weights

from elman.errors import RunError
from elman.training.options import LoopOptions
from elman.training.run_folder import RunFolder
from two_processes import launch

HERE = Path(__file__).parent
pytestmark = pytest.mark.timeout(1800)  # two processes start, which takes minutes on a busy machine


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which two processes have trained, as the driver says."""
    place = tmp_path_factory.mktemp("two")
    launch(HERE / "two_processes_driver.py", place)
    return place


@pytest.fixture(scope="module")
def found(place: Path) -> list[dict[str, Any]]:
    both = [json.loads((place / f"{number}.json").read_text()) for number in (0, 1)]
    assert [each["count"] for each in both] == [2, 2]
    return both


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    """One process with the doubled batch."""
    path = tmp_path_factory.mktemp("one")
    options = LoopOptions(**{**OPTIONS, "batch_size": 2 * OPTIONS["batch_size"]})
    model, _ = train(path, options, model=exact_model(), task=uneven_task())
    return path, weights(model)


def near(values: dict[str, list[float]]) -> dict[str, Any]:
    # float64; the sums are taken in another order, and 12 steps of AdamW follow one another
    return {name: pytest.approx(each, rel=1e-9, abs=1e-11) for name, each in values.items()}


def test_two_processes_come_to_the_weights_of_one_with_the_doubled_batch(
    found: list[dict[str, Any]], alone: tuple[Path, dict[str, list[float]]]
) -> None:
    _, expected = alone
    assert found[0]["whole"]["weights"] == near(expected)
    assert found[1]["whole"]["weights"] == found[0]["whole"]["weights"]


def test_two_processes_have_the_losses_of_one_with_the_doubled_batch(
    place: Path, found: list[dict[str, Any]], alone: tuple[Path, dict[str, list[float]]]
) -> None:
    history = without_times(RunFolder.open(place / "whole").history())
    expected = without_times(RunFolder.open(alone[0]).history())
    assert len(history) == 4
    for line, other in zip(history, expected, strict=True):
        assert line["valid"] == pytest.approx(other["valid"], rel=1e-9)
        assert line["train_loss"] == pytest.approx(other["train_loss"], rel=1e-9)
        assert (line["epoch"], line["step"], line["best"]) == (
            other["epoch"], other["step"], other["best"],
        )  # fmt: skip


def test_clipping_is_at_work_in_that_comparison(tmp_path: Path) -> None:
    changed = {**OPTIONS, "batch_size": 8, "clip_norm": 5.0}
    model, _ = train(tmp_path, LoopOptions(**changed), model=exact_model(), task=uneven_task())
    other = {**changed, "clip_norm": 0.5}
    clipped, _ = train(
        tmp_path / "b", LoopOptions(**other), model=exact_model(), task=uneven_task()
    )
    assert weights(model) != near(weights(clipped))


def test_both_stop_at_the_interruption_of_one_and_go_on_to_the_same_weights(
    found: list[dict[str, Any]],
) -> None:
    for each in found:
        assert each["interrupted"][0] == "interrupted"
        assert 1 < each["interrupted"][1] < 2  # the fourth of three batches an epoch
        assert each["parts"]["weights"] == found[0]["whole"]["weights"]


def test_the_main_process_says_when_time_is_up(found: list[dict[str, Any]]) -> None:
    assert found[0]["time"] == found[1]["time"]
    assert found[0]["time"][:2] == ["time", 1 + 2 / 3]


def test_a_loss_that_is_no_number_in_one_process_ends_both(found: list[dict[str, Any]]) -> None:
    for each in found:
        assert each["spoilt"] == "epoch 2, batch 1 of 3: the loss is nan"


def test_patience_runs_out_for_both_at_once(found: list[dict[str, Any]]) -> None:
    assert [each["patience"] for each in found] == [["patience", 3, 0.6]] * 2


def test_only_the_main_process_prints(found: list[dict[str, Any]]) -> None:
    assert found[0]["heard"][-1].startswith(
        "Training stopped because all epochs are done. The best"
    )
    assert found[1]["heard"] == []


def test_a_run_of_two_processes_is_not_resumed_by_one(
    place: Path, found: list[dict[str, Any]]
) -> None:
    with pytest.raises(
        RunError, match="started with 2 processes, but now there are 1; resume with"
    ):
        train(
            place / "whole",
            LoopOptions(**OPTIONS),
            model=exact_model(),
            task=uneven_task(),
            resume=True,
        )
