"""How a model answers by its ONNX files: its methods become calls of ONNX Runtime.

``answer_by`` has a rule for each class of ``models/``; a task registers those of its own models.
What a task does around its network, such as a search, stays the same.  The modules of the model
remain as they were made and are not run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor, nn

from elman.errors import RunError
from elman.export.forms import forms_of
from elman.models.decoders import FeedingDecoder, Memory, Recall
from elman.models.generator import Generator
from elman.models.transcriber import Transcriber
from elman.models.transducer import Transducer
from elman.models.translator import Translator, Writing
from elman.nn.predictions import Choose, OrderedPitches
from elman.nn.stack import State
from elman.nn.voices import RESTS, VoicedPitches
from elman.tasks.onnx_network import Files


@singledispatch
def answer_by(model: nn.Module, files: Files) -> None:
    """Let the model answer by its files, where its ``forward`` is all that answers need.

    Raises ``RunError`` where it needs more.
    """
    form = next((form for form in forms_of(model) if form.name == "sequence"), None)
    if form is None or form.answer is None:
        raise RunError(
            f"{files.path}: a {type(model).__name__} cannot answer from ONNX files; use the run "
            "folder."
        )
    answer, names = form.answer, [*form.inputs]

    def forward(*tensors: Tensor, **named: Tensor) -> Any:
        given = {**dict(zip(names, tensors, strict=False)), **named}
        return answer(files.run("sequence", given))

    model.forward = forward  # the instance's own


def refuse_torch(model: nn.Module, files: Files) -> None:
    """Let no module that has weights run: they are those that it was made with.

    What would use one raises ``RunError`` then.
    """

    def refuse(module: nn.Module, _: Any) -> None:
        raise RunError(
            f"{files.path}: this operation needs the weights of the model, which cannot be read "
            "from its ONNX files; use the run folder."
        )

    for module in model.modules():
        if module is not model and any([True for _ in module.parameters()]):
            module.register_forward_pre_hook(refuse)


def has_step(model: nn.Module) -> bool:
    """Whether the model is exported as a step too."""
    return any([form.name == "step" for form in forms_of(model)])


def states_in(names: tuple[str, ...], state: State) -> dict[str, Tensor]:
    """States by the names of a file's inputs."""
    return {f"state.{name}": tensor for name, tensor in zip(names, state, strict=True)}


def states_out(names: tuple[str, ...], found: Mapping[str, Tensor]) -> State:
    """The states among a file's outputs."""
    return tuple([found[f"next_state.{name}"] for name in names])


@answer_by.register
def _(model: Transcriber, files: Files) -> None:
    answer_by.dispatch(nn.Module)(model, files)
    if has_step(model):
        _advance_by(model, files, "log_probs")


