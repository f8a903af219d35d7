"""Activities in films (SPEC 1.6): a clip becomes "running".  Many to one.

A film is decoded to small frames at even times (``film.py``), a few convolutions make a vector
of each, and a recurrent layer reads those.  A model of one direction also says what it sees while
the film arrives.  The strip of frames with the label over time is drawn in ``strip.py``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import torch
from rich.markup import escape
from torch import Generator, Tensor, nn

import elman.shipped
import elman.tasks.video.exported
from elman.data import DataReport
from elman.data.faults import Fault, Row, values_or_error
from elman.errors import DataError, OptionError
from elman.graph import Cell
from elman.tasks.inference import ask
from elman.tasks.options import option
from elman.tasks.recurrent_options import RecurrentOptions, recurrent_layer
from elman.tasks.task import Fitted, Learned
from elman.tasks.video.augmentation import Changes, changed
from elman.tasks.video.clips import Clip, clip_rows, film_files
from elman.tasks.video.film import Film, FrameShape, decoded, read_film, sampled
from elman.tasks.video.frames import FrameEncoder
from elman.tasks.video.label_counts import LabelCounts
from elman.tasks.video.model import FilmClassifier
from elman.tasks.video.report import check_clips
from elman.tasks.video.samples import moving_shapes
from elman.tasks.video.strip import Strip, draw_strips
from elman.training import LoopOptions
from elman.training.metrics import class_scores, macro_f1
from elman.training.watch import symptoms

NAME = "video"
TITLE = "video activity recognition: a clip becomes an activity"
METRIC = "f1"
HIGHER_IS_BETTER = True
TRAINING = LoopOptions(batch_size=32, epochs=20, learning_rate=2e-3, schedule="cosine", patience=20)
TRAIN_FILE, VALID_FILE = "train", "valid"
POSTER = {
    "a clip of a runner (runner.mp4, 2 s)": (
        Path(elman.shipped.__file__).parent / "poster" / "runner.mp4"
    )
}
INPUT: Literal["file"] = "file"
part = None


@dataclass(frozen=True)
class Options(RecurrentOptions):
    """The options of activity recognition."""

    cell: str = option("gru", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(64, "units of the recurrent layer, in each direction")
    num_layers: int = option(1, "recurrent layers on top of each other")
    bidirectional: bool = option(False, "read in both directions; such a model cannot stream")
    pooling: Literal["last", "mean", "max", "attention"] = option(
        "mean", "how the outputs of all frames become one; attention cannot stream"
    )
    size: int = option(32, "pixels of a frame's sides, a multiple of 8; frames are letterboxed")
    rate: float = option(10.0, "frames a second")
    colour: bool = option(False, "see colours, not only grey")
    features: int = option(64, "numbers in a frame's vector")
    width: int = option(16, "channels after the first convolution; they double with each")
    dropout: float = option(0.3, "part of the features that training leaves out")
    label_smoothing: float = option(0.0, "part of the target that goes to the other labels")
    balance: float = option(
        0.0, "how far rare labels count more in training: 0 not at all, 1 as much as frequent ones"
    )
    flip: bool = option(True, "mirror every other film in training")
    shift: float = option(0.1, "part of the picture by which films move in training, at most")
    zoom: float = option(0.15, "part by which films get larger or smaller in training, at most")
    turn: float = option(5.0, "degrees by which films turn in training, at most")
    speed: float = option(0.25, "part by which films get faster or slower in training, at most")
    cut: float = option(0.1, "part of a film's time that training leaves out, at most")
    longest: int = option(600, "training cuts films that have more frames")
    file_column: str = option("file", "the column with the film's file")
    label_column: str = option("label", "the column with the label")

    def __post_init__(self) -> None:
        for name in ("hidden_size", "num_layers", "features", "width", "longest"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.size < 8 or self.size % 8:
            raise OptionError(f"size is {self.size}; it must be a multiple of 8.")
        if not 0 < self.rate <= 1000:
            raise OptionError(f"rate is {self.rate}; it must be above 0 and at most 1000.")
        for name in ("dropout", "label_smoothing", "cut"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; it must be at least 0 and less than 1."
                )
        for name in ("shift", "zoom", "turn", "speed", "balance"):
            if not getattr(self, name) >= 0:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least 0.")

    @property
    def shape(self) -> FrameShape:
        """What every film is brought to."""
        return FrameShape(self.size, self.rate, self.colour)

    @property
    def changes(self) -> Changes:
        """How films are changed in training."""
        return Changes(self.flip, self.shift, self.zoom, self.turn, self.speed, self.cut)


@dataclass(frozen=True)
class PredictOptions:
    """What can be asked of a model of films."""

    png: str = option("", "draw frames with the label over time to this PNG file")


@dataclass(frozen=True)
class Activity:
    """What a film shows, and how probable each label is; ``strip`` if it is to be drawn."""

    file: str
    label: str
    probability: float
    probabilities: dict[str, float]
    seconds: float
    strip: Strip | None = None


def samples() -> Mapping[str, str | bytes]:
    """Small films of moving shapes for ``elman new``: a folder for each activity."""
    return moving_shapes()


def read(path: Path, options: Options) -> list[Row[Clip]]:
    """The films of a folder with a folder per label, or of a table with ``file,label``."""
    rows = list(_rows(path, options))
    values_or_error(rows)
    return [row for row in rows if not isinstance(row, Fault)]


def _rows(path: Path, options: Options) -> Iterator[Row[Clip] | Fault]:
    return clip_rows(
        path,
        options.shape,
        file_column=options.file_column,
        label_column=options.label_column,
    )


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with the films."""
    return check_clips(
        path,
        options.shape,
        file_column=options.file_column,
        label_column=options.label_column,
    )


