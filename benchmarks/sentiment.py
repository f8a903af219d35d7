"""Measure sentence sentiment, compared with a bag of words.

    python benchmarks/sentiment.py [--seeds 0 1 2]

Sentence polarity (Pang and Lee 2005) in the split of ``recipes/real_data.py``: without pretrained
vectors, with 50-dimensional GloVe vectors, and averaged with naive Bayes; and the same three for
the one-to-one baseline, a bag of words.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import GLOVE, sentence_polarity

sentiment = TASKS["sentiment"]

DATA = sentence_polarity(Path("runs") / "data")
TITLE = "sentence polarity (Pang and Lee 2005)"
VECTORS = {"vectors": str(GLOVE)}
BAG = {"model": "bag_of_words"}
#: an ensemble with naive Bayes on words and pairs of words
PHRASES = {"phrases": 2}

if __name__ == "__main__":
    measure(
        "sentiment",
        sentiment,
        "accuracy",
        [
            Configuration("recurrent", DATA, TITLE, {}, "77.0"),
            Configuration("recurrent, GloVe", DATA, TITLE, VECTORS, "79.5"),
            Configuration(
                "recurrent and naive Bayes, GloVe", DATA, TITLE, {**VECTORS, **PHRASES}, "79.5"
            ),
            Configuration("bag of words", DATA, TITLE, BAG),
            Configuration("bag of words, GloVe", DATA, TITLE, {**BAG, **VECTORS}),
            Configuration(
                "bag of words and naive Bayes, GloVe", DATA, TITLE, {**BAG, **VECTORS, **PHRASES}
            ),
        ],
    )
