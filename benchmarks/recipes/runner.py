"""Draw the demo clip of a running figure from formulas of a running gait.

    python -m recipes.runner [OUT.mp4]

Each joint's angle is a periodic function of time, following the biomechanics of running (Novacheck
1998): the thigh swings about a leaning trunk, the knee flexes while its leg swings forward, bent
arms swing against the legs, and both feet are in the air between two steps.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

import elman.shipped
from elman.files import write_whole
from elman.tasks.video.samples import video_bytes

RUNNER = Path(elman.shipped.__file__).parent / "demo" / "runner.mp4"
SIZE, RATE, SECONDS = 64, 10, 2.0
#: strides per second, of two steps each
STRIDES = 1.4
#: centimetres
HEIGHT, THIGH, SHANK, FOOT, TRUNK, NECK, UPPER_ARM, FOREARM = 81, 39, 38, 16, 45, 22, 26, 24
HIPS, SHOULDERS, RADIUS = 8, 15, 5.5


def bump(phase: float, centre: float, width: float) -> float:
    """A periodic bump: 1 at the centre, near 0 beyond the width."""
    away = (phase - centre + math.pi) % (2 * math.pi) - math.pi
    return math.exp(-((away / width) ** 2))


def direction(angle: float) -> np.ndarray:
    """A downward unit vector rotated forwards by ``angle`` degrees: (sideways, up, forwards)."""
    radians = math.radians(angle)
    return np.array([0, -math.cos(radians), math.sin(radians)])


def bones(seconds: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """The two ends of each bone, in centimetres: (sideways, up, forwards) relative to the hips."""
    stride = 2 * math.pi * STRIDES * seconds
    # lowest in the middle of a step, highest in flight
    hips = np.array([0, HEIGHT - 3.5 * math.cos(2 * (stride - 0.5 * math.pi)), 0])
    shoulders = hips - TRUNK * direction(-9)  # the trunk leans forwards
    head = shoulders - NECK * direction(-12)
    drawn = [(hips, shoulders), (shoulders, head)]
    for side, phase in ((-1, stride), (1, stride + math.pi)):
        hip = hips + np.array([side * HIPS, 0, 0])
        thigh = 13 + 34 * math.cos(phase)
        knee_angle = (
            14
            + 26 * bump(phase, 0.5 * math.pi, 0.3 * math.pi)  # flexes under the weight
            + 88 * bump(phase, 1.42 * math.pi, 0.33 * math.pi)  # the heel comes up behind
        )
        ankle_angle = 95 - 40 * bump(phase, 1.05 * math.pi, 0.3 * math.pi)  # pushes off
        knee = hip + THIGH * direction(thigh)
        ankle = knee + SHANK * direction(thigh - knee_angle)
        toe = ankle + FOOT * direction(thigh - knee_angle + ankle_angle)
        shoulder = shoulders + np.array([side * SHOULDERS, -2, 0])
        arm = -14 - 36 * math.cos(phase)
        elbow = shoulder + UPPER_ARM * direction(arm)
        hand = elbow + FOREARM * direction(arm + 88 - 14 * math.cos(phase))
        drawn += [(hips, hip), (hip, knee), (knee, ankle), (ankle, toe)]
        drawn += [(shoulders, shoulder), (shoulder, elbow), (elbow, hand)]
    # keep the feet above the ground
    lowest = min([end[1] for bone in drawn for end in bone])
    lift = np.array([0, max(0.0, -lowest), 0])
    return [(a + lift, b + lift) for a, b in drawn]


def picture(seconds: float, azimuth: float = math.radians(90)) -> np.ndarray:
    """A white silhouette on black, seen from the side."""
    pixel = 190 / (SIZE * 0.9)
    down, across = np.mgrid[0:SIZE, 0:SIZE] + 0.5
    drawn = np.zeros((SIZE, SIZE), bool)
    for ends in bones(seconds):
        (ax, ay), (bx, by) = [
            (
                SIZE / 2 + (x * math.cos(azimuth) + z * math.sin(azimuth)) / pixel,
                SIZE * 0.96 - y / pixel,
            )
            for x, y, z in ends
        ]
        dx, dy = bx - ax, by - ay
        along = ((across - ax) * dx + (down - ay) * dy) / (dx * dx + dy * dy + 1e-6)
        along = along.clip(0, 1)
        away = (across - ax - along * dx) ** 2 + (down - ay - along * dy) ** 2
        drawn |= away < (RADIUS / pixel) ** 2
    return drawn.astype(np.uint8) * 255


def runner(azimuth: float = math.radians(90)) -> bytes:
    """The clip as an mp4."""
    pictures = [picture(k / RATE, azimuth) for k in range(int(SECONDS * RATE))]
    return video_bytes(pictures, "mp4", RATE)


if __name__ == "__main__":
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else RUNNER
    write_whole(path, runner())
    print(path)
