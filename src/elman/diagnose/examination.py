"""``elman.diagnose``: from cells, layers or whole models to a ``Comparison``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from elman.backends import find_engine
from elman.backends.engine import Call, Outputs, Saved
from elman.backends.plan import plan_of
from elman.diagnose.comparison import Comparison
from elman.diagnose.diagnosis import Diagnosis
from elman.diagnose.flow import follow_back, losses_of
from elman.diagnose.gates import gates_of, units_of
from elman.diagnose.inside import Visit, sides_of, visits
from elman.diagnose.jacobian import WIDEST, spectrum
from elman.diagnose.trajectory import Trajectory, in_reverse, run_in_float64
from elman.diagnose.whole import AnyTrajectory, run_whole
from elman.errors import OptionError, ShapeError
from elman.graph import Cell
from elman.nn import Recurrent
from elman.nn.between import normalised
from elman.nn.pooling import running
from elman.passes.separate import is_of_units


def diagnose(
    *models: Cell | nn.Module,
    x: Tensor | None = None,
    lengths: Tensor | Sequence[int] | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    output_gradient: Tensor | None = None,
    loss: Callable[[], Tensor] | None = None,
    names: Sequence[str] = (),
    steps: int = 100,
    batch: int = 8,
    input_size: int = 32,
    hidden_size: int = 64,
    sizes: Mapping[str, int] | None = None,
    distance: int | None = None,
    losses: int | None = 16,
    exact: int = 1,
    seed: int = 0,
) -> Comparison:
    """Analyse how gradients flow back through time in cells, layers or models.

    Each of ``models`` is a cell, for which a layer with ``input_size`` and ``hidden_size`` is
    created, with ``sizes`` of the cell's own (``hidden_size`` where they do not name one); a
    ``Recurrent``; or, with ``loss``, any module that contains a ``Recurrent``.
    ``loss()`` runs the module and returns the loss; the analysis uses the inputs of each
    ``Recurrent`` and the gradients of its outputs in that run.  ``names`` are the models' names.

    Cells and layers run on ``x`` (time, batch, input) with ``lengths``; the default is normal noise
    with ``steps`` and ``batch``.  ``inputs`` are side inputs by name, as the layer takes them; for
    those not given, the default is uniform noise from 0 to 1.  ``output_gradient`` (time, batch,
    output) is dL/dy; by default, each step's loss is its output projected on a random unit vector.

    ``losses`` limits the steps of each sequence from which gradients are followed back (``None``:
    all), ``distance`` the number of steps back.  For ``exact`` sequences, the Jacobians of all
    steps are computed, unless the states of a row have more than 1024 values.  All computations use
    float64.  A layer's ``truncate`` is ignored, so the result shows what it would cut.

    Raises ``OptionError`` if a model cannot be diagnosed, ``ShapeError`` if tensors do not match.

    >>> import elman
    >>> found = elman.diagnose(elman.cells.rnn, elman.cells.lstm, steps=30, hidden_size=16)
    >>> found["lstm"].gradient["c"].shape  # distances 0 to 30, 16 losses of each of 8 sequences
    (31, 128)
    >>> found["rnn"].horizon("a") < 30
    True
    """
    if not models:
        raise OptionError(
            "diagnose: there is nothing to diagnose; pass a cell, a layer or a model."
        )
    _check(steps=steps, batch=batch, input_size=input_size, hidden_size=hidden_size)
    found: dict[str, Diagnosis] = {}
    called: Mapping[int, str] = dict(enumerate(names))
    for k, model in enumerate(models):
        if loss is not None:
            if isinstance(model, Cell):
                raise OptionError(f"diagnose: {model.name} is a cell and has no loss; omit loss=.")
            looked_at = visits(model, loss)
            if not looked_at:
                raise OptionError(
                    f"diagnose: no Recurrent in this {type(model).__name__} received a gradient; "
                    "pass a model with elman.Recurrent layers that affect the loss."
                )
        else:
            size = input_size if x is None else x.shape[-1]
            layer = _layer_of(model, size, hidden_size, sizes or {}, seed)
            read = x if x is not None else _noise(layer, steps, batch, seed)
            sides = _sides(layer, read, inputs or {}, seed)
            looked_at = {"": _visit(layer, read, lengths, output_gradient, sides)}
        for inner, visit in looked_at.items():
            name = called.get(k, "" if inner else visit.layer.cell.name)
            name = f"{name}.{inner}" if name and inner else name or inner
            for place, trajectory, gradient in _directions(visit):
                full = _free(f"{name} {place}".strip(), found)
                found[full] = _look(
                    full, trajectory, gradient, distance=distance, most=losses, exact=exact,
                    seed=seed,
                )  # fmt: skip
    return Comparison(found)


def _check(**sizes: int) -> None:
    for name, value in sizes.items():
        if value < 1:
            raise OptionError(f"diagnose: {name} is {value}; it must be at least 1.")


def _free(name: str, taken: Mapping[str, Diagnosis]) -> str:
    """The name, with a number if it is taken."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name} {number}".strip(), number + 1
    return free


