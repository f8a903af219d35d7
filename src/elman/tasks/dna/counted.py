"""Scores counted in the training data: what a hidden Markov model of genes would start from.

A network needs many passes to learn which k-mers are common in codons; counting needs one.  Counted
are a Markov chain of order k - 1 for each codon position, introns, untranslated and other bases
(Borodovsky and McIninch 1993), the bases around splice sites, starts and stops (Staden 1984), and
how often one class follows another.  A model adds these scores to those of its layers, which learn
what counts cannot say; before training it is a hidden Markov model (Burge and Karlin 1997).

A sequence scores higher by k-mers that were counted in itself than a new sequence would: the codons
of training genes score a fifth more by hexamers.  A model that learns from such scores trusts
them too much and misses new genes.  In training, each base therefore has the scores that were
counted in the other *folds* of the data (cross-fitting; Stone 1974).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.tasks.dna.bases import COMPLEMENT, PROBABILITIES, Codes
from elman.tasks.dna.grammar import Grammar

Floats = npt.NDArray[np.float64]

#: bases on each side of a site
REACH = 20
#: the first base of a site by class, and the bases before and after it that are counted
_SITES = {"D1": (3, 6), "A2": (18, 3), "S1": (10, 6), "X1": (3, 6)}
#: classes whose bases come from one Markov chain
_CHAINS = {
    **{f"{kind}{k}": f"E{k - shift}" for kind, shift in (("S", 1), ("X", 1)) for k in (1, 2, 3)},
    **{f"E{k}": f"E{k}" for k in range(3)},
    **dict.fromkeys(("D1", "D2", "I", "Iu", "A1", "A2"), "I"),
    **dict.fromkeys(("U5", "U3"), "U"),
    "N": "N",
}
#: weight of the shorter context in a Markov chain, in occurrences of the longer one
_SMOOTHING = 64.0
#: number of folds, which are numbered from 1, and the length of a part of a sequence in one fold
FOLDS = 10
_FOLD_SIZE = 5000


class Annotated(Protocol):
    """A sequence as codes and states."""

    @property
    def codes(self) -> Codes: ...
    @property
    def path(self) -> npt.NDArray[Any]: ...
    @property
    def folds(self) -> npt.NDArray[np.int64]: ...


def folds_of(start: int, end: int, length: int) -> npt.NDArray[np.int64]:
    """The fold of each base of a part of a sequence that has ``length`` bases.

    >>> folds_of(4999, 5001, 20_000).tolist()
    [1, 2]
    """
    # sequences begin with different folds, so that short ones do not share one
    return (np.arange(start, end) // _FOLD_SIZE + length) % FOLDS + 1


def classes_of_one_strand(grammar: Grammar) -> tuple[str, ...]:
    """The classes of the given strand."""
    return tuple([each for each in grammar.classes if not each.endswith("-")])


def count_scores(examples: Sequence[Annotated], grammar: Grammar, k: int) -> Tensor:
    """The scores as one vector.

    They are those of k-mers (fold, 4**k, class), sites (class, base, place), and edges.  K-mers are
    counted outside of each fold; outside of fold 0, which is empty, are all.
    """
    classes = classes_of_one_strand(grammar)
    chains = sorted(set(_CHAINS.values()))
    chain_of = np.array([chains.index(_CHAINS[each]) for each in classes])
    kmers = np.zeros((FOLDS + 1, len(chains), 4**k))
    sites = np.full((len(classes), 2 * REACH + 1, 4), 1.0)
    bases = np.full(4, 1.0)
    for codes, path, folds in _readings(examples, grammar):
        kinds = grammar.state_classes[path]
        kinds = np.where(kinds < len(classes), kinds, -1)
        index, valid = _indices(codes, k)
        inside = valid & (kinds >= 0)
        own = (folds[inside] * len(chains) + chain_of[kinds[inside]]) * 4**k + index[inside]
        kmers += np.bincount(own, minlength=kmers.size).reshape(kmers.shape)
        outside = codes[(kinds == 0) & (codes < 4)]
        bases += np.bincount(outside, minlength=4)[:4]
        padded = np.concatenate([[14] * REACH, codes, [14] * REACH]).astype(np.int64)
        for name in _SITES:
            at = np.flatnonzero(kinds == classes.index(name))
            around = padded[at[:, None] + np.arange(2 * REACH + 1)]
            for place in range(2 * REACH + 1):
                known = around[:, place]
                counts = np.bincount(known[known < 4], minlength=4)[:4]
                sites[classes.index(name), place] += counts
    kmers = kmers.sum(0) - kmers
    logs = np.log([[_conditional(each, k) for each in chain] for chain in kmers])
    tables = (logs - logs[:, chains.index("N"), None])[:, chain_of].transpose(0, 2, 1)
    motifs = np.zeros_like(sites)
    for name, (before, after) in _SITES.items():
        own = sites[classes.index(name)]
        odds = np.log(own / own.sum(1, keepdims=True)) - np.log(bases / bases.sum())
        motifs[classes.index(name), REACH - before : REACH + after + 1] = odds[
            REACH - before : REACH + after + 1
        ]
    edges = _edge_scores(examples, grammar)
    parts = (tables, motifs.transpose(0, 2, 1), edges)
    return torch.from_numpy(np.concatenate([part.reshape(-1) for part in parts])).float()


def _readings(
    examples: Sequence[Annotated], grammar: Grammar
) -> Iterator[tuple[Codes, npt.NDArray[Any], npt.NDArray[np.int64]]]:
    """Codes, path and folds of each sequence and, with both strands, of its reverse complement."""
    count = len(grammar.states)
    both = any(name.endswith("-") for name in grammar.states)
    half = (count - 1) // 2
    mirror = np.arange(count)
    if both:
        mirror[1 : half + 1], mirror[half + 1 :] = (
            np.arange(half + 1, count),
            np.arange(1, half + 1),
        )
    for example in examples:
        path = np.where(example.path < count, example.path, 0)
        yield example.codes, path, example.folds
        if both:
            yield COMPLEMENT[example.codes[::-1]], mirror[path[::-1]], example.folds[::-1]


def _indices(codes: Codes, k: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The number of the k-mer that ends at each base, and whether all its letters are bases."""
    index = np.zeros(len(codes), dtype=np.int64)
    valid = np.ones(len(codes), dtype=bool)
    for back in range(k):
        moved = np.concatenate([np.full(back, 14), codes[: len(codes) - back]])[: len(codes)]
        valid &= moved < 4
        index += np.where(moved < 4, moved, 0).astype(np.int64) * 4**back
    return np.where(valid, index, 0), valid


