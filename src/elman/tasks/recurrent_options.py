"""The options of recurrent layers, which every task has: noise in training, penalties, starts.

A task's options inherit ``RecurrentOptions`` and its model is built with ``recurrent_layer``,
or, where a model makes its own layers, with the keywords of ``recurrent_keywords``.  What each
option does, and who invented it, is in the docstring of ``elman.Recurrent``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option

if TYPE_CHECKING:
    from elman.graph import Cell
    from elman.nn import Recurrent


@dataclass(frozen=True)
class RecurrentOptions(DeclaredOptions):
    """The options of recurrent layers beyond their sizes; none is on unless asked for."""

    input_dropout: float = option(
        0.0, "part of the inputs of recurrent layers that training drops", minimum=0, maximum=1
    )
    output_dropout: float = option(
        0.0, "part of their outputs that training drops", minimum=0, maximum=1
    )
    locked_dropout: bool = option(
        False, "these, and dropout between layers, with one mask for all steps of a sequence"
    )
    recurrent_dropout: float = option(
        0.0,
        "part of the states that matrices do not see, one mask for all steps (Gal)",
        minimum=0,
        maximum=1,
    )
    candidate_dropout: float = option(
        0.0,
        "part of what is to be written to memory, dropped at each step (Semeniuta)",
        minimum=0,
        maximum=1,
    )
    zoneout: float | str = option(
        0.0,
        "how likely a unit keeps its state; one for all states, or such as c=0.5 h=0.05",
        minimum=0,
        maximum=1,
    )
    drop_connect: float = option(
        0.0, "part of the recurrent weights that training drops (Merity)", minimum=0, maximum=1
    )
    activation_penalty: float = option(
        0.0, "times the mean square of outputs, added to the loss", minimum=0
    )
    temporal_penalty: float = option(
        0.0, "times the mean square of the change of outputs from step to step, likewise", minimum=0
    )
    initial: Literal["orthogonal", "identity", "glorot"] = option(
        "orthogonal", "how the weights that meet a state begin"
    )
    forget_bias: float | None = option(
        None, "what the bias b.f begins with; none leaves it to the cell"
    )


#: the options that ``Recurrent`` takes under the same name
_NAMES = tuple([each.name for each in fields(RecurrentOptions)])


def recurrent_keywords(options: RecurrentOptions) -> dict[str, Any]:
    """The options as keywords of ``Recurrent``.

    >>> recurrent_keywords(RecurrentOptions(zoneout="c=0.5 h=0.05"))["zoneout"]
    {'c': 0.5, 'h': 0.05}
    """
    found = {name: getattr(options, name) for name in _NAMES}
    return found | {"zoneout": _zoneout(options.zoneout)}


def recurrent_layer(
    options: RecurrentOptions,
    cell: Cell,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> Recurrent:
    """Recurrent layers with these options; ``dropout`` is that between layers.

    Raises ``OptionError`` for an option that the cell cannot have.
    """
    from elman.nn import Recurrent

    return Recurrent(
        cell,
        input_size,
        hidden_size,
        num_layers,
        bidirectional=bidirectional,
        dropout=dropout if num_layers > 1 else 0.0,
        **recurrent_keywords(options),
    )


def _zoneout(value: float | str) -> float | dict[str, float]:
    """A probability, or one for each state."""
    if not isinstance(value, str):
        return value
    found = {}
    for part in value.replace(",", " ").split():
        state, _, number = part.partition("=")
        try:
            found[state] = float(number)
        except ValueError as error:
            raise OptionError(
                f'zoneout is "{value}"; it is a probability, or one for each state, such as '
                "c=0.5 h=0.05."
            ) from error
    return found
