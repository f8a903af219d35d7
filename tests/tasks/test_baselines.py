"""Every task has trivial baselines; their scores are those that counting by hand gives."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from elman.tasks import TASKS
from elman.tasks.task import Fitted, Vocab
from elman.tasks.train import find_cell
from tasks.conftest import needs, samples


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_baselines_of_its_samples_one_of_them_constant(name, tmp_path):
    task, folder = TASKS[name], samples(tmp_path, name)
    options = task.Options()
    train, valid = [
        [row.value for row in task.read(folder / file, options)]
        for file in (task.train_file, task.valid_file)
    ]
    vocab = task.build_vocab(train, options, 0)
    model = task.build(options, find_cell(options.cell), Vocab(vocab.symbols))
    found = task.baselines(train, valid, Fitted(model, vocab.symbols, options))
    assert any(each.constant for each in found)
    assert len({each.name for each in found}) == len(found)
    scores = task.validate(Fitted(model.eval(), vocab.symbols, options), valid)
    assert isinstance(scores[task.metric], float), "the baselines' scores are in this metric"


@needs("ner")
def test_the_most_frequent_tag_finds_names_of_known_words_only():
    from elman.tasks.ner.baselines import baselines
    from elman.tasks.ner.data import Sentence

    train = [
        Sentence(("Ada", "met", "Bob"), ("B-PER", "O", "B-PER")),
        Sentence(("Ada", "Lovelace"), ("B-PER", "I-PER")),
        Sentence(("Bob",), ("O",)),
        Sentence(("Bob",), ("O",)),
    ]
    valid = [
        Sentence(("Ada", "Lovelace", "met", "Cid"), ("B-PER", "I-PER", "O", "B-PER")),
        Sentence(("Bob",), ("B-PER",)),
    ]
    nothing, known = baselines(train, valid)
    assert (nothing.score, nothing.constant) == (0.0, True)
    assert known.score == pytest.approx(2 * 1 / (1 + 3))  # one of one found, of three there


@needs("translation")
def test_a_copied_source_scores_as_a_translation():
    from elman.tasks.translation.baselines import baselines
    from elman.tasks.translation.data import Pair

    train = [Pair("a b c d e", "oui monsieur je vois"), Pair("x", "non"), Pair("y", "non")]
    same = [Pair("un deux trois quatre", "un deux trois quatre")]
    always, copied = baselines(train, same)
    assert always.constant
    assert always.score == pytest.approx(0.0)
    assert copied.score == pytest.approx(100.0)


@needs("video")
def test_the_nearest_video_lends_its_label():
    from elman.tasks.video.baselines import baselines
    from elman.tasks.video.clips import Clip
    from elman.tasks.video.decoding import Video

    def clip(label: str, grey: int, frames: int) -> Clip:
        shape = (frames, 1, 32, 32)
        video = Video(torch.full(shape, grey, dtype=torch.uint8), 32, 32, 10.0, frames / 10)
        return Clip(Path(label), label, video)

    train = [clip("dark", 10, 5), clip("light", 240, 9), clip("light", 200, 3)]
    valid = [clip("dark", 30, 7), clip("light", 250, 1)]
    most, nearest = baselines(train, valid)
    assert most.answer == "light"
    assert most.score == pytest.approx((0 + 2 / 3) / 2)  # macro F1
    assert most.fraction == pytest.approx(2 / 3)
    assert nearest.score == 1.0


@needs("speech")
def test_the_error_rates_of_nothing_and_of_one_sentence(tmp_path):
    from elman.tasks.speech.baselines import baselines

    task, folder = TASKS["speech"], samples(tmp_path, "speech")
    rows = task.read(folder / task.valid_file, task.Options())
    some = [replace(row.value, text=text) for row, text in zip(rows, ("a b", "a b c d"))]  # noqa: B905
    empty, always = baselines(some, some[1:])
    assert empty.score == 1.0
    assert always.score == 0.5
    assert empty.constant
    assert always.constant
