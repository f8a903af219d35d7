"""The catalogue of cells, each defined by its equations alone.

Pass a cell such as ``elman.cells.lstm`` to ``elman.Recurrent``; ``CATALOGUE`` maps names to cells.
Define your own cells with ``elman.cell``.
"""

from elman.cells.gated_recurrent_unit import gru, gru_reset_after
from elman.cells.layer_normalised import layer_norm_gru, layer_norm_lstm
from elman.cells.long_short_term_memory import coupled_lstm, lstm
from elman.cells.peephole import coupled_peephole_lstm, diagonal_peephole_lstm, peephole_lstm
from elman.cells.plain import relu_rnn, rnn
from elman.graph import Cell

#: the cells by name
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
