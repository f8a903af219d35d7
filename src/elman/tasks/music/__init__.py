"""Music (SPEC 1.2): nothing, or a beginning, becomes a tune.  One to many.

Two models.  Frames: the set of pitches at each step of a grid, in the tradition of
Boulanger-Lewandowski et al. (2012); the pitches of a frame one after another, or each on its own
as theirs.  Events: notes that begin and end in hundredths of a second, as they were played (Oore
et al. 2018).
"""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator as Random
from torch import Tensor, nn

from elman.data import DataReport, pad_sequences
from elman.data.faults import Fault, Row, values_or_error
from elman.decode import Sampler, generate
from elman.errors import DataError, OptionError, RunError
from elman.files import write_whole
from elman.graph import Cell
from elman.models import Generator
from elman.nn.predictions import IndependentPitches, NextToken, OrderedPitches
from elman.tasks.inference import ask
from elman.tasks.music.events import (
    BEGIN,
    NUM_EVENTS,
    events_of,
    piece_of,
    pitches_of,
    transposed,
    wait_of,
)
from elman.tasks.music.midi import write_midi
from elman.tasks.music.notes import (
    HIGHEST,
    LOWEST,
    NUM_PITCHES,
    Piece,
    frames_of,
    key_of,
    notes_of,
    pitch_name,
)
from elman.tasks.music.piano_roll import draw_roll, roll_text
from elman.tasks.music.report import check_music, music_rows
from elman.tasks.music.samples import CHORALES_TRAIN, CHORALES_VALID, PRIMER
from elman.tasks.music.synthesis import render, write_sound
from elman.tasks.options import option
from elman.tasks.recurrent_options import RecurrentOptions, recurrent_layer
from elman.tasks.task import Fitted, Learned
from elman.training import LoopOptions
from elman.training.watch import CHANCE

NAME = "music"
TITLE = "music generation: nothing becomes a tune"
METRIC = "nll"
HIGHER_IS_BETTER = False
TRAINING = LoopOptions(
    batch_size=16,
    epochs=400,
    learning_rate=3e-3,
    optimizer="adamw",
    weight_decay=0.2,
    patience=40,
    plateau_patience=7,
    average_weights=0.99,
)
TRAIN_FILE, VALID_FILE = "train.json", "valid.json"
POSTER: Mapping[str, Any] = {"∅": None}
INPUT: Literal["nothing"] = "nothing"
stream = None

#: the instruments of a MIDI file: church organ for frames, piano for events
_ORGAN, _PIANO = 19, 0
#: after so many quarter notes the end is out of sight, by a factor e
_HORIZONS = (1.0, 4.0, 16.0)
#: no playing has more events a second
_EVENTS_A_SECOND = 60


