"""The files of tagged words that ``test_mutants.py`` damages."""

from pathlib import Path

from elman.tasks.ner.conll import read_conll
from elman.tasks.ner.report import check_conll
from elman.tasks.ner.samples import NAMES_TRAIN
from tasks.mutating import refusal_of

CONLL = NAMES_TRAIN[: NAMES_TRAIN.index("\n\n", 1500) + 1]
NUMBERED = "\n\n".join(
    "\n".join(
        f"{k}\t{line.replace(chr(9), chr(9) + '_' + chr(9))}"
        for k, line in enumerate(block.split("\n"), 1)
    )
    for block in CONLL.strip().split("\n\n")
)
BIOES = (
    "Ada B-PER\nLovelace E-PER\nmet O\nTom S-PER\nin O\nNew B-LOC\nYork I-LOC\nCity E-LOC\n\n" * 4
)


def read_sentences(path: Path) -> str:
    refusal = refusal_of(lambda: read_conll(path))
    assert (not check_conll(path).problems) == (not refusal)
    refusal_of(lambda: read_conll(path, tagged=False))
    refusal_of(lambda: read_conll(path, token_column=2, tag_column=1))
    return refusal


READERS = {
    "conll": ("a.conll", CONLL, read_sentences),
    "conll numbered": ("a.conllu", NUMBERED, read_sentences),
    "tags": ("a.bio", BIOES, read_sentences),
}
#: for ``test_any_bytes.py``: characters that matter, the reader, its check
ANY_BYTES = {"a.conll": ("BIOESLU-#_ \t\r\n\0\xa0\u2028x", read_conll, check_conll)}
