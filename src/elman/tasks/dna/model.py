"""Many to many, aligned: scores the classes of each base in sequences of thousands of bases.

Convolutions detect motifs, and a recurrent encoder over strides of bases reads the whole sequence;
both together score each base.  The output layer is a CRF over a grammar (``grammar_crf.py``) or a
softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.errors import OptionError
from elman.graph import Cell
from elman.nn import Recurrent
from elman.nn.dropout import VariationalDropout
from elman.nn.pooling import running
from elman.tasks.dna.bases import COMPLEMENT, PROBABILITIES
from elman.tasks.dna.counted import CountedScores, classes_of_one_strand
from elman.tasks.dna.grammar_crf import GrammarCRF
from elman.tasks.dna.options import DnaOptions
from elman.tasks.dna.sweeps import outputs_in_pieces
from elman.tasks.dna.symbols import GeneSymbols, plain_classes
from elman.tasks.recurrent_options import recurrent_layer
from elman.tasks.task import Vocab

Steps = Int64[Tensor, "time batch"]
Lengths = Int64[Tensor, " batch"]

#: weight of counted scores before training: neighbouring bases are not independent
_FIRST_SCALE = 0.6


class BaseReader(nn.Module):
    """Encodes bases as probabilities of A, C, G and T, and applies convolutions.

    ``symbols`` (code, base) has the probabilities of each code.  There are ``layers`` convolutions
    of ``width`` bases, with residual connections from the second on.  The first, which detects
    motifs such as splice sites, has ``motif_width`` bases unless that is 0.  Padding is zero.  The
    scores of ``counted`` are appended to the features.
    """

    symbols: Tensor

    def __init__(
        self,
        symbols: Tensor,
        channels: int,
        width: int,
        layers: int,
        motif_width: int = 0,
        counted: CountedScores | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("symbols", symbols.to(torch.get_default_dtype()), persistent=False)
        sizes = [symbols.shape[1]] + [channels] * (layers - 1)
        widths = [motif_width or width] + [width] * (layers - 1)
        self.layers = nn.ModuleList(
            [
                nn.Conv1d(size, channels, each, padding=each // 2)
                for size, each in zip(sizes, widths, strict=True)
            ]
        )
        self.channels = channels
        self.counted = counted
        self.output_size = channels + (0 if counted is None else counted.output_size)
        #: number of bases on each side that affect the features of a base
        self.context = sum(each // 2 for each in widths)
        if counted is not None:
            self.context = max(self.context, counted.context)

    def forward(
        self, codes: Steps, lengths: Lengths, folds: Steps | None = None
    ) -> Float[Tensor, "time batch channel"]:
        """Computes the features of each base; ``folds`` are those of ``CountedScores``."""
        # padding must look like the end of the sequence: zeros, also after each layer
        inside = running(codes[..., None], lengths).permute(1, 2, 0).to(self.symbols)
        x = nn.functional.embedding(codes, self.symbols).permute(1, 2, 0) * inside
        for k, layer in enumerate(self.layers):
            y = torch.relu(layer(x)) * inside  # batch channel time
            x = y if k == 0 else x + y
        features: Tensor = x.permute(2, 0, 1)
        if self.counted is not None:
            features = torch.cat([features, self.counted(codes, inside, folds)], -1)
        return features


class BaseTagger(nn.Module):
    """Scores the classes of each base, from its neighbourhood and from the whole sequence.

    ``encoder`` reads ``stride`` concatenated bases per step: at a stride of 3, the length of a
    codon, 1,200 bases are 400 steps.  With ``complement``, the model reads the sequence and its
    reverse complement.  The first class, outside of genes, has the mean score of both; the others
    have a score per strand.  For any weights, the reverse complement of a sequence then gives the
    same scores in reverse.

    ``num_classes`` is the number of classes of one strand.  ``complement`` (code) maps each code to
    its complement.  ``dropout`` applies to the input and output of the encoder, with one mask for
    all steps.
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
        self.spread = nn.Linear(encoder.output_size, stride * reader.channels)
        self.output = nn.Linear(reader.channels, num_classes)
        self.scale = None
        if reader.counted is not None:
            self.scale = nn.Parameter(torch.full((num_classes,), _FIRST_SCALE))
            # before training, the counted scores alone
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)
        self.register_buffer("complement", complement, persistent=False)
        self.crf = crf

    def forward(
        self, codes: Steps, lengths: Lengths, folds: Steps | None = None
    ) -> Float[Tensor, "time batch class"]:
        """Computes the score of each class for each base."""
        if self.complement is None:
            return self._read(codes, lengths, folds)
        batch = codes.shape[1]
        places = reversal_indices(codes.shape[0], lengths)
        other = self.complement[codes.gather(0, places)]
        both = None if folds is None else torch.cat([folds, folds.gather(0, places)], 1)
        scores = self._read(torch.cat([codes, other], 1), lengths.repeat(2), both)
        given, reversed_ = scores[:, :batch], scores[:, batch:]
        reversed_ = reversed_.gather(0, places[..., None].expand_as(reversed_))
        return _both(given, reversed_)

    def loss(
        self, codes: Steps, lengths: Lengths, path: Steps, folds: Steps | None = None
    ) -> Float[Tensor, ""]:
        """The mean over bases of -log p(path), from the CRF or a softmax per base."""
        return self.loss_of(self(codes, lengths, folds), codes, lengths, path)

    def loss_of(
        self, scores: Tensor, codes: Steps, lengths: Lengths, path: Steps
    ) -> Float[Tensor, ""]:
        """The loss of given scores."""
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
        """Yields the scores of one sequence of any length, ``size`` bases at a time.

        ``read(start, end)`` returns codes.  The scores equal those of the whole sequence, but only
        a few pieces and the states at their borders are in memory.  Each piece is read several
        times (see ``elman.tasks.dna.sweeps``).
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
                # pieces of the reverse strand come from its end, the start of the given strand
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

    def steps(
        self, codes: Steps, lengths: Lengths, folds: Steps | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The features of each base, the input of the encoder, and its lengths."""
        features = self.reader(codes, lengths, folds)
        return features, self._stacked(features), (lengths + self.stride - 1) // self.stride

    def _stacked(self, features: Tensor) -> Tensor:
        """Concatenates ``stride`` bases per step; zero-pads the last step."""
        time, batch, size = features.shape
        padded = nn.functional.pad(features, (0, 0, 0, 0, 0, -time % self.stride))
        return padded.reshape(-1, self.stride, batch, size).transpose(1, 2).flatten(2)

    def scores(self, features: Tensor, encoded: Tensor) -> Tensor:
        """Computes the scores of each base from its features and the encoder's outputs."""
        time, batch, _ = features.shape
        size = self.reader.channels
        spread = self.spread(self.dropout(encoded))
        spread = spread.reshape(-1, batch, self.stride, size).transpose(1, 2).flatten(0, 1)
        scores: Tensor = self.output(torch.relu(features[..., :size] + spread[:time]))
        if self.scale is not None:
            scores = scores + self.scale * features[..., size:]
        return scores

    def _read(self, codes: Steps, lengths: Lengths, folds: Steps | None) -> Tensor:
        features, stacked, steps = self.steps(codes, lengths, folds)
        encoded, _ = self.encoder(self.dropout(stacked), lengths=steps)
        return self.scores(features, encoded)


