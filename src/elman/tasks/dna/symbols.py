"""The strands on which a model finds genes, and its classes with and without the grammar."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from elman.saved import of_kind, parse_json, sentences
from elman.tasks.dna.grammar import LABELS, LONGEST_MINIMUM, SHORTEST_INTRON, Grammar, gene_grammar


@dataclass(frozen=True)
class GeneSymbols:
    """Whether the model finds genes on both strands; the grammar defines codes and states."""

    both_strands: bool
    shortest_intron: int = SHORTEST_INTRON

    def to_json(self) -> str:
        """Serialises to JSON."""
        record = {"letters": "IUPAC", "both_strands": self.both_strands}
        if self.shortest_intron != SHORTEST_INTRON:  # as runs of before had no such entry
            record["shortest_intron"] = self.shortest_intron
        return json.dumps(record)

    @property
    def grammar(self) -> Grammar:
        """The grammar of these strands."""
        return gene_grammar(both_strands=self.both_strands, shortest_intron=self.shortest_intron)


def load_symbols(text: str) -> GeneSymbols:
    """Loads the symbols.json of a run folder."""
    record = parse_json(text, "symbols.json")
    with sentences("symbols.json"):
        shortest = record.get("shortest_intron", SHORTEST_INTRON)
        if type(shortest) is not int or not SHORTEST_INTRON <= shortest <= LONGEST_MINIMUM:
            raise ValueError(
                f"shortest_intron is {shortest!r}; it must be an integer from {SHORTEST_INTRON} "
                f"to {LONGEST_MINIMUM}"
            )
        return GeneSymbols(of_kind(record, "both_strands", bool), shortest)


def plain_classes(symbols: GeneSymbols) -> Sequence[str]:
    """The classes without a grammar: the labels of each strand."""
    return [*LABELS, *[f"{label}-" for label in LABELS[1:]]][: 7 if symbols.both_strands else 4]


def plain_states(symbols: GeneSymbols) -> npt.NDArray[np.int64]:
    """For each plain class, a state with its label and strand."""
    names = {"N": "N", "U": "U5", "E": "E0x", "I": "I.0"}
    states = [names[c[0]] + c[1:] for c in plain_classes(symbols)]
    return np.array([symbols.grammar.index(state) for state in states])


def plain_path(symbols: GeneSymbols) -> npt.NDArray[np.int64]:
    """For each state of the grammar, its plain class."""
    grammar, classes = symbols.grammar, list(plain_classes(symbols))
    return np.array(
        [
            classes.index(label + ("-" if name.endswith("-") else ""))
            for name, label in zip(grammar.states, grammar.labels, strict=True)
        ]
    )