def _layer_of(
    model: Cell | nn.Module, input_size: int, hidden_size: int, sizes: Mapping[str, int], seed: int
) -> Recurrent:
    """The layer, or a new layer for a cell."""
    if isinstance(model, Cell):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            own = {name: sizes.get(name, hidden_size) for name in model.own_sizes}
            model = Recurrent(model, input_size, hidden_size, sizes=own)
    if not isinstance(model, Recurrent):
        raise OptionError(
            f"diagnose: {type(model).__name__} is neither a cell nor a Recurrent; for a whole "
            "model pass loss=, a function that runs it and returns the loss."
        )
    return model.core("diagnose") if is_of_units(model.cell.text) else model


def _noise(layer: Recurrent, steps: int, batch: int, seed: int) -> Tensor:
    """Normal noise in the layer's input shape."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(steps, batch, layer.input_size, generator=generator)
    return x.transpose(0, 1) if layer.batch_first else x


def _sides(
    layer: Recurrent, x: Tensor, inputs: Mapping[str, Tensor], seed: int
) -> Mapping[str, Tensor]:
    """The side inputs of the layer, drawn where they are not given."""
    generator = torch.Generator().manual_seed(seed)
    sizes, known = layer.stack.sizes(layer.input_size), layer.cell.inputs
    return {
        name: inputs[name]
        if name in inputs
        else torch.rand(*x.shape[:-1], sizes.width((size,)), generator=generator)
        for name, size in known
    }


def _visit(
    layer: Recurrent,
    x: Tensor,
    lengths: Tensor | Sequence[int] | None,
    output_gradient: Tensor | None,
    inputs: Mapping[str, Tensor],
) -> Visit:
    """The layer with its input sequences, time first."""
    layer.stack.check_input(x, [])
    unbatched, x = x.dim() == 2, _time_first(x, layer)
    rows = torch.full((x.shape[1],), len(x)) if lengths is None else torch.as_tensor(lengths)
    if rows.shape != x.shape[1:2] or (rows < 0).any() or (rows > len(x)).any():
        raise ShapeError(
            f"diagnose: lengths are {rows.tolist()}; pass {x.shape[1]} lengths from 0 to {len(x)}."
        )
    if output_gradient is not None:
        output_gradient = _time_first(output_gradient, layer)
    wanted = (*x.shape[:2], layer.output_size)
    if output_gradient is not None and output_gradient.shape != wanted:
        raise ShapeError(
            f"diagnose: output_gradient has the shape {tuple(output_gradient.shape)}, but the "
            f"outputs have {wanted}."
        )
    sides = sides_of(layer, inputs, x, unbatched=unbatched)
    return Visit(layer, x, None, rows, output_gradient, sides)


def _time_first(tensor: Tensor, layer: Recurrent) -> Tensor:
    """Convert the layer's input shape to (time, batch, features)."""
    if tensor.dim() == 2:
        return tensor.unsqueeze(1)
    return tensor.transpose(0, 1) if layer.batch_first else tensor