def _both(given: Tensor, reversed_: Tensor) -> Tensor:
    """Joins the scores of both strands; the first class, outside of genes, is shared."""
    outside = (given[..., :1] + reversed_[..., :1]) / 2
    return torch.cat([outside, given[..., 1:], reversed_[..., 1:]], -1)


def reversal_indices(time: int, lengths: Lengths) -> Steps:
    """The indices that reverse each row within its length; padding stays in place.

    >>> import torch
    >>> reversal_indices(3, torch.tensor([3, 2])).T.tolist()
    [[2, 1, 0], [1, 0, 2]]
    """
    steps = torch.arange(time)[:, None]
    return torch.where(steps < lengths, lengths - 1 - steps, steps)


def build(options: DnaOptions, cell: Cell, vocab: Vocab[GeneSymbols]) -> nn.Module:
    """Builds a ``BaseTagger`` of the cell, with or without the grammar."""
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
    counted = None
    if options.kmer:
        if not options.grammar:
            raise OptionError("kmer needs the grammar; set kmer to 0, or grammar to true.")
        counted = CountedScores(len(classes_of_one_strand(grammar)), options.kmer)
    reader = BaseReader(
        torch.from_numpy(PROBABILITIES),
        options.channels,
        options.width,
        options.convolutions,
        options.motif_width,
        counted,
    )
    encoder = recurrent_layer(
        options,
        cell,
        options.stride * reader.output_size,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    if counted is not None and vocab.vectors is not None:
        edges = counted.put(vocab.vectors)
        assert crf is not None
        with torch.no_grad():
            crf.weights.copy_(edges)
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
