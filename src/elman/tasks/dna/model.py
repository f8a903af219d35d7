"""Many to many, aligned, over thousands of bases: scores of classes for each base.

Convolutions see motifs, a recurrent encoder over strides of bases sees the whole sequence, and
both together score each base; a grammar (``grammar_crf.py``) weighs the scores, or a softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.graph import Cell
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import running
from elman.tasks.dna.bases import COMPLEMENT, PROBABILITIES
from elman.tasks.dna.grammar_crf import GrammarCRF
from elman.tasks.dna.options import DnaOptions
from elman.tasks.dna.sweeps import outputs_in_pieces
from elman.tasks.dna.symbols import GeneSymbols, plain_classes
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.task import Vocab

Steps = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]


class BaseReader(nn.Module):
    """Bases as probabilities of A, C, G and T, and convolutions over their neighbourhoods.

    ``symbols`` (code, base) has the probabilities of each code.  Each of ``layers`` convolutions
    sees ``width`` places; from the second on, its result is added to what it read.  What lies
    beyond a row's ends is zero.
    """

    symbols: Tensor

    def __init__(self, symbols: Tensor, channels: int, width: int, layers: int) -> None:
        super().__init__()
        self.register_buffer("symbols", symbols.to(torch.get_default_dtype()), persistent=False)
        sizes = [symbols.shape[1]] + [channels] * (layers - 1)
        self.layers = nn.ModuleList(
            [nn.Conv1d(size, channels, width, padding=width // 2) for size in sizes]
        )
        self.output_size = channels
        #: so many bases on either side have a part in what is said of one
        self.context = layers * (width // 2)

    def forward(self, codes: Steps, lengths: Lengths) -> Float[Tensor, "time batch channel"]:
        """The features of each base."""
        # a row's end must look like the end of the sequence: zeros, also after each layer
        inside = running(codes[..., None], lengths).permute(1, 2, 0).to(self.symbols)
        x = nn.functional.embedding(codes, self.symbols).permute(1, 2, 0) * inside
        for k, layer in enumerate(self.layers):
            y = torch.relu(layer(x)) * inside  # batch channel time
            x = y if k == 0 else x + y
        features: Tensor = x.permute(2, 0, 1)
        return features


class BaseTagger(nn.Module):
    """Scores of classes for each base, from its neighbourhood and from the whole sequence.

    ``encoder`` reads ``stride`` bases at a step, side by side, so that 1,200 bases are 400 steps
    at a stride of 3, and a step is a codon's length.  With ``complement`` the sequence is read
    twice, as given and as its reverse complement: the first class is outside of genes on either
    strand and has the mean of both readings, the others have a score for each strand.  Reading
    the other strand of a sequence then gives the same, reversed_ round, whatever the weights are.

    ``num_classes`` are those of one strand, and ``complement`` (code) the code of each letter on
    the other, where both are read.  ``dropout`` falls on what the encoder reads and on what it
    gives, one mask for all steps.
    """

    complement: Tensor | None

    def __init__(
        self,
        reader: BaseReader,
        encoder: Recurrent,
        num_classes: int,
        *,
        stride: int = 1,
        complement: Tensor | None = None,
        crf: GrammarCRF | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.encoder = encoder
        self.stride = stride
        self.dropout = VariationalDropout(dropout)
        self.spread = nn.Linear(encoder.output_size, stride * reader.output_size)
        self.output = nn.Linear(reader.output_size, num_classes)
        self.register_buffer("complement", complement, persistent=False)
        self.crf = crf

    def forward(self, codes: Steps, lengths: Lengths) -> Float[Tensor, "time batch class"]:
        """The score of each class for each base."""
        if self.complement is None:
            return self._read(codes, lengths)
        batch = codes.shape[1]
        places = reversed_places(codes.shape[0], lengths)
        other = self.complement[codes.gather(0, places)]
        scores = self._read(torch.cat([codes, other], 1), lengths.repeat(2))
        given, reversed_ = scores[:, :batch], scores[:, batch:]
        reversed_ = reversed_.gather(0, places[..., None].expand_as(reversed_))
        return _both(given, reversed_)

    def loss(self, codes: Steps, lengths: Lengths, path: Steps) -> Float[Tensor, ""]:
        """The mean over bases of -log p(path): by the grammar, or by a softmax at each base."""
        return self.loss_of(self(codes, lengths), codes, lengths, path)

    def loss_of(
        self, scores: Tensor, codes: Steps, lengths: Lengths, path: Steps
    ) -> Float[Tensor, ""]:
        """The loss of scores that are there already."""
        total = lengths.sum().clamp_min(1)
        if self.crf is not None:
            return -self.crf.log_likelihood(scores, codes, path, lengths).sum() / total
        inside = running(scores, lengths).squeeze(-1)
        path = torch.where(inside, path, 0)
        each = nn.functional.cross_entropy(scores.permute(0, 2, 1), path, reduction="none")
        return torch.where(inside, each, 0.0).sum() / total

    @torch.no_grad()
    def in_pieces(
        self, length: int, read: Callable[[int, int], Int64[Tensor, " time"]], size: int
    ) -> Iterator[Float[Tensor, "time class"]]:
        """The scores of one sequence of any length, ``size`` bases at a time.

        ``read(start, end)`` gives codes.  The scores are those of the whole sequence, while no
        more than some pieces and the states at their borders are in memory; each piece is read
        as often as ``elman.tasks.dna.sweeps`` says.
        """
        given = self._pieces_of_strand(length, read, size, backwards=False)
        if self.complement is None:
            yield from given
            return
        complement = self.complement

        def read_other(start: int, end: int) -> Tensor:
            return complement[read(length - end, length - start)].flip(0)

        other = self._pieces_of_strand(length, read_other, size, backwards=True)
        waiting = [torch.empty(0, self.output.out_features)] * 2
        for scores in given:
            waiting[0] = torch.cat([waiting[0], scores])
            while len(waiting[1]) < len(waiting[0]):
                # its pieces come from its end on, which is where the given strand begins
                waiting[1] = torch.cat([waiting[1], next(other).flip(0)])
            count = len(waiting[0])
            yield _both(waiting[0], waiting[1][:count])
            waiting = [waiting[0][count:], waiting[1][count:]]

    def _pieces_of_strand(
        self, length: int, read: Callable[[int, int], Tensor], size: int, *, backwards: bool
    ) -> Iterator[Tensor]:
        size = max(1, size // self.stride) * self.stride
        count = max(1, -(-length // size))
        context = self.reader.context

        def stepped(k: int) -> tuple[Tensor, Tensor]:
            start, end = k * size, min(length, (k + 1) * size)
            left, right = max(0, start - context), min(length, end + context)
            codes = read(left, right)[:, None]
            features = self.reader(codes, torch.tensor([len(codes)]))[start - left : end - left]
            return features, self._stacked(features)

        outputs = outputs_in_pieces(
            self.encoder, lambda k: stepped(k)[1], count, backwards=backwards
        )
        for k, encoded in zip(
            range(count - 1, -1, -1) if backwards else range(count), outputs, strict=True
        ):
            yield self.scores(stepped(k)[0], encoded)[:, 0]

    def steps(self, codes: Steps, lengths: Lengths) -> tuple[Tensor, Tensor, Tensor]:
        """The features of each base, and what the encoder reads, with its lengths."""
        features = self.reader(codes, lengths)
        return features, self._stacked(features), (lengths + self.stride - 1) // self.stride

    def _stacked(self, features: Tensor) -> Tensor:
        """``stride`` bases side by side; zeros where the last step has fewer."""
        time, batch, size = features.shape
        padded = nn.functional.pad(features, (0, 0, 0, 0, 0, -time % self.stride))
        return padded.reshape(-1, self.stride, batch, size).transpose(1, 2).flatten(2)

    def scores(self, features: Tensor, encoded: Tensor) -> Tensor:
        """The scores of each base from its features and the encoder's outputs."""
        time, batch, size = features.shape
        spread = self.spread(self.dropout(encoded))
        spread = spread.reshape(-1, batch, self.stride, size).transpose(1, 2).flatten(0, 1)
        scores: Tensor = self.output(torch.relu(features + spread[:time]))
        return scores

    def _read(self, codes: Steps, lengths: Lengths) -> Tensor:
        features, stacked, steps = self.steps(codes, lengths)
        encoded, _ = self.encoder(self.dropout(stacked), lengths=steps)
        return self.scores(features, encoded)


