import pytest
import torch

import elman
from elman.errors import OptionError, ShapeError
from elman.models import BagOfWords, Classifier, Tagger, WindowTagger, WordFeatures
from elman.nn.characters import CharacterConvolution, CharacterRecurrence
from elman.nn.embedding import WordEmbedding

LENGTHS = torch.tensor([5, 2, 0, 4])


def words(seed=0):
    return torch.randint(2, 30, (5, 4), generator=torch.Generator().manual_seed(seed))


def classifier(pooling="max", cell=elman.cells.gru):
    torch.manual_seed(0)
    encoder = elman.Recurrent(cell, 8, 6, bidirectional=True)
    return Classifier(WordEmbedding(30, 8), encoder, 3, pooling=pooling)


def tagger(crf=True, characters=None):
    torch.manual_seed(0)
    features = WordFeatures(WordEmbedding(30, 8), characters, 10, 4)
    encoder = elman.Recurrent(elman.cells.lstm, features.output_size, 6, bidirectional=True)
    return Tagger(features, encoder, 5, crf=crf)


def window(crf=True):
    torch.manual_seed(0)
    return WindowTagger(
        WordFeatures(WordEmbedding(30, 8), None, 10, 4), 5, window=1, hidden_size=7, crf=crf
    )


CLASSIFIERS = {
    **{
        pooling: lambda pooling=pooling: classifier(pooling)
        for pooling in ("last", "middle", "mean", "max", "attention")
    },
    "bag": lambda: BagOfWords(WordEmbedding(30, 8), 6, 3),
}


@pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_class_does_not_depend_on_padding_or_on_the_batch(make):
    model = make()
    together = model(words(), LENGTHS)
    other = words(1)
    for row, length in enumerate(LENGTHS.tolist()):
        other[:length, row] = words()[:length, row]
    assert torch.allclose(model(other, LENGTHS), together, atol=1e-6)
    for row, length in enumerate(LENGTHS.tolist()):
        alone = model(words()[: max(length, 1), [row]], LENGTHS[[row]])
        assert torch.allclose(alone[0], together[row], atol=1e-6)
    assert torch.isfinite(together).all(), "a text without words has a defined rating"


@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
def test_the_recurrent_model_sees_the_order_of_words_and_the_bag_does_not(pooling):
    order = words()[:, [0]]
    lengths = torch.tensor([5])
    recurrent, bag = classifier(pooling), CLASSIFIERS["bag"]()
    assert not torch.allclose(recurrent(order, lengths), recurrent(order.flip(0), lengths))
    assert torch.allclose(bag(order, lengths), bag(order.flip(0), lengths), atol=1e-6)


def test_a_classifier_puts_its_parts_together_as_its_docstring_says():
    model = classifier("mean")
    x = model.embedding(words()[:, [0]])
    y, _ = model.encoder(x)
    expected = model.output(y.mean(0))
    assert torch.allclose(model(words()[:, [0]], torch.tensor([5])), expected, atol=1e-6)
    labels = torch.tensor([2])
    assert torch.allclose(
        model.loss(words()[:, [0]], torch.tensor([5]), labels),
        -expected.log_softmax(-1)[0, 2],
        atol=1e-6,
    )


def test_label_smoothing_softens_the_target():
    torch.manual_seed(0)
    model = Classifier(
        WordEmbedding(30, 8), elman.Recurrent(elman.cells.rnn, 8, 6), 3, label_smoothing=0.3
    )
    logits = model(words(), LENGTHS).log_softmax(-1)
    labels = torch.tensor([0, 1, 2, 0])
    target = torch.nn.functional.one_hot(labels, 3) * 0.7 + 0.1
    expected = -(target * logits).sum(-1).mean()
    assert torch.allclose(model.loss(words(), LENGTHS, labels), expected, atol=1e-6)


def test_an_unknown_pooling_is_refused():
    with pytest.raises(OptionError, match="pooling is 'first'"):
        classifier("first")


@pytest.mark.parametrize("make", [tagger, window])
def test_scores_do_not_depend_on_padding(make):
    model = make()
    shapes = torch.randint(1, 10, (5, 4), generator=torch.Generator().manual_seed(3))
    first = model(words(), LENGTHS, shapes)
    other, other_shapes = words(1), torch.ones_like(shapes)
    for row, length in enumerate(LENGTHS.tolist()):
        other[:length, row] = words()[:length, row]
        other_shapes[:length, row] = shapes[:length, row]
    second = model(other, LENGTHS, other_shapes)
    for row, length in enumerate(LENGTHS.tolist()):
        assert torch.allclose(first[:length, row], second[:length, row], atol=1e-6)


