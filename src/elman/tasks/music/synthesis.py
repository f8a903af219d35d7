"""Synthesises audio from notes: a small additive organ, without samples or sound fonts.

Each note is a sum of decreasing harmonics with a soft attack and release.  Low notes are panned to
the left.  A short reverberation is added.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import OptionError
from elman.extras import extra
from elman.files import write_whole
from elman.tasks.music.notes import Piece

RATE = 44_100
Sound = NDArray[np.float32]

#: amplitudes of the harmonics
_HARMONICS = (1.0, 0.62, 0.26, 0.2, 0.07, 0.08, 0.03, 0.04)
_ATTACK, _RELEASE = 0.035, 0.22  # seconds
_ROOM, _REVERBERATION, _WET = 1.6, 0.5, 0.22  # seconds, seconds to 1/e, amplitude


def render(piece: Piece, rate: int = RATE) -> Sound:
    """Renders a piece as stereo samples (time, 2), normalised to a peak of 0.89 (-1 dB).

    >>> from elman.tasks.music.notes import Note
    >>> sound = render(Piece((Note(0.0, 60, 1.0),), 1.0), 8000)
    >>> sound.shape[1], round(float(abs(sound).max()), 2)
    (2, 0.89)
    """
    seconds = piece.seconds(piece.length) + _RELEASE + _ROOM
    dry = np.zeros((int(seconds * rate) + 1, 2))
    for note in piece.notes:
        start, end = piece.seconds(note.start), piece.seconds(note.end)
        voice = _note(note.pitch, note.velocity, end - start, rate)
        first = int(start * rate)
        right = min(max((note.pitch - 36) / 48, 0), 1) * 0.5 + 0.25  # pan: 0 is left, 1 is right
        room = dry[first : first + len(voice)]
        room[:, 0] += voice[: len(room)] * np.cos(right * np.pi / 2)
        room[:, 1] += voice[: len(room)] * np.sin(right * np.pi / 2)
    wet = dry + _WET * _echo(dry, rate)
    peak = np.abs(wet).max()
    return (wet * (0.89 / peak) if peak else wet).astype(np.float32)


def _note(pitch: int, velocity: int, seconds: float, rate: int) -> NDArray[np.float64]:
    """Synthesises a note with its release."""
    time = np.arange(int((seconds + _RELEASE) * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    tone = np.zeros(len(time))
    for k, loudness in enumerate(_HARMONICS, 1):
        if k * frequency < rate / 2:
            # a second, softer voice slightly out of tune makes the sound livelier
            for detune, part in ((1.0, 0.8), (1.0016, 0.2)):
                angle = 2 * np.pi * k * frequency * detune * time + k
                tone += loudness * part * np.sin(angle)
    # raised cosines avoid clicks
    attack = 0.5 - 0.5 * np.cos(np.pi * np.minimum(time / _ATTACK, 1))
    release = 0.5 + 0.5 * np.cos(np.pi * np.clip((time - seconds) / _RELEASE, 0, 1))
    # low notes sound softer to the ear, so they get a higher amplitude
    note: NDArray[np.float64] = (
        tone * attack * release * (velocity / 127) * (frequency / 440) ** -0.25
    )
    return note


def _echo(dry: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Convolves with decaying noise, the impulse response of a room (fixed seed)."""
    time = np.arange(int(_ROOM * rate)) / rate
    noise = np.random.default_rng(1685).standard_normal((len(time), 2))
    fall = np.exp(-time / _REVERBERATION) * (1 - time / _ROOM) * np.minimum(time / 0.02, 1)
    answer = noise * fall[:, None]
    answer /= np.sqrt((answer**2).sum(0))
    size = 1 << (len(dry) + len(answer) - 1).bit_length()
    product = np.fft.rfft(dry, size, axis=0) * np.fft.rfft(answer, size, axis=0)
    echo: NDArray[np.float64] = np.fft.irfft(product, size, axis=0)[: len(dry)]
    return echo


def write_sound(path: Path, sound: Sound, rate: int = RATE) -> None:
    """Writes a 16-bit audio file; the suffix selects the format: .wav, .flac or .ogg.

    Raises ``OptionError`` for other suffixes, or if soundfile is not installed.
    """
    library = _soundfile()
    kind = path.suffix.lower().removeprefix(".").upper()
    if kind not in library.available_formats():
        raise OptionError(
            f"{path}: the suffix of an audio file must be .wav, .flac or .ogg; rename it."
        )
    buffer = io.BytesIO()
    library.write(buffer, sound, rate, format=kind)
    write_whole(path, buffer.getvalue())


def _soundfile() -> Any:
    with extra("music", "writing audio"):
        import soundfile
    return soundfile
