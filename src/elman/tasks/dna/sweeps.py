"""Runs a recurrent layer over a sequence in pieces, with exactly the outputs of the whole.

A unidirectional layer needs one sweep, which passes the state from piece to piece.  A
bidirectional layer also needs states from the right, which depend on all later pieces.  Sweeps in
alternating directions pass on the states of one direction and use the states of the other that the
last sweep stored at each border.  After ``num_layers + 1`` sweeps, all outputs are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from elman.nn.recurrent import Recurrent

Piece = Callable[[int], Tensor]


def outputs_in_pieces(
    layer: Recurrent, piece: Piece, count: int, *, backwards: bool = False
) -> Iterator[Tensor]:
    """Yields the outputs of ``count`` pieces (time, batch, input); last to first if ``backwards``.

    A unidirectional layer calls ``piece(k)`` once per piece, a bidirectional layer once per sweep:
    ``num_layers + 1`` times.

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
    # the states at each border, per layer: forward, backward
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
