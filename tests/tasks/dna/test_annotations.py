"""Annotations as other programs write them: GTF, without ids, with sequences, of unusual genes."""

import gzip
from random import Random

import pytest

from elman.data.faults import Fault
from elman.tasks.dna.fasta import fasta_rows, open_fasta
from elman.tasks.dna.loci import check_loci, locus_rows

#: three genes of one exon: start, whole codons, stop
PLACES = ((51, 116), (177, 272), (333, 413))


def _sequence():
    random = Random(3)
    bases = [random.choice("ACGT") for _ in range(473)]
    for first, last in PLACES:
        codons = (last - first + 1) // 3
        inner = [random.choice(("GCA", "CTT", "GGA", "ACC")) for _ in range(codons - 2)]
        bases[first - 1 : last] = "".join(["ATG", *inner, "TAA"])
    return "".join(bases)


BASES = _sequence()
FASTA = f">s1 test\n{BASES}\n"


def lines_of(attributes, last=0):
    return [
        f"s1\tx\tCDS\t{start}\t{end - last}\t.\t+\t0\t{attributes.format(k)}"
        for k, (start, end) in enumerate(PLACES)
    ]


def checked(folder, lines, *, name="a.gff3", fasta=FASTA):
    (folder / "a.fa").write_text(fasta)
    (folder / name).write_text("\n".join(lines) + "\n")
    return check_loci(folder / "a.fa")


WAYS = {
    "ids": lines_of("ID=p{0}"),
    "GTF": lines_of('gene_id "g{0}"; transcript_id "t{0}";'),
    "GTF without quotes": lines_of("gene_id g{0}; transcript_id t{0};"),
    "in quotes": lines_of('"ID=p{0};product=protein {0}"'),
    "a comment": [
        *lines_of("ID=p{0}")[:1],
        "##Protein 1",
        "##FASTAQMLK",
        "##end-Protein",
        *lines_of("ID=p{0}")[1:],
    ],
    "a GTF without its stop codons": [
        *lines_of('gene_id "g{0}"; transcript_id "t{0}";', last=3),
        *[
            f's1\tx\tstop_codon\t{e - 2}\t{e}\t.\t+\t0\tgene_id "g{k}"; transcript_id "t{k}";'
            for k, (_, e) in enumerate(PLACES)
        ],
    ],
}