def _directions(visit: Visit) -> Sequence[tuple[str, AnyTrajectory, Tensor | None]]:
    """The position, run and dL/dy of each layer and direction, in the order of its own time.

    A gradient at the top is propagated to the layers below.
    """
    if not is_of_units(visit.layer.cell.text):
        return _whole_directions(visit)
    layer, lengths = visit.layer, visit.lengths
    plan, directions = plan_of(layer.cell.text), 1 + layer.bidirectional
    named = dict(layer.named_parameters())
    x = visit.x.detach().double()
    first = [s.detach().double() for s in visit.state or layer.first_state(x.shape[1])]
    found: list[tuple[str, Trajectory, Tensor | None]] = []
    runs: list[tuple[Call, Outputs, Saved]] = []
    reference = find_engine("reference")
    joins = []
    for k in range(layer.num_layers):
        join = _Join(layer, k, x, lengths)
        x, outputs = join.given, []
        for d in range(directions):
            keys = [f"layers.{k}.{d}.{p.key}" for p in layer.cell.parameters]
            parameters = [named[key].detach().double() for key in keys]
            start = [state[k * directions + d].contiguous() for state in first]
            own = in_reverse(x, lengths) if d else x
            trajectory = run_in_float64(layer.cell, parameters, own, start, lengths)
            found.append((_place(layer, k, d), trajectory, None))
            call = Call(plan, x, start, parameters, lengths, d == 1)
            found_here, saved = reference.forward(call)
            outputs.append(found_here.y)
            runs.append((call, found_here, saved))
        x = join.joined(outputs)
        joins.append(join)
    above = visit.output_gradient
    if above is None:
        return found
    for k in reversed(range(layer.num_layers)):
        parts, below = joins[k].back(above.detach().double())
        for d, gradient in enumerate(parts):
            at = k * directions + d
            own_order = in_reverse(gradient, lengths) if d else gradient
            found[at] = (*found[at][:2], own_order)
            call, found_here, saved = runs[at]
            none = [torch.zeros_like(state) for state in call.states]
            grads = reference.backward(call, found_here, saved, Outputs(gradient, none))
            below = below + grads.x
        above = joins[k].to_the_layer_below(below)
    return found


