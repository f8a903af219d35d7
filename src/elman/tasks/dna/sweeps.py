"""A recurrent layer over a sequence that comes in pieces, with exactly the outputs of the whole.

One direction needs one sweep: the state goes from piece to piece.  In both directions the state
that enters a piece from the right is what all later pieces leave behind.  Sweeps from side to side
carry the states of one direction and use those of the other that the sweep before left at each
border; after n layers and one more sweep all of them are right, and only they have been kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from elman.nn.recurrent import Recurrent

Piece = Callable[[int], Tensor]


def outputs_in_pieces(
    layer: Recurrent, piece: Piece, count: int, *, backwards: bool = False
) -> Iterator[Tensor]:
    """The outputs for each of ``count`` pieces (time, batch, input), or from the last to the first.

    ``piece(k)`` is called once for each sweep: ``num_layers + 1`` times, or one more, if the layer
    is bidirectional.

    >>> import elman, torch
    >>> layer = elman.Recurrent(elman.cells.gru, 3, 4, 2, bidirectional=True)
    >>> x = torch.randn(10, 1, 3)
    >>> with torch.no_grad():
    ...     parts = list(outputs_in_pieces(layer, lambda k: x[4 * k : 4 * k + 4], 3))
    ...     bool(torch.allclose(torch.cat(parts), layer(x)[0], atol=1e-6))
    True
    """
    if not layer.bidirectional:
        state = None
        done = []
        for k in range(count):
            y, state = layer(piece(k), state)
            if not backwards:
                yield y
            else:
                done.append(y)
        yield from reversed(done)
        return
    first = piece(0)
    states = layer(first[:0])[1]
    # for each border the states that cross it: of each layer forwards, backwards
    borders = [[state.clone() for state in states] for _ in range(count + 1)]
    sweeps = layer.num_layers + 1
    for sweep in range(sweeps):
        last = sweep == sweeps - 1
        leftwards = backwards == ((sweeps - 1 - sweep) % 2 == 0)
        for k in range(count - 1, -1, -1) if leftwards else range(count):
            entering = []
            for left, right in zip(borders[k], borders[k + 1], strict=True):
                state = right.clone()
                state[0::2] = left[0::2]
                entering.append(state)
            y, leaving = layer(piece(k), tuple(entering))
            for number, state in enumerate(leaving):
                if leftwards:
                    borders[k][number][1::2] = state[1::2]
                else:
                    borders[k + 1][number][0::2] = state[0::2]
            if last:
                yield y
