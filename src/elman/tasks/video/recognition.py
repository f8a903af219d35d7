"""Predicts and evaluates activities, for whole videos and for streamed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from elman.errors import DataError, OptionError
from elman.tasks.inference import in_batches
from elman.tasks.task import Fitted
from elman.tasks.video.answers import Activity, show_label
from elman.tasks.video.clips import Clip
from elman.tasks.video.data import collate
from elman.tasks.video.decoding import (
    Arriving,
    FrameShape,
    Picture,
    Video,
    at_rate,
    decoded,
    read_video,
)
from elman.tasks.video.label_counts import LabelCounts
from elman.tasks.video.model import VideoClassifier
from elman.tasks.video.options import StripOptions, VideoOptions
from elman.tasks.video.pieces import PieceReader, is_picture, read_pictures
from elman.tasks.video.strip import Strip
from elman.training.metrics import class_scores
from elman.training.watch import symptoms

#: maximum number of frames of a strip: the first minute at the default rate
MOST_DRAWN = 600


def predict(
    fitted: Fitted[LabelCounts, VideoOptions], inputs: Sequence[Path], wanted: StripOptions
) -> list[Activity]:
    """Predicts the activity in each video; ``DataError`` if a file is not a complete video."""
    clips = [Clip(path, None, _video(path, fitted.options.shape)) for path in inputs]
    found = []
    for clip, row in zip(clips, _probabilities(fitted, clips), strict=True):
        each = _named(fitted, row)
        label = max(each, key=lambda name: each[name])
        strip = _strip(fitted, clip) if wanted.png or wanted.frames else None
        sure = label if each[label] >= wanted.abstain else None
        over_time = strip if wanted.frames else None
        found.append(
            Activity(str(clip.file), sure, each[label], each, clip.video.seconds, strip, over_time)
        )
    return found


def _video(path: Path, shape: FrameShape) -> Video:
    try:
        return read_video(path, shape)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error


def _named(fitted: Fitted[LabelCounts, VideoOptions], row: Tensor) -> dict[str, float]:
    return {label: float(p) for label, p in zip(fitted.symbols.labels, row, strict=True)}


def _strip(fitted: Fitted[LabelCounts, VideoOptions], clip: Clip) -> Strip:
    """The frames of a video, and the label probabilities after each."""
    frames = clip.video.frames[:MOST_DRAWN]
    model: VideoClassifier = fitted.model  # type: ignore[assignment]
    with torch.no_grad():
        after = model.after_each_frame(frames).softmax(-1)
    return Strip(clip.file.name, frames, fitted.options.rate, fitted.symbols.labels, after)


def validate(fitted: Fitted[LabelCounts, VideoOptions], examples: Sequence[Clip]) -> dict[str, Any]:
    """The metrics, and symptoms of failed training."""
    expected, probabilities = _answers(fitted, examples)
    predicted = [int(row.argmax()) for row in probabilities]
    return {
        **class_scores(expected, probabilities),
        **symptoms(expected, predicted),
    }


def score(
    fitted: Fitted[LabelCounts, VideoOptions], examples: Sequence[Clip], wanted: StripOptions
) -> dict[str, Any]:
    """Accuracy, macro F1 and the mean loss."""
    return class_scores(*_answers(fitted, examples))


def _answers(
    fitted: Fitted[LabelCounts, VideoOptions], examples: Sequence[Clip]
) -> tuple[list[int], list[Tensor]]:
    """The label index and the probabilities of all labels, for each video."""
    labels = fitted.symbols.labels
    expected = [labels.index(str(example.label)) for example in examples]
    return expected, _probabilities(fitted, examples)


def _probabilities(
    fitted: Fitted[LabelCounts, VideoOptions], examples: Sequence[Clip]
) -> list[Tensor]:
    def answer(batch: Sequence[Clip]) -> list[Tensor]:
        tensors = collate(batch, fitted.symbols, fitted.options)
        return list(fitted.model(tensors["frames"], tensors["lengths"]).softmax(-1))

    return in_batches(fitted.model, examples, len, answer)


def stream(
    fitted: Fitted[LabelCounts, VideoOptions], source: BinaryIO, wanted: StripOptions
) -> Iterator[str]:
    """Yields a line per frame of a streamed video: its time, and the label so far."""
    if not _steps(fitted):
        raise OptionError(f"--stream: {_whole(fitted)}")
    try:
        for k, row in enumerate(labels_of_stream(fitted, source)):
            each = _named(fitted, row)
            label = max(each, key=lambda name: each[name])
            yield f"{k / fitted.options.rate:6.2f} s   {show_label(label, each[label])}"
    except DataError as error:
        raise DataError(f"standard input: {error}") from error


def stream_records(
    fitted: Fitted[LabelCounts, VideoOptions], pieces: Iterable[bytes], wanted: StripOptions
) -> Iterator[dict[str, Any]]:
    """Yields a record per frame: its time, and the label so far.

    If the first piece is a JPEG or PNG picture, each piece is a frame; they should arrive at the
    model's ``rate``.  Otherwise the pieces are an encoded video, such as webm, cut anywhere.
    """
    if not _steps(fitted):
        raise OptionError(f"video: {_whole(fitted)}")
    pieces = iter(pieces)
    first = next(pieces, b"")
    pieces = chain([first], pieces)
    if is_picture(first):
        pictures = read_pictures(pieces, fitted.options.shape)
        rate = fitted.options.rate
        rows = _labels(
            fitted, ((k / rate, (k + 1) / rate, each) for k, each in enumerate(pictures))
        )
    else:
        rows = labels_of_stream(fitted, PieceReader(pieces))
    for k, row in enumerate(rows):
        each = _named(fitted, row)
        label = max(each, key=lambda name: each[name])
        yield {
            "type": "label",
            "frame": k,
            "seconds": round(k / fitted.options.rate, 3),
            "label": label if each[label] >= wanted.abstain else None,
            "probability": round(each[label], 6),
            "probabilities": {name: round(p, 6) for name, p in each.items()},
        }


def _steps(fitted: Fitted[LabelCounts, VideoOptions]) -> bool:
    """Whether the model can answer frame by frame."""
    return not fitted.options.bidirectional and fitted.options.pooling != "attention"


def _whole(fitted: Fitted[LabelCounts, VideoOptions]) -> str:
    what = "is bidirectional" if fitted.options.bidirectional else "uses attention pooling"
    return (
        f"this model {what} and needs the whole video; omit --stream, or train a "
        "model with bidirectional=false and the pooling last, mean or max."
    )


def labels_of_stream(
    fitted: Fitted[LabelCounts, VideoOptions], source: Arriving
) -> Iterator[Tensor]:
    """Yields the label probabilities after each frame of a streamed video."""
    shown = ((each.start, each.end, each.picture) for each in decoded(source, fitted.options.shape))
    return _labels(fitted, shown)


def _labels(
    fitted: Fitted[LabelCounts, VideoOptions], shown: Iterable[tuple[float, float, Picture]]
) -> Iterator[Tensor]:
    """Yields the label probabilities after each frame, of (start, end, picture)."""
    model: VideoClassifier = fitted.model  # type: ignore[assignment]
    so_far = None
    for picture in at_rate(shown, fitted.options.shape):
        with torch.no_grad():
            logits, so_far = model.step(torch.from_numpy(picture)[None], so_far)
        yield logits[0].softmax(-1)
