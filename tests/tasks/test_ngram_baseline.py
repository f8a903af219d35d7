"""The n-grams of large data are counted everywhere, not only at its start."""

from elman.data.units import Units
from elman.tasks import TASKS
from elman.tasks.language.baselines import baselines
from elman.tasks.ngram_baseline import MOST, STRETCH, spread_steps


def test_stretches_come_from_everywhere_and_are_no_more_than_can_be_counted():
    text = "".join([f"{k:06d}" for k in range(MOST // 2)])  # three times as many steps
    found = spread_steps([text])
    assert MOST - STRETCH <= sum(map(len, found)) <= MOST
    places = [text.index(each) / len(text) for each in found]
    assert max(b - a for a, b in zip(places, [*places[1:], 1.0], strict=True)) < 0.02
    assert places[0] < 0.02


def test_short_sequences_are_taken_whole():
    tunes = [[k] * 30 for k in range(MOST // 10)]
    found = spread_steps(tunes)
    assert {len(each) for each in found} == {30}
    assert MOST - 30 <= sum(map(len, found)) <= MOST
    assert found[-1][0] > len(tunes) * 0.99


def test_a_text_whose_start_is_of_another_kind_has_the_baseline_of_the_whole(tmp_path):
    task = TASKS["language"]
    (tmp_path / "train.txt").write_text("abcd " * (MOST // 4) + "\n" + "wxyz " * (MOST // 4))
    (tmp_path / "valid.txt").write_text("wxyz " * 1000)
    options = task.Options()
    train, valid = [
        [row.value for row in task.read(tmp_path / f"{part}.txt", options)]
        for part in ("train", "valid")
    ]
    five = baselines(train, valid, Units.characters(["abcdwxyz \n"]))[-1]
    assert "5-gram" in five.name
    assert five.score < 0.1
