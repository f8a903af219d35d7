"""The grammar of genes: a finite automaton whose paths are the legal ways to label a sequence.

A gene is untranslated bases, ATG, codons of which none means stop, a stop codon, untranslated
bases; introns may stand anywhere, begin with GT or GC, end with AG, and the codon that one
interrupts goes on behind it.  What a state remembers (place in the codon, whether T, TA or TG went
before, which intron) makes each of these rules one between neighbours, so that a conditional
random field over states obeys them.

A state is of a *class*, which is what a model scores, and has one of the four *labels*.  A path
that breaks a rule of biology is possible but costs ``STRAY`` (an intron AT..AC, a gene that ends
without a stop codon); only what a state remembers cannot be otherwise.  So each annotated gene is
exactly one path (``gene_path``).  The genes themselves are ``genes.py``'s.
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

#: the logarithm of how much less likely a path is for each rule that it breaks
STRAY = 10.0
#: outside of genes, untranslated, coding exon, intron
LABELS = "NUEI"
STOPS = ("TAA", "TAG", "TGA")

#: state: (class, bases that it should stand on, whether it can stand on no other)
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
#: an intron by what it interrupts: (the states before it, the states behind it)
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
#: the states of an intron in their order, each with the bases that it should stand on
_INTRON = (("D1", "G"), ("D2", "CT"), ("I", ""), ("A1", "A"), ("A2", "G"))
#: the shortest intron that has all of them
SHORTEST_INTRON = len(_INTRON)
_FIRST = ("S1", "E0T", "E0x", "E1x", "E2x")
_CODON = ("E0T", "E0x", "E1TA", "E1TG", "E1Tx", "E1x", "E2TA", "E2TG", "E2x")


@dataclass(frozen=True, eq=False)
class Grammar:
    """States with their classes and labels, and the edges from state to state.

    ``emission_costs`` is what a state costs on each code of a base, infinity where it cannot stand.
    Edges of one group have one vocab weight; ``edge_costs`` is added to it.
    """

    states: tuple[str, ...]
    classes: tuple[str, ...]
    state_classes: npt.NDArray[np.int64]
    labels: str
    emission_costs: npt.NDArray[np.float64]  # code state
    edges: npt.NDArray[np.int64]  # edge 2
    edge_groups: npt.NDArray[np.int64]
    edge_costs: npt.NDArray[np.float64]

    @property
    def num_groups(self) -> int:
        """How many different weights edges have."""
        return int(self.edge_groups.max()) + 1

    @cached_property
    def joined(self) -> npt.NDArray[np.bool_]:
        """Whether there is an edge, (state before, state behind)."""
        found = np.zeros((len(self.states), len(self.states)), dtype=bool)
        found[self.edges[:, 0], self.edges[:, 1]] = True
        return found

    def index(self, state: str) -> int:
        """The place of a state."""
        return self.states.index(state)


@cache
def gene_grammar(*, both_strands: bool) -> Grammar:
    """The grammar of genes on the given strand, or of genes on both.

    States of the other strand end in "-"; they run backwards, on the complements of their bases.

    >>> grammar = gene_grammar(both_strands=False)
    >>> len(grammar.states), grammar.classes[:4]
    (85, ('N', 'U5', 'U3', 'S1'))
    """
    states = {"N": ("N", "", False), "U5": ("U5", "", False), "U3": ("U3", "", False), **_CODING}
    for intron in _INTRONS:
        where = "u" if intron.startswith("u") else ""
        for part, bases in _INTRON:
            states[f"{part}.{intron}"] = (f"{part}{where}" if part == "I" else part, bases, False)
    edges = _edges()
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
    )


def _label(state: str) -> str:
    first = state[0]
    return {"N": "N", "U": "U", "S": "E", "E": "E", "X": "E"}.get(first, "I")


def _emission_costs(bases: str, hard: bool) -> npt.NDArray[np.float64]:
    """The cost of each code.  A hard state stands on an ambiguous letter only if all others do."""
    if hard and bases.startswith("!"):
        return np.array([np.inf if x in bases[1:] else 0.0 for x in LETTERS])
    if hard:
        return np.array([0.0 if x in bases else np.inf for x in LETTERS])
    fits = [not bases or bool(set(bases) & set(STANDS_FOR[x])) for x in LETTERS]
    return np.where(fits, 0.0, STRAY)


def _edges() -> dict[tuple[str, str], float]:
    """From state to state, and what the rule that this breaks costs."""
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
        parts = [f"{part}.{intron}" for part, _ in _INTRON]
        join(before, parts[:1])
        for a, b in itertools.pairwise(parts):
            join([a], [b])
        join([f"I.{intron}"], [f"I.{intron}"])
        join(parts[-1:], after)
        if not intron.startswith("u"):
            join(before, after)
    # the next gene begins where one ends
    join(["U3", "X3A", "X3G"], ["U5", "S1"])
    # a gene without its beginning or its end, as at the border of what was sequenced
    join(["N", "U5", "A2.u5"], _FIRST[1:], STRAY)
    join(_CODON, ["U3", "N", "D1.u3", "U5", "S1"], STRAY)
    return found


def gene_path(grammar: Grammar, codes: Codes, genes: Sequence[CodingGene]) -> npt.NDArray[np.uint8]:
    """The one path of these genes, which are in order and do not overlap.

    Raises ``ValueError`` with half a sentence for a gene that no path can describe.
    """
    path = np.zeros(len(codes), dtype=np.uint8)
    place = {name: k for k, name in enumerate(grammar.states)}
    for gene in genes:
        own, local = codes[gene.start : gene.end], gene.moved(-gene.start)
        if gene.strand == "+":
            path[gene.start : gene.end] = [place[name] for name in _states_of(own, local)]
        else:
            names = _states_of(COMPLEMENT[own[::-1]], local.reverse_complement(len(own)))
            path[gene.start : gene.end] = [place[f"{name}-"] for name in reversed(names)]
    for t in np.flatnonzero(~grammar.joined[path[:-1], path[1:]]):
        a, b = (grammar.states[k] for k in path[t : t + 2])
        raise ValueError(f"two neighbours would be {a} and {b}, which cannot be")
    return path


def _states_of(codes: Codes, gene: CodingGene) -> list[str]:
    """The names of the states from a gene's first base to its last, on its own strand."""
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
        if end - t < SHORTEST_INTRON:
            raise ValueError(f"an intron has {end - t} bases, fewer than {SHORTEST_INTRON}")
        parts = ["D1", "D2", *["I"] * (end - t - 4), "A1", "A2"]
        intron = "u5" if t <= coding[0] else "u3"
        if coding[0] < t <= coding[-1]:
            intron = next(name for name, (before, _) in _INTRONS.items() if found[-1] in before)
        found += [f"{part}.{intron}" for part in parts]
        t = end
    return found


def _coding_states(letters: str, phase: int) -> list[str]:
    """The states of a gene's coding bases; ``phase`` of them complete a codon that is not there."""
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