def test_a_window_sees_its_neighbours_and_no_further():
    model = window()
    shapes = torch.ones(5, 1, dtype=torch.int64)
    base = words()[:, [0]]
    changed = base.clone()
    changed[4, 0] = (base[4, 0] + 1 - 2) % 28 + 2
    lengths = torch.tensor([5])
    before, after = model(base, lengths, shapes), model(changed, lengths, shapes)
    assert torch.equal(before[:3], after[:3])
    assert not torch.allclose(before[3], after[3])
    recurrent = tagger()
    assert not torch.allclose(
        recurrent(base, lengths, shapes)[0], recurrent(changed, lengths, shapes)[0]
    )


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("make", [tagger, window])
def test_the_loss_is_the_mean_over_sentences_so_that_halves_of_a_batch_average_to_it(make, crf):
    model = make(crf=crf)
    tags = torch.randint(0, 5, (5, 4), generator=torch.Generator().manual_seed(1))
    shapes = torch.ones_like(tags)
    whole = model.loss(words(), LENGTHS, shapes, tags=tags)
    halves = [
        model.loss(
            words()[:, k : k + 2], LENGTHS[k : k + 2], shapes[:, k : k + 2], tags=tags[:, k : k + 2]
        )
        for k in (0, 2)
    ]
    assert torch.allclose(whole, sum(halves) / 2, atol=1e-5)


def test_the_softmax_loss_is_the_sum_of_each_words_cross_entropy():
    model = tagger(crf=False)
    tags = torch.randint(0, 5, (5, 4), generator=torch.Generator().manual_seed(1))
    shapes = torch.ones_like(tags)
    logs = model(words(), LENGTHS, shapes).log_softmax(-1)
    total = sum(
        -logs[t, row, tags[t, row]]
        for row, length in enumerate(LENGTHS.tolist())
        for t in range(length)
    )
    assert torch.allclose(model.loss(words(), LENGTHS, shapes, tags=tags), total / 4, atol=1e-5)


@pytest.mark.parametrize(
    "characters",
    [CharacterConvolution(20, 5, 6), CharacterRecurrence(elman.cells.lstm, 20, 5, 3)],
    ids=["convolution", "recurrence"],
)
def test_characters_are_looked_up_where_their_word_stands(characters):
    model = tagger(characters=characters)
    letters = torch.randint(2, 20, (4, 3))
    counts = torch.tensor([4, 2, 1])
    index = torch.tensor([[0, 1], [2, 0]])
    shapes = torch.ones(2, 2, dtype=torch.int64)
    x = model.features(words()[:2, :2], shapes, letters, counts, index)
    read = characters(letters, counts)
    start = model.features.embedding.size
    assert torch.equal(x[1, 1, start : start + 6], read[0])
    assert torch.equal(x[1, 0, start : start + 6], read[2])


