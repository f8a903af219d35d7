"""The forms in which a model is exported: which tensors go in and come out, and random ones.

``forms_of`` says it for the classes of ``models/``; a task registers the models that are its own
with ``forms_of.register``.  A form's module is traced (``traced.py``) and compared with its file on
what ``draw`` makes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import torch
from torch import Generator, Tensor, nn

from elman.errors import ExportError, OptionError
from elman.export.layers import layers_of
from elman.models.classifier import RowClassifier
from elman.models.decoders import FeedingDecoder, Memory, Recall
from elman.models.generator import Generator as GeneratorModel
from elman.models.string_features import StringFeatures
from elman.models.tagger import WordTagger
from elman.models.transcriber import Scores, Transcriber
from elman.models.transducer import Encoded, Transducer
from elman.models.translator import Translator, Writing
from elman.nn.embedding import WordEmbedding
from elman.nn.predictions import AdaptiveToken, IndependentPitches, NextToken, OrderedPitches
from elman.nn.recurrent import Recurrent
from elman.nn.voices import VoicedPitches, VoiceInputs

#: lengths of the free axes for the example that is traced and for the checks; none is 0 or 1 in
#: the first, since torch takes those for fixed
SIZES: Sequence[Mapping[str, int]] = (
    {"time": 7, "batch": 3, "length": 5, "word": 11},
    {"time": 1, "batch": 1, "length": 1, "word": 1},
    {"time": 12, "batch": 4, "length": 3, "word": 6},
)

Axes = Sequence[int | str]
#: random inputs for lengths of the free axes
Draw = Callable[[Mapping[str, int], Generator], Sequence[Tensor]]


@dataclass(frozen=True)
class Form:
    """One graph of a model.

    ``inputs`` and ``outputs`` have the names and axes of the tensors of ``module``'s forward, in
    order; an axis with a name has any length.  ``name`` is "sequence", "step", "encode" ...
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Axes]
    outputs: Mapping[str, Axes]
    draw: Draw
    metadata: Mapping[str, str] = field(default_factory=dict)
    #: what a sequence has at least, for the checks
    shortest: int = 1
    #: what the model's own forward returns, from the outputs of a file by name, where it can be
    answer: Callable[[Mapping[str, Tensor]], Any] | None = None


@singledispatch
def forms_of(model: nn.Module) -> list[Form]:
    """The forms of a model, whole sequences first; none for a class that nobody registered."""
    return []


class Calls(nn.Module):
    """A function of tensors with the modules that it uses."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.used = nn.ModuleList(modules)

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The function's results as a flat tuple."""
        found = self.function(*tensors)
        return (found,) if isinstance(found, Tensor) else tuple(found)


def draw_inputs(form: Form, k: int) -> Sequence[Tensor]:
    """Random inputs of the k-th sizes."""
    generator = torch.Generator().manual_seed(k)
    sizes = {**SIZES[k], "time": SIZES[k]["time"] + form.shortest - 1}
    with torch.no_grad():
        return form.draw(sizes, generator)


def draw_lengths(sizes: Mapping[str, int], generator: Generator) -> Tensor:
    """A length for each row: one full, one of nothing where there are three or more."""
    lengths = torch.randint(1, sizes["time"] + 1, (sizes["batch"],), generator=generator)
    lengths[0] = sizes["time"]
    if len(lengths) > 2:
        lengths[-1] = 0
    return lengths


def draw_indices(count: int, *shape: int, generator: Generator) -> Tensor:
    """Random indices below ``count``."""
    return torch.randint(0, count, shape, generator=generator)


def _refuse_strings(model: nn.Module) -> None:
    if any([isinstance(each, StringFeatures) for each in model.modules()]):
        raise ExportError(
            f"{type(model).__name__}: a model with language models as encoders cannot be exported; "
            "export its recurrent layers alone."
        )


def _words(embedding: nn.Module) -> int:
    assert isinstance(embedding, WordEmbedding | nn.Embedding)
    return embedding.weight.shape[0]


