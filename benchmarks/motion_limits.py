"""Estimate the limits of activity recognition in movement styles not seen in training.

    python benchmarks/motion_limits.py

Uses the positions of all joints, in centimetres, in the windows that ``video/render_clips.py
bandai`` draws, instead of videos.  Each window gives features (how far the body turns, its speed,
the movement of feet and hands) for boosted trees; each style in turn is left out, then the styles
of the script's test set.  Also counts the windows of turning that turn no further than walking,
because the turn comes later.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float
from sklearn.ensemble import HistGradientBoostingClassifier

from elman.benchmark import machine
from elman.files import write_whole
from recipes.real_data import SOURCE

RESULTS = Path(__file__).parent / "results" / "motion_limits.json"
#: frames per window, and between the starts of windows
WINDOW, APART = 20, 10
TEST = ("elderly", "youthful")
Joints = Float[np.ndarray, "frame joint axis"]


def windows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The features, activity and style of each window."""
    data = np.load(SOURCE / "video" / "bandai_namco_2_subset.npz")
    place = {str(name): k for k, name in enumerate(data["joints"])}
    measures, activities, styles = [], [], []
    ends = np.cumsum(data["length"])
    for k, (end, length) in enumerate(zip(ends, data["length"], strict=True)):
        joints = data["xyz_half_cm"][end - length : end].astype(np.float64) / 2
        for start in range(0, max(1, length - WINDOW + 1), APART):
            measures.append(_measured(joints[start : start + WINDOW], place))
            activities.append(str(data["activity"][k]))
            styles.append(str(data["style"][k]))
    return np.array(measures), np.array(activities), np.array(styles)


def _measured(joints: Joints, place: dict[str, int]) -> list[float]:
    """Degrees turned, speed, frames, feet and hands; in cm, with 0.1 s per frame."""
    left, right = [
        joints[:, [place[f"Shoulder_{side}"], place[f"UpperLeg_{side}"]]].mean(1) for side in "LR"
    ]
    heading = np.unwrap(np.arctan2(left[:, 2] - right[:, 2], left[:, 0] - right[:, 0]))
    speed = np.linalg.norm(np.diff(joints[:, 0, ::2], axis=0), axis=1).mean()
    feet = np.abs(joints[:, place["Foot_L"]] - joints[:, place["Foot_R"]])
    hands = joints[:, [place["Hand_L"], place["Hand_R"]]]
    above = (hands[..., 1] - joints[:, place["Head"], None, 1]).max(1)
    moved = np.linalg.norm(np.diff(hands - joints[:, :1], axis=0), axis=2)
    up = np.abs(np.diff(hands[..., 1], axis=0)).sum(0).max()
    return [
        float(np.degrees(np.ptp(heading))), float(speed), float(len(joints)),
        float(feet[:, 1].max()), float(feet[:, ::2].max()),
        float(above.max()), float(np.median(above)), float(above[0]), float(above[-1]),
        float(moved.max()), float(moved.mean()),
        float(up / (np.abs(hands[-1, :, 1] - hands[0, :, 1]).max() + 1)),
    ]  # fmt: skip


def main() -> None:
    measures, activities, styles = windows()

    def accuracy(without: tuple[str, ...], known: np.ndarray) -> float:
        out = np.isin(styles, without)
        trees = HistGradientBoostingClassifier(max_iter=100, max_depth=3, random_state=0)
        trees.fit(measures[known & ~out], activities[known & ~out])
        return float((trees.predict(measures[out]) == activities[out]).mean())

    training = ~np.isin(styles, TEST)
    left_out = {style: accuracy((style,), training) for style in sorted(set(styles[training]))}
    turned = measures[:, 0]
    usual = float(np.percentile(turned[activities == "Walking"], 95))
    turning = activities == "Turning"
    record = {
        "command": "python benchmarks/motion_limits.py",
        "machine": machine(),
        "left_out": {style: round(value, 4) for style, value in left_out.items()},
        "test": round(accuracy(TEST, np.ones(len(styles), bool)), 4),
        "walking_turns_degrees": round(usual, 1),
        "turning_that_turns_no_further": round(float((turned[turning] <= usual).mean()), 4),
    }
    write_whole(RESULTS, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
