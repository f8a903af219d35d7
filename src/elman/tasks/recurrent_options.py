"""The options of recurrent layers, which every task has: noise, penalties, first values, sizes.

A task's options inherit ``RecurrentOptions``, or ``BidirectionalOptions`` if its layers can read in
both directions, and its model is built with ``recurrent_layer`` or,
if it builds its own layers, with the keywords from ``recurrent_keywords``.  The docstring of
``elman.Recurrent`` explains each option and cites its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from elman.errors import OptionError
from elman.options import DeclaredOptions, option

if TYPE_CHECKING:
    from torch import nn

    from elman.graph import Cell
    from elman.nn import Recurrent


@dataclass(frozen=True)
class RecurrentOptions(DeclaredOptions):
    """The options of recurrent layers besides hidden_size; all are off by default."""

    input_dropout: float = option(
        0.0, "dropout rate on the inputs of recurrent layers", minimum=0, maximum=1
    )
    output_dropout: float = option(
        0.0, "dropout rate on the outputs of recurrent layers", minimum=0, maximum=1
    )
    locked_dropout: bool = option(
        False, "one mask per sequence for input, output and between-layer dropout"
    )
    recurrent_dropout: float = option(
        0.0,
        "recurrent (variational) dropout rate: one mask per sequence (Gal and Ghahramani 2016)",
        minimum=0,
        maximum=1,
    )
    candidate_dropout: float = option(
        0.0,
        "dropout rate on candidate values, a new mask each step (Semeniuta et al. 2016)",
        minimum=0,
        maximum=1,
    )
    zoneout: float | str = option(
        0.0,
        "probability that a unit keeps its old state; one value, or per state: c=0.5 h=0.05",
        minimum=0,
        maximum=1,
    )
    drop_connect: float = option(
        0.0, "DropConnect rate on recurrent weights (Merity et al. 2018)", minimum=0, maximum=1
    )
    activation_penalty: float = option(
        0.0, "weight of the mean squared output, added to the loss", minimum=0
    )
    temporal_penalty: float = option(
        0.0, "weight of the mean squared change of outputs per step, added to the loss", minimum=0
    )
    initial: Literal["orthogonal", "identity", "glorot"] = option(
        "orthogonal", "initialisation of recurrent weights"
    )
    forget_bias: float | None = option(
        None, "initial value of the bias b.f; none uses the cell's own"
    )
    heads: int = option(
        1,
        "heads of a cell with a matrix state, such as delta_net; they divide the units",
        minimum=1,
    )
    key_size: int | None = option(
        None, "keys of each head of such a cell; none takes as many as units", minimum=1
    )
    sizes: str = option(
        "", "the numbers of the sizes of a cell's own, such as projection=64 for lstmp"
    )
    residual: bool = option(
        False,
        "add each recurrent layer's input to its output, where both have the same size (He et al. "
        "2016)",
    )
    norm: bool = option(
        False,
        "layer normalisation of the inputs of all recurrent layers but the first (Ba et al. 2016)",
    )
    learned_state: bool = option(
        False, "learn the states with which recurrent layers begin a sequence; else they are zero"
    )


@dataclass(frozen=True)
class BidirectionalOptions(RecurrentOptions):
    """The same for layers that may read in both directions."""

    merge: Literal["concatenate", "sum", "mean"] = option(
        "concatenate", "how the outputs of both directions become one, at each layer and step"
    )


#: the options that ``Recurrent`` takes under the same names
_NAMES = tuple([each.name for each in fields(RecurrentOptions)])


def recurrent_keywords(options: RecurrentOptions) -> dict[str, Any]:
    """The options as keywords of ``Recurrent``.

    >>> recurrent_keywords(RecurrentOptions(zoneout="c=0.5 h=0.05"))["zoneout"]
    {'c': 0.5, 'h': 0.05}
    """
    found = {name: getattr(options, name) for name in _NAMES}
    return found | {"zoneout": _zoneout(options.zoneout), "sizes": numbers_of_sizes(options.sizes)}


def numbers_of_sizes(value: str) -> dict[str, int]:
    """The numbers of a cell's own sizes.

    >>> numbers_of_sizes("projection=64 rank=8")
    {'projection': 64, 'rank': 8}
    """
    try:
        return {size: int(number) for size, number in _pairs(value)}
    except ValueError as error:
        raise OptionError(
            f'sizes is "{value}"; it must have a number per size, such as projection=64.'
        ) from error


def refuse_missing_sizes(cell: Cell, numbers: Mapping[str, int]) -> None:
    """Raise ``OptionError`` if a size of the cell's own has no number, naming the flag."""
    for name in cell.own_sizes:
        if name not in numbers:
            raise OptionError(
                f"{cell.name}: the cell has the size {name}; give its number, as in --sizes "
                f"{name}=64."
            )