@forms_of.register
def _(model: RowClassifier) -> list[Form]:
    _refuse_strings(model)
    count = _words(model.embedding)  # type: ignore[arg-type]

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        words = draw_indices(count, sizes["time"], sizes["batch"], generator=generator)
        return words, draw_lengths(sizes, generator)

    return [
        Form(
            "sequence",
            Calls(model, model),
            {"words": ["time", "batch"], "lengths": ["batch"]},
            {"logits": ["batch", "class"]},
            draw,
            answer=lambda found: found["logits"],
        )
    ]


@forms_of.register
def _(model: WordTagger) -> list[Form]:
    _refuse_strings(model)
    features = model.features
    inputs: dict[str, Axes] = {"words": ["time", "batch"], "lengths": ["batch"]}
    names = ["words", "lengths"]
    if features.shapes is not None:
        inputs["shapes"] = ["time", "batch"]
    if features.characters is not None:
        inputs |= {
            "characters": ["length", "word"],
            "character_lengths": ["word"],
            "word_index": ["time", "batch"],
        }
    if model.direct is not None:
        inputs["affixes"] = ["time", "batch", model.direct.per_word]
    names = [*inputs]

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        time, batch = sizes["time"], sizes["batch"]
        found = {
            "words": draw_indices(_words(features.embedding), time, batch, generator=generator),
            "lengths": draw_lengths(sizes, generator),
        }
        if features.shapes is not None:
            count = _words(features.shapes)
            found["shapes"] = draw_indices(count, time, batch, generator=generator)
        if features.characters is not None:
            length, words = sizes["length"], sizes["word"]
            known = _words(features.characters.embedding)
            found["characters"] = draw_indices(known, length, words, generator=generator)
            found["character_lengths"] = 1 + draw_indices(length, words, generator=generator)
            found["word_index"] = draw_indices(words, time, batch, generator=generator)
        if model.direct is not None:
            count, own = model.direct.weight.shape[0], model.direct.per_word
            found["affixes"] = draw_indices(count, time, batch, own, generator=generator)
        return [found[name] for name in names]

    crf, outputs = model.crf, {"scores": ["time", "batch", "tag"]}
    if crf is not None:
        outputs |= {"transitions": ["before", "after"], "start": ["tag"], "end": ["tag"]}

    def score(*tensors: Tensor) -> list[Tensor]:
        scores = model(**dict(zip(names, tensors, strict=True)))
        return [scores] if crf is None else [scores, crf.transitions, crf.start, crf.end]

    def answer(found: Mapping[str, Tensor]) -> Tensor:
        if crf is not None:  # the search for tags reads them from the model
            for name in ("transitions", "start", "end"):
                getattr(crf, name).data = found[name]
        return found["scores"]

    form = Form("sequence", Calls(score, model), inputs, outputs, draw, answer=answer)
    return [form]


