"""Dropout, zoneout and DropConnect of recurrent modules: the options and the masks of a run.

``passes/noise.py`` makes the equations of a noisy step; ``stack.py`` applies the masks to tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from elman.errors import OptionError
from elman.graph import Cell
from elman.graph.cell import Parameter
from elman.graph.sizes import Sizes
from elman.nn.dropout import draw_mask, dropout
from elman.passes.noise import candidates, drop_candidates, drop_states, zone_out


@dataclass(frozen=True)
class Noise:
    """The rate of each kind of noise; see ``Recurrent``."""

    dropout: float = 0.0
    input_dropout: float = 0.0
    output_dropout: float = 0.0
    locked_dropout: bool = False
    recurrent_dropout: float = 0.0
    candidate_dropout: float = 0.0
    zoneout: float | Mapping[str, float] = 0.0
    drop_connect: float = 0.0
    #: whether training differs from evaluation; known at once, since torch.compile can make rates
    #: symbols, which it cannot compare
    any: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        rates = [self.dropout, self.input_dropout, self.output_dropout, self.recurrent_dropout]
        rates += [self.candidate_dropout, self.drop_connect]
        zoneout = self.zoneout
        rates += zoneout.values() if isinstance(zoneout, Mapping) else [zoneout]
        object.__setattr__(self, "any", any(rates))

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)  # a saved layer of an earlier version has no ``any``
        self.__post_init__()

    def check(self, title: str, cell: Cell) -> None:
        """Raise ``OptionError`` for an invalid option."""
        for name, p in self._probabilities(cell):
            if isinstance(p, bool) or not isinstance(p, (int, float)) or not 0 <= p <= 1:
                raise OptionError(
                    f"{title}: {name} is {p!r}; it must be a probability from 0 to 1."
                )
        if isinstance(self.zoneout, Mapping):
            for state in self.zoneout:
                if state not in cell.states:
                    raise OptionError(
                        f"{title}: zoneout names {state}, but the cell's states are "
                        f"{', '.join(cell.states)}."
                    )
        if self.candidate_dropout and not candidates(cell):
            raise OptionError(
                f"{title}: candidate_dropout needs a candidate, a tanh or relu that a gate "
                "multiplies, but the cell has none; use recurrent_dropout or zoneout."
            )

    def _probabilities(self, cell: Cell) -> list[tuple[str, Any]]:
        names = ("dropout", "input_dropout", "output_dropout", "recurrent_dropout")
        found = [(name, getattr(self, name)) for name in names]
        found += [(name, getattr(self, name)) for name in ("candidate_dropout", "drop_connect")]
        if isinstance(self.zoneout, Mapping):
            return found + [(f"zoneout of {state}", p) for state, p in self.zoneout.items()]
        return [*found, ("zoneout", self.zoneout)]

    def zoneout_of(self, cell: Cell) -> dict[str, float]:
        """The zoneout rate of each state."""
        if isinstance(self.zoneout, Mapping):
            return {state: float(p) for state, p in self.zoneout.items() if p}
        return dict.fromkeys(cell.states, float(self.zoneout)) if self.zoneout else {}

    def in_training(self, cell: Cell) -> Cell:
        """The cell with masks, if any."""
        if self.candidate_dropout:
            cell = drop_candidates(cell)
        if self.recurrent_dropout:
            cell = drop_states(cell)
        rates = self.zoneout_of(cell)
        return zone_out(cell, rates) if rates else cell

    def in_evaluation(self, cell: Cell) -> Cell:
        """The cell with the mean of its zoneout; inverted dropout needs no change."""
        rates = self.zoneout_of(cell)
        return zone_out(cell, rates, expected=True) if rates else cell

    def drop(self, x: Tensor, p: float, masks: MaskCache, place: str) -> Tensor:
        """Dropout on x (time, batch, features), the same at all steps if locked."""
        if p == 0:
            return x
        if not self.locked_dropout:
            return dropout(x, p)
        return x * masks.lasting(place, (1, *x.shape[1:]), p, x).to(x.dtype)

    def masks(
        self, cell: Cell, x: Tensor, sizes: Sizes, masks: MaskCache, place: str
    ) -> list[Tensor]:
        """The masks of a noisy cell that runs over x (time, batch, input)."""
        found = []
        for mask in cell.masks:
            role, of, per = mask.attribute[:3]
            width = sizes.width((mask.size,))
            p = self._rate(role, of, per)
            if per == "sequence":
                found.append(masks.lasting(f"{place} {of}", (x.shape[1], width), p, x))
            elif role == "zone":  # 1 keeps the old value
                found.append(draw_mask((*x.shape[:2], width), 1 - p, x, scaled=False))
            else:
                found.append(draw_mask((*x.shape[:2], width), p, x))
        return found

    def _rate(self, role: str, of: str, per: str) -> float:
        if role == "zone":
            return self.zoneout[of] if isinstance(self.zoneout, Mapping) else self.zoneout
        return self.recurrent_dropout if per == "sequence" else self.candidate_dropout

    def weights(
        self, cell: Cell, parameters: Sequence[Tensor], sizes: Sizes, masks: MaskCache, place: str
    ) -> Sequence[Tensor]:
        """A cell's parameters, with DropConnect on the recurrent weights."""
        if self.drop_connect == 0:
            return parameters
        return [
            tensor * self._weight_mask(p, tensor, sizes, masks, f"{place} {p.key}").to(tensor.dtype)
            if p.kind == "matrix" and {*p.columns} != {"input"}
            else tensor
            for p, tensor in zip(cell.parameters, parameters, strict=True)
        ]

    def _weight_mask(
        self, p: Parameter, tensor: Tensor, sizes: Sizes, masks: MaskCache, place: str
    ) -> Tensor:
        rows = sizes.width((p.rows,))
        shapes = [(rows, sizes.width((size,)) // p.heads) for size in p.columns]
        blocks = [
            tensor.new_ones(shape)
            if size == "input"
            else masks.lasting(f"{place} {k}", shape, self.drop_connect, tensor)
            for k, (size, shape) in enumerate(zip(p.columns, shapes, strict=True))
        ]
        return torch.cat(blocks, 1)


@dataclass
class MaskCache:
    """Masks that are drawn once per sequence and shared by all its calls."""

    held: dict[tuple[str, tuple[int, ...]], Tensor] = field(default_factory=dict)

    def lasting(self, place: str, shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
        """The mask of this place and shape."""
        key = (place, shape)
        if key not in self.held:
            self.held[key] = draw_mask(shape, p, like)
        return self.held[key]
