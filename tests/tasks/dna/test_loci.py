"""FASTA and GFF3: what is read, and what is wrong with the files beside the right ones."""

import gzip
from pathlib import Path

import pytest

from elman.data.faults import Fault, Note, Row
from elman.errors import DataError
from elman.tasks.dna.annotated_genes import gene_rows
from elman.tasks.dna.fasta import fasta_rows, open_fasta
from elman.tasks.dna.found_genes import FoundGene, gff3_text
from elman.tasks.dna.genes import CodingGene
from elman.tasks.dna.gff3 import gff3_rows
from elman.tasks.dna.loci import check_loci, locus_rows
from elman.tasks.dna.samples import sample_genes
from elman.tasks.dna.sequence_names import matched_names

SHARED = Path(__file__).resolve().parents[3].parent / "shared" / "data"

#: outside, ATG CCC, intron, GGG TAA, outside
BASES = "ccATGCCCGTAAAAAGGGGTAAcc"
GENE = CodingGene("t", "+", ((1, 8), (15, 23)), ((2, 8), (15, 22)))


def line(kind, start, end, attributes, strand="+", phase=".", sequence="s"):
    return "\t".join([sequence, "x", kind, str(start), str(end), ".", strand, phase, attributes])


RIGHT = [
    line("gene", 2, 22, "ID=g"),
    line("mRNA", 2, 22, "ID=t;Parent=g"),
    line("exon", 2, 8, "Parent=t"),
    line("exon", 17, 22, "Parent=t"),
    line("CDS", 3, 8, "ID=c;Parent=t", phase="0"),
    line("CDS", 17, 22, "ID=c;Parent=t", phase="0"),
]


def pair(folder, lines=RIGHT, fasta=f">s one\n{BASES}\n"):
    (folder / "a.fa").write_text(fasta)
    (folder / "a.gff3").write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    return folder / "a.fa"


def sorted_out(path, **choice):
    items = list(locus_rows(path, **choice))
    loci = [item.value for item in items if isinstance(item, Row)]
    faults = [str(item) for item in items if isinstance(item, Fault)]
    return loci, faults, [str(item) for item in items if isinstance(item, Note)]


def test_a_right_pair_has_its_labels(tmp_path):
    (locus,), faults, notes = sorted_out(pair(tmp_path))
    assert (faults, notes) == ([], [])
    assert locus.labels == "NUEEEEEEIIIIIIIIEEEEEENN"
    assert locus.bases == BASES
    for other in (tmp_path / "a.gff3", tmp_path):
        assert sorted_out(other)[0][0].labels == locus.labels
    (tmp_path / "a.gff3").rename(tmp_path / "other.gff3")
    assert sorted_out(tmp_path / "a.fa,other.gff3")[0][0].labels == locus.labels


def test_compressed_files_are_read(tmp_path):
    pair(tmp_path)
    for name in ("a.fa", "a.gff3"):
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress((tmp_path / name).read_bytes()))
        (tmp_path / name).unlink()
    assert sorted_out(tmp_path / "a.fa.gz")[0][0].labels == "NUEEEEEEIIIIIIIIEEEEEENN"
    whole = (tmp_path / "a.fa.gz").read_bytes()
    (tmp_path / "a.fa.gz").write_bytes(whole[:-9])
    assert "a.fa.gz: the file cannot be read" in sorted_out(tmp_path)[1][0]


