"""Measure word error rates on spoken digits, for known speakers and for a new one.

    python benchmarks/speech.py [--seeds 0 1 2]

Strings of 3 to 7 digits from human recordings (``recipes/spoken_digits.py``): takes 0 to 4 of all
speakers, without and with an n-gram language model of the training transcripts (the same network
and weights); and models that leave out each speaker in turn, trained for four minutes.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.spoken_digits import SPEAKERS, spoken_digits

speech = TASKS["speech"]

DATA = Path("runs") / "data"
TITLE = "Free Spoken Digit Dataset (Jackson et al. 2018), joined to strings of 3 to 7 digits"
LICENCE = "CC BY-SA 4.0"
SETTINGS = {
    "hidden_size": 128,
    "num_layers": 2,
    "dropout": 0.2,
    "noise": 0.3,
    "masks": 1,
    "learning_rate": 3e-3,
    "epochs": 100,
    "patience": 100,
    "checkpoint_seconds": 30,
}


def rows() -> list[Configuration]:
    """All speakers, then each speaker left out."""
    data = spoken_digits(DATA / "digits")
    everyone = Configuration("digits, takes 0 to 4", data, TITLE, SETTINGS, "5.0", LICENCE)
    weighed = {**SETTINGS, "language": "words"}
    with_words = Configuration(
        "digits, with a language model", data, TITLE, weighed, "5.0", LICENCE
    )
    shorter = {**SETTINGS, "max_minutes": 4}
    return [everyone, with_words] + [
        Configuration(f"digits, without {name}", without(name), TITLE, shorter, licence=LICENCE)
        for name in SPEAKERS
    ]


def without(speaker: str) -> dict[str, Path]:
    """The data with one speaker only in the test set."""
    others = [name for name in SPEAKERS if name != speaker]
    return spoken_digits(DATA / f"digits-{speaker}", train=others, valid=others, test=[speaker])


if __name__ == "__main__":
    measure("speech", speech, "wer", rows())