class _Join:
    """What stands around one layer, and the way back: its input, and its outputs as one.

    ``given`` is the layer's input (time, batch, input) from ``x``, the output of the one below.
    """

    def __init__(self, layer: Recurrent, k: int, x: Tensor, lengths: Tensor) -> None:
        self._between, self._inside = layer.stack.between, running(x, lengths)
        self._x = x.detach().requires_grad_()
        self._given = self._x
        if k and self._between.norm:
            weight, bias = layer.between_parameters().norms[k - 1]
            with torch.enable_grad():
                self._given = normalised(self._x, weight.detach().double(), bias.detach().double())
        self.given = self._given.detach()

    def joined(self, outputs: Sequence[Tensor]) -> Tensor:
        """The layer's output from those of its directions."""
        self._leaves = [tensor.detach().requires_grad_() for tensor in (*outputs, self.given)]
        *parts, given = self._leaves
        with torch.enable_grad():
            self._y = self._between.added(self._between.merged(parts), given, self._inside)
        return self._y.detach()

    def back(self, gradient: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """From dL/dy of the layer, those of the directions' outputs, and of ``given`` beside."""
        *parts, given = torch.autograd.grad(
            self._y, self._leaves, gradient, allow_unused=True, materialize_grads=True
        )
        return [part.contiguous() for part in parts], given

    def to_the_layer_below(self, gradient: Tensor) -> Tensor:
        """From dL/d(given), that of x."""
        [found] = torch.autograd.grad(self._given, self._x, gradient)
        return found


def _place(layer: Recurrent, k: int, direction: int) -> str:
    place = [f"layer {k + 1}"] if layer.num_layers > 1 else []
    place += [("forward", "reverse")[direction]] if layer.bidirectional else []
    return " ".join(place)


def _whole_directions(visit: Visit) -> Sequence[tuple[str, AnyTrajectory, Tensor | None]]:
    """The same for a cell with side inputs or a matrix state."""
    layer, lengths = visit.layer, visit.lengths
    stack = replace(layer.stack, backend="reference", truncate=None)
    named = dict(layer.named_parameters())
    x = visit.x.detach().double()
    sides = {name: side.double() for name, side in visit.sides.items()}
    first = [s.detach() for s in visit.state or layer.first_state(x.shape[1])]
    found: list[tuple[str, AnyTrajectory, Tensor | None]] = []
    runs: list[tuple[Tensor, list[Tensor]]] = []
    joins = []
    for k in range(layer.num_layers):
        join = _Join(layer, k, x, lengths)
        x, outputs = join.given.requires_grad_(), []
        for d in range(stack.directions):
            keys = [f"layers.{k}.{d}.{p.key}" for p in layer.cell.parameters]
            parameters = [named[key].detach().double() for key in keys]
            at = k * stack.directions + d
            start = [state[at].double().contiguous() for state in first]
            with torch.enable_grad():
                y, _ = stack.run_direction(at, parameters, x, start, lengths, d == 1, None, sides)
            outputs.append(y)
            own = run_whole(stack, parameters, x.detach(), sides, start, lengths, reverse=d == 1)
            found.append((_place(layer, k, d), own, None))
        runs.append((x, outputs))
        x = join.joined(outputs)
        joins.append(join)
    above = visit.output_gradient
    if above is None:
        return found
    for k in reversed(range(layer.num_layers)):
        parts, beside = joins[k].back(above.detach().double())
        for d, gradient in enumerate(parts):
            at = k * stack.directions + d
            own_order = in_reverse(gradient, lengths) if d else gradient
            found[at] = (*found[at][:2], own_order)
        given, outputs = runs[k]
        [below] = torch.autograd.grad(outputs, given, parts, materialize_grads=True)
        above = joins[k].to_the_layer_below(beside + below)
    return found


def _look(
    name: str,
    trajectory: AnyTrajectory,
    output_gradient: Tensor | None,
    *,
    distance: int | None,
    most: int | None,
    exact: int,
    seed: int,
) -> Diagnosis:
    starts = losses_of(trajectory, output_gradient, most, seed)
    if not len(starts.steps):
        raise OptionError(
            f"diagnose: {name}: the loss does not depend on the layer's outputs; pass sequences "
            "with at least one step, and a loss that uses them."
        )
    reach = int(starts.steps[0]) + 1
    reach = reach if distance is None else min(reach, distance)
    lengths = starts.gradients.norm(dim=1)
    states = trajectory.cell.states
    norms = {s: np.full((reach + 1, len(lengths)), math.nan) for s in states}
    terms = {p.key: np.zeros(reach) for p in trajectory.cell.parameters}
    for arrival in follow_back(trajectory, starts, reach):
        for state, adjoint in zip(states, arrival.states, strict=True):
            count = len(adjoint)
            norms[state][arrival.distance, :count] = (adjoint.norm(dim=1) / lengths[:count]).numpy()
        if arrival.parameters is not None and arrival.distance < reach:
            for key, term in zip(terms, arrival.parameters, strict=True):
                terms[key][arrival.distance] = float(term.norm())
    wide = sum([state.shape[-1] for state in trajectory.states])
    longest = torch.argsort(trajectory.lengths, descending=True, stable=True)[:exact].tolist()
    return Diagnosis(
        name=name,
        cell=trajectory.cell,
        gradient=norms,
        steps=starts.steps.numpy(),
        sequences=starts.sequences.numpy(),
        terms=terms,
        gates=gates_of(trajectory),
        units=units_of(trajectory),
        jacobians=spectrum(trajectory, longest, reach) if exact and wide <= WIDEST else None,
    )


def gradient_terms(
    layer: Recurrent,
    x: Tensor,
    output_gradient: Tensor,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    inputs: Mapping[str, Tensor] | None = None,
    distance: int | None = None,
) -> dict[str, Tensor]:
    """The contribution of each distance in time to each parameter's gradient.

    ``x`` is (time, batch, input) and ``output_gradient`` dL/dy (time, batch, hidden), for a single
    layer in one direction, and ``inputs`` its side inputs.  Returns a tensor (distance, *shape) for
    each parameter, such as ``"W.f"``; its sum over distances is the gradient of backpropagation
    through time, unless ``distance`` truncates it.

    >>> import elman
    >>> layer = elman.Recurrent(elman.cells.rnn, 2, 3)
    >>> x = torch.randn(5, 1, 2)
    >>> y, _ = layer(x)
    >>> y.sum().backward()
    >>> terms = gradient_terms(layer, x, torch.ones(5, 1, 3))
    >>> terms["W.a"].shape  # distances 0 to 4
    torch.Size([5, 3, 5])
    >>> torch.allclose(terms["W.a"].sum(0).float(), layer.layers[0][0].W["a"].grad, atol=1e-6)
    True
    """
    if layer.num_layers > 1 or layer.bidirectional:
        raise OptionError(
            "gradient_terms: the layer has several layers or directions; pass a single layer in "
            "one direction."
        )
    visit = _visit(layer, x, lengths, output_gradient, inputs or {})
    [(_, trajectory, gradient)] = _directions(visit)
    starts = losses_of(trajectory, gradient, None, 0)
    reach = trajectory.time if distance is None else min(distance + 1, trajectory.time)
    found: dict[str, list[Tensor]] = {p.key: [] for p in layer.cell.parameters}
    for arrival in follow_back(trajectory, starts, reach - 1):
        if arrival.parameters is not None:
            for key, term in zip(found, arrival.parameters, strict=True):
                found[key].append(term)
    return {key: torch.stack(terms) for key, terms in found.items()}
