"""How well are Bach's chorales foreseen, step by step?

    python benchmarks/music.py [--seeds 0 1 2]

The 382 chorales on a grid of quarter notes (Boulanger-Lewandowski et al. 2012), their own split.
First by the published protocol: 88 pitches, each there or not, independent given all steps
before; the loss of a step is the sum over pitches, every step of every piece counts once, the
first ones too, and the figure is the mean over steps, in nats.  Four cells with one
configuration, chosen with the lstm on validation data.  Then the pitches of a step one after
another, which is exact too and no longer blind to which pitches go together.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import chorales

music = TASKS["music"]

DATA = chorales(Path("runs") / "data")
TITLE = "Bach's chorales, quarter notes (Boulanger-Lewandowski et al. 2012)"
LICENCE = "public domain"
INDEPENDENT = {"prediction": "independent", "dropout": 0.3, "weight_decay": 0.0}
CELLS = ("lstm", "gru", "coupled_lstm", "rnn")

if __name__ == "__main__":
    measure(
        "music",
        music,
        "nll",
        [
            *[
                Configuration(
                    f"independent pitches, {cell}",
                    DATA,
                    TITLE,
                    {**INDEPENDENT, "cell": cell},
                    "8.6" if cell == "lstm" else "",
                    LICENCE,
                )
                for cell in CELLS
            ],
            Configuration("pitches one after another, lstm", DATA, TITLE, {}, "", LICENCE),
        ],
        scale=1,
    )
