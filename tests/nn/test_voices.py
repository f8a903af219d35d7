"""Voices: a distribution over their next pitches, exact, and drawn as it says."""

import itertools
import math
from collections import Counter

import pytest
import torch
from torch import nn

from elman.decode import Sampler
from elman.nn.voices import HARMONIC, MELODIC, VoicedPitches, VoiceInputs, VoiceLayout

PITCHES, STATE = 4, 5
LAYOUT = VoiceLayout(voices=3, known=2, moments=2)
EVERY = torch.tensor([*itertools.product(range(-1, PITCHES), repeat=3)])
#: last step, repeated step, tonic, moment, known
ROWS = (
    [3.0, 1, 0, -2, -2, -2, 2, 1, 0.5, 1],
    [-1.0, 2, -1, 3, -1, 0, 11, 0, 0.0, 1],
    [-1.0, -1, -1, -2, -2, -2, 5, 0, 0.0, 0],
)


def made(descending=True):
    torch.manual_seed(0)
    head = VoicedPitches(STATE, PITCHES, LAYOUT, 6, descending=descending)
    for parameter in head.parameters():
        nn.init.normal_(parameter, std=0.2)
    return head.eval()


def features(row, dtype=torch.float64):
    torch.manual_seed(1)
    return torch.cat([torch.randn(STATE, dtype=dtype), torch.tensor(row, dtype=dtype)])


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("row", ROWS)
def test_the_probabilities_of_all_steps_sum_to_one(row, descending):
    head = made(descending).double()
    log_prob = head.log_prob(features(row).expand(len(EVERY), -1), EVERY)
    assert log_prob.exp().sum().item() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("row", ROWS)
def test_steps_are_drawn_as_often_as_their_probability_says(row):
    head, draws = made(), 4000
    with torch.no_grad():
        drawn = head.draw(features(row, torch.float32).expand(draws, -1), Sampler(seed=1))
        given = features(row, torch.float32).expand(len(EVERY), -1)
        expected = draws * head.log_prob(given, EVERY).exp()
    counts = Counter(tuple(each) for each in drawn.tolist())
    observed = torch.tensor([float(counts[tuple(each)]) for each in EVERY.tolist()])
    enough = expected >= 5
    rest = expected[~enough].sum() - observed[~enough].sum()
    chi = ((observed - expected)[enough] ** 2 / expected[enough]).sum()
    chi = chi + rest**2 / expected[~enough].sum().clamp_min(1)
    # of chi-squares with 124 degrees of freedom, one in a thousand is above 178
    assert chi < 178


def pitch_class(semitones):
    return semitones % 12


@pytest.mark.parametrize("row", ROWS)
def test_a_probability_is_the_product_of_the_choices_written_out_one_by_one(row):
    """The scores by loops over voices and pitches, from the numbers of a row alone."""
    head = made().double()
    given = features(row)
    last, repeated = [int(p) for p in row[:3]], [int(p) for p in row[3:6]]
    tonic, moment = int(row[6]), int(row[7])
    described = torch.cat([given[:STATE], head.inputs(given[STATE:][None])[0]])

    def one(index, count):
        return [float(k == index) for k in range(count)]

    def class_of(semitones, rest):
        return one(12 if rest else pitch_class(semitones), 13)

    def motion(semitones, unknown):
        return 2 * MELODIC + 1 if unknown else max(-MELODIC, min(MELODIC, semitones)) + MELODIC

    def direction(semitones, unknown):
        return 0 if unknown else (semitones > 0) - (semitones < 0) + 1

    def scores(place, chosen):
        voice, seen = head.order[place], []
        own = last[voice]
        for other in head.order[:place]:
            now, rest = chosen[other], chosen[other] < 0
            seen += class_of(now - tonic, rest)
            moved = motion(now - last[other], rest or last[other] < 0)
            seen += one(moved, 2 * MELODIC + 2)
            seen += class_of(now - own, rest or own < 0)
        both = torch.cat([described, torch.tensor(seen, dtype=torch.float64)])
        out = head.output[place](head.context[place](both).relu())
        found = []
        for pitch in [*range(PITCHES), None]:
            score = 10 * head.register[voice, PITCHES if pitch is None else pitch]
            wanted = -1 if pitch is None else pitch
            if repeated[voice] != -2 and repeated[voice] == wanted:
                score = score + 10 * head.repeat[voice]
            if pitch is None:
                found.append(score + out[12 + 2 * MELODIC + 2])
                continue
            degree = pitch_class(pitch - tonic)
            score = score + out[degree] + 10 * head.cadence[voice, moment, degree]
            score = score + out[12 + motion(pitch - own, own < 0)]
            for number, other in enumerate(head.order[:place]):
                now, before = chosen[other], last[other]
                start = 12 + 2 * MELODIC + 3 + number * (2 * HARMONIC + 2)
                far = max(-HARMONIC, min(HARMONIC, pitch - now)) + HARMONIC
                score = score + out[start + (2 * HARMONIC + 1 if now < 0 else far)]
                first = 12 if own < 0 or before < 0 else pitch_class(own - before)
                then = 12 if now < 0 else pitch_class(pitch - now)
                theirs = direction(now - before, now < 0 or before < 0)
                ours = direction(pitch - own, own < 0)
                pair = place * (place - 1) // 2 + number
                for table in (head.motion[pair * 13 + first], head.motion[3 * 13 + first]):
                    score = score + 10 * table[then * 9 + theirs * 3 + ours]
            found.append(score)
        return torch.stack(found).log_softmax(0)

    for step in EVERY[::7].tolist():
        expected = 0.0
        for place, voice in enumerate(head.order):
            expected += scores(place, step)[step[voice]].item()
        assert head.log_prob(given, torch.tensor(step)).item() == pytest.approx(expected)
        each = head.choices(given[None], torch.tensor([step]))[0]
        index = torch.tensor(step)[:, None] % (PITCHES + 1)
        assert each.gather(-1, index).sum().item() == pytest.approx(expected)


def test_voices_start_with_the_frequencies_of_their_pitches():
    frequencies = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
    head = VoicedPitches(2, 3, VoiceLayout(2, 0), 4, frequencies=frequencies)
    for layer in head.output:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    row = torch.tensor([[0.0, 0.0, 1, 1, -2, -2, 0, 0]])
    found = head.choices(row, torch.tensor([[2, 1]]))
    torch.testing.assert_close(found.exp(), frequencies[None])


def test_a_description_is_of_degrees_registers_and_intervals():
    inputs = VoiceInputs(VoiceLayout(voices=2, known=1, moments=3), num_pitches=7)
    row = torch.tensor([[4.0, -1, -2, -2, 2, 1, 0.25]])
    [found] = inputs(row).tolist()
    assert len(found) == inputs.size
    degrees, heights, rest = found[:26], found[26:32], found[32:]
    assert [k for k, on in enumerate(degrees) if on] == [2, 13 + 12], "a second above, and a rest"
    assert heights == pytest.approx([0, 2 / 3, 1 / 3, 0, 0, 0])
    assert rest[:13].index(1.0) == 12, "no interval to a rest"
    assert rest[13:] == [0, 1, 0, 0.25]
    assert math.isclose(sum(rest[:13]), 1)
