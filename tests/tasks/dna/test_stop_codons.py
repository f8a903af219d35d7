"""Coding parts without their stop codon, and proteins that are named as parents."""

import pytest

from elman.data.faults import Note, Row
from elman.tasks.dna.bases import reverse_complement
from elman.tasks.dna.genes import CodingGene
from elman.tasks.dna.loci import check_loci, locus_rows
from elman.tasks.dna.stop_codons import with_stop_codon

#: ATG GCC CTG TAA after three bases, 351 times
ONE = "CCCATGGCCCTGTAACCC"
COUNT = 351


def lines(count, last, parent="t{k}"):
    found = []
    for k in range(count):
        start = 18 * k + 4
        attributes = parent.format(k=k)
        found += [
            f"s\tx\tmRNA\t{start}\t{start + 11}\t.\t+\t.\tID=t{k};Parent=g{k}",
            f"s\tx\tCDS\t{start}\t{start + 8 + last}\t.\t+\t0\tParent={attributes}",
        ]
    return found


def pair(folder, rows, count=COUNT):
    (folder / "a.fa").write_text(f">s\n{ONE * count}\n")
    (folder / "a.gff3").write_text("\n".join(rows) + "\n")
    return folder / "a.fa"


def test_all_coding_parts_that_end_before_their_stop_codon_are_found_and_read_with_it(tmp_path):
    path = pair(tmp_path, lines(COUNT, 0))
    report = check_loci(path)
    assert report.problems == ()
    (note,) = report.warnings
    assert "351 of 351 genes have a coding part that ends before its stop codon" in note
    assert "a.gff3, line 2" in note
    (locus,) = [item.value for item in locus_rows(path) if isinstance(item, Row)]
    right = pair(tmp_path, lines(COUNT, 3))
    (expected,) = [item.value for item in locus_rows(right) if isinstance(item, Row)]
    assert locus.labels == expected.labels
    assert check_loci(right).warnings == ()


def test_a_few_of_them_are_notes_with_their_lines_and_stay_as_they_are(tmp_path):
    path = pair(tmp_path, [*lines(8, 3), *lines(10, 0)[16:]], 10)
    notes = [str(item) for item in locus_rows(path) if isinstance(item, Note)]
    assert [note.partition(": ")[2] for note in notes] == [
        f'the coding part of "t{k}" ends before its stop codon; add the codon to its last CDS.'
        for k in (8, 9)
    ]
    (locus,) = [item.value for item in locus_rows(path) if isinstance(item, Row)]
    assert locus.genes[8].coding == ((18 * 8 + 3, 18 * 8 + 12),)


@pytest.mark.parametrize("strand", "+-")
def test_a_stop_codon_behind_an_intron_is_found(strand):
    bases = "ATGGCCGTAAGTTTTAGTAACC"
    gene = CodingGene("g", "+", ((0, 6), (17, 22)), ((0, 6),))
    whole = CodingGene("g", "+", ((0, 6), (17, 22)), ((0, 6), (17, 20)))
    if strand == "-":
        gene, whole = (each.reverse_complement(len(bases)) for each in (gene, whole))
        bases = reverse_complement(bases)
    assert with_stop_codon(bases, gene) == whole
    assert with_stop_codon(bases, whole) is None


def test_what_is_no_whole_number_of_codons_or_meets_the_end_has_no_stop_codon():
    assert with_stop_codon("ATGGCTAA", CodingGene("g", "+", ((0, 5),), ((0, 5),))) is None
    assert with_stop_codon("ATGGCCTA", CodingGene("g", "+", ((0, 6),), ((0, 6),))) is None


def test_a_protein_beside_the_transcript_is_no_second_transcript(tmp_path):
    rows = lines(3, 3, parent="t{k},t{k}-Protein")
    report = check_loci(pair(tmp_path, rows, 3))
    assert (report.problems, report.facts["genes"]) == ((), 3)
    (note,) = report.warnings
    assert '3 lines name a protein as their parent, here "t0-Protein"' in note
    # the protein may have a line of its own, which says what it is derived from
    own = "s\tx\tprotein\t4\t15\t.\t+\t.\tID=p{k};Derives_from=t{k}"
    only = [*[own.format(k=k) for k in range(3)], *lines(3, 3, parent="p{k}")]
    for rows in (only, [*only[:3], *lines(3, 3, parent="t{k},p{k}")]):
        (locus,) = [
            item.value for item in locus_rows(pair(tmp_path, rows, 3)) if isinstance(item, Row)
        ]
        assert [gene.name for gene in locus.genes] == ["t0", "t1", "t2"]
        assert not locus.left_out