@answer_by.register
def _(model: Transducer, files: Files) -> None:
    answer_by.dispatch(nn.Module)(model, files)
    if has_step(model):
        _advance_by(model, files, "encoded")
    names = model.prediction.cell.states

    def predict(symbols: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        now = model.prediction.first_state(len(symbols)) if state is None else state
        found = files.run("predict", {"symbol": symbols, **states_in(names, now)})
        return found["predicted"], states_out(names, found)

    def joint(encoded: Tensor, predicted: Tensor) -> Tensor:
        return files.run("joint", {"encoded": encoded, "predicted": predicted})["log_probs"]

    model.predict, model.joint = predict, joint  # type: ignore[method-assign]


def _advance_by(model: Transcriber | Transducer, files: Files, output: str) -> None:
    """Let a model read a stream by its form "step", which has this output."""
    names, size = model.encoder.cell.states, model.frames_per_step

    def advance(frames: Tensor, state: State | None) -> tuple[Tensor, State]:
        now = model.encoder.first_state(frames.shape[1]) if state is None else state
        steps = []
        for part in frames.split(size):
            # frame batch mel -> batch frame mel
            given = {"frames": part.transpose(0, 1), **states_in(names, now)}
            found = files.run("step", given)
            now = states_out(names, found)
            steps.append(found[output])
        return torch.stack(steps), now

    model.advance = advance  # type: ignore[method-assign]


@answer_by.register
def _(model: Generator, files: Files) -> None:
    names = model.recurrent.cell.states
    head = model.prediction
    said = "features" if isinstance(head, OrderedPitches | VoicedPitches) else "logits"

    def step(x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        now = model.recurrent.first_state(len(x)) if state is None else state
        found = files.run("step", {"x": x, **states_in(names, now)})
        return found[said], states_out(names, found)

    def forward(
        x: Tensor, lengths: Tensor | None = None, state: State | None = None
    ) -> tuple[Tensor, State]:
        if state is not None:  # the form of a sequence begins at its own
            return go_on(x, lengths, state)
        whole = torch.full((x.shape[1],), len(x)) if lengths is None else lengths
        found = files.run("sequence", {"x": x, "lengths": whole})
        return found[said], states_out(names, found)

    def go_on(x: Tensor, lengths: Tensor | None, state: State) -> tuple[Tensor, State]:
        outputs = []
        for time, now in enumerate(x):
            y, after = step(now, state)
            if lengths is not None:
                runs = time < lengths[:, None]
                after = tuple([torch.where(runs, *both) for both in zip(after, state, strict=True)])
            outputs.append(y)
            state = after
        return torch.stack(outputs), state

    model.step, model.forward = step, forward  # type: ignore[method-assign]
    if isinstance(head, OrderedPitches):
        model.prediction = _PitchesByOnnx(files, head)
    elif isinstance(head, VoicedPitches):
        model.prediction = _VoicesByOnnx(files, head)
    else:  # the files' logits are what the layer would make of features
        head.output = nn.Identity()  # type: ignore[assignment]


class _PitchesByOnnx(OrderedPitches):
    """``OrderedPitches`` whose choices are computed by the form "choose"."""

    def __init__(self, files: Files, head: OrderedPitches) -> None:
        nn.Module.__init__(self)
        self.files, self.num_pitches, self.descending = files, head.num_pitches, head.descending

    def choices(self, features: Tensor, chosen: Tensor, last: Tensor) -> Tensor:
        """See ``OrderedPitches``."""
        given = {"features": features, "chosen": chosen, "last": last}
        return self.files.run("choose", given)["log_probs"]

    def log_prob(self, features: Tensor, pitches: Tensor) -> Tensor:
        """See ``OrderedPitches``; the choices of all rows are made at once, one after another."""
        steps, count = pitches.shape[:-1], self.num_pitches
        wanted = self._in_order(pitches.reshape(-1, count))
        features = features.reshape(len(wanted), -1)
        chosen, total = torch.zeros_like(wanted), wanted.new_zeros(len(wanted))
        last = torch.full((len(wanted),), count)
        row = torch.arange(len(wanted))
        while len(row):
            left = torch.cat([wanted - chosen, torch.ones(len(wanted), 1)], -1)
            following = left[row].argmax(-1)  # the first that is left, or the end
            log_probs = self.choices(features[row], chosen[row], last[row])
            total[row] += log_probs.gather(-1, following[:, None])[:, 0]
            row, following = row[following < count], following[following < count]
            chosen[row, following] = 1
            last[row] = following
        return total.reshape(steps)

    def draw(self, features: Tensor, choose: Choose) -> Tensor:
        """See ``OrderedPitches``."""
        steps, count = features.shape[:-1], self.num_pitches
        features = features.reshape(-1, features.shape[-1])
        chosen = features.new_zeros(len(features), count)
        last = torch.full((len(features),), count)
        row = torch.arange(len(features))
        while len(row):
            pitch = choose(self.choices(features[row], chosen[row], last[row]))
            row, pitch = row[pitch < count], pitch[pitch < count]
            chosen[row, pitch] = 1
            last[row] = pitch
        return self._in_order(chosen).reshape(*steps, count)


class _VoicesByOnnx(VoicedPitches):
    """``VoicedPitches`` whose choices are computed by the form "choose"."""

    def __init__(self, files: Files, head: VoicedPitches) -> None:
        nn.Module.__init__(self)
        self.files, self.num_pitches = files, head.num_pitches
        self.layout, self.order = head.layout, head.order

    def choices(self, features: Tensor, chosen: Tensor) -> Tensor:
        """See ``VoicedPitches``."""
        return self.files.run("choose", {"features": features, "chosen": chosen})["log_probs"]

    def log_prob(self, features: Tensor, pitches: Tensor) -> Tensor:
        """See ``VoicedPitches``."""
        flat = pitches.reshape(-1, self.layout.voices)
        index = torch.where(flat < 0, self.num_pitches, flat)[..., None]
        found = self.choices(features.reshape(len(flat), -1), flat).gather(-1, index)
        return found.sum((-2, -1)).reshape(pitches.shape[:-1])

    def draw(self, features: Tensor, choose: Choose) -> Tensor:
        """See ``VoicedPitches``."""
        flat = features.reshape(-1, features.shape[-1])
        chosen = torch.full((len(flat), self.layout.voices), RESTS)
        for voice in self.order:
            pitch = choose(self.choices(flat, chosen)[:, voice])
            chosen[:, voice] = torch.where(pitch == self.num_pitches, RESTS, pitch)
        return chosen.reshape(*features.shape[:-1], self.layout.voices)


@answer_by.register
def _(model: Translator, files: Files) -> None:
    (_, decode) = forms_of(model)
    names = [name for name in decode.inputs if name.startswith("state.")]
    each = len(model.encoder.cell.states)

    def recalled(states: list[Tensor]) -> Recall:
        feeding = isinstance(model.decoder, FeedingDecoder)
        input_feed = states.pop() if feeding else None
        groups = [tuple(states[k : k + each]) for k in range(0, len(states), each)]
        return Recall(tuple(groups), input_feed)

    def start(source: Tensor, lengths: Tensor) -> Writing:
        found = files.run("encode", {"source": source, "lengths": lengths})
        memory = Memory(found["memory"], found["keys"], lengths, ())
        return Writing(memory, recalled([found[name] for name in names]))

    def attending_step(tokens: Tensor, state: Writing) -> tuple[Tensor, Tensor, Writing]:
        memory, recall = state.memory, state.recall
        states = [tensor for group in recall.states for tensor in group]
        states += [] if recall.input_feed is None else [recall.input_feed]
        given = {"token": tokens, "memory": memory.outputs, "keys": memory.keys}
        given |= {"lengths": memory.lengths, **dict(zip(names, states, strict=True))}
        found = files.run("decode", given)
        after = recalled([found[f"next_{name}"] for name in names])
        return found["log_probs"], found["attention"], Writing(memory, after)

    def attend(source: Tensor, lengths: Tensor, target: Tensor, target_lengths: Tensor) -> Tensor:
        state, weights = start(source, lengths), []
        for tokens in target:
            _, attended, state = attending_step(tokens, state)
            weights.append(attended)
        return torch.stack(weights)

    def loss(
        source: Tensor, lengths: Tensor, target: Tensor, target_lengths: Tensor, following: Tensor
    ) -> Tensor:
        state, total = start(source, lengths), torch.zeros(())
        for k, tokens in enumerate(target):
            log_probs, _, state = attending_step(tokens, state)
            found = log_probs.gather(-1, following[k][:, None])[:, 0]
            total -= found[k < target_lengths].sum()
        return total / max(1, target.shape[1])

    model.start, model.attend, model.loss = start, attend, loss  # type: ignore[method-assign]
    model.attending_step = attending_step  # type: ignore[method-assign]
