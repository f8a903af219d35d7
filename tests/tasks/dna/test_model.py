import pytest
import torch

import elman
from elman.tasks.dna.bases import COMPLEMENT, PROBABILITIES
from elman.tasks.dna.grammar import gene_grammar
from elman.tasks.dna.grammar_crf import GrammarCRF
from elman.tasks.dna.model import BaseReader, BaseTagger, reversal_indices


def tagger(*, both, stride=3, bidirectional=True, grammar=True, layers=2):
    torch.manual_seed(0)
    rules = gene_grammar(both_strands=both)
    crf = None
    if grammar:
        crf = GrammarCRF(
            rules.state_classes,
            rules.emission_costs,
            rules.edges,
            rules.edge_groups,
            rules.edge_costs,
        )
    reader = BaseReader(torch.from_numpy(PROBABILITIES), 6, 5, 2)
    encoder = elman.Recurrent(elman.cells.lstm, stride * 6, 5, layers, bidirectional=bidirectional)
    model = BaseTagger(
        reader,
        encoder,
        18,
        stride=stride,
        complement=torch.from_numpy(COMPLEMENT).long() if both else None,
        crf=crf,
        dropout=0.2,
    )
    return model.double().eval()


def codes(time, batch, seed=0):
    return torch.randint(0, 15, (time, batch), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("both", [False, True])
def test_padding_never_changes_a_sequence(both):
    model, x = tagger(both=both), codes(20, 3)
    lengths = torch.tensor([20, 7, 13])
    scores = model(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(x[:length, row : row + 1], torch.tensor([length]))
        assert torch.allclose(scores[:length, row], alone[:, 0], atol=1e-12)
    other = torch.where(torch.arange(20)[:, None] < lengths, x, 9)
    assert torch.allclose(model(other, lengths)[:7], scores[:7], atol=1e-12)


def test_the_other_strand_gives_the_same_turned_round_whatever_the_weights():
    model, x, lengths = tagger(both=True), codes(20, 2), torch.tensor([20, 11])
    places = reversal_indices(20, lengths)
    reversed_ = model(torch.from_numpy(COMPLEMENT).long()[x.gather(0, places)], lengths)
    scores = model(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        given, back = scores[:length, row], reversed_[:length, row].flip(0)
        assert torch.allclose(given[:, 0], back[:, 0], atol=1e-12)
        assert torch.allclose(given[:, 1:18], back[:, 18:], atol=1e-12)
        assert torch.allclose(given[:, 18:], back[:, 1:18], atol=1e-12)
        assert not torch.allclose(given[:, 18:], given[:, 1:18], atol=1e-3)


def test_so_the_loss_of_a_gene_is_that_of_its_other_strand():
    model, rules = tagger(both=True), gene_grammar(both_strands=True)
    x = torch.tensor([0, 3, 2, 1, 1, 0, 3, 0, 0, 2])[:, None]  # ATG CCA TAA G
    names = ["S1", "S2", "S3", "E0x", "E1x", "E2x", "X1", "X2A", "X3A", "N"]
    path = torch.tensor([rules.index(name) for name in names])[:, None]
    reversed_ = torch.tensor([rules.index(n if n == "N" else f"{n}-") for n in names])[
        :, None
    ].flip(0)
    lengths = torch.tensor([10])
    other = torch.from_numpy(COMPLEMENT).long()[x].flip(0)
    with torch.no_grad():
        for parameter in (model.crf.weights, model.crf.start, model.crf.end):
            torch.nn.init.normal_(parameter)
        # a start on one strand is an end on the other
        model.crf.end[1:18], model.crf.end[18:] = model.crf.start[18:], model.crf.start[1:18]
        model.crf.end[0] = model.crf.start[0]
        assert torch.isfinite(model.loss(x, lengths, path))
        assert torch.allclose(
            model.loss(x, lengths, path), model.loss(other, lengths, reversed_), atol=1e-10
        )


@pytest.mark.parametrize("grammar", [True, False])
def test_the_loss_reaches_every_parameter(grammar):
    model, x, lengths = tagger(both=False, grammar=grammar), codes(9, 2), torch.tensor([9, 4])
    model.loss(x, lengths, torch.zeros(9, 2).long()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("length", [1, 30, 64, 101])
def test_a_sequence_in_pieces_has_the_scores_of_the_whole(both, bidirectional, length):
    model = tagger(both=both, bidirectional=bidirectional)
    x = codes(length, 1)
    with torch.no_grad():
        whole = model(x, torch.tensor([length]))[:, 0]
        longest = 0

        def read(start, end):
            nonlocal longest
            longest = max(longest, end - start)
            return x[start:end, 0]

        parts = list(model.in_pieces(length, read, 16))
    assert torch.allclose(torch.cat(parts), whole, atol=1e-12)
    assert longest <= 15 + 2 * model.reader.context


def test_ambiguous_letters_are_between_their_bases():
    reader = tagger(both=False).reader
    table = reader.symbols
    assert torch.allclose(table[4], (table[0] + table[2]) / 2)  # R is A or G
    assert torch.allclose(table[14], torch.full((4,), 0.25, dtype=torch.float64))
