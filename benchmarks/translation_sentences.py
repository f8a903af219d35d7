"""Score a translation model on sentences of seven kinds, and count invented and repeated words.

    python benchmarks/translation_sentences.py [MODEL] [--sentences unseen] [--part valid]

The sentences of ``sentences/translation-*.tsv`` were written for this: capitals, missing accents,
dates, amounts, times, names and quotes, each with patterns of a right answer.  Those of
``development`` may be looked at; ``unseen`` is scored once, at the end.  ``--part`` also translates
a part of Tatoeba, and counts the answers with a word that neither the training translations nor
the source have, or the same word twice in a row where no reference has it.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import elman
from elman.tasks import TASKS
from elman.tasks.translation.words import PART
from recipes.real_data import tatoeba

FOLDER = Path(__file__).parent / "sentences"


@dataclass(frozen=True)
class Wanted:
    """A sentence, its kind, and patterns: all must be found, none that begins with "!"."""

    kind: str
    source: str
    patterns: tuple[str, ...]

    def right(self, answer: str) -> bool:
        """Whether an answer is right."""
        text = " ".join(re.sub("[“”]", '"', answer).replace("’", "'").split())
        return all(
            (re.search(pattern.removeprefix("!"), text, re.IGNORECASE) is None)
            == pattern.startswith("!")
            for pattern in self.patterns
        )


def sentences(name: str) -> list[Wanted]:
    """The sentences of a set."""
    lines = (FOLDER / f"translation-{name}.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [Wanted(kind, source, tuple(patterns)) for kind, source, *patterns in rows]


def by_kind(wanted: Sequence[Wanted], answers: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Right answers and sentences of each kind."""
    found: dict[str, tuple[int, int]] = {}
    for each, answer in zip(wanted, answers, strict=True):
        right, count = found.get(each.kind, (0, 0))
        found[each.kind] = (right + each.right(answer), count + 1)
    return found


def faulty(source: str, answer: str, references: Sequence[str], known: frozenset[str]) -> str:
    """An invented word of an answer, or one that is repeated; "" if there is none."""
    words = [word.lower() for word in PART.findall(answer)]
    given = {word.lower() for text in (source, *references) for word in PART.findall(text)}
    for word in words:
        if word not in known and word not in given and word.partition("'")[0] not in given:
            return word
    joined = " ".join(words)
    twice = re.search(r"\b(\w+) \1\b", joined)
    theirs = [" ".join([w.lower() for w in PART.findall(text)]) for text in references]
    if twice is not None and not any(twice[0] in text for text in theirs):
        return twice[0]
    return ""


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", default="translation")
    parser.add_argument("--sentences", nargs="*", default=["development"])
    parser.add_argument("--part", choices=["valid", "test"])
    parser.add_argument("--scores", action="store_true", help="also BLEU and chrF of the part")
    parser.add_argument("--wrong", action="store_true", help="also print the wrong answers")
    parser.add_argument("--set", action="append", default=[], metavar="OPTION=VALUE")
    asked = parser.parse_args()
    model = elman.load(asked.model)
    settings = dict([each.split("=", 1) for each in asked.set])
    for name in asked.sentences:
        wanted = sentences(name)
        answers = [each.translation for each in model([w.source for w in wanted], **settings)]
        if asked.wrong:
            for each, answer in zip(wanted, answers, strict=True):
                print("right" if each.right(answer) else "WRONG", each.source, "->", answer)
        found = by_kind(wanted, answers)
        total = sum([right for right, _ in found.values()])
        print(name, f"{total} of {len(wanted)}", json.dumps(found))
    if asked.part:
        data = tatoeba(Path("runs") / "data")
        task = TASKS["translation"]
        train = task.read(data["train"], model.options)
        known = frozenset(
            [word.lower() for row in train for word in PART.findall(str(row.value.target))]
        )
        references: dict[str, list[str]] = {}
        for row in task.read(data[asked.part], model.options):
            references.setdefault(row.value.source, []).append(str(row.value.target))
        begun = time.process_time()
        answers = [each.translation for each in model(list(references), **settings)]
        seconds = time.process_time() - begun
        faults = [
            faulty(source, answer, theirs, known)
            for (source, theirs), answer in zip(references.items(), answers, strict=True)
        ]
        count = sum(map(bool, faults))
        print(
            asked.part,
            f"{count} of {len(faults)} answers have an invented or repeated word "
            f"({100 * count / len(faults):.2f} %); {1000 * seconds / len(faults):.1f} ms of "
            "processor time per sentence",
        )
        print([fault for fault in faults if fault][:40])
        if asked.scores:
            scores = model.evaluate(data[asked.part], **settings)
            print({name: scores[name] for name in ("bleu", "chrf", "loss", "examples")})


if __name__ == "__main__":
    main()
