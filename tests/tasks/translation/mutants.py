"""The files of sentence pairs that ``test_mutants.py`` damages."""

from pathlib import Path

from elman.data.faults import Row
from elman.tasks.translation.parallel import pair_rows
from elman.tasks.translation.report import check_pairs

PAIRS = "O\u00f9 ?\tWhere?\nOui.\tYes.\tCC-BY 2.0 (France) Attribution: tatoeba.org\n" * 6


def read_pairs(path: Path) -> str:
    items = pair_rows(path)
    assert items or not path.read_bytes().strip()
    rows = sum(isinstance(item, Row) for item in items)
    report = check_pairs(path)
    assert report.facts["pairs"] == rows
    return "".join(report.problems[:1])


def read_aligned(path: Path) -> str:
    target = path.with_suffix(".en")
    target.write_bytes(b"Yes.\n" * 12)
    return read_pairs(path.with_name(f"{path.name},{target.name}"))


READERS = {
    "pairs": ("a.tsv", PAIRS, read_pairs),
    "aligned": ("a.fr", "Oui.\n" * 12, read_aligned),
}
