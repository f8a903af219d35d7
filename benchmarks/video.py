"""How well does a video's activity come out, of people and styles that training has not seen?

    python benchmarks/video.py [--seeds 0 1 2]

Motion capture drawn as small silhouette videos, in the split of ``real_data.motion_clips``: what is
validated with are recordings of people (cmu) or of a style (bandai) that training does not see.
"A style more" trains on that style too, with the same options; it validates with every tenth
recording, of styles that it knows.  ``motion_limits.py`` has what the motion
itself tells.
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
