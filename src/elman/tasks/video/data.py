"""Reads labelled videos and collates them into batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Generator, Tensor

from elman.data.faults import Fault, Row, values_or_error
from elman.errors import DataError
from elman.tasks.task import Vocab
from elman.tasks.video.augmentation import augment
from elman.tasks.video.clips import Clip, clip_rows
from elman.tasks.video.decoding import Video
from elman.tasks.video.label_counts import LabelCounts
from elman.tasks.video.options import VideoOptions


def read(path: Path, options: VideoOptions) -> list[Row[Clip]]:
    """Reads the videos of a folder with a subfolder per label, or of a table ``file,label``."""
    rows = list(_rows(path, options))
    values_or_error(rows)
    return [row for row in rows if not isinstance(row, Fault)]


def _rows(path: Path, options: VideoOptions) -> Iterator[Row[Clip] | Fault]:
    return clip_rows(
        path,
        options.shape,
        file_column=options.file_column,
        label_column=options.label_column,
    )


def check_labels(rows: Sequence[Row[Clip]], symbols: LabelCounts) -> None:
    """Raises ``DataError`` for the first video with a label that the model does not have."""
    for row in rows:
        if row.value.label not in symbols.labels:
            raise DataError(
                f'{row.place}: the model has no label "{row.value.label}"; its labels are '
                f"{', '.join(symbols.labels)}. Correct the label, or train a model with it."
            )


def build_vocab(examples: Sequence[Clip], options: VideoOptions, seed: int) -> Vocab[LabelCounts]:
    """Counts the labels of the training videos."""
    counts = Counter([str(example.label) for example in examples])
    if len(counts) < 2:
        raise DataError(
            f'every training video has the label "{next(iter(counts))}"; provide videos with at '
            "least two labels."
        )
    return Vocab(LabelCounts(dict(sorted(counts.items()))), None)


def cut(examples: Sequence[Clip], longest: int) -> list[Clip]:
    """Truncates videos to their first ``longest`` frames."""
    return [_cut(e, longest) if len(e.video.frames) > longest else e for e in examples]


def _cut(clip: Clip, longest: int) -> Clip:
    old = clip.video
    video = Video(old.frames[:longest], old.width, old.height, old.rate, old.seconds)
    return Clip(clip.file, clip.label, video)


def collate(
    examples: Sequence[Clip],
    symbols: LabelCounts,
    options: VideoOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates the concatenated frames of all videos, their lengths, and the label indices."""
    videos = [example.video.frames for example in examples]
    if generator is None:
        frames, lengths = torch.cat(videos), [len(video) for video in videos]
    else:
        frames, lengths = augment(videos, options.augmentation, generator)
    batch = {"frames": frames, "lengths": torch.tensor(lengths)}
    if all([example.label is not None for example in examples]):
        places = [symbols.labels.index(str(example.label)) for example in examples]
        batch["labels"] = torch.tensor(places)
    return batch
