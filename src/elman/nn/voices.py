"""A distribution over the next pitches of several voices, such as soprano, alto, tenor and bass.

At each step each voice has a pitch or rests.  ``VoiceInputs`` describes the last step to the
recurrent layers, ``VoicedPitches`` is the distribution of the next.  Both see pitches as a musician
does: as degrees of the key, as intervals between voices, and as steps of a melody; so what is
learned in one key holds in all, and rules about motion, such as that against parallel fifths, can
be learned from few pieces.  ``tasks/music/form.py`` says what is known before a piece begins.

``VoiceLayout`` lays out x, which the recurrent layers and the prediction both read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from elman.nn.predictions import Choose, Features, LogProb

#: the index of a pitch for a voice that rests, and for a step that repeats no other
RESTS, NO_REPEAT = -1, -2
#: melodic intervals beyond this many semitones share a score, as do those between voices beyond
MELODIC, HARMONIC = 14, 40
_PITCH_CLASSES = 13  # the last is a rest
_MOTIONS = 2 * MELODIC + 2  # the last: from or to a rest
_DISTANCES = 2 * HARMONIC + 2
#: each voice's register is described every three semitones
_REGISTER_STEP = 3
#: tables of scores are this many times their parameters, and so learn faster than other layers: an
#: entry, such as that of parallel fifths, is seen in few of the batches
_TABLE_SCALE = 10.0

Voices = Int64[Tensor, "row voice"]
Row = Int64[Tensor, " row"]


@dataclass(frozen=True)
class VoiceLayout:
    """How a row of x is laid out: last step, repeated step, tonic, moment, known features.

    A step has an index of ``num_pitches`` for each of the ``voices``, or ``RESTS``.  The repeated
    step is the one that the next one repeats; its entries are ``NO_REPEAT`` if there is none.  The
    tonic is the lowest pitch with its pitch class.  The moment is one of ``moments``, such as the
    chord at the end of a phrase, each of which prefers degrees of the key.  ``known`` features
    follow.

    >>> VoiceLayout(voices=4, known=10, moments=3).size
    20
    """

    voices: int
    known: int
    moments: int = 1

    @property
    def size(self) -> int:
        """The length of a row."""
        return 2 * self.voices + 2 + self.known

    def parts(
        self, x: Float[Tensor, "row size"]
    ) -> tuple[Voices, Voices, Row, Row, Float[Tensor, "row known"]]:
        """The last step, the repeated step, the tonic, the moment, and the known features."""
        count = self.voices
        steps = x[:, : 2 * count + 2].to(torch.int64)
        return (
            steps[:, :count],
            steps[:, count : 2 * count],
            steps[:, 2 * count],
            steps[:, 2 * count + 1],
            x[:, 2 * count + 2 :],
        )


class VoiceInputs(nn.Module):
    """Describes rows of x by degrees, intervals and registers; it has no parameters.

    The features are, for each voice, the degree of its pitch above the tonic (or a rest) and its
    height, interpolated between points a minor third apart; for each pair of voices, the interval
    modulo the octave; the moment; and what is known.

    >>> import torch
    >>> inputs = VoiceInputs(VoiceLayout(voices=2, known=1), num_pitches=88)
    >>> inputs(torch.tensor([[[40.0, 28.0, -2, -2, 4, 0, 1.0]]])).shape
    torch.Size([1, 1, 101])
    """

    def __init__(self, layout: VoiceLayout, num_pitches: int) -> None:
        super().__init__()
        self.layout = layout
        self.num_pitches = num_pitches

    @property
    def size(self) -> int:
        """The number of features."""
        count = self.layout.voices
        pairs = count * (count - 1) // 2
        heights = len(range(0, self.num_pitches, _REGISTER_STEP))
        intervals = (count + pairs) * _PITCH_CLASSES
        return intervals + count * heights + self.layout.moments + self.layout.known

    def forward(self, x: Float[Tensor, "*steps size"]) -> Float[Tensor, "*steps features"]:
        """The features of each row."""
        steps = x.shape[:-1]
        last, _, tonic, moment, known = self.layout.parts(x.reshape(-1, x.shape[-1]))
        rests = last < 0
        found = [_pitch_class(last - tonic[:, None], rests).flatten(1)]
        points = torch.arange(0, self.num_pitches, _REGISTER_STEP)
        apart = (last[..., None] - points).abs().clamp_max(_REGISTER_STEP)
        near = (_REGISTER_STEP - apart).to(x.dtype) / _REGISTER_STEP
        found.append((near * (~rests)[..., None].to(x.dtype)).flatten(1))
        pairs = [(a, b) for b in range(self.layout.voices) for a in range(b)]
        if pairs:
            higher, lower = [[pair[k] for pair in pairs] for k in (0, 1)]
            between = last[:, higher] - last[:, lower]
            found.append(_pitch_class(between, rests[:, higher] | rests[:, lower]).flatten(1))
        found.append(_one_hot(moment, self.layout.moments))
        features = torch.cat([*[each.to(x.dtype) for each in found], known], 1)
        return features.reshape(*steps, features.shape[1])


class VoicedPitches(nn.Module):
    """The pitches of all voices at the next step, each chosen given those chosen before it.

    ``features`` are the output of the recurrent layers, followed by the row of x.  The outer voices
    come first: the highest, then the lowest, then the others downwards; or the lowest first
    without ``descending``.  A voice chooses among ``num_pitches`` and a rest by a softmax over the
    sum of scores: of its degree in the key, of the melodic interval from the voice's last pitch (0
    holds it), and of the interval to each voice chosen before, all three outputs of a layer that
    sees the features, the last step and the voices chosen before; and from tables, of the pitch
    itself, of its degree at this moment, and of how an interval follows from the last one by both
    voices' motions, in which parallel fifths have an entry of their own.  Where a step repeats an
    earlier one, its pitch has a further score.  A step is therefore chosen in exactly one way, and
    its probability is the product of the choices'.  Steps are rows of indices, a voice each.
    Scores of pitches start as the logarithms of their ``frequencies`` (above 0), so that each voice
    stays in its register from the start.

    >>> import torch
    >>> layout = VoiceLayout(voices=2, known=0)
    >>> head = VoicedPitches(3, 5, layout, hidden_size=4)
    >>> features = torch.tensor([0.1, 0.2, 0.3, 4, 0, -2, -2, 2, 0.0]).expand(36, 9)
    >>> every = torch.cartesian_prod(torch.arange(-1, 5), torch.arange(-1, 5))
    >>> round(head.log_prob(features, every).exp().sum().item(), 5)
    1.0
    """

    degrees: Tensor
    motions: Tensor
    directions: Tensor
    distances: Tensor
    intervals: Tensor

    def __init__(
        self,
        state_size: int,
        num_pitches: int,
        layout: VoiceLayout,
        hidden_size: int,
        *,
        descending: bool = True,
        dropout: float = 0.0,
        frequencies: Float[Tensor, "voice pitch_or_rest"] | None = None,
    ) -> None:
        super().__init__()
        self.num_pitches = num_pitches
        self.layout = layout
        self.descending = descending
        self.inputs = VoiceInputs(layout, num_pitches)
        count = layout.voices
        outer = [0, count - 1] if descending else [count - 1, 0]
        #: the voices in the order in which they choose; voice 0 is the highest
        self.order = [*outer[:count], *range(1, count - 1)]
        earlier = _PITCH_CLASSES + _MOTIONS + _PITCH_CLASSES
        self.context = nn.ModuleList()
        self.output = nn.ModuleList()
        for place in range(count):
            size = state_size + self.inputs.size + place * earlier
            self.context.append(nn.Linear(size, hidden_size))
            scores = 12 + _MOTIONS + 1 + place * _DISTANCES
            self.output.append(nn.Linear(hidden_size, scores))
        self.pairs = pairs = count * (count - 1) // 2
        #: by pair of voices, last interval, next interval, and how both voices move; the last pair
        #: stands for all, since a rule such as that against parallel fifths holds for any two
        self.motion = nn.Parameter(torch.zeros((pairs + 1) * _PITCH_CLASSES, _PITCH_CLASSES * 9))
        #: by voice and moment: the score of each degree
        self.cadence = nn.Parameter(torch.zeros(count, layout.moments, 12))
        if frequencies is None:
            frequencies = torch.ones(count, num_pitches + 1)
        #: the score of each pitch and of a rest
        self.register = nn.Parameter(frequencies.float().log() / _TABLE_SCALE)
        self.repeat = nn.Parameter(torch.full((count,), 5.0 / _TABLE_SCALE))
        # for each pitch that a voice can choose, in a row for each that it is compared with, the
        # last for a rest: the entries of the scores above
        pitch, others = torch.arange(num_pitches)[None], torch.arange(num_pitches + 1)[:, None]
        rest = others == num_pitches
        apart = pitch - others
        tables = {
            "degrees": _modulo_12(pitch - torch.arange(12)[:, None]),
            "motions": _melodic(apart, rest),
            "directions": _direction(apart, rest),
            "distances": torch.where(
                rest, _DISTANCES - 1, apart.clamp(-HARMONIC, HARMONIC) + HARMONIC
            ),
            "intervals": torch.where(rest, _PITCH_CLASSES - 1, _modulo_12(apart)),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)
        self.dropout = nn.Dropout(dropout)

    def log_prob(self, features: Features, pitches: Int64[Tensor, "*steps voice"]) -> LogProb:
        """log p(step | features): a sum over the voices."""
        steps = pitches.shape[:-1]
        flat = pitches.reshape(-1, self.layout.voices)
        features = features.reshape(len(flat), -1)
        total, described = features.new_zeros(len(flat)), self._described(features)
        for place, voice in enumerate(self.order):
            pitch = torch.where(flat[:, voice] < 0, self.num_pitches, flat[:, voice])
            scores = self._scores(place, features, flat, described)
            total = total - nn.functional.cross_entropy(scores, pitch, reduction="none")
        return total.reshape(steps)

    def draw(self, features: Features, choose: Choose) -> Int64[Tensor, "*steps voice"]:
        """A step for each row, chosen voice by voice."""
        steps = features.shape[:-1]
        flat = features.reshape(-1, features.shape[-1])
        chosen = torch.full((len(flat), self.layout.voices), RESTS)
        described = self._described(flat)
        for place, voice in enumerate(self.order):
            pitch = choose(self._scores(place, flat, chosen, described).log_softmax(-1))
            chosen[:, voice] = torch.where(pitch == self.num_pitches, RESTS, pitch)
        return chosen.reshape(*steps, self.layout.voices)

    def choices(
        self, features: Float[Tensor, "row features"], chosen: Voices
    ) -> Float[Tensor, "row voice pitch_or_rest"]:
        """log p of each pitch and of a rest, for each voice, given those ``chosen`` before it."""
        described = self._described(features)
        places = range(len(self.order))
        found = [self._scores(place, features, chosen, described) for place in places]
        return torch.stack([found[self.order.index(v)] for v in places], 1).log_softmax(-1)

    def _described(self, features: Float[Tensor, "row features"]) -> Tensor:
        """The output of the recurrent layers and the last step, as the choices see them."""
        split = features.shape[1] - self.layout.size
        return torch.cat([features[:, :split], self.inputs(features[:, split:])], 1)

    def _scores(
        self,
        place: int,
        features: Float[Tensor, "row features"],
        chosen: Voices,
        described: Float[Tensor, "row described"],
    ) -> Float[Tensor, "row pitch_or_rest"]:
        """The scores of each pitch and of a rest, for the voice at ``place`` in the order."""
        voice, earlier = self.order[place], self.order[:place]
        x = features[:, features.shape[1] - self.layout.size :]
        last, repeated, tonic, moment, _ = self.layout.parts(x)
        own, entered = last[:, voice, None], last[:, voice, None] < 0
        now, before = chosen[:, earlier], last[:, earlier]  # row earlier
        rest, unknown = now < 0, before < 0
        seen = torch.cat(
            [
                _pitch_class(now - tonic[:, None], rest),
                _one_hot(_melodic(now - before, rest | unknown), _MOTIONS),
                _pitch_class(now - own, rest | entered),
            ],
            -1,
        )
        both = torch.cat([described, seen.to(x.dtype).flatten(1)], 1) if earlier else described
        hidden = nn.functional.relu(self.context[place](both))
        given = self.output[place](self.dropout(hidden))
        by_degree, by_motion = given[:, :12], given[:, 12 : 12 + _MOTIONS]
        rests, by_distance = given[:, 12 + _MOTIONS, None], given[:, 12 + _MOTIONS + 1 :]
        closing = nn.functional.embedding(moment, self.cadence[voice])
        by_degree = by_degree + _TABLE_SCALE * closing
        own_row = torch.where(entered, self.num_pitches, own)[:, 0]
        scores = by_degree.gather(1, self.degrees.index_select(0, tonic))
        scores = scores + by_motion.gather(1, self.motions.index_select(0, own_row))
        if earlier:
            ours = self.directions.index_select(0, own_row)[:, None]
            now_row = torch.where(rest, self.num_pitches, now).flatten()
            distances = self.distances.index_select(0, now_row).unflatten(0, now.shape)
            apart = by_distance.unflatten(1, (place, _DISTANCES)).gather(2, distances)
            # how this interval follows from the last one
            first = torch.where(entered | unknown, _PITCH_CLASSES - 1, _modulo_12(own - before))
            theirs = _direction(now - before, rest | unknown)[..., None]
            intervals = self.intervals.index_select(0, now_row).unflatten(0, now.shape)
            then = intervals * 9 + 3 * theirs + ours
            pairs = place * (place - 1) // 2 + torch.arange(place)
            table = nn.functional.embedding(first + pairs * _PITCH_CLASSES, self.motion)
            table = table + nn.functional.embedding(
                first + self.pairs * _PITCH_CLASSES, self.motion
            )
            scores = scores + (apart + _TABLE_SCALE * table.gather(2, then)).sum(1)
        scores = torch.cat([scores, rests], 1) + _TABLE_SCALE * self.register[voice]
        again = repeated[:, voice, None]
        same = torch.where(again < 0, self.num_pitches, again)
        every = torch.arange(self.num_pitches + 1)[None]
        repeats = (every == same) & (again > NO_REPEAT)
        return scores + _TABLE_SCALE * repeats.to(scores.dtype) * self.repeat[voice]


def _one_hot(index: Tensor, count: int) -> Tensor:
    return index[..., None] == torch.arange(count)


def _modulo_12(semitones: Tensor) -> Tensor:
    """The remainder by 12; written so that exporters, which know no remainders, can express it."""
    # differences of pitches and ``RESTS`` are above -240
    whole = torch.div(semitones + 240, 12, rounding_mode="floor")
    return semitones + 240 - 12 * whole


def _pitch_class(semitones: Tensor, rest: Tensor) -> Tensor:
    return _one_hot(torch.where(rest, _PITCH_CLASSES - 1, _modulo_12(semitones)), _PITCH_CLASSES)


def _melodic(semitones: Tensor, unknown: Tensor) -> Tensor:
    return torch.where(unknown, _MOTIONS - 1, semitones.clamp(-MELODIC, MELODIC) + MELODIC)


def _direction(semitones: Tensor, unknown: Tensor) -> Tensor:
    """0 down, 1 held, 2 up; 0 if unknown."""
    return torch.where(unknown, 0, semitones.clamp(-1, 1) + 1)