def refuse_strangers(rows: Sequence[Row[Clip]], symbols: LabelCounts) -> None:
    """``DataError`` for the first film whose label the model does not know."""
    for row in rows:
        if row.value.label not in symbols.labels:
            raise DataError(
                f'{row.place}: the label "{row.value.label}" is not one that the model knows: '
                f"{', '.join(symbols.labels)}. Correct it, or train a model with it."
            )


def group(example: Clip) -> Hashable:
    """The same film twice stays on one side."""
    return example.film.digest


def learn(examples: Sequence[Clip], options: Options, seed: int) -> Learned:
    """The labels of the training films."""
    counts = Counter([str(example.label) for example in examples])
    if len(counts) < 2:
        raise DataError(
            f'every training film has the label "{next(iter(counts))}"; give films with at least '
            "two labels."
        )
    return Learned(LabelCounts(dict(sorted(counts.items()))), None)


def adopt(known: LabelCounts, learned: LabelCounts) -> LabelCounts:
    """The labels that the model knows, or those of the data if there are others."""
    return known if set(learned.labels) <= set(known.labels) else learned


def load_symbols(text: str) -> LabelCounts:
    """The labels of a run folder."""
    return LabelCounts.from_json(text)


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``FilmClassifier`` of the cell."""
    symbols: LabelCounts = learned.symbols
    encoder = recurrent_layer(
        options,
        cell,
        options.features,
        options.hidden_size,
        options.num_layers,
        bidirectional=options.bidirectional,
        dropout=options.dropout,
    )
    widths = [options.width * 2**k for k in range(3)]
    return FilmClassifier(
        FrameEncoder(options.shape.channels, options.size, options.features, widths=widths),
        encoder,
        len(symbols.labels),
        pooling=options.pooling,
        dropout=options.dropout,
        label_smoothing=options.label_smoothing,
        class_weights=symbols.weights(options.balance),
    )


def cut(examples: Sequence[Clip], longest: int) -> list[Clip]:
    """Films with more than ``longest`` frames keep the first ones."""
    return [_cut(e, longest) if len(e.film.frames) > longest else e for e in examples]


def _cut(clip: Clip, longest: int) -> Clip:
    old = clip.film
    film = Film(old.frames[:longest], old.width, old.height, old.rate, old.seconds)
    return Clip(clip.file, clip.label, film)


def length(example: Clip) -> int:
    """How many frames a film has."""
    return len(example.film.frames)


def collate(
    examples: Sequence[Clip],
    symbols: LabelCounts,
    options: Options,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """The frames of all films after one another, their numbers, and the labels' indices."""
    films = [example.film.frames for example in examples]
    if generator is None:
        frames, lengths = torch.cat(films), [len(film) for film in films]
    else:
        frames, lengths = changed(films, options.changes, generator)
    batch = {"frames": frames, "lengths": torch.tensor(lengths)}
    if all([example.label is not None for example in examples]):
        places = [symbols.labels.index(str(example.label)) for example in examples]
        batch["labels"] = torch.tensor(places)
    return batch


def validate(fitted: Fitted, examples: Sequence[Clip]) -> dict[str, Any]:
    """The job's metrics, and what says that nothing was learned."""
    expected, probabilities = _answers(fitted, examples)
    predicted = [int(row.argmax()) for row in probabilities]
    return {
        **class_scores(expected, probabilities),
        **symptoms(expected, predicted, macro_f1),
    }


def score(fitted: Fitted, examples: Sequence[Clip], wanted: PredictOptions) -> dict[str, Any]:
    """Accuracy, macro F1 and the mean loss."""
    return class_scores(*_answers(fitted, examples))


