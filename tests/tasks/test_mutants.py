"""Whatever happens to a file of text, its reader returns or raises a DataError, in bounded time.

Each mutant is a good file with a few bytes or lines changed, lost, repeated or moved.  There are
``ELMAN_MUTANTS`` of them for each reader, or a few in the suite.
"""

import contextlib
import gzip
import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from elman.data.faults import Row
from elman.data.plain_text import read_lines
from elman.data.text import read_labelled_texts, text_rows
from elman.data.vectors import read_vectors
from elman.errors import DataError
from elman.tasks.dna.fasta import open_fasta
from elman.tasks.dna.loci import check_loci, locus_rows
from elman.tasks.dna.samples import sample_genes
from elman.tasks.ner.conll import read_conll
from elman.tasks.ner.report import check_conll
from elman.tasks.ner.samples import NAMES_TRAIN
from elman.tasks.sentiment.report import check_labelled_texts
from elman.tasks.translation.parallel import pair_rows
from elman.tasks.translation.report import check_pairs

MUTANTS = int(os.environ.get("ELMAN_MUTANTS", "40"))
#: what a hang is: no mutant takes a hundredth of it
GUARD_SECONDS = 120

ROWS = [
    ("Warm, and funny.", "good"),
    ('A "dud" \u2028 again', "bad"),
    ("Zo\u00eb\tis\nhere", "good"),
] * 4
CSV = "text,label\n" + "".join('"{}",{}\n'.format(t.replace('"', '""'), x) for t, x in ROWS)
TSV = "text\tlabel\n" + "".join("{}\t{}\n".format(" ".join(t.split()), x) for t, x in ROWS)
JSONL = '{"text": "Caf\\u00e9 \u6797", "label": 1.0}\n{"label": "bad", "text": "x\\n"}\n' * 4
ARRAY = "[" + ",\n".join(JSONL.strip().split("\n")) + "]\n"
CONLL = NAMES_TRAIN[:1500]
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
PAIRS = "O\u00f9 ?\tWhere?\nOui.\tYes.\tCC-BY 2.0 (France) Attribution: tatoeba.org\n" * 6
WORDS = [f"w{k}" for k in range(12)]
NUMBERS = np.arange(36, dtype=np.float32).reshape(12, 3) / 7
GLOVE = "".join(f"{w} {' '.join(map(str, row))}\n" for w, row in zip(WORDS, NUMBERS, strict=True))
BINARY = b"12 3\n" + b"".join(
    w.encode() + b" " + row.tobytes() + b"\n" for w, row in zip(WORDS, NUMBERS, strict=True)
)
FASTA, GFF3 = sample_genes(3, 5)
GTF = "".join(
    f's1\tx\t{kind}\t{start}\t{end}\t.\t+\t0\tgene_id "g{k}"; transcript_id "t{k}";\n'
    for k in range(3)
    for kind, start, end in (
        ("exon", 1 + 60 * k, 50 + 60 * k),
        ("CDS", 1 + 60 * k, 42 + 60 * k),
        ("stop_codon", 43 + 60 * k, 45 + 60 * k),
    )
)
PIECES = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3", b"\r", b"\r\n", b"\n\n", b'"', b'""', b"\t", b",", b"|",
    b"{", b"[", b"]", b"\\ud83d", b"1e999", b"nan", b"-1", b"9" * 5000, b"[" * 3000, b"##FASTA\n", b">",
    b"#", b"-DOCSTART-\n", b"\xe2\x80\xa8", b"e\xcc\x81", b"\x1f\x8b", b"PK\x03\x04", b"sep=;\n", b"M-ORG",
    b" " * 2000, b"\xc2\xb2",
)  # fmt: skip


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, words=np.array(WORDS), vectors=NUMBERS)
    return stream.getvalue()


def mutant(content: bytes, random: Random) -> bytes:
    for _ in range(random.choice([1, 1, 2, 4, 10])):
        at = random.randrange(len(content) + 1)
        to = min(len(content), at + random.choice([1, 3, 40, 400]))
        lines = content.split(b"\n")
        line = random.randrange(len(lines))
        other = random.randrange(len(lines))
        swapped = list(lines)
        swapped[line], swapped[other] = swapped[other], swapped[line]
        content = random.choice(
            [
                content[:at],
                content[at:],
                content[:at] + content[to:],
                content[:to] + content[at:],
                content[:at] + random.choice(PIECES) + content[at:],
                content[:at] + random.choice(PIECES) + content[to:],
                content[:at] + bytes([random.randrange(256)]) + content[at + 1 :],
                content[:at] + content[at:to].swapcase() + content[to:],
                b"\n".join(swapped),
                b"\n".join(lines[:line] + lines[line + 1 :]),
                b"\n".join(lines[:line]) + b"".join(lines[line:]),
                content.replace(b"\n", random.choice([b"\r", b"\r\n", b"\r\r\n", b"\n\n"])),
            ]
        )
    return content


