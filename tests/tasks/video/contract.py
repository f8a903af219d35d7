"""Video activity recognition in the contract of all tasks."""

from elman.tasks.video.samples import moving_shapes

SETTINGS = {"hidden_size": 6, "features": 8, "width": 2, "size": 16}
INPUTS = ("valid/rolling/8.mp4",)
STREAM = moving_shapes()["train/rolling/2.webm"]
