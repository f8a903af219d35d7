"""The catalogue: every cell of the specification, as equations and nothing else.

Each is a value (``elman.cells.lstm``) to pass to ``elman.Recurrent``; ``CATALOGUE`` finds them
by name.  Your own are as good: see ``elman.cell``.
"""

from elman.cells.gated_recurrent_unit import gru, gru_reset_after
from elman.cells.layer_normalised import layer_norm_gru, layer_norm_lstm
from elman.cells.long_short_term_memory import coupled_lstm, lstm
from elman.cells.peephole import coupled_peephole_lstm, diagonal_peephole_lstm, peephole_lstm
from elman.cells.plain import relu_rnn, rnn
from elman.graph import Cell

#: every cell of the catalogue by its name
CATALOGUE: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        rnn,
        relu_rnn,
        lstm,
        coupled_lstm,
        peephole_lstm,
        diagonal_peephole_lstm,
        coupled_peephole_lstm,
        gru,
        gru_reset_after,
        layer_norm_lstm,
        layer_norm_gru,
    )
}

__all__ = [
    "CATALOGUE",
    "coupled_lstm",
    "coupled_peephole_lstm",
    "diagonal_peephole_lstm",
    "gru",
    "gru_reset_after",
    "layer_norm_gru",
    "layer_norm_lstm",
    "lstm",
    "peephole_lstm",
    "relu_rnn",
    "rnn",
]
