"""Embedding, dropout, pooling, attention, characters: what padding and masks must not do."""

import pytest
import torch

import elman
from elman.errors import OptionError, ShapeError
from elman.nn.attention import AttentionPooling
from elman.nn.characters import CharacterConvolution, CharacterRecurrence
from elman.nn.dropout import VariationalDropout
from elman.nn.embedding import WordEmbedding
from elman.nn.pooling import pool_last, pool_max, pool_mean, pool_middle

LENGTHS = torch.tensor([3, 1, 0, 5])


@pytest.fixture
def outputs():
    return torch.randn(5, 4, 6, generator=torch.Generator().manual_seed(0))


def test_a_look_up_is_the_product_with_a_one_hot_vector():
    embedding = WordEmbedding(7, 3)
    words = torch.tensor([[1, 5], [6, 2]])
    one_hot = torch.nn.functional.one_hot(words, 7).float()
    assert torch.equal(embedding(words), one_hot @ embedding.weight)


def test_padding_is_zero_and_never_learns():
    embedding = WordEmbedding(5, 3, vectors=torch.ones(5, 3))
    embedding(torch.tensor([0, 2, 0])).sum().backward()
    assert embedding.weight.grad[0].tolist() == [0, 0, 0]
    assert embedding(torch.tensor([0])).tolist() == [[0, 0, 0]]


def test_given_vectors_are_copied_and_frozen_ones_stay():
    vectors = torch.randn(5, 3)
    embedding = WordEmbedding(5, 3, vectors=vectors, frozen=True)
    assert torch.equal(embedding.weight[1:], vectors[1:])
    assert not embedding.weight.requires_grad
    assert vectors[0].abs().sum() > 0, "the caller's tensor was changed"


def test_word_dropout_makes_whole_words_unknown_in_training_only():
    torch.manual_seed(0)
    embedding = WordEmbedding(5, 3, word_dropout=0.5)
    words = torch.full((1000,), 4)
    words[::2] = 0
    dropped = (embedding(words)[1::2] == embedding.weight[1]).all(-1)
    kept = (embedding(words)[1::2] == embedding.weight[4]).all(-1)
    assert 200 < dropped.sum() < 300
    assert (embedding(words)[::2] == 0).all()
    assert 200 < kept.sum() < 300
    embedding.eval()
    assert (embedding(words)[1::2] == embedding.weight[4]).all()


def test_word_dropout_never_hides_kept_words():
    torch.manual_seed(0)
    embedding = WordEmbedding(5, 3, word_dropout=0.5, kept=[3])
    words = torch.tensor([3, 4, 0]).repeat(500)
    found = embedding(words)
    assert (found[::3] == embedding.weight[3]).all()
    assert 200 < (found[1::3] == embedding.weight[1]).all(-1).sum() < 300
    assert (found[2::3] == 0).all()


def test_options_and_shapes_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match=r"word_dropout is 1\.1; it must be from"):
        WordEmbedding(5, 3, word_dropout=1.1)
    with pytest.raises(ShapeError, match=r"vectors have the shape \(4, 3\), but .* is \(5, 3\)"):
        WordEmbedding(5, 3, vectors=torch.ones(4, 3))
    with pytest.raises(OptionError, match=r"p is -0\.1"):
        VariationalDropout(-0.1)


def test_variational_dropout_has_one_mask_for_all_steps_and_keeps_the_mean():
    torch.manual_seed(0)
    dropout = VariationalDropout(0.25)
    y = dropout(torch.ones(3, 100, 100))
    assert (y == y[0]).all()
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert y.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert torch.equal(dropout.eval()(torch.ones(3, 1, 2)), torch.ones(3, 1, 2))


def rows(y):
    """What each row holds, without any padding."""
    return [y[:length, row] for row, length in enumerate(LENGTHS.tolist())]


@pytest.mark.parametrize(
    ("pool", "alone"),
    [
        (pool_last, lambda row: row[-1]),
        (pool_middle, lambda row: row[len(row) // 2]),
        (pool_mean, lambda row: row.mean(0)),
        (pool_max, lambda row: row.amax(0)),
    ],
)
def test_pooling_is_that_of_each_row_alone(outputs, pool, alone):
    pooled = pool(outputs, LENGTHS)
    for row, inside in enumerate(rows(outputs)):
        expected = alone(inside) if len(inside) else torch.zeros(6)
        assert torch.allclose(pooled[row], expected, atol=1e-6)


@pytest.mark.parametrize("pool", [pool_last, pool_middle, pool_mean, pool_max, AttentionPooling(6)])
def test_padding_changes_neither_what_is_pooled_nor_its_gradient(outputs, pool):
    results = []
    for padding in (0.0, 1e30, torch.nan):
        y = outputs.clone()
        for row, length in enumerate(LENGTHS.tolist()):
            y[length:, row] = padding
        y.requires_grad_()
        pooled = pool(y, LENGTHS)
        (grad,) = torch.autograd.grad((pooled * torch.arange(6.0)).sum(), y)
        results.append((pooled, grad))
    for pooled, grad in results[1:]:
        assert torch.equal(pooled, results[0][0])
        assert torch.equal(grad, results[0][1])


def test_the_last_output_of_the_reverse_direction_is_at_the_first_step(outputs):
    pooled = pool_last(outputs, LENGTHS, bidirectional=True)
    assert torch.equal(pooled[0], torch.cat([outputs[2, 0, :3], outputs[0, 0, 3:]]))
    assert torch.equal(pooled[2], torch.zeros(6))


def test_attention_is_a_weighted_mean_by_its_formula(outputs):
    torch.manual_seed(0)
    pool = AttentionPooling(6)
    pooled = pool(outputs, LENGTHS)
    inside = rows(outputs)[0]
    weights = pool.context(torch.tanh(pool.hidden(inside))).softmax(0)
    assert torch.allclose(pooled[0], (weights * inside).sum(0), atol=1e-6)


READERS = {
    "convolution": lambda: CharacterConvolution(20, 5, 8),
    "recurrence": lambda: CharacterRecurrence(elman.cells.gru, 20, 5, 4),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_a_word_in_a_batch_is_read_as_it_is_alone(reader):
    torch.manual_seed(0)
    read = reader()
    lengths = torch.tensor([4, 1, 0, 2])
    letters = torch.randint(2, 20, (6, 4))  # what stands behind a word's end is no padding here
    together = read(letters, lengths)
    for word, length in enumerate(lengths.tolist()):
        if length:
            alone = read(letters[:length, [word]], lengths[[word]])
            assert torch.allclose(together[word], alone[0], atol=1e-6)
        else:
            assert (together[word] == 0).all()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_the_order_of_characters_matters(reader):
    torch.manual_seed(0)
    read = reader()
    words = torch.tensor([[3, 4, 5], [5, 4, 3]]).T
    forwards, backwards = read(words, torch.tensor([3, 3]))
    assert not torch.allclose(forwards, backwards)


def test_embedding_dropout_takes_words_out_of_the_whole_batch():
    torch.manual_seed(0)
    embedding = WordEmbedding(200, 3, dropout=0.25)
    words = torch.arange(200).repeat(2, 1)
    vectors = embedding(words)
    assert torch.equal(vectors[0], vectors[1])
    gone = (vectors[0, 1:] == 0).all(-1)
    assert 20 < gone.sum() < 80  # of 199, a quarter
    torch.testing.assert_close(vectors[0, 1:][~gone], embedding.weight[1:][~gone] / 0.75)
    assert torch.equal(embedding.eval()(words[0]), embedding.weight)
    assert (WordEmbedding(5, 3, dropout=1.0)(words[:, :5]) == 0).all()