def _answers(fitted: Fitted, examples: Sequence[Clip]) -> tuple[list[int], list[Tensor]]:
    """The labels' places, and the probabilities of all labels, of each film."""
    labels = fitted.symbols.labels
    expected = [labels.index(str(example.label)) for example in examples]
    return expected, _probabilities(fitted, examples)


def _probabilities(fitted: Fitted, examples: Sequence[Clip]) -> list[Tensor]:
    def answer(batch: Sequence[Clip]) -> list[Tensor]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        return list(fitted.model(tensors["frames"], tensors["lengths"]).softmax(-1))

    return ask(fitted.model, examples, length, answer)


def read_inputs(path: Path, options: Options) -> list[Path]:
    """The films in a folder or a table; of any other file, itself."""
    return film_files(path, file_column=options.file_column)


def as_input(value: str | Path) -> Path:
    """A film from the name of its file."""
    return Path(value)


def predict(fitted: Fitted, inputs: Sequence[Path], wanted: PredictOptions) -> list[Activity]:
    """What each film shows.  Raises ``DataError`` for a file that is no whole film."""
    clips = [Clip(path, None, _film(path, fitted.options.shape)) for path in inputs]
    found = []
    for clip, row in zip(clips, _probabilities(fitted, clips), strict=True):
        each = _named(fitted, row)
        label = max(each, key=lambda name: each[name])
        strip = _strip(fitted, clip) if wanted.png else None
        found.append(Activity(str(clip.file), label, each[label], each, clip.film.seconds, strip))
    return found


def _film(path: Path, shape: FrameShape) -> Film:
    try:
        return read_film(path, shape)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _named(fitted: Fitted, row: Tensor) -> dict[str, float]:
    return {label: float(p) for label, p in zip(fitted.symbols.labels, row, strict=True)}


def _strip(fitted: Fitted, clip: Clip) -> Strip:
    """The frames of a film, and the probabilities after each of them."""
    frames = clip.film.frames[:MOST_DRAWN]
    model: FilmClassifier = fitted.model  # type: ignore[assignment]
    with torch.no_grad():
        after = model.after_each_frame(frames).softmax(-1)
    return Strip(clip.file.name, frames, fitted.options.rate, fitted.symbols.labels, after)


#: frames that a strip covers: the first minute at the usual rate
MOST_DRAWN = 600


def save(predictions: Sequence[Activity], wanted: PredictOptions) -> list[Path]:
    """The PNG with a strip of frames for each film."""
    if not wanted.png:
        return []
    path = Path(wanted.png)
    draw_strips([each.strip for each in predictions if each.strip is not None], path)
    return [path]


def poster_settings(folder: Path) -> Mapping[str, object]:
    """The strip of the runner."""
    return {"png": str(folder / "runner.png")}


def show(prediction: Activity) -> str:
    """The label with its probability, then the file."""
    return _shown(prediction.label, prediction.probability) + f"   {escape(prediction.file)}"


def _shown(label: str, probability: float) -> str:
    return f"[bold cyan]{escape(label)}[/] {probability:4.0%}"


def record(prediction: Activity) -> dict[str, Any]:
    """The activity as a JSON object."""
    return {
        "file": prediction.file,
        "label": prediction.label,
        "probability": round(prediction.probability, 6),
        "probabilities": {k: round(p, 6) for k, p in prediction.probabilities.items()},
        "seconds": round(prediction.seconds, 3),
    }


def stream(fitted: Fitted, source: BinaryIO, wanted: PredictOptions) -> Iterator[str]:
    """A line for each frame of a film that arrives: its time, and the label of all so far."""
    options = fitted.options
    if options.bidirectional or options.pooling == "attention":
        what = "reads films in both directions" if options.bidirectional else "pools by attention"
        raise OptionError(
            f"--stream: this model {what}, and so needs the whole film; train one with "
            "bidirectional=false and the pooling last, mean or max, or leave --stream."
        )
    try:
        for k, row in enumerate(labels_of_stream(fitted, source)):
            each = _named(fitted, row)
            label = max(each, key=lambda name: each[name])
            yield f"{k / options.rate:6.2f} s   {_shown(label, each[label])}"
    except DataError as error:
        raise DataError(f"standard input: {error}") from error


def labels_of_stream(fitted: Fitted, source: BinaryIO) -> Iterator[Tensor]:
    """The probabilities of the labels after each frame of a film that arrives."""
    shown = ((each.start, each.end, each.picture) for each in decoded(source, fitted.options.shape))
    model: FilmClassifier = fitted.model  # type: ignore[assignment]
    so_far = None
    for picture in sampled(shown, fitted.options.rate):
        with torch.no_grad():
            logits, so_far = model.step(torch.from_numpy(picture)[None], so_far)
        yield logits[0].softmax(-1)