@dataclass(frozen=True)
class Options(RecurrentOptions):
    """The options of music."""

    model: Literal["frames", "events"] = option(
        "frames", "frames: pitches on a grid; or events: notes as they were played, in seconds"
    )
    prediction: Literal["ordered", "independent"] = option(
        "ordered", "the pitches of a frame: one after another (ordered), or each on its own"
    )
    grid: int = option(1, "steps of a quarter note: those of the JSON, or those to make of MIDI")
    tempo: float = option(80.0, "quarter notes a minute, where the data do not say")
    cell: str = option("lstm", "a cell of the catalogue, or FILE.py:NAME for one of your own")
    hidden_size: int = option(200, "units of the recurrent layer")
    num_layers: int = option(1, "recurrent layers on top of each other")
    embedding_size: int = option(64, "numbers in an event's vector")
    choice_size: int = option(256, "units that choose the pitches of a frame one after another")
    descending: bool = option(True, "the highest pitch of a frame is chosen first")
    dropout: float = option(0.5, "part of the recurrent layer's outputs that training leaves out")
    choice_dropout: float = option(0.4, "part of the units that choose pitches, left out likewise")
    transpose: int = option(0, "training moves pieces by up to so many half tones up or down")
    bar: int = option(0, "quarter notes that a model of frames counts, over and over; 0 for none")
    ending: bool = option(False, "a model of frames knows how far away the end of the piece is")
    longest: int = option(640, "training cuts pieces that have more steps")

    def __post_init__(self) -> None:
        for name in ("grid", "hidden_size", "num_layers", "embedding_size", "choice_size"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("dropout", "choice_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionError(
                    f"{name} is {getattr(self, name)}; it must be at least 0 and less than 1."
                )
        if not 0 <= self.transpose <= 24:
            raise OptionError(f"transpose is {self.transpose}; it must be from 0 to 24.")
        if self.bar < 0:
            raise OptionError(f"bar is {self.bar}; it must be at least 0.")
        if self.longest < 2:
            raise OptionError(f"longest is {self.longest}; it must be at least 2.")
        if not 10 <= self.tempo <= 1000:
            raise OptionError(f"tempo is {self.tempo}; it must be from 10 to 1000 quarter notes.")


@dataclass(frozen=True)
class PredictOptions:
    """What tune is wanted, and where to."""

    out: str = option("", "the MIDI file to write")
    wav: str = option("", "the sound file to write: .wav, .flac or .ogg")
    png: str = option("", "the picture to write: a piano roll")
    seconds: float = option(30.0, "how long the tune is, beyond its primer")
    primer: str = option("", "a MIDI file to go on from")
    seed: int = option(0, "the same seed makes the same tune")
    temperature: float = option(0.9, "below 1 keeps to what is likely; 0 takes the likeliest")
    top_k: int = option(0, "only the so many likeliest choices each time; 0 for all")
    top_p: float = option(1.0, "only the likeliest choices that have this probability together")
    tempo: float = option(0.0, "quarter notes a minute of frames; 0 for that of the training data")

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 3600:
            raise OptionError(f"seconds is {self.seconds}; it must be above 0 and at most 3600.")
        if self.tempo and not 10 <= self.tempo <= 1000:
            raise OptionError(f"tempo is {self.tempo}; it must be from 10 to 1000 quarter notes.")
        Sampler(self.temperature, self.top_k, self.top_p, self.seed)


@dataclass(frozen=True)
class Tune:
    """The steps of a piece, or of a part of it: frames of pitches, or events.

    ``before`` is the step before the first one, if there is one; the first one is step ``first``
    of a piece of ``whole`` steps.
    """

    steps: tuple[Any, ...]
    before: Any = None
    first: int = 0
    whole: int = 0
    tempo: float = 120.0
    part: str | None = None


@dataclass(frozen=True)
class Music:
    """A tune that was made: its notes, and the files that they are written to."""

    piece: Piece
    key: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class MusicSymbols:
    """What a trained model's numbers stand for: nothing is learned but the usual tempo."""

    tempo: float

    def to_json(self) -> str:
        """As a JSON object."""
        return json.dumps({"format": 1, "tempo": self.tempo})


def samples() -> Mapping[str, str | bytes]:
    """A few chorales of our own for ``elman new``, and the beginning of one."""
    return {"train.json": CHORALES_TRAIN, "valid.json": CHORALES_VALID, "primer.mid": PRIMER}


def read(path: Path, options: Options) -> list[Row[Tune]]:
    """The tunes of a JSON of pitch sets, of a MIDI file, or of a folder of them."""
    rows = list(music_rows(path, options.grid, options.tempo))
    values_or_error(rows)
    return [Row(row.place, _tune(row.value, options)) for row in rows if not isinstance(row, Fault)]


def _tune(piece: Piece, options: Options) -> Tune:
    """A piece in the steps of the model."""
    frames = options.model == "frames"
    steps = frames_of(piece, options.grid) if frames else events_of(piece)
    return Tune(steps, None, 0, len(steps), piece.tempos[0][1], piece.part)


def check(path: Path, options: Options) -> DataReport:
    """Everything that is wrong with the files, and what may surprise."""
    return check_music(path, grid=options.grid, tempo=options.tempo)


def refuse_strangers(rows: Sequence[Row[Tune]], symbols: MusicSymbols) -> None:
    """No piano has a key that another piano does not know."""


def group(example: Tune) -> Hashable:
    """The same tune twice stays on one side."""
    return example.steps


def part(example: Tune) -> str | None:
    """Which part its file says that it is for."""
    return example.part


def learn(examples: Sequence[Tune], options: Options, seed: int) -> Learned:
    """The usual tempo."""
    if not any([any(example.steps) for example in examples]):
        raise DataError("there is not a single note in the training data; give pieces with notes.")
    return Learned(MusicSymbols(statistics.median([e.tempo for e in examples])), None)


def adopt(known: MusicSymbols, learned: MusicSymbols) -> MusicSymbols:
    """What the model knows: there are no labels."""
    return known


def load_symbols(text: str) -> MusicSymbols:
    """The tempo of a run folder."""
    try:
        saved = json.loads(text)
        if saved["format"] != 1:
            raise RunError(
                f"symbols.json has format {saved['format']}, and this Elman reads 1; use the "
                "Elman that saved it."
            )
        return MusicSymbols(float(saved["tempo"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(
            f"symbols.json cannot be read ({error!r}); copy the run folder again."
        ) from error


def build(options: Options, cell: Cell, learned: Learned) -> nn.Module:
    """A ``Generator`` of frames or of events."""
    events = options.model == "events"
    recurrent = recurrent_layer(
        options,
        cell,
        options.embedding_size if events else NUM_PITCHES + _known_features(options),
        options.hidden_size,
        options.num_layers,
        dropout=options.dropout,
    )
    prediction: NextToken | IndependentPitches | OrderedPitches
    if events:
        prediction = NextToken(options.hidden_size, NUM_EVENTS)
    elif options.prediction == "independent":
        prediction = IndependentPitches(options.hidden_size, NUM_PITCHES)
    else:
        prediction = OrderedPitches(
            options.hidden_size,
            NUM_PITCHES,
            options.choice_size,
            descending=options.descending,
            dropout=options.choice_dropout,
        )
    return Generator(
        nn.Embedding(NUM_EVENTS, options.embedding_size) if events else nn.Identity(),
        recurrent,
        prediction,
        dropout=options.dropout,
    )


def cut(examples: Sequence[Tune], longest: int) -> list[Tune]:
    """Tunes with more than ``longest`` steps become several windows.

    Windows are examples of their own, which training shuffles and can go on from at any batch;
    their first step sees the one before it, but a state that begins anew.
    """
    pieces = []
    for tune in examples:
        for start in range(0, len(tune.steps), longest):
            steps = tune.steps[start : start + longest]
            before = tune.steps[start - 1] if start else tune.before
            pieces.append(replace(tune, steps=steps, before=before, first=tune.first + start))
    return pieces


def length(example: Tune) -> int:
    """How many steps a tune has."""
    return len(example.steps)


def collate(
    examples: Sequence[Tune],
    symbols: MusicSymbols,
    options: Options,
    generator: Random | None = None,
) -> dict[str, Tensor]:
    """What came before each step (``x``), the steps (``y``), and how many there are."""
    if generator is not None and options.transpose:
        examples = [_moved(tune, options, generator) for tune in examples]
    if options.model == "events":
        y, lengths = pad_sequences([tune.steps for tune in examples])
        first = [BEGIN if tune.before is None else tune.before for tune in examples]
        return {"x": torch.cat([torch.tensor([first]), y])[:-1], "y": y, "lengths": lengths}
    lengths = torch.tensor([len(tune.steps) for tune in examples])
    longest = int(lengths.max())
    frames = torch.zeros(longest + 1, len(examples), NUM_PITCHES)
    for row, tune in enumerate(examples):
        steps = [tune.before or (), *tune.steps]
        times = [time for time, step in enumerate(steps) for _ in step]
        frames[times, row, [pitch - LOWEST for step in steps for pitch in step]] = 1
    known = torch.stack([_known(options, t.first, t.whole, longest) for t in examples], 1)
    return {"x": torch.cat([frames[:-1], known], -1), "y": frames[1:], "lengths": lengths}


def _moved(tune: Tune, options: Options, generator: Random) -> Tune:
    """The tune in another key, as far as that leaves all pitches on the piano."""
    steps = tune.steps if tune.before is None else (tune.before, *tune.steps)
    events = options.model == "events"
    pitches = pitches_of(steps) if events else {pitch for step in steps for pitch in step}
    if not pitches:
        return tune
    lowest = max(-options.transpose, LOWEST - min(pitches))
    highest = min(options.transpose, HIGHEST - max(pitches))
    by = int(torch.randint(lowest, highest + 1, (), generator=generator))
    if events:
        moved: tuple[Any, ...] = transposed(steps, by)
    else:
        moved = tuple([tuple([pitch + by for pitch in step]) for step in steps])
    if tune.before is None:
        return replace(tune, steps=moved)
    return replace(tune, steps=moved[1:], before=moved[0])


def _known_features(options: Options) -> int:
    return options.bar * options.grid + (len(_HORIZONS) if options.ending else 0)


def _known(options: Options, first: int, whole: int, count: int) -> Tensor:
    """What is known of ``count`` steps before they come: the place in the bar, how far the end is.

    ``first`` is the first of these steps, in a piece of ``whole`` steps.
    """
    place = torch.arange(first, first + count)
    found = [torch.zeros(count, 0)]
    if options.bar:
        in_bar = options.bar * options.grid
        found.append(nn.functional.one_hot(place % in_bar, in_bar).float())
    if options.ending:
        left = (whole - place).clamp_min(0).float() / options.grid  # quarter notes
        found.append(torch.stack([torch.exp(-left / horizon) for horizon in _HORIZONS], -1))
    return torch.cat(found, -1)


def validate(fitted: Fitted, examples: Sequence[Tune]) -> dict[str, Any]:
    """The job's metrics, and what who knows only how common each pitch or event is would have."""
    scores = score(fitted, examples, PredictOptions())
    count = max(scores["steps"], 1)
    if fitted.options.model == "events":
        parts = [n / count for n in Counter(chain(*[e.steps for e in examples])).values()]
        chance = -sum([p * math.log(p) for p in parts])
    else:
        pitches = Counter([p for e in examples for step in e.steps for p in step])
        parts = [n / count for n in pitches.values() if n < count]
        chance = -sum([p * math.log(p) + (1 - p) * math.log(1 - p) for p in parts])
    return {**scores, CHANCE: chance}


def score(fitted: Fitted, examples: Sequence[Tune], wanted: PredictOptions) -> dict[str, Any]:
    """The mean of -log p over all steps, in nats, and the frame accuracy.

    Every step of every piece counts once, the first ones too; states go through whole pieces.
    The accuracy is that of Bay, Ehmann and Downie (2009): over all steps, pitches that are right
    as a part of those that are there or were predicted; predicted are the likeliest choices.  An
    event is taken for a set of one.
    """
    model = fitted.model
    assert isinstance(model, Generator)
    events = fitted.options.model == "events"

    def answer(batch: Sequence[Tune]) -> list[tuple[float, float, float]]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        lengths, y = tensors["lengths"], tensors["y"]
        features, _ = model(tensors["x"], lengths)
        found = []
        for row, count in enumerate(lengths.tolist()):
            known, there = features[:count, row], y[:count, row]
            log_prob = model.prediction.log_prob(known, there).double().sum()
            guess = model.draw(known, lambda logits: logits.argmax(-1))
            if events:
                right = float((guess == there).sum())
                union = 2 * count - right
            else:
                right = float((guess * there).sum())
                union = float((guess + there).clamp_max(1).sum())
            found.append((float(log_prob), right, union))
        return found

    sums = ask(model, examples, length, answer)
    steps = sum([length(example) for example in examples])
    right, union = sum([row[1] for row in sums]), sum([row[2] for row in sums])
    nll = -sum([row[0] for row in sums]) / max(steps, 1)
    return {
        "nll": nll,
        "frame_accuracy": right / union if union else 1.0,
        "loss": nll,
        "steps": steps,
        "examples": len(examples),
    }


def read_inputs(path: Path, options: Options) -> list[Piece]:
    """The pieces in a file or folder, each to go on from."""
    return values_or_error(music_rows(path, options.grid, options.tempo))


def as_input(value: Piece | str | Path | None) -> Piece | None:
    """A piece to go on from, out of a MIDI file; ``None`` is nothing."""
    if value is None or isinstance(value, Piece):
        return value
    [piece] = values_or_error(music_rows(Path(value), 1, 120.0))[:1]
    return piece


def predict(fitted: Fitted, inputs: Sequence[Piece | None], wanted: PredictOptions) -> list[Music]:
    """A tune for each input."""
    primer = as_input(wanted.primer or None)
    made = []
    for number, given in enumerate(inputs):
        piece = _make(fitted, given or primer, replace(wanted, seed=wanted.seed + number))
        files = tuple([str(path) for path in _files(wanted, number, len(inputs)).values()])
        made.append(Music(piece, key_of(piece.notes), files))
    return made


def _make(fitted: Fitted, primer: Piece | None, wanted: PredictOptions) -> Piece:
    model, options = fitted.model, fitted.options
    assert isinstance(model, Generator)
    model.eval()
    tempo = wanted.tempo or (primer.tempos[0][1] if primer else fitted.symbols.tempo)
    tune = _tune(primer, options) if primer else Tune(())
    with torch.no_grad():
        if options.model == "events":
            return piece_of([*tune.steps, *_events(model, tune, wanted, fitted)])
        count = max(1, round(wanted.seconds * tempo / 60 * options.grid))
        frames = [*tune.steps, *_frames(model, tune, count, wanted, fitted)]
        return Piece(notes_of(frames, options.grid), len(frames) / options.grid, ((0.0, tempo),))


def _frames(
    model: Generator, tune: Tune, count: int, wanted: PredictOptions, fitted: Fitted
) -> Iterator[tuple[int, ...]]:
    """The ``count`` frames that go on from a tune, to its end."""
    options = fitted.options
    whole = len(tune.steps) + count
    known = _known(options, 0, whole, whole)
    state, last = None, torch.zeros(1, NUM_PITCHES)
    if tune.steps:
        primer = collate([replace(tune, whole=whole)], fitted.symbols, options)
        _, state = model(primer["x"])
        last = primer["y"][-1]

    def step(frame: Tensor, at: tuple[int, Any]) -> tuple[Tensor, tuple[int, Any]]:
        place, state = at
        x = torch.cat([frame, known[[place]]], -1)
        features, state = model.step(x, state)
        return features, (place + 1, state)

    sampler = _sampler(wanted)
    made = generate(step, lambda known: model.draw(known, sampler), last, (len(tune.steps), state))
    for frame in islice(made, count):
        yield tuple([int(pitch) + LOWEST for pitch in frame[0].nonzero()[:, 0]])


def _events(model: Generator, tune: Tune, wanted: PredictOptions, fitted: Fitted) -> Iterator[int]:
    """Events that go on from a tune, until the time is up."""
    state, last = None, torch.tensor([BEGIN])
    if tune.steps:
        primer = collate([tune], fitted.symbols, fitted.options)
        _, state = model(primer["x"])
        last = primer["y"][-1]
    sampler = _sampler(wanted)
    made = generate(model.step, lambda known: model.draw(known, sampler), last, state)
    left = wanted.seconds
    for event in islice(made, int(wanted.seconds * _EVENTS_A_SECOND) + 1):
        left -= wait_of(int(event))
        if left < 0:
            return
        yield int(event)


def _sampler(wanted: PredictOptions) -> Sampler:
    return Sampler(wanted.temperature, wanted.top_k, wanted.top_p, wanted.seed)


def save(predictions: Sequence[Music], wanted: PredictOptions) -> list[Path]:
    """Write the tunes as MIDI, sound and picture; several get a number each."""
    written = []
    for number, made in enumerate(predictions):
        for kind, path in _files(wanted, number, len(predictions)).items():
            if kind == "out":
                write_midi(path, made.piece, program=_instrument(made.piece))
            elif kind == "wav":
                write_sound(path, render(made.piece))
            else:
                write_whole(path, draw_roll(made.piece, _facts(made)))
            written.append(path)
    return written


def _instrument(piece: Piece) -> int:
    """A piano where the touch changes, else an organ."""
    return _ORGAN if len({note.velocity for note in piece.notes}) <= 1 else _PIANO


def _files(wanted: PredictOptions, number: int, count: int) -> dict[str, Path]:
    named = {kind: Path(getattr(wanted, kind)) for kind in ("out", "wav", "png")}
    return {
        kind: path if count == 1 else path.with_stem(f"{path.stem}-{number + 1}")
        for kind, path in named.items()
        if getattr(wanted, kind)
    }


def poster_settings(folder: Path) -> Mapping[str, object]:
    """The tune as MIDI, sound and picture."""
    return {
        "out": str(folder / "tune.mid"),
        "wav": str(folder / "tune.wav"),
        "png": str(folder / "tune.png"),
    }


def show(prediction: Music) -> str:
    """The facts of a tune, its roll in characters, and its files."""
    roll = roll_text(prediction.piece)
    parts = [f"[bold]{_facts(prediction)}[/]", f"[cyan]{roll}[/]" if roll else ""]
    if prediction.files:
        parts.append(f"[dim]{', '.join(prediction.files)}[/]")
    return "\n".join([text for text in parts if text])


def _facts(made: Music) -> str:
    notes = made.piece.notes
    seconds = made.piece.seconds(made.piece.length)
    if not notes:
        return f"silence, {seconds:.0f} seconds"
    pitches = [note.pitch for note in notes]
    return (
        f"{made.key}, {len(notes)} notes from {pitch_name(min(pitches))} to "
        f"{pitch_name(max(pitches))}, {seconds:.0f} seconds"
    )


def record(prediction: Music) -> dict[str, Any]:
    """The notes, in seconds, and the files as a JSON object."""
    piece = prediction.piece
    return {
        "key": prediction.key,
        "seconds": round(piece.seconds(piece.length), 3),
        "notes": [
            {
                "pitch": note.pitch,
                "start": round(piece.seconds(note.start), 3),
                "end": round(piece.seconds(note.end), 3),
                "velocity": note.velocity,
            }
            for note in piece.notes
        ],
        "files": list(prediction.files),
    }
