"""The form of a piece of voices: what a model knows of it before it begins.

A form is the length, the key, the bar, the ends of phrases and the repeat of the first section.
``form_of`` derives it from the notes, since data seldom have it: the key from a key profile and the
last bass note, the bar from accents, phrases from chords that stand still, as at the fermatas of a
chorale.  ``form_features`` gives it to the model step by step.  To compose, ``draw_form`` takes the
form of a training piece of about the wanted length.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from elman.tasks.music.notes import key_fits
from elman.tasks.music.voices import REST, Step

#: quarter notes per bar between which ``form_of`` decides
BARS = (4, 3)
#: decay lengths, in quarter notes, of the distance to the end of the piece and of the phrase
_TO_END, _TO_PHRASE_END = (1.0, 4.0, 16.0), (1.0, 4.0)
#: quarter notes before the end of the piece, and before and after that of a phrase, whose steps
#: have a feature each
_LAST, _CLOSING, _AFTER = 4, 3, 1
#: a key whose tonic is the last bass note fits better by this much of a correlation
_FINAL_BASS = 0.25
#: quarter notes of the shortest section that is repeated
_SECTION = 8
#: the number of values of ``form_moments``
MOMENTS = 7
#: how far from the wanted length a training piece's form may be, as a fraction
_NEAR = 0.1


@dataclass(frozen=True)
class Form:
    """The form of a piece.

    ``steps`` is its length and ``repeat`` that of a first section that is played twice (0: none),
    in steps of the grid; ``pickup``, before the first bar, is in quarter notes, as are
    ``phrases``, the places where the last chords of phrases begin.  ``tonic`` is a pitch class, 0
    for C.
    """

    steps: int
    tonic: int
    minor: bool
    beats: int
    pickup: int
    repeat: int
    phrases: tuple[int, ...]

    def to_json(self) -> list[int]:
        """The form as a list of numbers."""
        head = [self.steps, self.tonic, int(self.minor), self.beats, self.pickup, self.repeat]
        return [*head, *self.phrases]


def load_form(numbers: Sequence[Any]) -> Form:
    """The form that ``Form.to_json`` wrote; ``ValueError`` for anything else."""
    if len(numbers) < 6 or not all(type(n) is int and 0 <= n <= 10_000_000 for n in numbers):
        raise ValueError(f"the form {list(numbers)[:8]}")
    steps, tonic, minor, beats, pickup, repeat, *phrases = numbers
    if tonic > 11 or minor > 1 or beats < 1 or 2 * repeat > steps:
        raise ValueError(f"the form {list(numbers)[:8]}")
    return Form(steps, tonic, bool(minor), beats, pickup, repeat, tuple(phrases))


def form_of(steps: Sequence[Step], grid: int, bar: int = 0, *, ends: bool = True) -> Form:
    """Derives the form of a piece; ``bar`` is the quarter notes per bar, 0 to estimate 4 or 3.

    Without ``ends``, the steps are only the start of a piece: their last chord tells nothing.

    >>> chords = {"I": (72, 64, 55, 48), "V": (71, 62, 55, 43), "F": (72, 65, 57, 53)}
    >>> form = form_of([chords[name] for name in "IIFFVVII" "IFVVIIII"], 1)
    >>> form.tonic, form.minor, form.beats, form.pickup
    (0, False, 4, 0)
    """
    onsets = _onsets(steps)
    last = max([place for place, new in enumerate(onsets) if new], default=0)
    beats, pickup = _bar(steps, grid, last if ends else None, (bar,) if bar else BARS)
    tonic, minor = _key(steps, ends=ends)
    phrases = _phrases(steps, onsets, grid, beats, pickup, last // grid)
    return Form(len(steps), tonic, minor, beats, pickup, _repeat(steps, grid), phrases)


def _onsets(steps: Sequence[Step]) -> list[bool]:
    """For each step, whether it differs from the one before."""
    return [place == 0 or step != steps[place - 1] for place, step in enumerate(steps)]


def _key(steps: Sequence[Step], *, ends: bool) -> tuple[int, bool]:
    heard = Counter([pitch % 12 for step in steps for pitch in step if pitch != REST])
    if not heard:
        return 0, False
    bass = next(min(p for p in step if p != REST) for step in reversed(steps) if any_sounds(step))
    fits = key_fits([float(heard[k]) for k in range(12)])
    close = {key: fit + _FINAL_BASS * (ends and key[0] == bass % 12) for key, fit in fits.items()}
    tonic, mode = max(close, key=lambda key: close[key])
    return tonic, mode == "minor"


def any_sounds(step: Step) -> bool:
    """Whether any voice does not rest."""
    return any([pitch != REST for pitch in step])


def _bar(
    steps: Sequence[Step], grid: int, last: int | None, choices: Sequence[int]
) -> tuple[int, int]:
    """Quarter notes per bar and before the first bar: where long notes and the last chord begin.

    Bars of four are told from their halves by nothing, so the pickup is shorter than half a bar.
    """
    accents = [0.0] * len(steps)
    for line in zip(*steps, strict=True):
        start = 0
        for place in range(1, len(line) + 1):
            if place == len(line) or line[place] != line[start]:
                accents[start] += min(place - start, 2 * grid) / grid
                start = place
    found: list[tuple[float, int, int]] = []
    for beats in choices:
        pulse = beats // 2 if beats % 2 == 0 else beats
        for pickup in range(pulse):
            strong = accents[pickup * grid :: pulse * grid]
            accent = sum(strong) / max(len(strong), 1)
            if last is not None:
                accent += (last - pickup * grid) % (pulse * grid) == 0
            # a bar of three must fit clearly better than one of four
            found.append((accent / (1.25 if beats == 3 and len(choices) > 1 else 1), beats, pickup))
    _, beats, pickup = max(found, key=lambda each: each[0])
    return beats, pickup


def _repeat(steps: Sequence[Step], grid: int) -> int:
    """The length of the longest first section that is repeated at once, or 0."""
    for length in range(len(steps) // 2 // grid * grid, _SECTION * grid - 1, -grid):
        if steps[length : 2 * length] == steps[:length]:
            return length
    return 0


def _phrases(
    steps: Sequence[Step], onsets: Sequence[bool], grid: int, beats: int, pickup: int, last: int
) -> tuple[int, ...]:
    """The most likely ends of phrases: standing chords, mostly a regular number of bars apart."""
    rest = [_stillness(steps, onsets, quarter, grid) for quarter in range(last + 1)]
    lengths = _PHRASE_LENGTHS.get(beats) or {2 * beats: 2.0, 4 * beats: 0.5, beats: -1.0}
    #: by the end of a phrase: the best score so far, and the end of the phrase before
    best: dict[int, tuple[float, int]] = {}
    for end in range(2, last + 1):
        ways = [
            (best[end - length][0] + score, end - length)
            for length, score in lengths.items()
            if end - length in best
        ]
        if 3 <= end <= 4 * beats + 1:  # the first phrase
            ways.append((0.5 if end + 1 - pickup in (beats, 2 * beats - 1, 2 * beats) else 0.0, -1))
        if ways:
            score, before = max(ways)
            best[end] = (score + rest[end], before)
    ends = []
    end = last
    while end in best:
        ends.append(end)
        end = best[end][1]
    return tuple(reversed(ends)) or (last,)


#: scores of the distance between ends of phrases, in quarter notes, by quarter notes per bar
_PHRASE_LENGTHS = {
    4: {8: 2.0, 12: 0.5, 16: 0.5, 6: -0.5, 10: -0.5, 7: -0.7, 9: -0.7, 14: -0.7, 4: -1.0, 11: -1.5,
        13: -1.5, 15: -1.5, 5: -2.0},
    3: {12: 1.5, 6: 1.0, 9: 0.0, 18: 0.0, 8: -1.0, 11: -1.0, 13: -1.0, 5: -1.5, 7: -1.5, 10: -1.5,
        4: -2.0},
}  # fmt: skip


def _stillness(steps: Sequence[Step], onsets: Sequence[bool], quarter: int, grid: int) -> float:
    """How much the chord at a quarter note is like the last of a phrase: it stands, as a triad."""
    first = quarter * grid
    if not onsets[first]:
        return -3.0
    end = first + 1
    while end < len(steps) and not onsets[end]:
        end += 1
    score = 3.0 if end - first >= 2 * grid else 1.0 if end - first >= grid else -2.0
    chord = [pitch for pitch in steps[first] if pitch != REST]
    if len(chord) > 1:
        above = {(pitch - min(chord)) % 12 for pitch in chord}
        score += 1.0 if above <= {0, 3, 7} or above <= {0, 4, 7} else -1.0
    return score


def count_form_features(grid: int, bar: int = 0) -> int:
    """The number of features per step that ``form_features`` returns."""
    bars = (bar,) if bar else BARS
    steps = sum(bars) + 1 + _LAST + _CLOSING + _AFTER
    return steps * grid + len(_TO_END) + len(_TO_PHRASE_END) + 1


def form_features(form: Form, first: int, count: int, grid: int, bar: int = 0) -> Tensor:
    """Features of ``count`` steps from ``first`` on: place in bar, phrase and piece, and mode."""
    place = torch.arange(first, first + count)
    in_bar = (place - form.pickup * grid) % (form.beats * grid)
    found = [
        nn.functional.one_hot(in_bar, beats * grid).float()
        if beats == form.beats
        else torch.zeros(count, beats * grid)
        for beats in ((bar,) if bar else BARS)
    ]
    found.append(nn.functional.one_hot(place % grid, grid).float())
    left = form.steps - place
    found += [_decays(left, _TO_END, grid), _countdown(left, _LAST * grid)]
    found.append(torch.full((count, 1), float(form.minor)))
    # a phrase ends after the quarter note on which its last chord begins
    ends = torch.tensor([(end + 1) * grid for end in form.phrases])
    following = torch.where(ends > place[:, None], ends, form.steps).min(1).values
    before = torch.where(ends <= place[:, None], ends, -form.steps - grid).max(1).values
    to_end = (following - place).clamp_min(1)
    found += [_decays(to_end, _TO_PHRASE_END, grid), _countdown(to_end, _CLOSING * grid)]
    found.append(_countdown(place - before + 1, _AFTER * grid))
    return torch.cat(found, -1)


def form_moments(form: Form, first: int, count: int, grid: int) -> Tensor:
    """The moment of each step: 1 the last chord, 2 to 4 the quarter notes before it, 5 the last
    chord of another phrase, 6 the quarter note before; 0 any other.

    >>> form_moments(Form(12, 0, False, 4, 0, 0, (3, 10)), 0, 12, 1).tolist()
    [0, 0, 6, 5, 0, 0, 0, 4, 3, 2, 1, 1]
    """
    quarter = torch.arange(first, first + count) // grid
    *phrases, final = form.phrases
    moments = torch.zeros(count, dtype=torch.int64)
    for end in phrases:
        moments[quarter == end - 1] = 6
    for end in phrases:
        moments[quarter == end] = 5
    for before in (1, 2, 3):
        moments[quarter == final - before] = 1 + before
    moments[quarter >= final] = 1
    return moments


def _decays(distance: Tensor, horizons: Sequence[float], grid: int) -> Tensor:
    quarters = distance.clamp_min(0).float() / grid
    return torch.stack([torch.exp(-quarters / horizon) for horizon in horizons], -1)


def _countdown(distance: Tensor, count: int) -> Tensor:
    """A feature for each distance from 1 to ``count``."""
    return (distance[:, None] == torch.arange(1, count + 1)).float()


def draw_form(forms: Sequence[Form], steps: int, grid: int, bar: int, seed: int) -> Form:
    """A form of about ``steps`` steps: that of a training piece, or a regular one.

    A training piece's form is taken if its length differs by a tenth at most.  A regular form has
    the key and the pickup of a training piece, and phrases of two bars.
    """
    dice = random.Random(seed)
    near = [form for form in forms if abs(form.steps - steps) <= _NEAR * steps]
    return dice.choice(near) if near else regular_form(dice.choice(forms), steps, grid, bar)


def regular_form(like: Form, steps: int, grid: int, bar: int = 0) -> Form:
    """A form of whole bars with phrases of two bars, in the key and with the pickup of another."""
    beats = bar or like.beats
    bars = max(1, round((steps / grid - like.pickup) / beats))
    length = like.pickup + bars * beats
    final = max(length - max(beats // 2, 1), 0)
    phrases = tuple(sorted(range(final, 2, -2 * beats))) or (final,)
    return replace(like, steps=length * grid, beats=beats, repeat=0, phrases=phrases)
