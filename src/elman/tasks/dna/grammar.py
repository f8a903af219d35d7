"""The grammar of genes: a finite automaton whose paths are the valid labellings of a sequence.

A gene consists of untranslated bases, ATG, codons other than stop codons, a stop codon, and
untranslated bases.  Introns may occur anywhere; they start with GT or GC, end with AG, and may
interrupt a codon.  A chain of states counts the minimum length of introns.  Each state stores the
position in the codon, whether T, TA or TG came before,
and the kind of intron.  All rules therefore apply to adjacent states, as a conditional random
field requires.

Each state has a *class*, which the model scores, and one of four *labels*.  A path that violates a
rule of biology (an intron AT..AC, a gene without a stop codon) is possible at the cost
``STRAY_COST``; a path that contradicts what its states store is not.  Each annotated gene is
exactly one path (``gene_path``).  ``genes.py`` defines genes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import numpy.typing as npt

from elman.tasks.dna.bases import COMPLEMENT, LETTERS, STANDS_FOR, Codes
from elman.tasks.dna.genes import CodingGene

#: cost (negative log probability) of each violated rule
STRAY_COST = 10.0
#: outside of genes, untranslated, coding exon, intron
LABELS = "NUEI"
STOPS = ("TAA", "TAG", "TGA")

#: state: (class, its bases, whether other bases are impossible)
_CODING = {
    "S1": ("S1", "A", True),
    "S2": ("S2", "T", True),
    "S3": ("S3", "G", True),
    "E0T": ("E0", "T", True),
    "E0x": ("E0", "!T", True),
    "E1TA": ("E1", "A", True),
    "E1TG": ("E1", "G", True),
    "E1Tx": ("E1", "!AG", True),
    "E1x": ("E1", "", False),
    "E2x": ("E2", "", False),
    "E2TA": ("E2", "CT", False),
    "E2TG": ("E2", "CGT", False),
    "X1": ("X1", "T", True),
    "X2A": ("X2", "A", True),
    "X2G": ("X2", "G", True),
    "X3A": ("X3", "AG", True),
    "X3G": ("X3", "A", True),
}
#: intron by position: (states before it, states after it)
_INTRONS = {
    "s1": (("S1",), ("S2",)),
    "s2": (("S2",), ("S3",)),
    "0": (("S3", "E2TA", "E2TG", "E2x"), ("E0T", "E0x", "X1")),
    "1T": (("E0T",), ("E1TA", "E1TG", "E1Tx")),
    "1x": (("E0x",), ("E1x",)),
    "2TA": (("E1TA",), ("E2TA",)),
    "2TG": (("E1TG",), ("E2TG",)),
    "2x": (("E1Tx", "E1x"), ("E2x",)),
    "x1": (("X1",), ("X2A", "X2G")),
    "x2A": (("X2A",), ("X3A",)),
    "x2G": (("X2G",), ("X3G",)),
    "u5": (("U5",), ("U5", "S1")),
    "u3": (("U3", "X3A", "X3G"), ("U3",)),
}
#: minimum length of an intron that can be described: D1, D2, I, A1 and A2
SHORTEST_INTRON = 5
#: maximum of the minimum length, so that a state is a number below 2000
LONGEST_MINIMUM = 60
_FIRST = ("S1", "E0T", "E0x", "E1x", "E2x")
_CODON = ("E0T", "E0x", "E1TA", "E1TG", "E1Tx", "E1x", "E2TA", "E2TG", "E2x")


@dataclass(frozen=True, eq=False)
class Grammar:
    """States with their classes and labels, and the edges between them.

    ``emission_costs`` is the cost of each state for each base code; infinite if impossible.  Edges
    of one group share a learned weight, from which ``edge_costs`` is subtracted.
    """

    states: tuple[str, ...]
    classes: tuple[str, ...]
    state_classes: npt.NDArray[np.int64]
    labels: str
    emission_costs: npt.NDArray[np.float64]  # code state
    edges: npt.NDArray[np.int64]  # edge 2
    edge_groups: npt.NDArray[np.int64]
    edge_costs: npt.NDArray[np.float64]
    shortest_intron: int = SHORTEST_INTRON

    @property
    def num_groups(self) -> int:
        """The number of edge weights."""
        return int(self.edge_groups.max()) + 1

    @cached_property
    def joined(self) -> npt.NDArray[np.bool_]:
        """Whether there is an edge (from state, to state)."""
        found = np.zeros((len(self.states), len(self.states)), dtype=bool)
        found[self.edges[:, 0], self.edges[:, 1]] = True
        return found

    def index(self, state: str) -> int:
        """The index of a state."""
        return self.states.index(state)


def _intron(shortest: int) -> tuple[tuple[str, str, str], ...]:
    """The states of an intron in order, each with its class and its bases.

    The states J1, J2, ... count the bases that an intron must have at least.
    """
    counted = [(f"J{k}", "I", "") for k in range(1, shortest - SHORTEST_INTRON + 1)]
    return (
        ("D1", "D1", "G"),
        ("D2", "D2", "CT"),
        *counted,
        ("I", "I", ""),
        ("A1", "A1", "A"),
        ("A2", "A2", "G"),
    )


@cache
def gene_grammar(*, both_strands: bool, shortest_intron: int = SHORTEST_INTRON) -> Grammar:
    """The grammar of genes on the given strand, or on both strands.

    States of the reverse strand end in "-"; they run backwards on complementary bases (Stanke and
    Waack 2003 call them the shadow states).  Introns have at least ``shortest_intron`` bases.

    >>> grammar = gene_grammar(both_strands=False)
    >>> len(grammar.states), grammar.classes[:4]
    (85, ('N', 'U5', 'U3', 'S1'))
    >>> len(gene_grammar(both_strands=True, shortest_intron=30).states)
    819
    """
    states = {"N": ("N", "", False), "U5": ("U5", "", False), "U3": ("U3", "", False), **_CODING}
    parts = _intron(shortest_intron)
    for intron in _INTRONS:
        where = "u" if intron.startswith("u") else ""
        for part, kind, bases in parts:
            states[f"{part}.{intron}"] = (f"{kind}{where}" if kind == "I" else kind, bases, False)
    edges = _edges([part for part, _, _ in parts])
    classes = list(dict.fromkeys([kind for kind, _, _ in states.values()]))
    names, place = list(states), {name: k for k, name in enumerate(states)}
    kinds = [classes.index(kind) for kind, _, _ in states.values()]
    emission_costs = np.stack(
        [_emission_costs(bases, hard) for _, bases, hard in states.values()], 1
    )
    groups: dict[tuple[str, str], int] = {}
    rows = [
        (place[a], place[b], groups.setdefault((states[a][0], states[b][0]), len(groups)), cost)
        for (a, b), cost in edges.items()
    ]
    if both_strands:
        mirror = {0: 0} | {k: k + len(names) - 1 for k in range(1, len(names))}
        kinds += [kind + len(classes) - 1 for kind in kinds[1:]]
        classes += [f"{kind}-" for kind in classes[1:]]
        names += [f"{name}-" for name in names[1:]]
        emission_costs = np.concatenate([emission_costs, emission_costs[COMPLEMENT, 1:]], 1)
        rows += [(mirror[b], mirror[a], g, cost) for a, b, g, cost in rows if (a, b) != (0, 0)]
    table = np.array(rows)
    return Grammar(
        states=tuple(names),
        classes=tuple(classes),
        state_classes=np.array(kinds),
        labels="".join([_label(name) for name in names]),
        emission_costs=emission_costs,
        edges=table[:, :2].astype(np.int64),
        edge_groups=table[:, 2].astype(np.int64),
        edge_costs=table[:, 3],
        shortest_intron=shortest_intron,
    )


def _label(state: str) -> str:
    first = state[0]
    return {"N": "N", "U": "U", "S": "E", "E": "E", "X": "E"}.get(first, "I")


def _emission_costs(bases: str, hard: bool) -> npt.NDArray[np.float64]:
    """The cost of each code.  A hard state accepts no ambiguous letters, unless negated ("!")."""
    if hard and bases.startswith("!"):
        return np.array([np.inf if x in bases[1:] else 0.0 for x in LETTERS])
    if hard:
        return np.array([0.0 if x in bases else np.inf for x in LETTERS])
    fits = [not bases or bool(set(bases) & set(STANDS_FOR[x])) for x in LETTERS]
    return np.where(fits, 0.0, STRAY_COST)


def _edges(intron_parts: Sequence[str]) -> dict[tuple[str, str], float]:
    """The edges, with the cost of the rule that each violates, if any."""
    found: dict[tuple[str, str], float] = {}

    def join(before: Iterable[str], after: Iterable[str], cost: float = 0.0) -> None:
        for a in before:
            for b in after:
                found.setdefault((a, b), cost)

    join(["N"], ["N", "U5", "S1"])
    join(["U5"], ["U5", "S1"])
    join(["U3"], ["U3", "N"])
    join(["X3A", "X3G"], ["U3", "N"])
    for intron, (before, after) in _INTRONS.items():
        parts = [f"{part}.{intron}" for part in intron_parts]
        join(before, parts[:1])
        for a, b in itertools.pairwise(parts):
            join([a], [b])
        join([f"I.{intron}"], [f"I.{intron}"])
        join(parts[-1:], after)
        if not intron.startswith("u"):
            join(before, after)
    # a gene may start directly after another
    join(["U3", "X3A", "X3G"], ["U5", "S1"])
    # a gene without its start or end, as at the ends of a sequenced region
    join(["N", "U5", "A2.u5"], _FIRST[1:], STRAY_COST)
    join(_CODON, ["U3", "N", "D1.u3", "U5", "S1"], STRAY_COST)
    return found


def gene_path(grammar: Grammar, codes: Codes, genes: Sequence[CodingGene]) -> npt.NDArray[np.int16]:
    """The path of these genes, which must be sorted and must not overlap.

    Raises ``ValueError`` with a clause (for use in a sentence) if a gene has no path.
    """
    path = np.zeros(len(codes), dtype=np.int16)
    place = {name: k for k, name in enumerate(grammar.states)}
    for gene in genes:
        own, local = codes[gene.start : gene.end], gene.moved(-gene.start)
        if gene.strand == "+":
            names = _states_of(own, local, grammar.shortest_intron)
            path[gene.start : gene.end] = [place[name] for name in names]
        else:
            other = local.reverse_complement(len(own))
            names = _states_of(COMPLEMENT[own[::-1]], other, grammar.shortest_intron)
            path[gene.start : gene.end] = [place[f"{name}-"] for name in reversed(names)]
    for t in np.flatnonzero(~grammar.joined[path[:-1], path[1:]]):
        a, b = (grammar.states[k] for k in path[t : t + 2])
        raise ValueError(f"its states {a} and {b} cannot be adjacent")
    return path


def _states_of(codes: Codes, gene: CodingGene, shortest: int) -> list[str]:
    """The state names from the first to the last base of a gene, on its strand."""
    coding = [k for start, end in gene.coding for k in range(start, end)]
    letters = "".join([LETTERS[codes[k]] for k in coding])
    names = dict(zip(coding, _coding_states(letters, gene.phase), strict=True))
    inside = {k for start, end in gene.exons for k in range(start, end)}
    found: list[str] = []
    t = gene.start
    while t < gene.end:
        if t in inside:
            found.append(names.get(t) or ("U5" if t < coding[0] else "U3"))
            t += 1
            continue
        end = next(k for k in range(t, gene.end) if k in inside)
        if end - t < shortest:
            raise ValueError(f"an intron has {end - t} bases, fewer than {shortest}")
        counted = [f"J{k}" for k in range(1, shortest - SHORTEST_INTRON + 1)]
        parts = ["D1", "D2", *counted, *["I"] * (end - t - 4 - len(counted)), "A1", "A2"]
        intron = "u5" if t <= coding[0] else "u3"
        if coding[0] < t <= coding[-1]:
            intron = next(name for name, (before, _) in _INTRONS.items() if found[-1] in before)
        found += [f"{part}.{intron}" for part in parts]
        t = end
    return found


def _coding_states(letters: str, phase: int) -> list[str]:
    """The states of coding bases; the first ``phase`` bases complete an incomplete codon."""
    found: list[str] = []
    for k, letter in enumerate(letters):
        place = (k - phase) % 3
        before = found[-1] if found else ""
        if place == 0:
            found.append("E0T" if letter == "T" else "E0x")
        elif place == 1:
            after_t = {"A": "E1TA", "G": "E1TG"}.get(letter, "E1Tx")
            found.append(after_t if before == "E0T" else "E1x")
        else:
            found.append({"E1TA": "E2TA", "E1TG": "E2TG"}.get(before, "E2x"))
    whole = (len(letters) - phase) % 3 == 0 and len(letters) >= 3
    if whole and letters[-3:] in STOPS:
        second = letters[-2]
        found[-3:] = ["X1", f"X2{second}", f"X3{second}"]
    if phase == 0 and letters.startswith("ATG"):
        found[:3] = ["S1", "S2", "S3"]
    return found
