"""The genomes that ``test_mutants.py`` damages."""

from pathlib import Path

from elman.data.faults import Row
from elman.tasks.dna.data import read_inputs
from elman.tasks.dna.fasta import open_fasta
from elman.tasks.dna.loci import check_loci, locus_rows
from elman.tasks.dna.options import DnaOptions
from elman.tasks.dna.samples import sample_genes
from tasks.mutating import as_bytes, refusal_of

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


def read_genome(path: Path) -> str:
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
    return "".join(report.problems[:1])


def read_embedded(path: Path) -> str:
    refusal_of(lambda: open_fasta(path))
    return "".join(check_loci(path).problems[:1])


def read_genbank(path: Path) -> str:
    refusal_of(lambda: read_inputs(path, DnaOptions()))
    return "".join(check_loci(path).problems[:1])


GENBANK = (
    "LOCUS       s1 18 bp DNA linear\n"
    "FEATURES             Location/Qualifiers\n"
    "     CDS             join(4..9,13..15)\n"
    '                     /gene="g"\n'
    "ORIGIN\n"
    "        1 cccatggccc tgtaaccc\n"
    "//\n"
)

READERS = {
    "genbank": ("a.gb", GENBANK, read_genbank),
    "fasta": ("a.fa", FASTA, read_genome),
    "gff3": ("a.gff3", GFF3, read_genome),
    "gtf": ("a.gtf", GTF, read_genome),
    "gff3 with sequences": (
        "a.gff3",
        as_bytes(GFF3) + b"##FASTA\n" + as_bytes(FASTA),
        read_embedded,
    ),
}
