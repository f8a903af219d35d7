"""The grammar obeys biology, and every gene is a path of it."""

import numpy as np
import pytest

from elman.tasks.dna.bases import (
    LETTERS,
    NO_BASE,
    PROBABILITIES,
    STANDS_FOR,
    encode_bases,
    reverse_complement,
)
from elman.tasks.dna.found_genes import FoundGene, StateRuns, bed_text, genes_of, gff3_text
from elman.tasks.dna.genes import CodingGene, coding_parts, label_bases
from elman.tasks.dna.grammar import STOPS, STRAY_COST, gene_grammar, gene_path

GRAMMARS = [
    *[gene_grammar(both_strands=both) for both in (False, True)],
    gene_grammar(both_strands=True, shortest_intron=20),
]


def walk(grammar, seed, length=4000):
    """States of a random walk along edges that break no rule, and bases that break none."""
    random = np.random.default_rng(seed)
    free = grammar.edge_costs == 0
    after = {}
    for a, b in grammar.edges[free].tolist():
        after.setdefault(a, []).append(b)
    states = [0]
    while len(states) < length or states[-1] != 0:
        states.append(int(random.choice(after[states[-1]])))
    bases = [random.choice(np.flatnonzero(grammar.emission_costs[:4, s] == 0)) for s in states]
    return np.array(states), "".join([LETTERS[k] for k in bases])


@pytest.mark.parametrize("grammar", GRAMMARS, ids=["given", "both", "long introns"])
@pytest.mark.parametrize("seed", range(3))
def test_every_path_that_breaks_no_rule_is_legal_genes(grammar, seed):
    states, bases = walk(grammar, seed, 4000 if grammar.shortest_intron == 5 else 12_000)
    runs = StateRuns(grammar)
    runs.feed(states)
    genes = genes_of(runs.finish(), "w")
    assert len(genes) > 5
    for gene in genes:
        own, where = bases, gene
        if gene.strand == "-":
            own, where = reverse_complement(bases), gene.reverse_complement(len(bases))
        coding = "".join([own[a:b] for a, b in where.coding])
        codons = [coding[k : k + 3] for k in range(0, len(coding), 3)]
        assert codons[0] == "ATG"
        assert codons[-1] in STOPS
        assert not set(codons[:-1]) & set(STOPS)
        for (_, start), (end, _) in zip(where.exons, where.exons[1:], strict=False):
            intron = own[start:end]
            assert intron[:2] in ("GT", "GC")
            assert intron[-2:] == "AG"
    if len(grammar.states) > 100:
        assert {gene.strand for gene in genes} == {"+", "-"}


@pytest.mark.parametrize("seed", range(3))
def test_genes_become_a_path_and_the_path_those_genes(seed):
    grammar = GRAMMARS[1]
    states, bases = walk(grammar, seed + 10, 1500)
    runs = StateRuns(grammar)
    for start in range(0, len(states), 7):  # in pieces, as a chromosome comes
        runs.feed(states[start : start + 7])
    genes = genes_of(runs.finish(), "w")
    path = gene_path(grammar, encode_bases(bases), genes)
    labels = "".join([grammar.labels[k] for k in path])
    assert labels == label_bases(len(bases), genes)
    assert labels == "".join([grammar.labels[k] for k in states])
    again = StateRuns(grammar)
    again.feed(path)
    assert genes_of(again.finish(), "w") == genes


def gene(exons, coding, strand="+", phase=0):
    return CodingGene("g", strand, tuple(exons), tuple(coding), phase)


def names(bases, *genes):
    grammar = GRAMMARS[1]
    return [grammar.states[k] for k in gene_path(grammar, encode_bases(bases), genes)]


def test_a_codon_that_an_intron_interrupts_is_remembered():
    #                 N  ATG T|GTCCAG|GG TA|GTCCCAG|C  TGA N
    bases = "C" + "ATGT" + "GTCCAG" + "GGTA" + "GTCCCAG" + "C" + "TGA" + "C"
    found = names(bases, gene([(1, 5), (11, 15), (22, 26)], [(1, 5), (11, 15), (22, 26)]))
    assert found[1:5] == ["S1", "S2", "S3", "E0T"]
    assert found[5:11] == ["D1.1T", "D2.1T", "I.1T", "I.1T", "A1.1T", "A2.1T"]
    assert found[11:15] == ["E1TG", "E2TG", "E0T", "E1TA"]
    assert found[15] == "D1.2TA"
    assert found[22:] == ["E2TA", "X1", "X2G", "X3G", "N"]
    reversed_ = reverse_complement(bases)
    mirror = gene([(1, 5), (11, 15), (22, 26)], [(1, 5), (11, 15), (22, 26)]).reverse_complement(
        len(bases)
    )
    assert names(reversed_, mirror)[::-1] == [n if n == "N" else f"{n}-" for n in found]


