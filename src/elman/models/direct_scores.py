"""Scores of tags straight from the words around, as a CRF with hand features has them.

Huang, Xu and Yu (2015) connect such features to the output scores directly, beside a recurrent
encoder.  ``tasks/ner/affixes.py`` extracts them from words; ``tagger.py`` adds the scores.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.nn.dropout import draw_mask
from elman.nn.embedding import PADDING

#: number of words on each side whose features score the tags of a word
WINDOW = 2


class DirectScores(nn.Module):
    """Sums a weight for each tag, feature and place in a window of five words.

    A word has ``per_word`` features, each an index below ``num_features``; 0 is none.  The sum is
    divided by the root of their number, so that the scores do not learn much faster than an encoder
    beside them.  In training, ``dropout`` is the fraction of features left out; the rest is scaled
    by 1 / (1 - p).  The weights are zero at first.

    >>> import torch
    >>> scores = DirectScores(50, 8, 3)
    >>> scores(torch.ones(6, 2, 8, dtype=torch.int64)).shape
    torch.Size([6, 2, 3])
    """

    def __init__(
        self, num_features: int, per_word: int, num_tags: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.per_word = per_word
        self.dropout = dropout
        self.weight = nn.Parameter(torch.zeros(num_features, (2 * WINDOW + 1) * num_tags))

    def forward(
        self, features: Int64[Tensor, "time batch feature"]
    ) -> Float[Tensor, "time batch tag"]:
        """The score of each tag for each word, from the features of the words around."""
        found = nn.functional.embedding(features, self.weight, padding_idx=PADDING)
        if self.training and self.dropout:
            found = found * draw_mask((*features.shape, 1), self.dropout, found).to(found.dtype)
        time = found.shape[0]
        each = found.sum(2) / self.per_word**0.5
        each = nn.functional.pad(each, (0, 0, 0, 0, WINDOW, WINDOW))
        tags = each.shape[-1] // (2 * WINDOW + 1)
        parts = [each[k : k + time, :, k * tags : (k + 1) * tags] for k in range(2 * WINDOW + 1)]
        return torch.stack(parts).sum(0)