def replaced(number, new):
    return [new if k == number else each for k, each in enumerate(RIGHT)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (replaced(5, line("CDS", 17, 99, "Parent=t")), 'line 7: bases 17 to 99 are outside of "s"'),
        (replaced(5, line("CDS", 9, 8, "Parent=t")), "line 7: start is 9 and end is 8"),
        (replaced(5, line("CDS", 0, 8, "Parent=t")), "line 7: start is 0 and end is 8"),
        (replaced(5, "s x CDS 17 22"), "line 7: the line has 1 columns, but GFF3 has 9"),
        (replaced(5, line("CDS", "a", 22, "Parent=t")), 'line 7: start and end are "a" and "22"'),
        (replaced(5, line("CDS", 17, 22, "Parent=t", strand="x")), 'line 7: the strand is "x"'),
        (replaced(5, line("CDS", 17, 22, "Parent=t", phase="3")), 'line 7: the phase is "3"'),
        (replaced(5, line("CDS", 17, 22, "Parent=t", phase="1")), "line 7: the phase of this CDS"),
        (replaced(5, line("CDS", 17, 22, "Parent=t", strand="-")), "line 7: the parts of"),
        (replaced(3, line("exon", 5, 22, "Parent=t")), 'line 5: two exons of "t" overlap (the oth'),
        (replaced(5, line("CDS", 16, 22, "Parent=t")), "line 7: this CDS of"),
        (replaced(5, line("CDS", 8, 8, "Parent=t")), "line 7: two coding parts"),
        (
            [each.replace("s\tx", "q\tx") for each in RIGHT],
            'line 6: the sequence "q" is not in the FASTA file, which has "s"',
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, lines, message):
    path = pair(tmp_path, lines)
    _, faults, _ = sorted_out(path)
    assert f"a.gff3, {message}" in faults[0]
    assert check_loci(path).problems[0] == faults[0]


@pytest.mark.parametrize(
    ("fasta", "message"),
    [
        (">s\nACG-T\n", 'line 1: the sequence "s" has "-"; valid letters are'),
        ("ACGT\n", "line 1: there are bases before the first name"),
        (">s\nACGT\n>s\nAC\n", 'line 3: the name "s" was already used on line 1'),
        (">s\n>t\nAC\n", 'line 1: the sequence "s" has no bases'),
        (">\nAC\n", 'line 1: the name after ">" is missing'),
        ("", "a.fa: the file has no sequences"),
        (">s\nACGé\n", 'has "é"; valid letters are'),
    ],
)
def test_fasta_faults(tmp_path, fasta, message):
    (tmp_path / "a.fa").write_text(fasta)
    faults = [str(row) for row in fasta_rows(tmp_path / "a.fa") if isinstance(row, Fault)]
    where = message if message.startswith("a.fa") else message.split(": ")[-1]
    assert where in faults[0]
    with pytest.raises(DataError, match=r"a\.fa"):
        open_fasta(tmp_path / "a.fa")


def test_files_without_their_other_half(tmp_path):
    assert "there is no such file" in sorted_out(tmp_path / "a.fa")[1][0]
    assert "there are no FASTA files in this folder" in sorted_out(tmp_path)[1][0]
    pair(tmp_path)
    (tmp_path / "a.gff3").rename(tmp_path / "b.gff3")
    assert "the annotation a.gff3 is missing" in sorted_out(tmp_path / "a.fa")[1][0]
    assert "the sequence b.fa is missing" in sorted_out(tmp_path / "b.gff3")[1][0]


def test_names_that_differ_are_matched_and_it_is_said(tmp_path):
    lines = [each.replace("s\tx", "chrII\tx") for each in RIGHT]
    (locus,), faults, notes = sorted_out(pair(tmp_path, lines, f">2\n{BASES}\n"))
    assert not faults
    assert locus.labels.count("E") == 12
    assert 'names differ from those of a.fa: "chrII" is read as "2".' in notes[0]
    # the sex chromosome of a worm or a man is no tenth
    assert matched_names(["chrX"], ["10"]) == {}
    assert matched_names(["chrX", "chrIX"], ["9", "10"]) == {"chrX": "10", "chrIX": "9"}
    assert matched_names(["1"], ["chr1", "Chr1"]) == {}, "it could be either"


SECOND = [
    line("mRNA", 3, 22, "ID=u;Parent=g"),
    line("exon", 3, 22, "Parent=u"),
    line("CDS", 3, 22, "Parent=u"),
]


def test_of_several_transcripts_one_is_taken(tmp_path):
    path = pair(tmp_path, [*RIGHT, *SECOND])
    assert sorted_out(path)[0][0].genes[0].name == "t"
    assert sorted_out(path, choice="longest")[0][0].genes[0].name == "u"


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ([*RIGHT, *[x.replace("ID=u;Parent=g", "ID=u") for x in SECOND]], '"t" overlaps "u"'),
        ([*RIGHT, line("CDS", 3, 5, "Parent=elsewhere")], 'the parent "elsewhere" of this CDS is not in'),
        (replaced(5, line("CDS", 17, 21, "Parent=t")), "11 coding bases, not a multiple"),
        ([line("gene", 2, 22, "ID=g")], '"s" has no coding genes'),
        (
            [line("mRNA", 3, 22, "ID=v"), line("CDS", 3, 8, "Parent=v"),
             line("CDS", 11, 22, "Parent=v")],
            "an intron of 2 bases, shorter than 5; it is ignored",
        ),
        (
            [line("mRNA", 3, 22, "ID=v"), line("CDS", 3, 8, "Parent=v"),
             line("CDS", 16, 22, "Parent=v", phase="0")],
            "has an unusual base",
        ),
    ],
)  # fmt: skip
def test_what_is_odd_is_noted_and_does_not_stop(tmp_path, lines, note):
    _, faults, notes = sorted_out(pair(tmp_path, lines))
    assert not faults
    assert any(note in each for each in notes), notes


