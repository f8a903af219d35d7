import itertools

import pytest
import torch

import elman
from elman.tasks.dna.sweeps import outputs_in_pieces


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_pieces_have_the_outputs_of_the_whole(cell, layers, bidirectional, backwards):
    torch.manual_seed(1)
    layer = elman.Recurrent(
        elman.cells.CATALOGUE[cell], 3, 5, layers, bidirectional=bidirectional
    ).double()
    x = torch.randn(23, 2, 3, dtype=torch.float64) * 3
    bounds = [0, 4, 9, 10, 23]
    pieces = [x[a:b] for a, b in itertools.pairwise(bounds)]
    with torch.no_grad():
        whole, _ = layer(x)
        parts = list(outputs_in_pieces(layer, pieces.__getitem__, 4, backwards=backwards))
    if backwards:
        parts.reverse()
    assert [len(part) for part in parts] == [4, 5, 1, 13]
    # the same sums in the same order, but products of other shapes
    assert torch.allclose(torch.cat(parts), whole, atol=1e-12, rtol=0)


def test_a_piece_is_read_once_for_each_layer_and_once_more():
    layer = elman.Recurrent(elman.cells.gru, 2, 3, 2, bidirectional=True)
    read = []

    def piece(k):
        read.append(k)
        return torch.zeros(2, 1, 2)

    with torch.no_grad():
        list(outputs_in_pieces(layer, piece, 3))
    assert max(map(read.count, (1, 2))) == 3
