"""GenBank files: what they hold is what the same genes are in GFF3."""

import gzip

import pytest

from elman.data.faults import Fault, Row
from elman.errors import DataError
from elman.tasks.dna.bases import reverse_complement
from elman.tasks.dna.data import read_inputs
from elman.tasks.dna.loci import check_loci, locus_rows
from elman.tasks.dna.options import DnaOptions

PLUS = "ATGGCCGTAAGTTTTAGCTGTAA"  # an intron of 11 bases after the sixth
BASES = "CC" + PLUS + "GGGG" + reverse_complement("ATGCCCTAA") + "TTA"


def origin(bases):
    rows = []
    for k in range(0, len(bases), 60):
        words = [bases[j : j + 10].lower() for j in range(k, min(k + 60, len(bases)), 10)]
        rows.append(f"{k + 1:>9} {' '.join(words)}")
    return rows


def genbank(features, bases=BASES, name="s1"):
    table = [
        f"     {key:<16}{location}" if key else f"{'':21}{location}" for key, location in features
    ]
    return "\n".join(
        [
            f"LOCUS       {name} {len(bases)} bp DNA linear INV 01-JAN-2000",
            "DEFINITION  made up,",
            "            on two lines.",
            f"VERSION     {name}.1",
            "FEATURES             Location/Qualifiers",
            f"     source          1..{len(bases)}",
            *table,
            "ORIGIN",
            *origin(bases),
            "//",
            "",
        ]
    )


FEATURES = [
    ("gene", "1..27"),
    ("", '/locus_tag="one"'),
    ("mRNA", "join(1..8,"),
    ("", "20..27)"),
    ("", '/locus_tag="one"'),
    ("CDS", "join(3..8,20..25)"),
    ("", '/locus_tag="one"'),
    ("", '/note="a note on'),
    ("", 'two lines"'),
    ("CDS", "complement(30..38)"),
    ("", '/gene="two"'),
    ("", "/codon_start=1"),
]


def loci(path):
    return [item.value for item in locus_rows(path) if isinstance(item, Row)]


@pytest.mark.parametrize("packed", [False, True])
def test_genes_of_both_strands_are_read_with_their_exons(tmp_path, packed):
    path = tmp_path / ("a.gbk.gz" if packed else "a.gbk")
    text = genbank(FEATURES)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert check_loci(path).problems == check_loci(path).warnings == ()
    for place in (path, tmp_path):
        (locus,) = loci(place)
        assert (locus.name, locus.bases.upper()) == ("s1.1", BASES)
        assert [(g.strand, g.exons, g.coding) for g in locus.genes] == [
            ("+", ((0, 8), (19, 27)), ((2, 8), (19, 25))),
            ("-", ((29, 38),), ((29, 38),)),
        ]
        (sequence,) = read_inputs(place, DnaOptions())
        assert (sequence.name, sequence.part(0, 5).upper()) == ("s1.1", BASES[:5])


def test_a_coding_part_that_goes_on_beyond_the_sequence_keeps_its_phase(tmp_path):
    bases = "CGCCCTGTAAGG"
    text = genbank([("CDS", "<1..10"), ("", '/gene="g"'), ("", "/codon_start=2")], bases)
    (tmp_path / "a.gb").write_text(text)
    (locus,) = loci(tmp_path / "a.gb")
    (gene,) = locus.genes
    assert (gene.coding, gene.phase) == (((0, 10),), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ACGT\n", "line 1: there is text before the first LOCUS line"),
        ("", "the file has no GenBank record; the first line must start with LOCUS."),
        (genbank([]).replace("//", ""), 'the record "s1.1" has no line "//" at its end'),
        (genbank([("CDS", "3..x")]), 'line 7: the location "3..x" is not supported'),
        (genbank([("CDS", "9..3")]), "line 7: the location has 9..3"),
        (genbank([("CDS", "3..8"), ("", "/codon_start=4")]), 'codon_start is "4"'),
        (genbank([], "ACGT*"), 'the sequence "s1.1" has "*"'),
        (genbank([], ""), 'the record "s1.1" has no bases after ORIGIN'),
        (genbank([]) + genbank([]), 'the name "s1.1" was already used on line 1'),
        (genbank([("CDS", "3..99")]), 'bases 3 to 99 are outside of "s1.1", which has 41 bases.'),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, message):
    (tmp_path / "a.gb").write_text(text)
    faults = [str(item) for item in locus_rows(tmp_path / "a.gb") if isinstance(item, Fault)]
    assert any(message in fault for fault in faults), faults


def test_a_damaged_file_is_refused_in_prediction_too(tmp_path):
    (tmp_path / "a.gb").write_text(genbank([], "ACGT*"))
    with pytest.raises(DataError, match=r'a\.gb, line 8: the sequence "s1\.1" has'):
        read_inputs(tmp_path / "a.gb", DnaOptions())