def _conditional(counts: Floats, k: int) -> Floats:
    """The probability of the last base of each k-mer after the others, smoothed by shorter ones."""
    found: Floats = np.full(1, 0.25)
    for size in range(1, k + 1):
        # the k-mers that end in the same ``size`` bases
        own = counts.reshape(4 ** (k - size), 4**size).sum(0).reshape(-1, 4)
        shorter = found if size == 1 else np.tile(found.reshape(-1, 4), (4, 1))
        shorter = np.broadcast_to(shorter, own.shape)
        smoothed = own + _SMOOTHING * shorter
        found = (smoothed / smoothed.sum(1, keepdims=True)).reshape(-1)
    return found


def _edge_scores(examples: Sequence[Annotated], grammar: Grammar) -> Floats:
    """The logarithm of how often a class is followed by another, for each group of edges."""
    number = np.full((len(grammar.states), len(grammar.states)), -1)
    number[grammar.edges[:, 0], grammar.edges[:, 1]] = grammar.edge_groups
    counts = np.full(grammar.num_groups, 0.5)
    sources = np.zeros(grammar.num_groups, dtype=np.int64)
    one_strand = ~np.array([name.endswith("-") for name in grammar.states])
    own = one_strand[grammar.edges].all(1)
    sources[grammar.edge_groups[own]] = grammar.state_classes[grammar.edges[own, 0]]
    for _, path, _ in _readings(examples, grammar):
        if len(path) < 2:
            continue
        inside = one_strand[path[:-1]] & one_strand[path[1:]]
        groups = number[path[:-1][inside], path[1:][inside]]
        counts += np.bincount(groups[groups >= 0], minlength=len(counts))
    totals = np.bincount(sources, counts, minlength=len(grammar.classes))
    return np.log(counts / totals[sources])


class CountedScores(nn.Module):
    """Looks up the counted scores of each base: (time, batch, class).

    They are constants of the model.  ``tables`` (fold, 4**k, class) are for training only, and are
    not saved.
    """

    table: Tensor
    tables: Tensor
    motifs: Tensor
    letters: Tensor

    def __init__(self, num_classes: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("table", torch.zeros(4**k, num_classes))
        self.register_buffer("tables", torch.zeros(0, 4**k, num_classes), persistent=False)
        self.register_buffer("motifs", torch.zeros(num_classes, 4, 2 * REACH + 1))
        self.register_buffer("letters", torch.from_numpy(PROBABILITIES), persistent=False)
        self.output_size = num_classes
        #: number of bases on each side that affect the scores of a base
        self.context = max(k - 1, REACH)

    def put(self, scores: Tensor) -> Tensor:
        """Takes the vector of ``count_scores``; returns the scores of the edges."""
        sizes = [(FOLDS + 1) * self.table.numel(), self.motifs.numel()]
        tables, motifs = scores[: sizes[0]], scores[sizes[0] : sum(sizes)]
        self.tables = tables.view(-1, *self.table.shape)
        self.table.copy_(self.tables[0])
        self.motifs.copy_(motifs.view_as(self.motifs))
        return scores[sum(sizes) :]

    def forward(
        self,
        codes: Int64[Tensor, "time batch"],
        inside: Float[Tensor, "batch one time"],
        folds: Int64[Tensor, "time batch"] | None = None,
    ) -> Float[Tensor, "time batch class"]:
        """The scores of the bases where ``inside`` is 1; counted outside of their ``folds``."""
        time = codes.shape[0]
        # padding and ambiguous letters are no bases
        known = (codes < 4) & (inside.permute(2, 0, 1).squeeze(-1) > 0)
        plain = torch.where(known, codes, torch.zeros_like(codes))
        padded = nn.functional.pad(plain, (0, 0, self.k - 1, 0))
        weight = nn.functional.pad(known.to(codes), (0, 0, self.k - 1, 0))
        index, valid = torch.zeros_like(codes), torch.ones_like(codes)
        for back in range(self.k):
            first = self.k - 1 - back
            index = index + padded[first : first + time] * 4**back
            valid = valid * weight[first : first + time]
        index = torch.where(valid > 0, index, torch.zeros_like(index))
        table = self.table
        # another table comes from a model that training begins with, and was counted elsewhere
        if folds is not None and len(self.tables) and torch.equal(table, self.tables[0]):
            table = self.tables.flatten(0, 1)
            index = index + folds * 4**self.k
        content = nn.functional.embedding(index, table) * valid[..., None].to(table)
        x = nn.functional.embedding(codes, self.letters).permute(1, 2, 0) * inside
        sites = nn.functional.conv1d(x, self.motifs, padding=REACH).permute(2, 0, 1)
        # zero in padding, which the encoder reads where bases do not fill the last step
        found: Tensor = (content + sites) * inside.permute(2, 0, 1)
        return found
