"""Output distributions over the next token or the next set of pitches, given features.

Each is a layer with two methods: ``log_prob`` computes the exact log-probability of a value, and
``draw`` samples one.  ``draw`` takes a function that samples an index from logits, such as those in
``decode/sampling.py``.  ``models/generator.py`` is the model that uses them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

#: samples an index for each row of logits (..., n), some of which may be -inf
Choose = Callable[[Tensor], Tensor]

Features = Float[Tensor, "*steps features"]
Pitches = Float[Tensor, "*steps pitch"]
LogProb = Float[Tensor, "*steps"]


class NextToken(nn.Module):
    """A softmax over ``num_tokens``, for text and for events of music.

    >>> import torch
    >>> head = NextToken(8, 5)
    >>> features = torch.randn(3, 8)
    >>> every = [head.log_prob(features, torch.full((3,), k)).exp() for k in range(5)]
    >>> torch.allclose(sum(every), torch.ones(3))
    True
    """

    def __init__(self, feature_size: int, num_tokens: int) -> None:
        super().__init__()
        self.output = nn.Linear(feature_size, num_tokens)

    def log_prob(self, features: Features, token: Int64[Tensor, "*steps"]) -> LogProb:
        """log p(token | features)."""
        logits: Tensor = self.output(features)
        # fused: no gradient of the size of the logits is made of zeros first
        each = nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), token.reshape(-1), reduction="none"
        )
        return -each.reshape(token.shape)

    def log_probs(self, features: Features) -> Float[Tensor, "*steps token"]:
        """log p of every token."""
        logits: Tensor = self.output(features)
        return logits.log_softmax(-1)

    def draw(self, features: Features, choose: Choose) -> Int64[Tensor, "*steps"]:
        """A token for each row."""
        return choose(self.output(features))


class AdaptiveToken(nn.Module):
    """An adaptive softmax over ``num_tokens``, for large vocabularies (Grave et al. 2017).

    Tokens are grouped by frequency: the most frequent ones form the head, and each further group
    has a smaller projection, which only its own tokens compute.  ``by_frequency`` lists the indices
    of all tokens, the most frequent first; by default, they are in that order already.

    >>> import torch
    >>> head = AdaptiveToken(8, 20)
    >>> features = torch.randn(3, 8)
    >>> every = [head.log_prob(features, torch.full((3,), k)).exp() for k in range(20)]
    >>> torch.allclose(sum(every), torch.ones(3), atol=1e-6)
    True
    """

    rank: Tensor
    #: a batch computes only the groups that its tokens are of
    leaves_out_parameters = True

    def __init__(
        self,
        feature_size: int,
        num_tokens: int,
        by_frequency: Int64[Tensor, " token"] | None = None,
    ) -> None:
        super().__init__()
        first, second = min(2_000, -(-num_tokens // 4)), min(10_000, -(-num_tokens // 2))
        # the projection of the last group has at least one feature, however its size is rounded
        smaller = min(4.0, 0.999 * feature_size**0.5)
        self.output = nn.AdaptiveLogSoftmaxWithLoss(
            feature_size, num_tokens, [first, second], div_value=smaller
        )
        order = torch.arange(num_tokens) if by_frequency is None else by_frequency
        #: the place of each token in the order of frequency
        self.register_buffer("rank", torch.argsort(order), persistent=False)

    def log_prob(self, features: Features, token: Int64[Tensor, "*steps"]) -> LogProb:
        """log p(token | features)."""
        flat = features.reshape(-1, features.shape[-1])
        if not len(flat):
            return features.new_zeros(token.shape)
        found: Tensor = self.output(flat, self.rank[token.reshape(-1)]).output
        return found.reshape(token.shape)

    def log_probs(self, features: Features) -> Float[Tensor, "*steps token"]:
        """log p of every token."""
        flat = features.reshape(-1, features.shape[-1])
        found: Tensor = self.output.log_prob(flat)[:, self.rank]
        return found.reshape(*features.shape[:-1], -1)

    def draw(self, features: Features, choose: Choose) -> Int64[Tensor, "*steps"]:
        """A token for each row."""
        return choose(self.log_probs(features))


class IndependentPitches(nn.Module):
    """A set of independent pitches: one sigmoid per pitch.

    This is the output layer of the recurrent networks of Boulanger-Lewandowski et al. (2012).  Sets
    are rows of zeros and ones.

    >>> import torch
    >>> head = IndependentPitches(8, 3)
    >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    >>> features = torch.randn(1, 8).expand(8, 8)
    >>> round(head.log_prob(features, every).exp().sum().item(), 5)
    1.0
    """

    def __init__(self, feature_size: int, num_pitches: int) -> None:
        super().__init__()
        self.output = nn.Linear(feature_size, num_pitches)

    def log_prob(self, features: Features, pitches: Pitches) -> LogProb:
        """log p(set | features): a sum over pitches."""
        logits = self.output(features)
        losses = nn.functional.binary_cross_entropy_with_logits(logits, pitches, reduction="none")
        return -losses.sum(-1)

    def draw(self, features: Features, choose: Choose) -> Pitches:
        """A set for each row: a binary choice for each pitch."""
        logits = self.output(features)
        return choose(torch.stack([torch.zeros_like(logits), logits], -1)).to(features)


class OrderedPitches(nn.Module):
    """An autoregressive set of pitches: each pitch depends on those chosen before.

    Pitches are chosen in order, then the end; choices that violate the order have probability 0.
    Each set is therefore generated in exactly one way, and its probability is the product of the
    choices' probabilities.  This is exact, as in the RNN-NADE of Boulanger-Lewandowski et al.
    (2012), but takes one step per pitch in the set, not per possible pitch.  The choices share one
    hidden layer, whose input is the features, the last pitch, and the sum of a vector for each
    earlier pitch.  ``descending`` starts with the highest pitch.

    >>> import torch
    >>> head = OrderedPitches(8, 3, 16)
    >>> every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    >>> features = torch.randn(1, 8).expand(8, 8)
    >>> round(head.log_prob(features, every).exp().sum().item(), 5)
    1.0
    """

    def __init__(
        self,
        feature_size: int,
        num_pitches: int,
        hidden_size: int,
        *,
        descending: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.num_pitches = num_pitches
        self.descending = descending
        self.context = nn.Linear(feature_size, hidden_size)
        #: vectors of the last pitch; the last row means no pitch yet
        self.last = nn.Parameter(torch.randn(num_pitches + 1, hidden_size) / hidden_size**0.5)
        #: vectors of all pitches so far
        self.so_far = nn.Parameter(torch.randn(num_pitches, hidden_size) / hidden_size**0.5)
        self.dropout = nn.Dropout(dropout)
        #: a logit for each pitch and the end
        self.output = nn.Linear(hidden_size, num_pitches + 1)

    def log_prob(self, features: Features, pitches: Pitches) -> LogProb:
        """log p(set | features): a sum over the choices, including the end."""
        steps = pitches.shape[:-1]
        pitches = self._in_order(pitches.reshape(-1, self.num_pitches))
        row, pitch = pitches.nonzero(as_tuple=True)
        count = pitches.count_nonzero(-1)
        place = torch.arange(len(row)) - (count.cumsum(0) - count)[row]
        longest = int(count.max()) if len(count) else 0
        table = torch.full((len(pitches), longest + 1), self.num_pitches)  # the end and padding
        table[row, place] = pitch
        before = torch.cat([torch.full((len(table), 1), self.num_pitches), table[:, :-1]], 1)
        vectors = torch.cat([self.so_far, self.so_far.new_zeros(1, self.so_far.shape[1])])
        context = self.context(features.reshape(len(table), -1))
        so_far = nn.functional.embedding(before, vectors).cumsum(1)
        # the entries of the table that are choices: those up to each row's end
        made = torch.arange(longest + 1) <= count[:, None]
        last = before[made]
        hidden = (context[:, None] + so_far)[made]
        chosen = self._choices(hidden, last).gather(-1, table[made].unsqueeze(-1)).squeeze(-1)
        total = chosen.new_zeros(len(table))
        return total.index_add(0, made.nonzero()[:, 0], chosen).reshape(steps)

    def draw(self, features: Features, choose: Choose) -> Pitches:
        """A set for each row, sampled pitch by pitch."""
        steps = features.shape[:-1]
        hidden = self.context(features.reshape(-1, features.shape[-1]))
        pitches = hidden.new_zeros(len(hidden), self.num_pitches)
        last = torch.full((len(hidden),), self.num_pitches)
        row = torch.arange(len(hidden))  # the rows that have not ended
        while len(row):
            pitch = choose(self._choices(hidden[row], last[row]))
            row, pitch = row[pitch < self.num_pitches], pitch[pitch < self.num_pitches]
            pitches[row, pitch] = 1
            last[row] = pitch
            hidden[row] += self.so_far[pitch]
        return self._in_order(pitches).reshape(*steps, self.num_pitches)

    def choices(
        self,
        features: Float[Tensor, "row features"],
        chosen: Float[Tensor, "row pitch"],
        last: Int64[Tensor, " row"],
    ) -> Float[Tensor, "row pitch_or_end"]:
        """log p of the next pitch, or of the end, after those that are ``chosen``.

        ``last`` is the index of the last one, ``num_pitches`` where there is none yet.
        """
        return self._choices(self.context(features) + chosen @ self.so_far, last)

    def _choices(
        self, hidden: Float[Tensor, "choice hidden"], last: Int64[Tensor, " choice"]
    ) -> Float[Tensor, "choice pitch_or_end"]:
        """log p of each pitch and of the end; -inf for choices that violate the order."""
        hidden = nn.functional.relu(hidden + nn.functional.embedding(last, self.last))
        logits = self.output(self.dropout(hidden))
        lowest = torch.where(last == self.num_pitches, -1, last)
        forbidden = torch.arange(self.num_pitches + 1) <= lowest[:, None]
        log_prob: Tensor = logits.masked_fill(forbidden, -torch.inf).log_softmax(-1)
        return log_prob

    def _in_order(self, pitches: Tensor) -> Tensor:
        return pitches.flip(-1) if self.descending else pitches
