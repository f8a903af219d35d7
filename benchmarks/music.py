"""Measure the likelihood of Bach's chorales.

    python benchmarks/music.py [--seeds 0 1 2]

The 382 chorales on a grid of quarter notes, with the split of Boulanger-Lewandowski et al. (2012).
First the published protocol: 88 binary pitches, independent given all previous steps; the loss of
a step is the sum over pitches, every step of every piece counts once, including the first, and the
figure is the mean over steps, in nats.  Four cells share one configuration, chosen with the lstm on
validation data.  Then an autoregressive model of the pitches of a step, which is also exact and
models which pitches occur together.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import chorales

music = TASKS["music"]

DATA = chorales(Path("runs") / "data")
TITLE = "Bach's chorales, quarter notes (Boulanger-Lewandowski et al. 2012)"
LICENCE = "public domain"
#: ten minutes are enough for whole chorales and more dropout than the defaults for small data have
WHOLE = {"longest": 640, "choice_size": 256, "dropout": 0.5, "choice_dropout": 0.4}
INDEPENDENT = {**WHOLE, "prediction": "independent", "dropout": 0.3, "weight_decay": 0.0}
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
            Configuration("pitches one after another, lstm", DATA, TITLE, WHOLE, "", LICENCE),
        ],
        scale=1,
    )