def _both(given: Tensor, reversed_: Tensor) -> Tensor:
    """The scores of both strands: the first class is outside of genes on either."""
    outside = (given[..., :1] + reversed_[..., :1]) / 2
    return torch.cat([outside, given[..., 1:], reversed_[..., 1:]], -1)


def reversed_places(time: int, lengths: Lengths) -> Steps:
    """Where each place is when each row is reversed_ round; behind a row's end nothing moves.

    >>> import torch
    >>> reversed_places(3, torch.tensor([3, 2])).T.tolist()
    [[2, 1, 0], [1, 0, 2]]
    """
    steps = torch.arange(time)[:, None]
    return torch.where(steps < lengths, lengths - 1 - steps, steps)


def build(options: DnaOptions, cell: Cell, vocab: Vocab[GeneSymbols]) -> nn.Module:
    """A ``BaseTagger`` of the cell, with the grammar or without."""
    symbols: GeneSymbols = vocab.symbols
    grammar = symbols.grammar
    crf = None
    if options.grammar:
        crf = GrammarCRF(
            grammar.state_classes,
            grammar.emission_costs,
            grammar.edges,
            grammar.edge_groups,
            grammar.edge_costs,
        )
    reader = BaseReader(
        torch.from_numpy(PROBABILITIES), options.channels, options.width, options.convolutions
    )
    encoder = recurrent_layer(
        options,
        cell,
        options.stride * options.channels,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    classes = grammar.classes if options.grammar else plain_classes(symbols)
    return BaseTagger(
        reader,
        encoder,
        (len(classes) + 1) // 2 if symbols.both_strands else len(classes),
        stride=options.stride,
        complement=torch.from_numpy(COMPLEMENT).long() if symbols.both_strands else None,
        crf=crf,
        dropout=options.dropout,
    )
