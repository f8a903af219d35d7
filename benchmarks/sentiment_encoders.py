"""Measure what language models as encoders gain in sentence sentiment.

    python benchmarks/sentiment_encoders.py [--seeds 0 1 2]

Sentence polarity (Pang and Lee 2005) in the split of ``recipes/real_data.py``, with and without
two character language models (``recipes/language_encoders.py``), and with 50-dimensional GloVe
vectors beside them.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.language_encoders import film_sentences, language_models, novels
from recipes.real_data import GLOVE, sentence_polarity

FOLDER = Path("runs") / "data"
TITLE = "sentence polarity (Pang and Lee 2005)"
VECTORS = {"vectors": str(GLOVE)}
#: reading the characters takes longer than the rest
LONG = {"max_minutes": 30}

if __name__ == "__main__":
    data = sentence_polarity(FOLDER)
    encoders = language_models(FOLDER, "polarity", film_sentences(data["train"]), novels())
    measure(
        "sentiment_encoders",
        TASKS["sentiment"],
        "accuracy",
        [
            Configuration("recurrent", data, TITLE, {}),
            Configuration("recurrent, language models", data, TITLE, LONG, encoders=encoders),
            Configuration("recurrent, GloVe", data, TITLE, VECTORS),
            Configuration(
                "recurrent, GloVe, language models",
                data,
                TITLE,
                {**VECTORS, **LONG},
                encoders=encoders,
            ),
        ],
    )