def test_check_counts_and_finds_what_came_before(tmp_path):
    pair(tmp_path)
    (tmp_path / "b.fa").write_text(f">other\n{BASES.lower()}\n")
    (tmp_path / "b.gff3").write_text((tmp_path / "a.gff3").read_text().replace("s\tx", "other\tx"))
    report = check_loci(tmp_path)
    assert not report.problems
    assert report.facts["duplicates"] == 1
    (note,) = report.warnings
    assert note.startswith(str(tmp_path / "b.fa")), "a copy in another split is named with both"
    assert str(tmp_path / "a.fa") in note
    assert report.facts["genes"] == 2
    assert report.facts["masked"] == 4 + 24


def test_written_genes_are_read_back(tmp_path):
    fasta, annotation = sample_genes(6, seed=5)
    (tmp_path / "a.fa").write_text(fasta)
    (tmp_path / "a.gff3").write_text(annotation)
    loci, faults, notes = sorted_out(tmp_path / "a.fa")
    assert (faults, notes) == ([], [])
    text = gff3_text([(x.name, len(x), [FoundGene(gene) for gene in x.genes]) for x in loci])
    (tmp_path / "a.gff3").write_text(text)
    again = sorted_out(tmp_path / "a.fa")[0]
    for one, two in zip(loci, again, strict=True):
        (a,), (b,) = one.genes, two.genes
        assert (a.strand, a.exons, a.coding, a.phase) == (b.strand, b.exons, b.coding, b.phase)
    assert {x.genes[0].strand for x in loci} == {"+", "-"}


def test_a_large_file_is_read_where_it_lies(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(">one first\nACGTacgt\nNNRY\n>two\nTTTTTTTT\nGG\n")
    one, two = open_fasta(path, large=0)
    assert (one.name, len(one), one.part(6, 10)) == ("one", 12, "gtNN")
    assert (two.name, two.part(0, 100)) == ("two", "TTTTTTTTGG")
    assert [p.name for p in tmp_path.iterdir()] == ["g.fa"], "no index is left beside it"
    path.write_text(">one\nACGT\nACGTACGT\nAC\n")
    with pytest.raises(DataError, match="all lines of a sequence must have the same length"):
        open_fasta(path, large=0)
    path.write_text(">one\nAC-T\n")
    with pytest.raises(DataError, match='sequence "one", base 3: "-" is not a base'):
        open_fasta(path, large=0)[0].part(0, 4)


def test_features_of_no_interest_are_passed_over(tmp_path):
    path = tmp_path / "x.gff3"
    path.write_text("\n".join([*RIGHT, line("repeat", 1, 2, ""), "##FASTA", ">s", "ACGT"]))
    rows = list(gff3_rows(path))
    assert len(rows) == 7
    found = [x for x in gene_rows(rows, {"s": 24}) if isinstance(x, Row)]
    assert [x.value.gene.exons for x in found] == [((1, 8), (16, 22))]


@pytest.mark.data
@pytest.mark.skipif(not SHARED.exists(), reason="the real data are not here")
def test_real_genes_have_the_labels_that_others_gave_them(tmp_path):
    import tarfile

    dna = SHARED / "dna"
    with tarfile.open(dna / "smallgenes.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    with gzip.open(dna / "smallgenes_labels.tsv.gz", "rt") as lines:
        table = [each.rstrip("\n").split("\t") for each in lines][1:]
    expected = {name: (bases, labels) for name, _, _, bases, labels in table}
    found = {x.name: (x.bases, x.labels) for x in sorted_out(tmp_path)[0]}
    assert len(found) == 1045
    assert found == expected