@forms_of.register
def _(model: Transcriber) -> list[Form]:
    size, width = model.frames_per_step, model.encoder.input_size // model.frames_per_step

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = (sizes["time"], sizes["batch"], width)
        return torch.randn(shape, generator=generator), draw_lengths(sizes, generator)

    forms = [
        Form(
            "sequence",
            Calls(model, model),
            {"frames": ["time", "batch", width], "lengths": ["batch"]},
            {"log_probs": ["step", "batch", "symbol"], "steps": ["batch"]},
            draw,
            {"frames_per_step": str(size)},
            shortest=size,
            answer=lambda found: Scores(found["log_probs"], found["steps"]),
        )
    ]
    if model.encoder.bidirectional:
        return forms
    encoder = model.encoder

    def step(frames: Tensor, *state: Tensor) -> list[Tensor]:
        # batch frame mel -> frame batch mel
        scores, after = model.advance(frames.transpose(0, 1), tuple(state))
        return [scores[0], *after]

    def draw_step(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        frames = torch.randn((sizes["batch"], size, width), generator=generator)
        return [frames, *draw_states(model.encoder, sizes["batch"], generator)]

    forms.append(
        Form(
            "step",
            Calls(step, model),
            {"frames": ["batch", size, width], **state_axes(encoder)},
            {"log_probs": ["batch", "symbol"], **state_axes(encoder, "next_state")},
            draw_step,
            {"frames_per_step": str(size)},
        )
    )
    return forms


@forms_of.register
def _(model: Transducer) -> list[Form]:
    size, width = model.frames_per_step, model.encoder.input_size // model.frames_per_step
    joint, count = model.output.in_features, model.output.out_features
    metadata = {"frames_per_step": str(size)}

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = (sizes["time"], sizes["batch"], width)
        return torch.randn(shape, generator=generator), draw_lengths(sizes, generator)

    def step(frames: Tensor, *state: Tensor) -> list[Tensor]:
        # batch frame mel -> frame batch mel
        encoded, after = model.advance(frames.transpose(0, 1), tuple(state))
        return [encoded[0], *after]

    def draw_step(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        frames = torch.randn((sizes["batch"], size, width), generator=generator)
        return [frames, *draw_states(model.encoder, sizes["batch"], generator)]

    def predict(symbol: Tensor, *state: Tensor) -> list[Tensor]:
        predicted, after = model.predict(symbol, tuple(state))
        return [predicted, *after]

    def draw_predict(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        symbol = draw_indices(count, sizes["batch"], generator=generator)
        return [symbol, *draw_states(model.prediction, sizes["batch"], generator)]

    def draw_joint(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = (sizes["batch"], joint)
        return [torch.randn(shape, generator=generator) for _ in range(2)]

    encoder_step = Form(
        "step",
        Calls(step, model),
        {"frames": ["batch", size, width], **state_axes(model.encoder, "state")},
        {"encoded": ["batch", joint], **state_axes(model.encoder, "next_state")},
        draw_step,
        metadata,
    )
    return [
        Form(
            "sequence",
            Calls(model, model),
            {"frames": ["time", "batch", width], "lengths": ["batch"]},
            {"encoded": ["step", "batch", joint], "steps": ["batch"]},
            draw,
            metadata,
            shortest=size,
            answer=lambda found: Encoded(found["encoded"], found["steps"]),
        ),
        *([] if model.encoder.bidirectional else [encoder_step]),
        Form(
            "predict",
            Calls(predict, model),
            {"symbol": ["batch"], **state_axes(model.prediction, "state")},
            {"predicted": ["batch", joint], **state_axes(model.prediction, "next_state")},
            draw_predict,
        ),
        Form(
            "joint",
            Calls(model.joint, model),
            {"encoded": ["batch", joint], "predicted": ["batch", joint]},
            {"log_probs": ["batch", "symbol"]},
            draw_joint,
        ),
    ]


@forms_of.register
def _(model: GeneratorModel) -> list[Form]:
    if isinstance(model.prediction, AdaptiveToken):
        raise ExportError(
            "LanguageModel: an adaptive softmax cannot be exported; train a model with the softmax "
            "full, or export the recurrent layers alone."
        )
    layer = model.recurrent
    tokens = isinstance(model.embedding, WordEmbedding | nn.Embedding)
    voices = model.embedding if isinstance(model.embedding, VoiceInputs) else None
    size = layer.input_size if voices is None else voices.layout.size
    own: list[int | str] = [] if tokens else [size]
    head = (
        model.prediction if isinstance(model.prediction, NextToken | IndependentPitches) else None
    )

    def predict(features: Tensor) -> Tensor:
        """Logits where the prediction is one layer; the features of one that chooses in turn."""
        return features if head is None else head.output(features)

    def draw_input(generator: Generator, *axes: int) -> Tensor:
        if tokens:
            return draw_indices(_words(model.embedding), *axes, generator=generator)
        return torch.randint(0, 2, (*axes, size), generator=generator).float()

    def sequence(x: Tensor, lengths: Tensor) -> list[Tensor]:
        y, after = model(x, lengths)
        return [predict(y), *after]

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        x = draw_input(generator, sizes["time"], sizes["batch"])
        return x, draw_lengths(sizes, generator)

    def step(x: Tensor, *state: Tensor) -> list[Tensor]:
        y, after = model(x[None], None, tuple(state))
        return [predict(y[0]), *after]

    def draw_step(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        x = draw_input(generator, sizes["batch"])
        return [x, *draw_states(layer, sizes["batch"], generator)]

    said = "features" if head is None else "logits"
    after = state_axes(layer, "next_state")
    forms = [
        Form(
            "sequence",
            Calls(sequence, model),
            {"x": ["time", "batch", *own], "lengths": ["batch"]},
            {said: ["time", "batch", said], **after},
            draw,
        ),
        Form(
            "step",
            Calls(step, model),
            {"x": ["batch", *own], **state_axes(layer)},
            {said: ["batch", said], **after},
            draw_step,
        ),
    ]
    if isinstance(model.prediction, OrderedPitches):
        forms.append(_choose(model.prediction, layer.output_size))
    if isinstance(model.prediction, VoicedPitches):
        forms.append(_choose_voices(model.prediction, layer.output_size))
    return forms


def _choose(head: OrderedPitches, size: int) -> Form:
    """The next pitch of a set that is chosen one after another, ``num_pitches`` for its end."""
    count = head.num_pitches

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        batch = sizes["batch"]
        chosen = torch.randint(0, 2, (batch, count), generator=generator).float()
        last = draw_indices(count + 1, batch, generator=generator)
        return torch.randn((batch, size), generator=generator), chosen, last

    return Form(
        "choose",
        Calls(head.choices, head),
        {"features": ["batch", size], "chosen": ["batch", count], "last": ["batch"]},
        {"log_probs": ["batch", "choice"]},
        draw,
        {"descending": str(head.descending).lower()},
    )


def _choose_voices(head: VoicedPitches, size: int) -> Form:
    """The next pitch of each voice, given those chosen before it: -1 for a rest.

    The entries of ``chosen`` for a voice itself and for those after it are not read.
    """
    voices, width = head.layout.voices, size + head.layout.size

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        batch = sizes["batch"]
        known = torch.randint(0, 2, (batch, head.layout.size), generator=generator).float()
        features = torch.cat([torch.randn((batch, size), generator=generator), known], 1)
        return features, draw_indices(head.num_pitches + 1, batch, voices, generator=generator) - 1

    return Form(
        "choose",
        Calls(head.choices, head),
        {"features": ["batch", width], "chosen": ["batch", voices]},
        {"log_probs": ["batch", voices, head.num_pitches + 1]},
        draw,
        {"order": " ".join([str(voice) for voice in head.order])},
    )


@forms_of.register
def _(model: Translator) -> list[Form]:
    decoder, cell = model.decoder, model.encoder.cell
    feeding = isinstance(decoder, FeedingDecoder)
    assert isinstance(decoder, nn.Module)
    layers = [decoder.recurrent] if feeding else [decoder.asking, decoder.reading]
    parts = ("recurrent",) if feeding else ("asking", "reading")
    states: dict[str, Axes] = {}
    for part, layer in zip(parts, layers, strict=True):
        states |= state_axes(layer, f"state.{part}")
    if feeding:
        states["state.fed"] = [1, "batch", model.target.size]
    after = {f"next_{name}": axes for name, axes in states.items()}
    memory: dict[str, Axes] = {
        "memory": ["time", "batch", "memory"],
        "keys": ["time", "batch", "key"],
    }

    def flat(recall: Recall) -> list[Tensor]:
        fed = [] if recall.input_feed is None else [recall.input_feed]
        return [*[state for each in recall.states for state in each], *fed]

    def encode(source: Tensor, lengths: Tensor) -> list[Tensor]:
        begun = model.start(source, lengths)
        return [begun.memory.outputs, begun.memory.keys, *flat(begun.recall)]

    def decode(
        token: Tensor, outputs: Tensor, keys: Tensor, lengths: Tensor, *state: Tensor
    ) -> Any:
        count = len(cell.states)
        groups = [tuple(state[k * count : (k + 1) * count]) for k in range(len(layers))]
        recall = Recall(tuple(groups), state[-1] if feeding else None)
        writing = Writing(Memory(outputs, keys, lengths, ()), recall)
        scores, weights, then = model.attending_step(token, writing)
        return [scores, weights, *flat(then.recall)]

    def draw(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        shape = sizes["time"], sizes["batch"]
        source = draw_indices(_words(model.source), *shape, generator=generator)
        return source, draw_lengths(sizes, generator)

    def draw_step(sizes: Mapping[str, int], generator: Generator) -> Sequence[Tensor]:
        source, lengths = draw(sizes, generator)
        outputs, keys, *state = encode(source, lengths)
        count = _words(model.target)
        token = draw_indices(count, sizes["batch"], generator=generator)
        return [token, outputs, keys, lengths, *state]

    fixed = {name: _fixed(axes, model) for name, axes in memory.items()}
    return [
        Form(
            "encode",
            Calls(encode, model),
            {"source": ["time", "batch"], "lengths": ["batch"]},
            {**fixed, **states},
            draw,
        ),
        Form(
            "decode",
            Calls(decode, model),
            {"token": ["batch"], **fixed, "lengths": ["batch"], **states},
            {"log_probs": ["batch", "token"], "attention": ["batch", "time"], **after},
            draw_step,
        ),
    ]


def _fixed(axes: Axes, model: Translator) -> Axes:
    """The axes of the source's outputs or keys, with their sizes."""
    attention = model.decoder.attention
    size = model.encoder.output_size
    if axes[-1] == "key":
        size = attention.prepare(torch.zeros(1, 1, size)).shape[-1]
    return [*axes[:-1], size]


def state_axes(layer: Any, prefix: str = "state") -> dict[str, Axes]:
    """The axes of each state of a layer, as ``state.h`` ..."""
    found: dict[str, Axes] = {}
    for name in layer.cell.states:
        rows, _, *row = layer.stack.state_shape(name, 1)
        found[f"{prefix}.{name}"] = [rows, "batch", *row]
    return found


def draw_states(layer: Recurrent, batch: int, generator: Generator) -> list[Tensor]:
    """Random states of a layer; see ``Layers.draw_state``."""
    if layer.cell.has_memory:
        return [*layers_of(layer).draw_state(batch, generator)]
    shapes = [layer.stack.state_shape(name, batch) for name in layer.cell.states]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def form_called(model: nn.Module, name: str | None, *, step: bool) -> Form:
    """The form of a model with this name, or its first, or its step.

    Raises ``OptionError`` where there is none.
    """
    forms = forms_of(model)
    title, names = type(model).__name__, ", ".join([form.name for form in forms])
    if name is None and step:
        steps = [form for form in forms if form.name in ("step", "decode")]
        if not steps:
            raise OptionError(
                f"{title}: this model has no step, since its output depends on later inputs; "
                "export whole sequences."
            )
        return steps[0]
    for form in forms:
        if name in (None, form.name):
            return form
    raise OptionError(f"{title}: it has no form {name!r}; it has {names or 'none'}.")


def form_in_float32(model: nn.Module, name: str | None, *, step: bool) -> Form:
    """That form of a copy of the model in float32 on the CPU, as it is evaluated."""
    chosen = form_called(model, name, step=step)
    copied = copy.deepcopy(model).to("cpu", torch.float32).eval()
    (form,) = [each for each in forms_of(copied) if each.name == chosen.name]
    return form


def described(model: nn.Module, form: Form) -> dict[str, str]:
    """What a file says of a model and its form: names, cells and equations."""
    cells = {
        module.cell.name: module.cell
        for module in form.module.modules()
        if isinstance(module, Recurrent)
    }
    return {
        **form.metadata,
        "elman.model": type(model).__name__,
        "elman.form": form.name,
        "elman.cell": ", ".join(cells),
        "elman.equations": "\n\n".join([f"{name}:\n{cell}" for name, cell in cells.items()]),
    }