@pytest.mark.parametrize("lines", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", ["a.gff3", "a.gff", "a.gtf"])
def test_three_genes_are_three_genes_however_they_are_written(tmp_path, lines, name):
    report = checked(tmp_path, lines, name=name)
    assert report.problems == ()
    assert report.facts["genes"] == 3
    [locus] = [row.value for row in locus_rows(tmp_path / "a.fa")]
    assert [(gene.start + 1, gene.end) for gene in locus.genes] == list(PLACES)
    assert [gene.coding[0] for gene in locus.genes] == [(a - 1, b) for a, b in PLACES]


def test_coding_parts_without_any_id_are_problems_each_with_its_line(tmp_path):
    for attributes in ("", "."):
        report = checked(tmp_path, lines_of(attributes))
        assert len(report.problems) == 3
        assert "a.gff3, line 2: this CDS has no ID, Parent or gene_id" in report.problems[1]


def test_a_transcript_of_gtf_belongs_to_its_gene(tmp_path):
    first = 's1\tx\tCDS\t51\t116\t.\t+\t0\tgene_id "g"; transcript_id "t1";'
    second = 's1\tx\tCDS\t51\t116\t.\t+\t0\tgene_id "g"; transcript_id "t2";'
    report = checked(tmp_path, [first, second])
    assert (report.facts["genes"], report.problems, report.warnings) == (1, (), ())


UNUSUAL = {
    "slippage": (
        [
            "s1\tx\tCDS\t51\t103\t.\t+\t0\tID=c;Parent=g;exception=ribosomal slippage",
            "s1\tx\tCDS\t103\t116\t.\t+\t0\tID=c;Parent=g;exception=ribosomal slippage",
        ],
        '"g" has the exception "ribosomal slippage" and is ignored: two coding parts of "g" overlap',
    ),
    "trans-splicing": (
        [
            "s1\tx\tCDS\t51\t80\t.\t+\t0\tID=c;Parent=g;exception=trans-splicing",
            "s1\tx\tCDS\t90\t116\t.\t-\t0\tID=c;Parent=g;exception=trans-splicing",
        ],
        'the parts of "g" are on different sequences or strands',
    ),
    "frameshift": (
        [
            "s1\tx\tCDS\t51\t80\t.\t+\t0\tID=c;Parent=g;pseudo=true",
            "s1\tx\tCDS\t90\t116\t.\t+\t1\tID=c;Parent=g;pseudo=true",
        ],
        'has the exception "pseudo" and is ignored: the phase of this CDS of "g" is 1',
    ),
    "circular": (
        [
            "s1\tx\tregion\t1\t473\t.\t+\t.\tID=s1;Is_circular=true",
            "s1\tx\tCDS\t440\t490\t.\t+\t0\tID=c;Parent=g",
        ],
        '"g" spans the ends of a circular sequence; it is ignored.',
    ),
}


@pytest.mark.parametrize(("lines", "note"), UNUSUAL.values(), ids=UNUSUAL)
def test_an_unusual_gene_is_left_out_with_a_note_and_the_others_are_read(tmp_path, lines, note):
    gene = "s1\tx\tgene\t51\t116\t.\t+\t.\tID=g"
    report = checked(tmp_path, [gene, *lines, *lines_of("ID=p{0}")[1:]])
    assert report.problems == ()
    assert report.facts["genes"] == 2
    assert note in report.warnings[0]
    plain = [each.partition(";exc")[0].partition(";pseudo")[0] for each in [gene, *lines]]
    if "circular" not in note:
        assert checked(tmp_path, plain).problems, "it is a mistake where the file does not say so"


@pytest.mark.parametrize("packed", [False, True])
def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path, packed):
    for name, text in (("a.fa", FASTA), ("a.gff3", "\n".join(lines_of("ID=p{0}")))):
        content = b"\xef\xbb\xbf" + text.encode()
        name = f"{name}.gz" if packed else name
        (tmp_path / name).write_bytes(gzip.compress(content) if packed else content)
    report = check_loci(tmp_path / ("a.fa.gz" if packed else "a.fa"))
    assert (report.facts["genes"], report.problems) == (3, ())


def test_sequences_in_a_gff3_file_are_read(tmp_path):
    path = tmp_path / "a.gff3"
    genes = "\n".join(["##gff-version 3", *lines_of("ID=p{0}")])
    path.write_text(f"{genes}\n##FASTA\n{FASTA}")
    for given in (path, tmp_path):
        report = check_loci(given)
        assert (report.facts["genes"], report.facts["bases"], report.problems) == (3, 473, ())
    [sequence] = open_fasta(path)
    assert sequence.part(0, len(sequence)) == BASES
    path.write_text(f"{genes}\n##FASTA\n{FASTA}AC-T\n")
    [fault] = check_loci(path).problems
    assert f'{path}, line 8: the sequence "s1" has "-"' in fault


def test_files_that_are_no_text_have_a_sentence(tmp_path):
    path = tmp_path / "a.fa"
    for content, sentence in (
        (FASTA.encode("utf-16"), "the file is UTF-16"),
        (gzip.compress(FASTA.encode())[:-20], "the file cannot be read"),
        (b">s\nAC\0T\n", 'has "U+0000"; valid letters are'),
        (b"\xff\xfe", "UTF-16"),
    ):
        path.write_bytes(content)
        [fault] = [row for row in fasta_rows(path) if isinstance(row, Fault)]
        assert sentence in fault.message


def test_names_that_are_not_ascii_stay_apart(tmp_path):
    lines = [
        line.replace("ID=p0", "ID=\xe9").replace("ID=p1", "ID=\xe8") for line in lines_of("ID=p{0}")
    ]
    (tmp_path / "a.fa").write_text(FASTA)
    for encoding in ("utf-8", "latin-1"):
        (tmp_path / "a.gff3").write_bytes("\n".join(lines).encode(encoding))
        assert check_loci(tmp_path / "a.fa").facts["genes"] == 3
