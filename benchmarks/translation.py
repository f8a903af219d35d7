"""Measure French to English translation after ten minutes and after two hours of training.

    python benchmarks/translation.py [--seeds 0]

Tatoeba's pairs in the split of ``recipes/real_data.py``: of groups of pairs that share a sentence,
every 46th is in the test set.  The shipped model goes on from the first stage.  BLEU and chrF by
sacrebleu against all translations of a sentence.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import tatoeba

translation = TASKS["translation"]

DATA = tatoeba(Path("runs") / "data")
TITLE = "Tatoeba, French and English sentence pairs"
LICENCE = "CC BY 2.0 FR"
#: no sentence is seen twice, so there is no dropout
SHORT = Configuration(
    "ten minutes",
    DATA,
    TITLE,
    {
        "epochs": 1,
        "max_minutes": 9,
        "learning_rate": 1.5e-3,
        "average_weights": 0.998,
        "dropout": 0.0,
    },
    "35",
    LICENCE,
)
FIRST = Configuration(
    "first stage",
    DATA,
    TITLE,
    {"epochs": 5, "max_minutes": 36},
    "48",
    LICENCE,
)
#: goes on from the first stage with placeholders, lower case and careless sources
SECOND = Configuration(
    "second stage",
    DATA,
    TITLE,
    {
        "epochs": 3,
        "max_minutes": 71.5,
        "batch_size": 64,
        "dropout": 0.15,
        "lowercase": True,
        "copied": "french_english",
        "careless": 0.1,
    },
    "",
    LICENCE,
    start="first stage",
)
#: goes on from the second stage, with a learning rate that falls to zero and more dropout
LONG = Configuration(
    "shipped",
    DATA,
    TITLE,
    {**SECOND.settings, "epochs": 6, "max_minutes": 80, "learning_rate": 7e-4, "dropout": 0.2},
    "52",
    LICENCE,
    start="second stage",
)

if __name__ == "__main__":
    measure("translation", translation, "bleu", [SHORT, FIRST, SECOND, LONG], scale=1)
