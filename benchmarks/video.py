"""Measure activity recognition in videos of people and styles not seen in training.

    python benchmarks/video.py [--seeds 0 1 2]

Motion capture drawn as small silhouette videos, in the split of ``real_data.motion_clips``: the
validation set has recordings of people (cmu) or of a style (bandai) not seen in training.  "A style
more" also trains on that style, with the same options, and validates on every tenth recording, of
known styles.  ``motion_limits.py`` estimates what the motion itself reveals.
"""

from pathlib import Path

from elman.tasks import TASKS
from job_figures import Configuration, measure
from recipes.real_data import motion_clips

video = TASKS["video"]

FOLDER = Path("runs") / "data"
BANDAI = "Bandai-Namco Research Motiondataset 2, drawn as silhouettes"
CMU = "CMU Graphics Lab Motion Capture Database, drawn as silhouettes"
FREE = "free for any use"
LARGER = {"hidden_size": 128, "features": 128}

if __name__ == "__main__":
    measure(
        "video",
        video,
        "accuracy",
        [
            Configuration(
                "bandai",
                motion_clips(FOLDER, "bandai", style="exhausted"),
                BANDAI,
                {**LARGER, "epochs": 12},
                "92",
                "CC BY-NC 4.0",
            ),
            Configuration(
                "bandai, a style more",
                motion_clips(FOLDER, "bandai"),
                BANDAI,
                {**LARGER, "epochs": 12},
                "92",
                "CC BY-NC 4.0",
            ),
            Configuration(
                "cmu",
                motion_clips(FOLDER, "cmu"),
                CMU,
                {**LARGER, "epochs": 30, "balance": 0.5},
                "",
                FREE,
            ),
        ],
    )
