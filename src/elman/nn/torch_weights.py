"""Convert torch.nn's recurrent weights to a cell's parameters and back.

torch.nn stacks its gates in one matrix for x and one for h, with a bias each (LSTM: i f g o,
GRU: r z n).  A cell has one matrix per gate, with its columns in the order written, and one bias.
The conversion splits the matrices and adds the biases; the reverse sets the second bias to zero,
which is equivalent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from elman import cells
from elman.errors import OptionError
from elman.graph import Cell
from elman.nn.noise import Noise
from elman.nn.recurrent import Recurrent
from elman.nn.stack import Stack

#: the cell equivalent to a torch.nn module, by the module's ``mode``
CELL_OF_MODE: dict[str, Cell] = {
    "RNN_TANH": cells.rnn,
    "RNN_RELU": cells.relu_rnn,
    "LSTM": cells.lstm,
    "GRU": cells.gru_reset_after,
}

#: the same without biases
_WITHOUT_BIAS = {mode: cell.without("b") for mode, cell in CELL_OF_MODE.items()}

#: the LSTM with a projection, with and without biases
_PROJECTED = {True: cells.lstmp, False: cells.lstmp.without("b")}

#: the gates in torch.nn's order
_TORCH_GATES = {"RNN_TANH": "a", "RNN_RELU": "a", "LSTM": "ifgo", "GRU": "rzn"}


def torch_cell(mode: str, *, bias: bool = True, projected: bool = False) -> Cell:
    """The cell equivalent to a torch.nn module of this mode."""
    if projected:
        return _PROJECTED[bias]
    return CELL_OF_MODE[mode] if bias else _WITHOUT_BIAS[mode]


def parameters_in_order(mode: str, weights: Sequence[Tensor], *, bias: bool) -> list[Tensor]:
    """The parameters of ``torch_cell``, in the order of the cell, from torch.nn's tensors.

    ``weights`` are [w_ih, w_hh], then [b_ih, b_hh] with ``bias``, then w_hr with a projection.
    """
    w_ih, w_hh, *others = weights
    biases, projection = (others[:2], others[2:]) if bias else ([], others)
    found = cell_parameters(mode, w_ih, w_hh, *biases)
    if projection:
        found["W.p"] = projection[0]
    return [
        found[p.key] for p in torch_cell(mode, bias=bias, projected=bool(projection)).parameters
    ]


def cell_parameters(
    mode: str, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> dict[str, Tensor]:
    """A layer's parameters by key (``W.f``) from torch.nn's tensors; differentiable."""
    gates = _TORCH_GATES[mode]
    x, h = w_ih.chunk(len(gates)), w_hh.chunk(len(gates))
    found = {f"W.{g}": torch.cat([h[k], x[k]], 1) for k, g in enumerate(gates)}
    if b_ih is not None and b_hh is not None:
        found |= {f"b.{g}": b for g, b in zip(gates, (b_ih + b_hh).chunk(len(gates)), strict=True)}
    if mode == "GRU":  # the reset gate applies between the two products and their biases
        found |= {"W.n": x[2], "W.m": h[2]}
        if b_ih is not None and b_hh is not None:
            found |= {"b.n": b_ih.chunk(3)[2], "b.m": b_hh.chunk(3)[2]}
    return found


def torch_parameters(mode: str, parameters: Mapping[str, Tensor], hidden: int) -> list[Tensor]:
    """torch.nn's tensors of a layer from the cell's parameters by key.

    They are [w_ih, w_hh], then [b_ih, b_hh] with biases, then w_hr with a projection; ``hidden``
    is the size of h.
    """
    gates = _TORCH_GATES[mode]
    if mode == "GRU":
        x = [parameters[f"W.{g}"][:, hidden:] for g in "rz"] + [parameters["W.n"]]
        h = [parameters[f"W.{g}"][:, :hidden] for g in "rz"] + [parameters["W.m"]]
    else:
        x = [parameters[f"W.{g}"][:, hidden:] for g in gates]
        h = [parameters[f"W.{g}"][:, :hidden] for g in gates]
    found = [torch.cat(x), torch.cat(h)]
    if f"b.{gates[0]}" in parameters:
        b_ih = torch.cat([parameters[f"b.{g}"] for g in gates])
        b_hh = torch.zeros_like(b_ih)
        if mode == "GRU":
            b_hh[2 * hidden :] = parameters["b.m"]
        found += [b_ih, b_hh]
    return [*found, parameters["W.p"]] if "W.p" in parameters else found


def stack_of(module: nn.RNNBase) -> Stack:
    """The ``Stack`` of a torch.nn module."""
    return Stack(
        cell=torch_cell(module.mode, bias=module.bias, projected=module.proj_size > 0),
        input_size=module.input_size,
        hidden_size=module.hidden_size,
        num_layers=module.num_layers,
        bidirectional=module.bidirectional,
        batch_first=module.batch_first,
        noise=Noise(dropout=module.dropout),
        truncate=None,
        backend="auto",
        own=(("projection", module.proj_size),) if module.proj_size else (),
    )


def from_torch(module: nn.RNNBase) -> Recurrent:
    """A ``Recurrent`` equivalent to a torch.nn RNN, LSTM or GRU.

    >>> import torch, elman
    >>> theirs = torch.nn.GRU(4, 5, bidirectional=True)
    >>> ours = elman.nn.from_torch(theirs)
    >>> x = torch.randn(6, 2, 4)
    >>> torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-6)
    True
    """
    if not isinstance(module, nn.RNNBase):
        raise OptionError(
            f"from_torch: the module is a {type(module).__name__}; it must be a torch.nn RNN, LSTM "
            "or GRU."
        )
    example = module.weight_ih_l0
    assert isinstance(example, Tensor)
    layer = Recurrent(
        cells.lstmp if module.proj_size else CELL_OF_MODE[module.mode],
        module.input_size,
        module.hidden_size,
        module.num_layers,
        sizes={"projection": module.proj_size} if module.proj_size else {},
        bidirectional=module.bidirectional,
        batch_first=module.batch_first,
        bias=module.bias,
        dropout=module.dropout,
        device=example.device,
        dtype=example.dtype,
    )
    state: dict[str, Tensor] = {}
    for position, tensors in enumerate(module.all_weights):
        k, d = divmod(position, layer.stack.directions)
        keys = [p.key for p in layer.cell.parameters]
        found = dict(
            zip(keys, parameters_in_order(module.mode, tensors, bias=module.bias), strict=True)
        )
        state |= {f"layers.{k}.{d}.{key}": tensor for key, tensor in found.items()}
    layer.load_state_dict(state)
    return layer


def to_torch(layer: Recurrent) -> nn.RNNBase:
    """The torch.nn module equivalent to a ``Recurrent``.

    Raises ``OptionError`` if torch.nn does not have the cell.

    >>> import torch, elman
    >>> ours = elman.Recurrent(elman.cells.lstm, 4, 5, 2)
    >>> theirs = elman.nn.to_torch(ours)
    >>> x = torch.randn(6, 2, 4)
    >>> torch.allclose(ours(x)[0], theirs(x)[0], atol=1e-6)
    True
    """
    modes = [m for m, cell in CELL_OF_MODE.items() if layer.cell in (cell, cell.without("b"))]
    projected = layer.cell in _PROJECTED.values()
    modes += ["LSTM"] if projected else []
    if not modes:
        raise OptionError(
            f"to_torch: torch.nn has no equivalent of {layer.cell.name}; it has "
            f"{', '.join([cell.name for cell in CELL_OF_MODE.values()])}."
        )
    for name in layer.stack.between.changed():
        raise OptionError(
            f"to_torch: the layer has the option {name}, which torch.nn's layers do not have."
        )
    mode = modes[0]
    example = next(layer.parameters())
    size = dict(layer.stack.own).get("projection", 0)
    make: dict[str, Callable[..., nn.RNNBase]] = {
        "RNN_TANH": nn.RNN,
        "RNN_RELU": partial(nn.RNN, nonlinearity="relu"),
        "LSTM": partial(nn.LSTM, proj_size=size),
        "GRU": nn.GRU,
    }
    module = make[mode](
        layer.input_size,
        layer.hidden_size,
        layer.num_layers,
        bias=any([p.family == "b" for p in layer.cell.parameters]),
        batch_first=layer.batch_first,
        dropout=layer.stack.noise.dropout,
        bidirectional=layer.bidirectional,
        device=example.device,
        dtype=example.dtype,
    )
    ours = layer.state_dict()
    with torch.no_grad():
        for position, tensors in enumerate(module.all_weights):
            k, d = divmod(position, layer.stack.directions)
            prefix = f"layers.{k}.{d}."
            mine = {
                key.removeprefix(prefix): t for key, t in ours.items() if key.startswith(prefix)
            }
            for theirs, tensor in zip(
                tensors, torch_parameters(mode, mine, layer.stack.output_units), strict=True
            ):
                theirs.copy_(tensor)
    return module
