"""Ten faults planted in small trainings are each named in one sentence, during training and at its
end; a healthy training is not spoken of, and says whether it beats the baselines.
"""

import math
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from elman.errors import TrainingError
from elman.tasks import TASKS, Data, load, train
from elman.training.loop import TrainingResult
from elman.training.progress import Silence
from tasks.conftest import needs, samples
from thorough import few

pytestmark = needs("sentiment")

GOOD, BAD = ["warm", "funny", "moving", "bright"], ["dull", "slow", "empty", "stale"]
NEUTRAL = [f"word{k}" for k in range(60)]
SETTINGS = {
    "hidden_size": 16,
    "embedding_size": 16,
    "epochs": 5,
    "batch_size": 10,
    "learning_rate": 0.01,
    "word_dropout": 0.05,
    "threads": 1,
}


@dataclass(frozen=True)
class Fault:
    """Settings and data of a training, and parts of the sentence that names what is wrong."""

    sentence: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    #: one text in this many is bad
    every: int = 2
    #: words of a text
    words: int = 12
    #: whether the word that tells the label is the first
    first: bool = False
    shuffled: bool = False
    same: bool = False


FAULTS = {
    "99 % of one label": Fault(
        ('99.0% of the training examples have the label "good"', "Add examples of the other"),
        every=100,
    ),
    "a rate of 50 without clipping": Fault(
        ("The training loss has risen from 0.", "Lower learning_rate from 50 to about 0.00"),
        {"learning_rate": 50.0, "clip_norm": math.inf},
    ),
    "a rate of 1e-8": Fault(
        ("A step changes the weights by", "the model learns nothing. Raise learning_rate from"),
        {"learning_rate": 1e-8},
    ),
    "a clipping norm of 1e-7": Fault(
        ("times what clip_norm (1e-07) allows", "Raise clip_norm to about"),
        {"clip_norm": 1e-7},
    ),
    "a dropout of 0.999": Fault(
        ("Training sets 99.9 % of the features to zero", "Lower dropout to 0.5 or less"),
        {"dropout": 0.999},
    ),
    "a forget bias of -8": Fault(
        ("The forget gate of encoder", "is closed", "Raise forget_bias from -8 to 1 or more"),
        {"cell": "lstm", "forget_bias": -8.0, "pooling": "last"},
        words=60,
    ),
    "a plain RNN on 300 words": Fault(
        ("reaches only", "of 300 steps of encoder", "use the cell lstm or gru"),
        {"cell": "rnn", "pooling": "last", "bidirectional": False},
        words=300,
        first=True,
    ),
    "validation data that are the training data": Fault(
        ("All 300 validation examples are also in the training data", "omit --valid"), same=True
    ),
    "labels that do not belong to their texts": Fault(
        ("better than the best constant answer", "check that labels and inputs belong together"),
        {"learning_rate": 0.003},
        shuffled=True,
    ),
}


class Listener(Silence):
    """Keeps what is said, and how many validations came before."""

    def __init__(self) -> None:
        self.said: list[tuple[int, str]] = []
        self.validations = 0

    def say(self, sentence: str) -> None:
        self.said.append((self.validations, sentence))

    def validated(self, line: Any) -> None:
        self.validations += 1


def texts(count: int, seed: int, fault: Fault) -> str:
    draw = random.Random(seed)
    labels = ["bad" if k % fault.every == 1 else "good" for k in range(count)]
    rows = []
    for label in labels:
        words = [draw.choice(NEUTRAL) for _ in range(fault.words)]
        place = 0 if fault.first else draw.randrange(len(words))
        words[place] = draw.choice(GOOD if label == "good" else BAD)
        rows.append(" ".join(words))
    if fault.shuffled:
        draw.shuffle(labels)
    lines = [f"{text},{label}" for text, label in zip(rows, labels, strict=True)]
    return "\n".join(["text,label", *lines]) + "\n"


def planted(folder: Path, fault: Fault) -> tuple[Listener, TrainingResult]:
    """A small training with a fault, and what it says."""
    (folder / "train.csv").write_text(texts(300, 1, fault))
    (folder / "valid.csv").write_text(texts(300, 1 if fault.same else 2, fault))
    data = Data(folder / "train.csv", folder / "valid.csv")
    listener, settings = Listener(), {**SETTINGS, **fault.settings}
    _, result = train(TASKS["sentiment"], data, folder / "run", settings, progress=listener)
    return listener, result


#: the sentences on the others are also tested on numbers, in tests/training/test_watch.py
INSIDE = {"99 % of one label", "a dropout of 0.999", "a forget bias of -8"}


@pytest.mark.parametrize("name", few(FAULTS, keep=lambda name: name in INSIDE))
def test_a_planted_fault_is_named_during_training_and_at_the_end(name, tmp_path):
    fault = FAULTS[name]
    listener, result = planted(tmp_path, fault)
    named = [(k, said) for k, said in listener.said if all(part in said for part in fault.sentence)]
    assert named[0][0] < listener.validations, "said during training"
    assert named[-1][0] == listener.validations, "and once at the end"
    assert len(named) == 2
    assert result.findings == (named[-1][1],), "nothing else is blamed"
    assert named[-1][1] in (tmp_path / "run" / "card.md").read_text()


def test_a_loss_that_is_no_number_ends_the_training_with_the_rate_that_made_it(tmp_path):
    with pytest.raises(TrainingError, match=r"is nan.*lower learning_rate \(now 1e\+30\)"):
        planted(tmp_path, Fault((), {"learning_rate": 1e30}))


def test_a_healthy_training_says_only_the_baselines_and_whether_it_beats_them(tmp_path):
    listener, result = planted(tmp_path, Fault(()))
    trained = load(tmp_path / "run")
    assert result.findings == ()
    first, second, stopped, verdict = [said for _, said in listener.said]
    assert first == "validation accuracy of always answering the most frequent label: 50.0 %"
    assert second.startswith("validation accuracy of naive Bayes on words and word pairs: ")
    assert stopped.startswith("Training stopped because")
    score = f"{100 * trained.evaluate(tmp_path / 'valid.csv')['accuracy']:.1f} %"
    assert verdict.startswith(f"The model's validation accuracy, {score}, beats always answering")
    card = (tmp_path / "run" / "card.md").read_text()
    assert "## Baselines on the validation data (accuracy)\n- always answering the most" in card
    assert "Problems" not in card


@pytest.mark.slow
@pytest.mark.timeout(900)
@needs("sentiment", "ner", "dna")
@pytest.mark.parametrize(
    "name", ["sentiment", "ner", pytest.param("dna", marks=pytest.mark.thorough)]
)
def test_a_default_training_on_the_samples_raises_no_alarm(name, tmp_path):
    task, folder = TASKS[name], samples(tmp_path, name)
    listener = Listener()
    data = Data(folder / task.train_file, folder / task.valid_file)
    _, result = train(task, data, folder / "run", {"threads": 1}, progress=listener)
    assert result.findings == ()
    known = ("validation ", "Training stopped because", "The model's validation ")
    assert [said for _, said in listener.said if not said.startswith(known)] == []
    assert listener.said[-1][1].startswith("The model's validation ")