def output_units(options: RecurrentOptions, cell: Cell, hidden_size: int) -> int:
    """The units of a layer's output, in one direction.

    >>> from elman.cells import gru, lstmp
    >>> options = RecurrentOptions(sizes="projection=6")
    >>> output_units(options, gru, 8), output_units(options, lstmp, 8)
    (8, 6)
    """
    return numbers_of_sizes(options.sizes).get(cell.state_size(cell.states[0]), hidden_size)


def recurrent_layer(
    options: RecurrentOptions,
    cell: Cell,
    input_size: int,
    hidden_size: int,
    num_layers: int = 1,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
    kind: Callable[..., Recurrent] | None = None,
) -> Recurrent:
    """Recurrent layers with these options, or of this kind; ``dropout`` applies between layers.

    Directions are merged as the options say, if there are two.

    Raises ``OptionError`` for an option that the cell does not support.
    """
    from elman.nn import Recurrent

    return (kind or Recurrent)(
        cell,
        input_size,
        hidden_size,
        num_layers,
        bidirectional=bidirectional,
        dropout=dropout if num_layers > 1 else 0.0,
        **recurrent_keywords(options),
        **merge_keyword(options, bidirectional=bidirectional),
    )


def merge_keyword(options: RecurrentOptions, *, bidirectional: bool) -> dict[str, Any]:
    """How ``Recurrent`` merges directions, if it has two."""
    return {"merge": options.merge} if bidirectional and hasattr(options, "merge") else {}


def refuse_unused(options: RecurrentOptions, model: nn.Module) -> None:
    """Raise ``OptionError`` for an option that no recurrent layer of the model makes use of."""
    from elman.nn import Recurrent

    stacks = [each.stack for each in model.modules() if isinstance(each, Recurrent)]
    deep = [stack for stack in stacks if stack.num_layers > 1]
    if options.residual and not any([stack.adds_inputs for stack in stacks]):
        raise OptionError(
            "residual is true, but no recurrent layer of this model has as many inputs as outputs; "
            "use more layers, or omit it."
        )
    if options.norm and not any([stack.between.norm for stack in deep]):
        raise OptionError(
            "norm is true, but no recurrent layer of this model reads the output of another; use "
            "more layers, or omit it."
        )
    if options.learned_state and not any([stack.between.learned_state for stack in stacks]):
        raise OptionError(
            "learned_state is true, but no recurrent layer of this model learns its initial state; "
            "omit it."
        )
    merge = getattr(options, "merge", "concatenate")
    if merge not in ["concatenate", *[stack.between.merge for stack in stacks]]:
        raise OptionError(
            f"merge is {merge}, but no recurrent layer of this model reads in both directions; "
            "omit it."
        )


def _zoneout(value: float | str) -> float | dict[str, float]:
    """A probability, or one per state."""
    if not isinstance(value, str):
        return value
    try:
        return {state: float(number) for state, number in _pairs(value)}
    except ValueError as error:
        raise OptionError(
            f'zoneout is "{value}"; it must be a probability, or one per state, such as '
            "c=0.5 h=0.05."
        ) from error


def _pairs(value: str) -> list[tuple[str, str]]:
    """Names and numbers of a text such as "c=0.5 h=0.05"."""
    parts = [part.partition("=") for part in value.replace(",", " ").split()]
    return [(name, number) for name, _, number in parts]
