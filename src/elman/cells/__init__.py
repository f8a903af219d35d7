"""The catalogue of cells, each defined by its equations alone.

Pass a cell such as ``elman.cells.lstm`` to ``elman.Recurrent``; ``CATALOGUE`` maps names to cells.
Those in ``WITH_INPUTS`` take other inputs beside x, such as the time since the last step; those in
``WITH_MATRICES`` compute matrices from their parameters, those in ``WITH_MATRIX_STATES`` have a
state with a value for each unit and key, and those in ``WITH_SIZES`` have sizes of their own.
Define your own cells with ``elman.cell``.
"""

from elman.cells.constrained import antisymmetric_rnn, lipschitz_rnn, orthogonal_rnn
from elman.cells.differential import co_rnn, lem
from elman.cells.elementwise import ind_rnn, lru, min_gru, min_lstm, qrnn, rg_lru, sru
from elman.cells.extended import multiplicative_lstm, nas, rhn, slstm
from elman.cells.gated_recurrent_unit import gru, gru_reset_after
from elman.cells.layer_normalised import layer_norm_gru, layer_norm_lstm
from elman.cells.long_short_term_memory import coupled_lstm, lstm
from elman.cells.matrix import (
    delta_net,
    gated_delta_net,
    gated_linear_attention,
    linear_attention,
    mamba,
    mlstm,
    retention,
    rwkv_6,
)
from elman.cells.minimal import fast_grnn, janet, mgu
from elman.cells.peephole import coupled_peephole_lstm, diagonal_peephole_lstm, peephole_lstm
from elman.cells.plain import relu_rnn, rnn
from elman.cells.sized import lstmp, scrn
from elman.cells.timed import cfc, gru_d
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
        mgu,
        janet,
        fast_grnn,
        ind_rnn,
        min_gru,
        min_lstm,
        qrnn,
        sru,
        rg_lru,
        lru,
        slstm,
        multiplicative_lstm,
        nas,
        rhn,
        co_rnn,
        lem,
    )
}
#: the cells that take other inputs beside x, by name
WITH_INPUTS: dict[str, Cell] = {cell.name: cell for cell in (gru_d, cfc)}
#: the cells that compute matrices from their parameters, by name
WITH_MATRICES: dict[str, Cell] = {
    cell.name: cell for cell in (antisymmetric_rnn, orthogonal_rnn, lipschitz_rnn)
}
#: the cells with a matrix state, by name
WITH_MATRIX_STATES: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        linear_attention,
        retention,
        gated_linear_attention,
        delta_net,
        gated_delta_net,
        mlstm,
        mamba,
        rwkv_6,
    )
}
#: the cells with sizes of their own, by name
WITH_SIZES: dict[str, Cell] = {cell.name: cell for cell in (lstmp, scrn)}
#: all of them
ALL: dict[str, Cell] = {
    **CATALOGUE,
    **WITH_INPUTS,
    **WITH_MATRICES,
    **WITH_MATRIX_STATES,
    **WITH_SIZES,
}

__all__ = [
    "ALL",
    "CATALOGUE",
    "WITH_INPUTS",
    "WITH_MATRICES",
    "WITH_MATRIX_STATES",
    "WITH_SIZES",
    "antisymmetric_rnn",
    "cfc",
    "co_rnn",
    "coupled_lstm",
    "coupled_peephole_lstm",
    "delta_net",
    "diagonal_peephole_lstm",
    "fast_grnn",
    "gated_delta_net",
    "gated_linear_attention",
    "gru",
    "gru_d",
    "gru_reset_after",
    "ind_rnn",
    "janet",
    "layer_norm_gru",
    "layer_norm_lstm",
    "lem",
    "linear_attention",
    "lipschitz_rnn",
    "lru",
    "lstm",
    "lstmp",
    "mamba",
    "mgu",
    "min_gru",
    "min_lstm",
    "mlstm",
    "multiplicative_lstm",
    "nas",
    "orthogonal_rnn",
    "peephole_lstm",
    "qrnn",
    "relu_rnn",
    "retention",
    "rg_lru",
    "rhn",
    "rnn",
    "rwkv_6",
    "scrn",
    "slstm",
    "sru",
]
