"""``Recurrent``: a layer, or a stack of them, of any cell.

The module adds parameters to ``stack.py``: their names, their initialisation and the
``state_dict``.  Modules with torch.nn's names and weights are in ``torch_layers.py``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import groupby
from numbers import Real
from operator import is_, itemgetter
from typing import TYPE_CHECKING, Any, Literal, Self, overload

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

from elman.autograd import is_seen_by_torch
from elman.autograd_steps import StepsWithGradients
from elman.backends import choose, find_engine
from elman.backends.arguments import check_call, is_plain
from elman.backends.engine import Call, StepLayer
from elman.backends.plan import plan_of
from elman.backends.report import memory
from elman.errors import BackendError, OptionError, ShapeError
from elman.graph import Cell
from elman.graph.cell import Parameter
from elman.graph.sizes import Sizes
from elman.nn.batch_invariance import at_full_speed
from elman.nn.between import (
    NO_PARAMETERS,
    PLAIN,
    Between,
    BetweenParameters,
    Merge,
    norm_parameters,
    normalised,
)
from elman.nn.noise import MaskCache, Noise
from elman.nn.penalties import Penalties
from elman.nn.side_inputs import checked, early_of
from elman.nn.stack import Lengths, Stack, State, Training, autocast, expanded
from elman.nn.stepper import Quantize, Step, make_stepper
from elman.nn.torchscript import NotForTorchScript
from elman.passes.separate import needs_inputs

if TYPE_CHECKING:
    from elman.backends.engine import Stepper as StepperOfEngine
    from elman.nn.stepper import Stepper


#: how a parameter begins: a number, or a function that fills the tensor
Initial = float | Callable[[Tensor], object]


class Recurrent(NotForTorchScript, nn.Module):
    """A recurrent layer of any cell.  ``layer(x)`` runs over sequences, ``step`` runs one step.

    ``cell`` is a value such as ``elman.cells.lstm`` or your own cell.  ``num_layers`` layers are
    stacked; ``bidirectional`` runs each in both directions.  ``bias=False`` removes the vectors
    ``b`` from the equations.  ``truncate=k`` truncates backpropagation through time every k steps
    and carries the state on.  ``backend`` is "auto" or the name of an engine.

    Parameters are named ``layers.{k}.{d}.W.f``: layer k, direction d, names of the equations.  Any
    name that equations allow works, except that ``torch.func.functional_call`` and
    ``torch.export`` do not find a family with the name of an attribute of torch.nn.Module.

    Input weights are initialised Glorot-uniform (Glorot and Bengio 2010), recurrent weights by
    ``initial``: "orthogonal" (Saxe et al. 2014), "identity" (Le, Jaitly and Hinton 2015) or
    "glorot".  Biases are initialised to zero or to the cell's own value, such as 1 for an LSTM's
    forget gate (Jozefowicz et al. 2015); ``forget_bias`` overrides the value of ``b.f``.  ``init``
    maps names of parameters to a number, or to a function that fills a tensor, such as those of
    ``torch.nn.init``, ``elman.nn.chrono`` and ``elman.nn.hippo_``.

    A cell with a matrix state (``elman.cell``) has its units in ``heads``, each with ``key_size``
    keys; by default, as many as it has units.  The state S has the shape (num_layers * directions,
    batch, heads, units, keys).  ``sizes`` gives numbers to the sizes of the cell's own, such as
    ``sizes={"projection": 64}``; y has the size of the first state.

    Between the layers, and around them:

    - ``merge`` joins the directions of bidirectional layers: "concatenate" (2 * hidden), "sum" or
      "mean" (hidden);
    - ``residual`` adds each layer's input to its output, for layers where both have the same size
      (He et al. 2016; Wu et al. 2016);
    - ``norm`` normalises each layer's input except the first one's (Ba, Kiros and Hinton 2016),
      by the parameters ``norms.{k}``;
    - ``learned_state`` makes the initial states parameters, ``initial_state.{n}``, which begin at
      zero: those of layer 0 forward, layer 0 reverse, ... in the cell's order.

    ``elman.Stack`` does the same for layers of different cells and sizes.

    Training can apply noise, with rates from 0 (off) to 1, on every engine and for any cell:

    - ``dropout`` on the outputs between layers, ``input_dropout`` on x, ``output_dropout`` on y
      (Srivastava et al. 2014); with ``locked_dropout``, one mask for all steps of a sequence (Gal
      and Ghahramani 2016);
    - ``recurrent_dropout``: variational dropout of the states that matrices multiply, one mask
      per sequence (Gal and Ghahramani 2016);
    - ``candidate_dropout`` on what is written to the memory, such as an LSTM's g (Semeniuta,
      Severyn and Barth 2016);
    - ``zoneout``: units keep their old value (Krueger et al. 2017); one rate, or a rate per state
      such as ``{"c": 0.5, "h": 0.05}``;
    - ``drop_connect`` on the recurrent weights, one mask for all steps (Wan et al. 2013; Merity,
      Keskar and Socher 2018).

    Dropout scales by 1 / (1 - p) in training, so evaluation needs no change; for zoneout,
    evaluation uses the mean, and ``cell`` contains it.  In training, ``step`` draws new masks when
    ``state`` is None.  ``activation_penalty`` and ``temporal_penalty`` weight the mean squares of
    outputs and of their changes (Merity, McCann and Socher 2017); a run in training stores the sum
    in ``penalty`` for you to add to the loss.

    Raises ``OptionError`` for an invalid option, ``ShapeError`` for tensors that do not match.

    >>> import torch, elman
    >>> layer = elman.Recurrent(elman.cells.lstm, 10, 20)
    >>> y, (h, c) = layer(torch.randn(7, 3, 10), lengths=torch.tensor([7, 2, 5]))
    >>> y.shape, h.shape, bool((y[2:, 1] == 0).all())
    (torch.Size([7, 3, 20]), torch.Size([1, 3, 20]), True)
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        batch_first: bool = False,
        bias: bool = True,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        output_dropout: float = 0.0,
        locked_dropout: bool = False,
        recurrent_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        zoneout: float | Mapping[str, float] = 0.0,
        drop_connect: float = 0.0,
        activation_penalty: float = 0.0,
        temporal_penalty: float = 0.0,
        initial: Literal["orthogonal", "identity", "glorot"] = "orthogonal",
        forget_bias: float | None = None,
        init: Mapping[str, Initial] | None = None,
        heads: int = 1,
        key_size: int | None = None,
        sizes: Mapping[str, int] | None = None,
        merge: Merge = "concatenate",
        residual: bool = False,
        norm: bool = False,
        learned_state: bool = False,
        truncate: int | None = None,
        backend: str = "auto",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(cell, Cell):
            raise OptionError(
                f"Recurrent: cell is {cell!r}; pass a cell such as elman.cells.lstm, or look one "
                "up by name in elman.cells.CATALOGUE."
            )
        self.stack = Stack(
            cell=cell if bias else cell.without("b"),
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bidirectional=bidirectional,
            batch_first=batch_first,
            noise=Noise(
                dropout=dropout,
                input_dropout=input_dropout,
                output_dropout=output_dropout,
                locked_dropout=locked_dropout,
                recurrent_dropout=recurrent_dropout,
                candidate_dropout=candidate_dropout,
                zoneout=zoneout,
                drop_connect=drop_connect,
            ),
            truncate=truncate,
            backend=backend,
            heads=heads,
            keys=_keys(cell, hidden_size, heads, key_size),
            own=tuple((sizes or {}).items()),
            between=Between(residual, norm, merge, learned_state),
        )
        if torch.device(device or "cpu").type == "cpu":
            self.stack.check_memory(dtype or torch.get_default_dtype())
        self.penalties = Penalties(activation_penalty, temporal_penalty)
        self.penalties.check(self.stack.title)
        #: the penalty of the last run in training, to be added to the loss
        self.penalty: Tensor | None = None
        self.initial, self.forget_bias, self.init = initial, forget_bias, dict(init or {})
        self._check_start()
        self.layers = nn.ModuleList(
            [
                nn.ModuleList(
                    [
                        _Direction(self.cell, self._sizes(k), device, dtype)
                        for _ in range(self.stack.directions)
                    ]
                )
                for k in range(num_layers)
            ]
        )
        kind: dict[str, Any] = {"device": device, "dtype": dtype}
        if norm:
            size = self.stack.output_size
            self.norms = nn.ModuleList([nn.LayerNorm(size, **kind) for _ in range(num_layers - 1)])
        if learned_state:
            rows = [self.stack.state_shape(name, 1)[2:] for name in self.cell.states]
            self.initial_state = nn.ParameterList(
                [
                    nn.Parameter(torch.zeros(row, **kind))
                    for _ in range(num_layers * self.stack.directions)
                    for row in rows
                ]
            )
        self._stepper: StepperOfEngine | None = None
        self._training_stepper: StepsWithGradients | None = None
        self._reader: _Reader | None = None
        #: the layers one by one, for steps that are more than the engine's
        self._singles: list[Recurrent] = []
        self._frozen = False
        self._mask_cache = MaskCache()
        #: dtype and device of the last run, for the report
        self._ran: tuple[torch.dtype, torch.device] | None = None
        self.reset_parameters()

    @property
    def cell(self) -> Cell:
        """The equations used in evaluation; in training they may have masks."""
        return self.stack.in_evaluation

    @property
    def input_size(self) -> int:
        """The number of features of x."""
        return self.stack.input_size

    @property
    def hidden_size(self) -> int:
        """The number of units per layer and direction."""
        return self.stack.hidden_size

    @property
    def output_size(self) -> int:
        """The number of features of y: the units of the first state, or twice if bidirectional.

        Merged by "sum" or "mean", both directions have as many as one.
        """
        return self.stack.output_size

    @property
    def num_layers(self) -> int:
        """The number of stacked layers."""
        return self.stack.num_layers

    @property
    def bidirectional(self) -> bool:
        """Whether each layer runs in both directions."""
        return self.stack.bidirectional

    @property
    def batch_first(self) -> bool:
        """Whether x is (batch, time, input)."""
        return self.stack.batch_first

    @property
    def leaves_out_parameters(self) -> bool:
        """Whether a run may leave out parameters: learned states, if it is given a state."""
        return self.stack.between.learned_state

    def _check_start(self) -> None:
        if self.initial not in ("orthogonal", "identity", "glorot"):
            raise OptionError(
                f'{self.stack.title}: initial is {self.initial!r}; it must be "orthogonal", '
                '"identity" or "glorot".'
            )
        keys = [parameter.key for parameter in self.cell.parameters]
        for key, value in self.init.items():
            if key not in keys:
                raise OptionError(
                    f"{self.stack.title}: init names {key}, which is not one of the cell's "
                    f"parameters: {', '.join(keys)}."
                )
            if not callable(value) and not isinstance(value, Real):
                raise OptionError(
                    f"{self.stack.title}: init gives {key} the value {value!r}; it must be a "
                    "number or a function that fills a tensor, as in torch.nn.init."
                )
        if self.forget_bias is not None and "b.f" not in keys:
            raise OptionError(
                f"{self.stack.title}: forget_bias sets b.f, which is not one of the cell's "
                f"parameters: {', '.join(keys)}. Omit it."
            )

    def reset_parameters(self) -> None:
        """Initialise all parameters again."""
        self.freeze(False)
        first_values: dict[str, Initial] = {**self.cell.init, **self.init}
        if self.forget_bias is not None:
            first_values["b.f"] = self.forget_bias
        for k, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            for direction in layer:
                assert isinstance(direction, _Direction)
                direction.reset(self.cell, self._sizes(k), first_values, self.initial)
        for norm in self.norms if self.stack.between.norm else ():
            assert isinstance(norm, nn.LayerNorm)
            norm.reset_parameters()
        for state in self.initial_state if self.stack.between.learned_state else ():
            nn.init.zeros_(state)

    def between_parameters(self) -> BetweenParameters:
        """The parameters that are not the cells': of norms, and initial states."""
        between = self.stack.between
        if not (between.norm or between.learned_state):
            return NO_PARAMETERS
        found = self.norms if between.norm else ()
        norms = [norm_parameters(self.stack.title, norm) for norm in found]
        initial: State = ()
        if between.learned_state:
            each, count = list(self.initial_state), len(self.cell.states)
            initial = tuple([torch.stack(each[n::count]).unsqueeze(1) for n in range(count)])
        return BetweenParameters(norms, initial)

    def layer_parameters(self, layer: int) -> list[nn.Parameter]:
        """All parameters of a layer: of its cells, of the norm of its input, its initial states."""
        found = [*self.layers[layer].parameters()]
        if layer and self.stack.between.norm:
            found += self.norms[layer - 1].parameters()
        if self.stack.between.learned_state:
            count = self.stack.directions * len(self.cell.states)
            found += [*self.initial_state][layer * count : (layer + 1) * count]
        return found

    def first_state(self, batch: int) -> State:
        """The states (layers * directions, batch, ...) of ``None``: zeros, or those learned."""
        initial = self.between_parameters().initial
        like = next(self.parameters(), torch.empty(0))  # a cell may have no parameters
        if initial:
            return expanded(initial, batch, like.dtype)
        return tuple([like.new_zeros(self.stack.state_shape(n, batch)) for n in self.cell.states])

    @overload
    def forward(
        self,
        x: Float[Tensor, "time batch input"],
        state: State | None = None,
        *,
        lengths: Lengths | None = None,
        **inputs: Tensor,
    ) -> tuple[Float[Tensor, "time batch output"], State]: ...
    @overload
    def forward(
        self,
        x: PackedSequence,
        state: State | None = None,
        *,
        lengths: None = None,
        **inputs: Tensor,
    ) -> tuple[PackedSequence, State]: ...
    def forward(
        self,
        x: Tensor | PackedSequence,
        state: State | None = None,
        *,
        lengths: Lengths | None = None,
        **inputs: Tensor,
    ) -> tuple[Tensor | PackedSequence, State]:
        """Run over whole sequences; returns the outputs and the states at each row's last step.

        ``x`` is (time, batch, input), (batch, time, input) with ``batch_first``, (time, input)
        for one sequence, or a ``PackedSequence``.  ``state`` holds a tensor (num_layers *
        directions, batch, hidden) for each state of the cell; ``None`` means zeros, or the learned
        ones.  ``lengths`` (batch,) are the rows' true lengths, in any order, and may be 0.  Past a
        row's length, y is zero and the state does not change.

        ``inputs`` are the cell's side inputs by name (``elman.cell``), (time, batch, size), or
        (batch, size) for a value that is the same at all steps; all layers take them.  With
        ``batch_first`` they are (batch, time, size), also beside a ``PackedSequence``.
        """
        return self._run(x, state, lengths, MaskCache(), inputs)

    def _run(
        self,
        x: Tensor | PackedSequence,
        state: State | None,
        lengths: Lengths | None,
        masks: MaskCache,
        inputs: Mapping[str, Tensor],
    ) -> tuple[Tensor | PackedSequence, State]:
        parameters = [d.in_order(self.cell) for d in self._directions()]
        training = Training(self.penalties, masks) if self._is_noisy else None
        # what is computed before the steps needs the help of `batch_invariant`, the steps do not
        fast = self._is_whole and not torch.compiler.is_compiling()
        with at_full_speed() if fast else nullcontext():
            results = self.stack.run(
                parameters, x, state, lengths, training, inputs, self.between_parameters()
            )
        self.penalty = None if training is None else training.penalty
        if not torch.compiler.is_compiling():
            data = x if isinstance(x, Tensor) else x.data
            self._ran = (data.dtype, data.device)
        return results

    @property
    def _has_hooks(self) -> bool:
        """Whether torch calls functions of others at each call of this module."""
        return bool(
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
        )

    @property
    def _is_noisy(self) -> bool:
        """Whether a run in the current mode differs from one in evaluation."""
        return self.training and (self.stack.noise.any or self.penalties.any)

    def step(
        self,
        x: Float[Tensor, "batch input"],
        state: State | None = None,
        **inputs: Tensor,
    ) -> tuple[Float[Tensor, "batch output"], State]:
        """Run one time step: ``x`` is (batch, input); returns its output and the next state.

        ``inputs`` are the cell's side inputs by name, (batch, size).

        Raises ``OptionError`` for a bidirectional layer, whose output depends on later steps.

        >>> import torch, elman
        >>> layer = elman.Recurrent(elman.cells.gru, 10, 20)
        >>> state = None
        >>> for x in torch.randn(5, 1, 10):
        ...     y, state = layer.step(x, state)
        """
        kept = self._training_stepper if torch.is_grad_enabled() else self._stepper
        if kept is not None and not (
            torch.compiler.is_compiling()
            or torch._C._len_torch_dispatch_stack()
            or forward_ad._current_level >= 0
            or self._is_noisy
            or self._has_hooks
            or (state is None and self.stack.between.learned_state)
        ):
            sides = self._in_order(inputs) if inputs or self.cell.inputs else ()
            results = None if sides is None else self._kept_step(x, state, sides)
            if results is not None:
                return results
        return self._general_step(x, state, inputs)

    def _in_order(self, inputs: Mapping[str, Tensor]) -> Sequence[Tensor] | None:
        """The side inputs in the order of the cell; ``None`` if others are given."""
        names = [name for name, _ in self.cell.inputs]
        if inputs.keys() != {*names}:
            return None
        return [inputs[name] for name in names]

    def _kept_step(
        self, x: Tensor, state: State | None, sides: Sequence[Tensor]
    ) -> tuple[Tensor, State] | None:
        """A step by the engine's steps that are kept, if they accept these tensors."""
        if torch.is_grad_enabled():
            training = self._training_stepper
            return None if training is None else training.step(x, state, self._read())
        stepper = self._stepper
        return None if stepper is None else stepper.step(x, state, self._read(), sides)

    def _general_step(
        self, x: Tensor, state: State | None, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, State]:
        """A step with tensors that have not been checked."""
        if self.bidirectional:
            raise OptionError(_both_directions(self.stack.title))
        self.stack.check_kind(x)
        if x.dim() not in (1, 2):
            raise ShapeError(
                f"{self.stack.title}: step takes (batch, input), but x has the shape "
                f"{tuple(x.shape)}."
            )
        by_torch = forward_ad._current_level >= 0 or is_seen_by_torch() or self._has_hooks
        stack = self.stack
        if not (by_torch or self._is_noisy):
            results = None
            if stack.between.changes_steps:
                results = self._step_by_layer(autocast(x), state, inputs)
            elif not (state is None and stack.between.learned_state):
                results = self._fast_step(autocast(x), state, inputs)
            if results is not None:
                return results
        sequence = x.unsqueeze(1 if self.batch_first and x.dim() == 2 else 0)
        if not self._is_noisy:
            y, state = self(sequence, state, **inputs)
        else:
            if state is None:  # a sequence begins
                self._mask_cache = MaskCache()
            y, state = self._run(sequence, state, None, self._mask_cache, inputs)
        assert isinstance(y, Tensor)
        return y.squeeze(1 if self.batch_first and x.dim() == 2 else 0), state

    @property
    def _is_whole(self) -> bool:
        """Whether engines run the cell as it is, with nothing before its steps."""
        return self.stack.early_in_evaluation is None and self.stack.matrix_states is None

    def _fast_step(
        self, x: Tensor, state: State | None, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, State] | None:
        """A step by the engine's stepper, if it supports these tensors; keeps the stepper."""
        parameters = [d.in_order(self.cell) for d in self._directions()]
        flat = [p for own in parameters for p in own]
        tensors = [x, *flat, *inputs.values()]
        tensors += state if isinstance(state, (tuple, list)) else ()
        if (
            not all([isinstance(tensor, Tensor) and is_plain(tensor) for tensor in tensors])
            or x.dim() != 2
            or 0 in x.shape
        ):
            return None
        reader = _Reader(self)
        if not reader.reads(flat):
            return None  # parametrizations compute new tensors at each access
        self.stack.check_input(x.unsqueeze(0), parameters)
        batch, x = x.shape[0], x.contiguous()
        given = checked(
            self.stack.title, self.cell, inputs, x.unsqueeze(0), self._sizes(0),
            batch_first=False, unbatched=False,
        )  # fmt: skip
        sides = [given[name][0].to(x.dtype).contiguous() for name, _ in self.cell.inputs]
        results = self._kept_step(x, state, sides)  # perhaps x only had another dtype or stride
        if results is not None:
            return results
        training: StepsWithGradients | None = None
        stepper: StepperOfEngine | None = None
        if torch.is_grad_enabled():
            if self._is_whole and any([tensor.requires_grad for tensor in tensors]):
                training = self._training_stepper = self._make_training_stepper(x, flat)
        else:
            stepper = self._stepper = self._make_stepper(x)
        made = training or stepper
        if made is None:
            return None
        state = made.zeros if state is None else self.stack.checked_state(state, x, batch)
        self._check_step(x, state, parameters, made.zeros)
        self._reader, self._ran = reader, (x.dtype, x.device)
        known = None if self._frozen else flat
        if training is not None:
            training.expect(x, state, known)
            return training.run(x, state, flat)
        assert stepper is not None
        stepper.expect(x, state, known, sides)
        return stepper.run(x, state, flat, sides)

    def _check_step(
        self, x: Tensor, state: State, parameters: Sequence[Sequence[Tensor]], zeros: State
    ) -> None:
        """Raise ``ShapeError`` if a parameter does not have the cell's shape, and so on."""
        if self._is_whole:
            backend, _ = choose(self.stack.backend, x.dtype, x.device, self.cell)
            for k, own in enumerate(parameters):
                below = x.unsqueeze(0) if k == 0 else zeros[0][:1]
                states = [s[k] for s in state]
                check_call(Call(plan_of(self.cell.text), below, states, own, None, False), backend)
            return
        for k, own in enumerate(parameters):
            for parameter, tensor in zip(self.cell.parameters, own, strict=True):
                shape = parameter.shape(self._sizes(k))
                if tuple(tensor.shape) != tuple(shape):
                    raise ShapeError(
                        f"{self.stack.title}: {parameter.key} has the shape "
                        f"{tuple(tensor.shape)}; it must be {tuple(shape)}."
                    )

    def _step_by_layer(
        self, x: Tensor, state: State | None, inputs: Mapping[str, Tensor]
    ) -> tuple[Tensor, State] | None:
        """A step of one layer after the other, with what stands between; ``None`` if not batched.

        The engine's own steps run the cells of all layers without anything between them.
        """
        if x.dim() != 2:
            return None
        stack, others, layers = self.stack, self.between_parameters(), self._single_layers()
        if state is not None:
            state = stack.checked_state(state, x, len(x))
        elif others.initial:
            state = expanded(others.initial, len(x), x.dtype)
        last = []
        for k, layer in enumerate(layers):
            given = normalised(x, *others.norms[k - 1]) if k and stack.between.norm else x
            own = None if state is None else tuple([s[k : k + 1] for s in state])
            y, after = Recurrent.step(layer, given, own, **inputs)
            x = stack.between.added(y, given, None)
            last.append(after)
        self._ran = (x.dtype, x.device)
        return x, tuple([torch.cat(states) for states in zip(*last, strict=True)])

    def _single_layers(self) -> Sequence[Recurrent]:
        """Each layer as a module of its own with the same parameters, kept between steps."""
        layers = [*self.layers]
        kept = [single.layers[0] for single in self._singles]
        if len(kept) != len(layers) or not all(map(is_, kept, layers)):
            self._singles = [self._single_layer(k) for k in range(self.num_layers)]
        return self._singles

    def _single_layer(self, k: int) -> Recurrent:
        single = copy.copy(self)
        single._modules = {"layers": nn.ModuleList([self.layers[k]])}
        size = self.stack.layer_input_size(k)
        single.stack = replace(
            self.stack, num_layers=1, input_size=size, between=PLAIN, batch_first=False
        )
        return single.freeze(self._frozen)

    def _make_stepper(self, x: Tensor) -> StepperOfEngine | None:
        """The engine's steps without gradients for inputs like x, or those that are kept."""
        kept = self._stepper
        if kept is not None and kept.shape == x.shape and kept.dtype is x.dtype:
            return kept
        backend, _ = choose(self.stack.backend, x.dtype, x.device, self.cell)
        sizes = [self._sizes(k) for k in range(self.num_layers)]
        return find_engine(backend).stepper(self.cell, sizes, x)

    def _make_training_stepper(
        self, x: Tensor, flat: Sequence[Tensor]
    ) -> StepsWithGradients | None:
        """The same for steps with gradients."""
        if self._frozen or not all([p.dtype is x.dtype and p.is_contiguous() for p in flat]):
            return None
        kept = self._training_stepper
        if kept is not None and kept.shape == x.shape and kept.dtype is x.dtype:
            return kept
        backend, _ = choose(self.stack.backend, x.dtype, x.device, self.cell)
        sizes = [self._sizes(k) for k in range(self.num_layers)]
        steps = find_engine(backend).training_steps(self.cell, sizes, x)
        return None if steps is None else StepsWithGradients(self.cell.text, steps, backend)

    def _read(self) -> Sequence[Tensor] | None:
        """The current parameters; ``None`` if they are frozen."""
        return None if self._frozen or self._reader is None else self._reader.read()

    def stepper(
        self,
        batch: int = 1,
        *,
        output: nn.Linear | None = None,
        quantize: Quantize | None = None,
    ) -> Stepper:
        """Steps in real time, with a copy of the weights; see ``elman.nn.Stepper``.

        ``output`` is a linear layer above the outputs, computed in the same call.
        ``quantize="int8"`` rounds the matrices, and what they multiply, to int8; it is faster for
        large layers on processors with instructions for it (VNNI), and less exact.  Raises
        ``OptionError`` for a bidirectional layer, and where int8 is not supported.
        """
        if self.bidirectional:
            raise OptionError(_both_directions(self.stack.title))
        layers = self.step_layers()
        like = next(iter(layers[0].parameters), torch.empty(0))  # a cell may have no parameters
        backend, _ = choose(self.stack.backend, like.dtype, like.device, self.cell)
        learned = self.stack.between.learned_state
        return make_stepper(
            f"{self.stack.title}.stepper", [layers], batch, output, like, backend,
            self._frozen_step, first=[self.first_state(batch)] if learned else None,
            quantize=quantize,
        )  # fmt: skip

    def step_layers(self) -> list[StepLayer]:
        """Each layer as an engine runs it step by step."""
        between, norms = self.stack.between, [None, *self.between_parameters().norms]
        return [
            StepLayer(
                self.cell,
                direction.in_order(self.cell),
                self._sizes(k),
                norms[k] if between.norm else None,
                between.residual,
            )
            for k, direction in enumerate(self._directions())
        ]

    @torch.no_grad()
    def core(self, use: str) -> Recurrent:
        """The layer in evaluation with its matrices computed, such as ``orthogonal(W.h)``.

        That is the layer itself if its cell computes none.  Raises ``OptionError`` if the cell has
        inputs beside x or a matrix state; ``use`` says what does not take them.
        """
        early = early_of(self.cell, ahead=False) if not self.cell.has_memory else None
        if needs_inputs(self.cell.text):
            raise OptionError(
                f"{self.stack.title}: {use} does not take cells with side inputs, vectors of x's "
                "size or a matrix state yet; use step."
            )
        if early is None:
            return self
        own = [direction.in_order(self.cell) for direction in self._directions()]
        like = own[0][0]
        stack = self.stack
        layer = Recurrent(
            early.core, stack.input_size, stack.hidden_size, stack.num_layers,
            bidirectional=stack.bidirectional, batch_first=stack.batch_first,
            sizes=dict(stack.own), backend=stack.backend, device=like.device, dtype=like.dtype,
            **vars(stack.between),
        )  # fmt: skip
        layer.put_between_parameters(self.between_parameters())
        for k, (direction, given) in enumerate(zip(layer._directions(), own, strict=True)):
            computed = early.matrices(given, self._sizes(k // stack.directions))
            for tensor, value in zip(direction.in_order(early.core), computed, strict=True):
                tensor.copy_(value)
        return layer.eval()

    @torch.no_grad()
    def put_between_parameters(self, given: BetweenParameters) -> None:
        """Copy the parameters that are not the cells' from another layer with the same options."""
        own = self.between_parameters()
        for ours, theirs in zip(own.norms, given.norms, strict=True):
            for mine, tensor in zip(ours, theirs, strict=True):
                mine.copy_(tensor)
        count = len(given.initial)
        for n, tensor in enumerate(self.initial_state if count else ()):
            tensor.copy_(given.initial[n % count][n // count, 0])

    def _frozen_step(self) -> Step:
        """``step`` with weights of its own."""
        return copy.deepcopy(self).eval().freeze().step

    def freeze(self, frozen: bool = True) -> Self:
        """Promise that the weights do not change, so that calls need not check them.

        By default, each call reads all weights to detect any change.  In
        ``torch.inference_mode()``, ``step`` only detects changes that torch counts and replaced
        tensors, but not a write through ``parameter.data`` or NumPy.  ``freeze(False)``,
        ``train()``, loading, moving, converting or initialising the weights end the promise.

        >>> import torch, elman
        >>> layer = elman.Recurrent(elman.cells.gru, 10, 20).eval().freeze()
        >>> with torch.no_grad():
        ...     y, state = layer.step(torch.randn(1, 10))
        """
        self._freeze(frozen)
        return self

    def _freeze(self, frozen: bool, *, clear: bool = True) -> None:
        self._stepper = self._training_stepper = None
        self._singles = []
        self._frozen = frozen
        self.stack.freeze(frozen, clear=clear)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        self.freeze(False)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self.freeze(False)
        super()._load_from_state_dict(*args, **kwargs)

    def train(self, mode: bool = True) -> Self:
        """As in torch; training mode ends ``freeze``."""
        if mode:
            self.freeze(False)
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        left_out: dict[str, Any] = {
            "_stepper": None,
            "_training_stepper": None,
            "_reader": None,
            "_frozen": False,
        }
        left_out |= {"_mask_cache": MaskCache(), "_singles": []}
        return {**self.__dict__, **left_out, "penalty": None}

    def backend_report(self) -> str:
        """The engine that ran last or will run, why and how, and the memory that training needs.

        >>> import elman
        >>> layer = elman.Recurrent(elman.cells.lstm, 10, 20)
        >>> print(layer.backend_report().splitlines()[0])
        Recurrent(lstm): native engine (the fastest for these tensors), which will run.
        """
        (first, *_) = self.parameters()
        dtype, device = self._ran or (first.dtype, first.device)
        try:
            runs = self.stack.in_training if self.training else self.stack.in_evaluation
            chosen, why = choose(self.stack.backend, dtype, device, runs)
        except BackendError as error:
            return f"{self.stack.title}: no engine can run: {error}"
        layers = [
            self._sizes(k) for k in range(self.num_layers) for _ in range(self.stack.directions)
        ]
        when = "ran last" if self._ran else "will run"
        lines = [
            f"{self.stack.title}: {chosen} engine ({why}), which {when}.",
            find_engine(chosen).report(dtype, device),
            memory(chosen, self.stack.in_training, layers, dtype),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        stack = self.stack
        parts = [self.cell.name, str(stack.input_size), str(stack.hidden_size)]
        parts += [f"num_layers={stack.num_layers}"] if stack.num_layers > 1 else []
        parts += [name for name in ("bidirectional", "batch_first") if getattr(stack, name)]
        named = {
            **vars(stack.noise),
            **{f"{k}_penalty": v for k, v in vars(self.penalties).items()},
        }
        parts += [f"{name}={value}" for name, value in named.items() if value]
        parts += [f"truncate={stack.truncate}"] if stack.truncate else []
        if self.cell.has_memory:
            parts += [f"heads={stack.heads}", f"key_size={stack.keys}"]
        parts += [f"sizes={dict(stack.own)}"] if stack.own else []
        parts += [f"{name}={value!r}" for name, value in stack.between.changed().items()]
        return f"Recurrent({', '.join(parts)})"

    def _sizes(self, layer: int) -> Sizes:
        return self.stack.sizes(self.stack.layer_input_size(layer))

    def _directions(self) -> Sequence[_Direction]:
        found = []
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            for direction in layer:
                assert isinstance(direction, _Direction)
                found.append(direction)
        return found


def _keys(cell: Cell, hidden_size: int, heads: int, key_size: int | None) -> int:
    """The keys of each head of a cell with a matrix state; by default as many as its units."""
    if key_size is None and cell.has_memory and isinstance(hidden_size, int):
        return hidden_size // heads if isinstance(heads, int) and heads > 0 else 0
    return 0 if key_size is None else key_size


def _both_directions(title: str) -> str:
    return (
        f"{title}: a bidirectional layer cannot run step by step, because its output depends on "
        "later steps."
    )


class _Named(nn.Module):
    """A module whose members have names from a cell, which may clash with torch's attributes.

    torch stores a module's members in dicts and its own settings as attributes.  A gate may be
    named ``training`` and a family ``float``, so this class puts members directly into the dicts,
    where torch's attributes do not overwrite them.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, nn.Parameter) and name in self._parameters:
            self._parameters[name] = value
        elif isinstance(value, (Tensor, nn.Module)):
            super().__setattr__(name, value)
        else:
            object.__setattr__(self, name, value)


class _Family(_Named):
    """The parameters of one family: ``W["f"]``, or ``W.f`` if torch has no attribute f."""

    def __init__(self, members: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        self._parameters.update(members)

    def __getitem__(self, gate: str) -> Tensor:
        # pruning and parametrizations replace a parameter with a computed tensor
        found = self._parameters[gate] if gate in self._parameters else getattr(self, gate)
        assert isinstance(found, Tensor)
        return found

    def __setitem__(self, gate: str, value: nn.Parameter) -> None:
        self._parameters[gate] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._parameters)

    def forward(self) -> None:
        """Nothing; a call runs torch's hooks, which compute pruned and normalised weights anew."""


class _Direction(_Named):
    """The parameters of one layer in one direction, family by family."""

    def __init__(
        self,
        cell: Cell,
        sizes: Sizes,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        families: dict[str, dict[str, nn.Parameter]] = {}
        for p in cell.parameters:
            tensor = torch.empty(p.shape(sizes), device=device, dtype=dtype)
            families.setdefault(p.family, {})[p.gate] = nn.Parameter(tensor)
        self._modules.update({name: _Family(members) for name, members in families.items()})

    def in_order(self, cell: Cell) -> list[Tensor]:
        """The tensors in the order of the cell's parameters."""
        for family in self._modules.values():
            assert family is not None
            if family._forward_pre_hooks:
                family()
        return [self._tensor(p) for p in cell.parameters]

    @torch.no_grad()
    def reset(
        self, cell: Cell, sizes: Sizes, first_values: Mapping[str, Initial], initial: str
    ) -> None:
        """Initialise the parameters; see ``Recurrent``."""
        for p in cell.parameters:
            tensor = self._tensor(p)
            first = first_values.get(p.key)
            if callable(first):
                first(tensor)
            elif first is not None:
                tensor.fill_(first)
            elif p.kind == "matrix":
                for size, rows, columns in p.blocks(sizes):
                    block = tensor[rows, columns]
                    if size == "input" or initial == "glorot":
                        nn.init.xavier_uniform_(block)
                    elif initial == "identity":
                        nn.init.eye_(block)
                    else:
                        # torch's QR decomposition does not support two-byte types
                        wide = torch.promote_types(block.dtype, torch.float32)
                        block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=wide)))
            elif p.family == "b":
                tensor.zero_()
            else:
                bound = 1 / math.sqrt(sizes.hidden)
                tensor.uniform_(-bound, bound)

    def _tensor(self, p: Parameter) -> Tensor:
        # directly from torch's dicts: attribute access for each parameter and call costs as much
        # as some hundred multiplications
        family = self._modules[p.family]
        assert family is not None
        tensor = family._parameters.get(p.gate)
        if tensor is None:  # computed by parametrizations or weight_norm
            tensor = getattr(family, p.gate, None)
        if not isinstance(tensor, Tensor):
            raise ShapeError(
                f"Recurrent: {p.key} is {tensor!r}; each parameter of the cell must be a tensor."
            )
        return tensor


class _Reader:
    """Reads a layer's current parameters fast; any of them may be replaced at any time."""

    def __init__(self, layer: Recurrent) -> None:
        self._links: list[tuple[Mapping[str, nn.Module | None], str]] = []
        self._getters: list[tuple[Callable[[Any], Any], Mapping[str, Tensor | None]]] = []
        layers = self._follow(layer, "layers")
        for k in range(layer.num_layers):
            for d in range(layer.stack.directions):
                direction = self._follow(self._follow(layers, str(k)), str(d))
                for family, members in groupby(layer.cell.parameters, lambda p: p.family):
                    table = self._follow(direction, family)._parameters
                    gates = [p.gate for p in members]
                    # one name alone does not make a tuple
                    get = itemgetter(*gates) if len(gates) > 1 else partial(_one, gates[0])
                    self._getters.append((get, table))
        self._modules = [table[name] for table, name in self._links]

    def _follow(self, module: nn.Module, name: str) -> nn.Module:
        self._links.append((module._modules, name))
        found = module._modules[name]
        assert found is not None
        return found

    def read(self) -> Sequence[Tensor]:
        """The parameters; empty if a module was replaced."""
        try:
            if [table[name] for table, name in self._links] != self._modules:
                return ()
            return [tensor for get, table in self._getters for tensor in get(table)]
        except KeyError:
            return ()

    def reads(self, tensors: Sequence[Tensor]) -> bool:
        """Whether ``read`` returns these tensors."""
        found = self.read()
        return len(found) == len(tensors) and all(map(is_, found, tensors))


def _one(name: str, table: Mapping[str, Tensor | None]) -> tuple[Tensor | None]:
    return (table[name],)
