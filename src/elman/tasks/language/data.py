"""Reads texts, and collates windows of their tokens into batches.

A file is read as consecutive sections.  Training joins all sections to one sequence of tokens, with
a boundary token between texts, and cuts it into windows of ``longest`` tokens.  Row k of a batch
continues row k of the batch before it: each row reads one contiguous part of the sequence.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from elman.data.faults import Row, rows_or_error
from elman.data.units import BOUNDARY, Units
from elman.tasks.language.options import LanguageOptions
from elman.tasks.language.sections import Section, section_rows
from elman.tasks.task import Vocab


@dataclass(frozen=True, eq=False)
class Window:
    """A token that is read first, and the tokens to predict; ``place`` is its number."""

    tokens: Tensor
    place: int

    def __len__(self) -> int:
        return len(self.tokens) - 1


def read(path: Path, options: LanguageOptions) -> list[Row[Section]]:
    """Reads the sections of a text file, or of all text files in a folder."""
    return rows_or_error(section_rows(path))


def build_vocab(examples: Sequence[Section], options: LanguageOptions, seed: int) -> Vocab[Units]:
    """The tokens of the training text."""
    texts = [section.text for section in examples]
    if options.units == "characters":
        units = Units.characters(texts, min_count=options.min_count)
    elif options.units == "bytes":
        units = Units("bytes")
    else:
        units = Units.learn_subwords(texts, options.vocabulary)
    return Vocab(units.ordered(texts) if options.softmax == "adaptive" else units)


def prepare(
    examples: Sequence[Section], units: Units, options: LanguageOptions, first: int = 0
) -> list[Window]:
    """The windows of the whole text, in order, numbered from ``first``."""
    parts = [np.array([BOUNDARY])]
    for text in join(examples):
        parts.append(units.encode(text.text))
        if text.last:
            parts.append(np.array([BOUNDARY]))
    whole = np.concatenate(parts)
    tokens = torch.from_numpy(whole[::-1].copy() if options.backward else whole)
    starts = range(0, len(tokens) - 1, options.longest)
    return [
        Window(tokens[start : start + options.longest + 1], place)
        for place, start in enumerate(starts, first)
    ]


def batches(windows: int, batch_size: int) -> list[list[int]]:
    """The windows of each batch: every row reads consecutive windows.

    >>> batches(7, 2)
    [[0, 4], [1, 5], [2, 6], [3]]
    """
    rows = min(batch_size, windows)
    each, longer = divmod(windows, max(rows, 1))
    starts = [row * each + min(row, longer) for row in range(rows)]
    steps = each + bool(longer)
    return [
        [start + step for row, start in enumerate(starts) if step < each + (row < longer)]
        for step in range(steps)
    ]


def dealt(windows: int, count: int) -> list[list[int]]:
    """The same in ``count`` batches, for a part of a stream.

    >>> dealt(7, 3)
    [[0, 3, 5], [1, 4, 6], [2]]
    """
    rows = max(1, round(windows / count))
    while len(found := batches(windows, rows)) > count:
        rows += 1
    # too few windows for so many batches: some occur again
    return [found[k % len(found)] for k in range(count)]


def collate(
    examples: Sequence[Window | Section],
    units: Units,
    options: LanguageOptions,
    generator: Generator | None = None,
) -> dict[str, Tensor]:
    """Collates inputs ``x``, targets ``y``, ``lengths`` and the ``place`` of each window."""
    windows = [
        each if isinstance(each, Window) else prepare([each], units, options)[0]
        for each in examples
    ]
    lengths = torch.tensor([len(window) for window in windows])
    tokens = torch.nn.utils.rnn.pad_sequence([window.tokens for window in windows])
    place = torch.tensor([window.place for window in windows])
    return {"x": tokens[:-1], "y": tokens[1:], "lengths": lengths, "place": place}


def join(examples: Sequence[Section]) -> Iterator[Section]:
    """Consecutive sections of a text as one."""
    group: list[Section] = []
    for section in examples:
        if group and not group[-1].is_followed_by(section):
            yield _joined(group)
            group = []
        group.append(section)
    if group:
        yield _joined(group)


def _joined(group: Sequence[Section]) -> Section:
    first, last = group[0], group[-1]
    text = "".join([section.text for section in group])
    return Section(text, first.source, first.number, first.first, last.last)


def token_ids(
    examples: Sequence[Section], units: Units, *, backward: bool = False
) -> list[NDArray[np.int64]]:
    """The tokens of each text: one to read first, then those to predict.

    The first is the boundary, also where the start of the text is missing; the last is, if the
    section ends the text.
    """
    end = np.array([BOUNDARY])
    found = []
    for text in join(examples):
        tokens, ends = units.encode(text.text), text.first if backward else text.last
        found.append(np.concatenate([end, tokens[::-1] if backward else tokens, end[: int(ends)]]))
    return found
