"""How many words of spoken digits come out wrong, of speakers that are known and of a new one?

    python benchmarks/speech.py [--seeds 0 1 2]

Strings of 3 to 7 digits from human recordings (``spoken_digits.py``): takes 0 to 4 of all
speakers; and each speaker in turn left out of training and validation, trained for four minutes.
"""

from pathlib import Path

from elman.tasks import speech
from job_figures import Configuration, measure
from spoken_digits import SPEAKERS, spoken_digits

DATA = Path("runs") / "data"
TITLE = "Free Spoken Digit Dataset (Jackson et al. 2018), joined to strings of 3 to 7 digits"
LICENCE = "CC BY-SA 4.0"
SETTINGS = {
    "hidden_size": 128,
    "num_layers": 2,
    "frames_per_step": 3,
    "dropout": 0.2,
    "learning_rate": 3e-3,
    "epochs": 100,
    "patience": 100,
    "checkpoint_seconds": 30,
}


def without(speaker: str) -> dict[str, Path]:
    """The data with one speaker as the test, heard in no other part."""
    others = [name for name in SPEAKERS if name != speaker]
    return spoken_digits(DATA / f"digits-{speaker}", train=others, valid=others, test=[speaker])


if __name__ == "__main__":
    rows = [
        Configuration(
            "digits, takes 0 to 4", spoken_digits(DATA / "digits"), TITLE, SETTINGS, "5.0", LICENCE
        )
    ]
    rows += [
        Configuration(
            f"digits, without {speaker}",
            without(speaker),
            TITLE,
            {**SETTINGS, "max_minutes": 4},
            licence=LICENCE,
        )
        for speaker in SPEAKERS
    ]
    measure("speech", speech, "wer", rows)