@pytest.mark.parametrize("make", [*CLASSIFIERS.values()], ids=CLASSIFIERS)
def test_every_parameter_of_a_classifier_learns(make):
    model = make()
    model.loss(words(), LENGTHS, torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_the_last_of_two_directions_is_the_state_that_each_ends_in():
    model = classifier("last")
    _, state = model.encoder(model.embedding(words()), lengths=LENGTHS)
    pooled = torch.cat([state[0][0], state[0][1]], -1)  # forward, reverse
    assert torch.allclose(model(words(), LENGTHS), model.output(pooled), atol=1e-6)


def test_a_bag_is_the_mean_vector_then_a_hidden_layer():
    model = CLASSIFIERS["bag"]()
    mean = model.embedding(words()[:2, 1]).mean(0)
    expected = model.output(torch.relu(model.hidden(mean)))
    assert torch.allclose(model(words(), LENGTHS)[1], expected, atol=1e-6)


def test_a_window_is_its_words_from_left_to_right_with_nothing_beyond_the_ends():
    model = window()
    shapes = torch.ones(5, 4, dtype=torch.int64)
    x = model.features(words(), shapes)[:2, 1]  # the row of two words
    nothing = torch.zeros(x.shape[-1])
    seen = torch.stack([torch.cat([nothing, x[0], x[1]]), torch.cat([x[0], x[1], nothing])])
    expected = model.output(torch.tanh(model.hidden(seen)))
    assert torch.allclose(model(words(), LENGTHS, shapes)[:2, 1], expected, atol=1e-6)


def test_a_tagger_puts_its_parts_together_as_its_docstring_says():
    model = tagger()
    tags = torch.randint(0, 5, (5, 4), generator=torch.Generator().manual_seed(1))
    shapes = torch.ones_like(tags)
    x = model.features(words(), shapes)
    assert torch.equal(x, torch.cat([model.features.embedding(words()), x[..., 8:]], -1))
    assert torch.equal(x[0, 0, 8:], model.features.shapes.weight[1])
    y, _ = model.encoder(x, lengths=LENGTHS)
    scores = model.output(y)
    assert torch.equal(model(words(), LENGTHS, shapes), scores)
    expected = -model.crf.log_likelihood(scores, tags, LENGTHS).mean()
    assert torch.equal(model.loss(words(), LENGTHS, shapes, tags=tags), expected)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("make", [tagger, window])
def test_tags_behind_a_sentences_end_are_not_looked_at(make, crf):
    model = make(crf=crf)
    tags = torch.ones(5, 4, dtype=torch.int64)
    shapes = torch.ones_like(tags)
    expected = model.loss(words(), LENGTHS, shapes, tags=tags)
    for other in (4, 99, -100):
        for row, length in enumerate(LENGTHS.tolist()):
            tags[length:, row] = other
        assert torch.equal(model.loss(words(), LENGTHS, shapes, tags=tags), expected)


@pytest.mark.parametrize("crf", [True, False])
@pytest.mark.parametrize("make", [tagger, window])
def test_every_parameter_of_a_tagger_learns(make, crf):
    model = make(crf=crf)
    tags = torch.randint(0, 5, (5, 4), generator=torch.Generator().manual_seed(1))
    model.loss(words(), LENGTHS, torch.ones_like(tags), tags=tags).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def dropped(make):
    """A model in training, and how far two of its answers are apart with and without dropout."""
    shapes = torch.ones(5, 4, dtype=torch.int64)
    more = {"shapes": shapes} if make in (DROPPING["tagger"], DROPPING["window"]) else {}
    model = make()
    torch.manual_seed(0)
    return [
        (model.train(mode)(words(), LENGTHS, **more) - model(words(), LENGTHS, **more)).abs().max()
        for mode in (True, False)
    ]


DROPPING = {
    "classifier": lambda: Classifier(
        WordEmbedding(30, 8), elman.Recurrent(elman.cells.gru, 8, 6), 3, dropout=0.5
    ),
    "bag": lambda: BagOfWords(WordEmbedding(30, 8), 6, 3, dropout=0.5),
    "tagger": lambda: Tagger(
        WordFeatures(WordEmbedding(30, 8), None, 10, 4),
        elman.Recurrent(elman.cells.gru, 12, 6),
        5,
        dropout=0.5,
    ),
    "window": lambda: WindowTagger(WordFeatures(WordEmbedding(30, 8), None, 10, 4), 5, dropout=0.5),
}


@pytest.mark.parametrize("make", DROPPING.values(), ids=DROPPING)
def test_dropout_is_for_training_only(make):
    training, answering = dropped(make)
    assert training > 0
    assert answering == 0


def test_a_batch_without_any_word_has_a_loss():
    model = tagger(characters=CharacterConvolution(20, 5, 6))
    none = torch.empty(0, 2, dtype=torch.int64)
    letters, counts = torch.empty(0, 0, dtype=torch.int64), torch.empty(0, dtype=torch.int64)
    lengths = torch.tensor([0, 0])
    assert model.loss(none, lengths, none, letters, counts, none, tags=none) == 0


def test_features_that_are_missing_are_named():
    with pytest.raises(ShapeError, match="reads word shapes, but shapes is missing"):
        tagger()(words(), LENGTHS)
    reading = tagger(characters=CharacterConvolution(20, 5, 6))
    with pytest.raises(ShapeError, match="character_lengths or word_index is missing"):
        reading(words(), LENGTHS, torch.ones(5, 4, dtype=torch.int64))


def test_names_of_saved_weights_say_what_they_are():
    names = set(tagger(characters=CharacterConvolution(20, 5, 6)).state_dict())
    assert {
        "features.embedding.weight",
        "features.shapes.weight",
        "features.characters.filters.weight",
        "encoder.layers.0.0.W.f",
        "output.weight",
        "crf.transitions",
        "crf.start",
        "crf.end",
    } <= names