def read_text(path: Path) -> None:
    refusal = refusal_of(lambda: read_labelled_texts(path))
    assert (not check_labelled_texts(path).problems) == (not refusal)
    read_labelled_texts_alone = list(
        text_rows(path, text_column="text", label_column="label", labelled=False)
    )
    assert read_labelled_texts_alone


def read_sentences(path: Path) -> None:
    refusal = refusal_of(lambda: read_conll(path))
    assert (not check_conll(path).problems) == (not refusal)
    refusal_of(lambda: read_conll(path, tagged=False))
    refusal_of(lambda: read_conll(path, token_column=2, tag_column=1))


def read_pairs(path: Path) -> None:
    items = pair_rows(path)
    assert items or not path.read_bytes().strip()
    rows = sum(isinstance(item, Row) for item in items)
    assert check_pairs(path).facts["pairs"] == rows


def read_aligned(path: Path) -> None:
    target = path.with_suffix(".en")
    target.write_bytes(b"Yes.\n" * 12)
    read_pairs(path.with_name(f"{path.name},{target.name}"))


def read_genome(path: Path) -> None:
    if path.suffix == ".fa":
        path.with_suffix(".gff3").write_bytes(as_bytes(GFF3))
        refusal_of(lambda: open_fasta(path))
    else:
        sequence = (
            f">s1\n{'ACGTTGCA' * 40}\n" if path.suffix == ".gtf" else as_bytes(FASTA).decode()
        )
        path.with_suffix(".fa").write_text(sequence)
    report = check_loci(path.with_suffix(".fa"))
    assert report.facts["sequences"] == sum(
        isinstance(item, Row) for item in locus_rows(path.with_suffix(".fa"))
    )


def read_embedded(path: Path) -> None:
    check_loci(path)
    refusal_of(lambda: open_fasta(path))


def as_bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def refusal_of(read) -> str:
    """The sentence of a DataError, which is one line; "" where there was none."""
    refusal = ""
    try:
        read()
    except DataError as error:
        refusal = str(error)
    assert "\n" not in refusal
    return refusal


READERS = {
    "csv": ("a.csv", CSV, read_text),
    "tsv": ("a.tsv", TSV, read_text),
    "jsonl": ("a.jsonl", JSONL, read_text),
    "json array": ("a.json", ARRAY, read_text),
    "lines": ("a.txt", TSV, lambda path: refusal_of(lambda: read_lines(path))),
    "conll": ("a.conll", CONLL, read_sentences),
    "conll numbered": ("a.conllu", NUMBERED, read_sentences),
    "tags": ("a.bio", BIOES, read_sentences),
    "pairs": ("a.tsv", PAIRS, read_pairs),
    "aligned": ("a.fr", "Oui.\n" * 12, read_aligned),
    "vectors": ("a.vec", GLOVE, lambda path: refusal_of(lambda: read_vectors(path))),
    "vectors with header": ("a.vec", f"12 3\n{GLOVE}", lambda path: refusal_of(lambda: read_vectors(path))),
    "vectors binary": ("a.bin", BINARY, lambda path: refusal_of(lambda: read_vectors(path))),
    "vectors gzip": ("a.gz", gzip.compress(GLOVE.encode()), lambda path: refusal_of(lambda: read_vectors(path))),
    "vectors npz": ("a.npz", npz(), lambda path: refusal_of(lambda: read_vectors(path))),
    "fasta": ("a.fa", FASTA, read_genome),
    "gff3": ("a.gff3", GFF3, read_genome),
    "gtf": ("a.gtf", GTF, read_genome),
    "gff3 with sequences": ("a.gff3", as_bytes(GFF3) + b"##FASTA\n" + as_bytes(FASTA), read_embedded),
}  # fmt: skip


@contextlib.contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    def stop(number, frame):
        raise AssertionError("the reader hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("reader", READERS)
def test_a_mutant_is_read_or_refused_in_a_sentence(tmp_path, reader):
    name, content, read = READERS[reader]
    (tmp_path / name).write_bytes(as_bytes(content))
    read(tmp_path / name)
    for number in range(MUTANTS):
        (tmp_path / name).write_bytes(mutant(as_bytes(content), Random(number)))
        try:
            with no_longer_than(GUARD_SECONDS):
                read(tmp_path / name)
        except Exception as error:
            raise AssertionError(f"mutant {number} of {reader}: {error!r}") from error