@pytest.mark.parametrize(
    ("bases", "exons", "emission_costs"),
    [
        ("CATGCCCTAAC", [(1, 10)], 0),
        ("CATGTGACCCTAAC", [(1, 13)], 1),  # a stop codon in the middle
        ("CATGCCCATCCACCCCTAAC", [(1, 7), (13, 19)], 2),  # an intron AT..AC
        ("CATGNNNRTAAC", [(1, 11)], 0),  # ambiguous letters may be what is asked for
    ],
)
def test_a_gene_that_breaks_a_rule_is_possible_and_costs(bases, exons, emission_costs):
    grammar = GRAMMARS[0]
    codes = encode_bases(bases)
    path = gene_path(grammar, codes, [gene(exons, exons)])
    costs = grammar.emission_costs[codes, path]
    assert np.isfinite(costs).all()
    assert (costs == STRAY_COST).sum() == emission_costs


@pytest.mark.parametrize(
    ("exons", "phase", "first"), [([(0, 9)], 0, "E0x"), ([(0, 8)], 2, "E1x"), ([(0, 7)], 1, "E2x")]
)
def test_a_gene_whose_beginning_is_missing_has_the_frame_of_its_phase(exons, phase, first):
    bases = {0: "CCCGGGTAA", 2: "CCGGGTAA", 1: "CGGGTAA"}[phase]
    found = names(bases, gene(exons, exons, phase=phase))
    assert found[0] == first
    assert found[-3:] == ["X1", "X2A", "X3A"]


def test_genes_can_touch_and_stay_two():
    bases = "ATGCCCTAAATGTGA"
    two = [gene([(0, 9)], [(0, 9)]), gene([(9, 15)], [(9, 15)])]
    grammar = GRAMMARS[0]
    runs = StateRuns(grammar)
    runs.feed(gene_path(grammar, encode_bases(bases), two))
    assert [g.coding for g in genes_of(runs.finish(), "t")] == [((0, 9),), ((9, 15),)]


def test_what_no_path_describes_is_said():
    with pytest.raises(ValueError, match="an intron has 3 bases, fewer than 5"):
        names("ATGGTAGTAA", gene([(0, 3), (6, 10)], [(0, 3), (6, 10)]))


def test_letters_are_their_bases_on_either_strand():
    for k, letter in enumerate(LETTERS):
        assert PROBABILITIES[k].sum() == pytest.approx(1)
        other = reverse_complement(letter)
        assert set(STANDS_FOR[other]) == {reverse_complement(b) for b in STANDS_FOR[letter]}
        assert reverse_complement(other) == letter
    assert encode_bases("aU-é").tolist() == [0, 3, NO_BASE, NO_BASE]


def test_labels_and_their_coding_parts():
    one = gene([(1, 6), (9, 12)], [(3, 6), (9, 11)])
    assert label_bases(13, [one]) == "NUUEEEIIIEEUN"
    assert coding_parts("NUUEEEIIIEEUN") == [(3, 6), (9, 11)]
    assert label_bases(13, [one.reverse_complement(13)]) == "NUUEEEIIIEEUN"[::-1]
    assert one.reverse_complement(13).reverse_complement(13) == one


def test_gff3_and_bed_hold_a_gene_of_either_strand():
    one = gene([(1, 6), (9, 14)], [(3, 6), (9, 12)])
    for each, phases, utr in (
        (one, ["0", "0"], "five_prime_UTR"),
        (one.reverse_complement(20), ["0", "0"], "three_prime_UTR"),
    ):
        text = gff3_text([("s 1", 20, [FoundGene(each, 0.5)])])
        rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
        assert {row[0] for row in rows} == {"s%201"}
        coding = [row for row in rows if row[2] == "CDS"]
        assert [row[7] for row in coding] == phases
        assert [(int(r[3]) - 1, int(r[4])) for r in coding] == list(each.coding)
        assert next(row[2] for row in rows if row[2].endswith("UTR")) == utr
        bed = bed_text([("s", 20, [FoundGene(each, 0.5)])]).rstrip().split("\t")
        assert bed[5:10] == [each.strand, str(each.coding[0][0]), str(each.coding[-1][1]), "0", "2"]
        assert bed[4] == "500"
