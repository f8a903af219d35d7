"""Batches hold every example once, of like lengths, in an order that a seed brings back."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from elman.data.batching import bucketed_batches
from elman.data.padding import pad_sequences
from elman.errors import OptionError

lengths_of_many = st.lists(st.integers(0, 1000), max_size=400)


@given(lengths_of_many, st.integers(1, 50), st.integers(0, 2**40), st.integers(0, 1000))
def test_every_index_comes_exactly_once_in_full_batches(
    lengths: list[int], batch_size: int, seed: int, epoch: int
) -> None:
    batches = bucketed_batches(lengths, batch_size, seed=seed, epoch=epoch)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert sorted(len(batch) for batch in batches)[1:] == [batch_size] * (len(batches) - 1)
    assert all(0 < len(batch) <= batch_size for batch in batches)
    assert batches == bucketed_batches(lengths, batch_size, seed=seed, epoch=epoch)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=400), st.integers(1, 50))
def test_batches_that_are_pooled_together_overlap_in_length_at_their_ends_only(
    lengths: list[int], batch_size: int
) -> None:
    # up to 64 batches are one pool: sorted, their ranges of length do not overlap
    lengths = lengths[: 64 * batch_size]
    batches = bucketed_batches(lengths, batch_size, seed=0, epoch=0)
    ranges = sorted(
        (min(lengths[index] for index in batch), max(lengths[index] for index in batch))
        for batch in batches
    )
    assert all(high <= low for (_, high), (low, _) in pairwise(ranges))


def test_padding_stays_small_while_batches_change_from_epoch_to_epoch() -> None:
    lengths = np.random.default_rng(0).geometric(0.05, size=20_000).tolist()
    first, second = (bucketed_batches(lengths, 32, seed=0, epoch=epoch) for epoch in (0, 1))
    for batches in (first, second):
        computed = sum(len(batch) * max(lengths[index] for index in batch) for batch in batches)
        assert computed < 1.1 * sum(lengths)  # 1.05 here; 3.9 without buckets
    assert not {tuple(sorted(batch)) for batch in first} & {tuple(sorted(b)) for b in second}
    assert bucketed_batches(lengths, 32, seed=1, epoch=0) != first


def test_batches_do_not_come_in_order_of_length() -> None:
    lengths = list(range(1000))
    means = [batch[0] for batch in bucketed_batches(lengths, 10, seed=0, epoch=0)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.3  # sorted batches have 1


@pytest.mark.parametrize(
    ("batch_size", "seed", "epoch", "message"),
    [
        (0, 0, 0, "batch_size is 0; give 1 or more."),
        (1, -1, 0, "seed is -1 and epoch 0; both must be at least 0."),
        (1, 0, -1, "seed is 0 and epoch -1; both must be at least 0."),
    ],
)
def test_wrong_options_have_their_sentences(
    batch_size: int, seed: int, epoch: int, message: str
) -> None:
    with pytest.raises(OptionError) as caught:
        bucketed_batches([1], batch_size, seed=seed, epoch=epoch)
    assert str(caught.value) == f"bucketed_batches: {message}"


@given(st.lists(st.lists(st.integers(-(2**40), 2**40), max_size=20), max_size=10))
def test_padded_rows_come_back(rows: list[list[int]]) -> None:
    indices, lengths = pad_sequences(rows, fill=-7)
    assert indices.dtype == lengths.dtype == torch.int64
    assert indices.shape == (max(map(len, rows), default=0), len(rows))
    assert lengths.tolist() == [len(row) for row in rows]
    for column, row in enumerate(rows):
        assert indices[: len(row), column].tolist() == row
        assert (indices[len(row) :, column] == -7).all()
