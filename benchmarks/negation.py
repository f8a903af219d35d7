"""Measure sentiment on sentences with a negation.

    python benchmarks/negation.py

20 pairs of sentences, written for this script: both sentences of a pair have a negation, and a word
or two decide which one is positive.  No model was trained or tuned on them; the script checks that
none is in the training data.  A pair is right if both of its sentences are.
"""

from __future__ import annotations

import json
from pathlib import Path

import elman
from elman.benchmark import machine
from elman.data import split_words
from elman.files import write_whole
from elman.tasks import Trained
from recipes.real_data import sentence_polarity

#: a positive sentence, then a negative one
PAIRS = (
    ("There is not a dull moment in it.", "There is not a good moment in it."),
    ("The plot is never boring.", "The plot is never interesting."),
    ("I could not stop laughing.", "I could not laugh once."),
    ("The jokes do not fall flat.", "The jokes do not work."),
    ("The ending does not disappoint.", "The ending does not satisfy."),
    ("It is not a bad film at all.", "It is not a good film at all."),
    ("Nobody in the cast is weak.", "Nobody in the cast is convincing."),
    ("You will not regret seeing it.", "You will not enjoy seeing it."),
    ("Not one scene is wasted.", "Not one scene is memorable."),
    ("I cannot recommend it highly enough.", "I cannot recommend it to anyone."),
    ("The director never loses control of the story.", "The director never finds a story."),
    ("I did not want it to end.", "I did not want to see the end."),
    ("It isn't dumb, and it isn't dull.", "It isn't clever, and it isn't funny."),
    ("There is nothing wrong with this movie.", "There is nothing right with this movie."),
    ("The film is not only funny but also wise.", "The film is neither funny nor wise."),
    ("The dialogue is without a false note.", "The dialogue is without any charm."),
    ("Hardly a minute of it is predictable.", "Hardly a minute of it is original."),
    ("No one has made a better thriller this year.", "No one has made a worse thriller this year."),
    ("I have never been so moved by a film.", "I was never moved by the film."),
    ("It won't leave you cold.", "It won't leave you happy."),
)
RESULT = Path(__file__).parent / "results" / "negation.json"


def main() -> None:
    paths = sentence_polarity(Path("runs") / "data")
    model = elman.load("sentiment")
    seen = {
        tuple(split_words(row.value.text.lower()))
        for row in model.task.read(paths["train"], model.options)
    }
    sentences = [sentence for pair in PAIRS for sentence in pair]
    copied = [each for each in sentences if tuple(split_words(each.lower())) in seen]
    assert not copied, copied
    record = {
        "command": "python benchmarks/negation.py",
        "machine": machine(),
        "sentences": len(sentences),
        "answers": answers(model),
    }
    write_whole(RESULT, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(counts(record["answers"]))


def answers(model: Trained) -> list[dict[str, object]]:
    """The answer for each sentence, in order."""
    expected = [(text, label) for pair in PAIRS for text, label in zip(pair, LABELS, strict=True)]
    found = model([text for text, _ in expected])
    return [
        {
            "text": text,
            "expected": label,
            "label": rating.label,
            "probability": round(rating.probability, 3),
        }
        for (text, label), rating in zip(expected, found, strict=True)
    ]


LABELS = ("positive", "negative")


def counts(found: list[dict[str, object]]) -> dict[str, int]:
    """How many sentences of each label, of all, and how many pairs are right."""
    right = [each["expected"] == each["label"] for each in found]
    return {
        "positive": sum(right[::2]),
        "negative": sum(right[1::2]),
        "sentences": sum(right),
        "pairs": sum(a and b for a, b in zip(right[::2], right[1::2], strict=True)),
    }


if __name__ == "__main__":
    main()
