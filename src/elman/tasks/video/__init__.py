"""Video activity recognition: labels clips, for example as "running".  Many to one.

Videos are decoded to small frames at a constant rate (``decoding.py``).  A few convolutions encode
each frame as a vector, and a recurrent layer reads the vectors.  A unidirectional model can also
label streamed videos.  ``strip.py`` plots the labels over time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, BinaryIO

import elman.shipped
from elman.tasks.small_data import SmallData
from elman.tasks.task import TEXT_CUTS, Fitted, Task, Vocab
from elman.tasks.video.options import StripOptions, VideoOptions
from elman.training import LoopOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from elman.data import DataReport
    from elman.data.faults import Row
    from elman.graph import Cell
    from elman.tasks.video.answers import Activity
    from elman.tasks.video.clips import Clip
    from elman.tasks.video.label_counts import LabelCounts
    from elman.training.baselines import Baseline


class ActivityRecognition(
    Task["Clip", "LabelCounts", "Activity", Path, VideoOptions, StripOptions]
):
    """Recognises activities in videos."""

    name = "video"
    title = "activity recognition: video clips to activities"
    metric = "f1"
    pipeline_tag = "video-classification"
    training = LoopOptions(
        batch_size=32,
        epochs=20,
        learning_rate=2e-3,
        schedule="cosine",
        patience=20,
        buffer_examples=256,
    )
    # few videos need small batches for enough steps, and weights for their rare labels
    small_data = MappingProxyType(
        {
            "batch_size": SmallData(8, most=500, large=1_000),
            "epochs": SmallData(30, most=100, large=1_000),
            "average_weights": SmallData(0.98, most=999),
            "balance": SmallData(0.5, most=999),
        }
    )
    Options = VideoOptions
    PredictOptions = StripOptions
    independent = True
    train_file = "train"
    valid_file = "valid"
    demo = MappingProxyType(
        {
            "a clip of a runner (runner.mp4, 2 s)": Path(elman.shipped.__file__).parent
            / "demo"
            / "runner.mp4"
        }
    )
    input_kind = "file"
    label_layers = ("output.", "crf.")
    streams = True
    live = True
    live_input = "a JPEG or PNG picture, or a part of an encoded video (webm, mkv, MPEG-TS)"
    live_records = MappingProxyType(
        {
            "label": {
                "frame": "integer",
                "seconds": "number",
                "label": "string or null",
                "probability": "number",
                "probabilities": "object",
            }
        }
    )
    cuts = TEXT_CUTS

    def samples(self) -> Mapping[str, str | bytes]:
        from elman.tasks.video.samples import moving_shapes

        return moving_shapes()

    def read(self, path: Path, options: VideoOptions) -> list[Row[Clip]]:
        from elman.tasks.video import data

        return data.read(path, options)

    def check_labels(self, rows: Sequence[Row[Clip]], symbols: LabelCounts) -> None:
        from elman.tasks.video import data

        return data.check_labels(rows, symbols)

    def build_vocab(
        self, examples: Sequence[Clip], options: VideoOptions, seed: int
    ) -> Vocab[LabelCounts]:
        from elman.tasks.video import data

        return data.build_vocab(examples, options, seed)

    def build(self, options: VideoOptions, cell: Cell, vocab: Vocab[LabelCounts]) -> nn.Module:
        import elman.tasks.video.exported  # noqa: F401 - says how its model is exported
        from elman.tasks.video import model

        return model.build(options, cell, vocab)

    def cut(self, examples: Sequence[Clip], longest: int) -> list[Clip]:
        from elman.tasks.video import data

        return data.cut(examples, longest)

    def collate(
        self,
        examples: Sequence[Clip],
        symbols: LabelCounts,
        options: VideoOptions,
        generator: Generator | None = None,
    ) -> dict[str, Tensor]:
        from elman.tasks.video import data

        return data.collate(examples, symbols, options, generator)

    def validate(
        self, fitted: Fitted[LabelCounts, VideoOptions], examples: Sequence[Clip]
    ) -> dict[str, Any]:
        from elman.tasks.video import recognition

        return recognition.validate(fitted, examples)

    def baselines(
        self,
        train: Sequence[Clip],
        valid: Sequence[Clip],
        fitted: Fitted[LabelCounts, VideoOptions],
    ) -> Sequence[Baseline]:
        from elman.tasks.video import baselines

        return baselines.baselines(train, valid)

    def score(
        self,
        fitted: Fitted[LabelCounts, VideoOptions],
        examples: Sequence[Clip],
        wanted: StripOptions,
    ) -> dict[str, Any]:
        from elman.tasks.video import recognition

        return recognition.score(fitted, examples, wanted)

    def predict(
        self,
        fitted: Fitted[LabelCounts, VideoOptions],
        inputs: Sequence[Path],
        wanted: StripOptions,
    ) -> list[Activity]:
        from elman.tasks.video import recognition

        return recognition.predict(fitted, inputs, wanted)

    def check(self, path: Path, options: VideoOptions) -> DataReport:
        from elman.tasks.video.report import check_clips

        return check_clips(
            path,
            options.shape,
            file_column=options.file_column,
            label_column=options.label_column,
        )

    def group(self, example: Clip) -> Hashable:
        return example.video.digest

    def load_symbols(self, text: str) -> LabelCounts:
        from elman.tasks.video.label_counts import LabelCounts

        return LabelCounts.from_json(text)

    def merge_symbols(self, known: LabelCounts, found: LabelCounts) -> LabelCounts:
        return known if set(found.labels) <= set(known.labels) else found

    def read_inputs(self, path: Path, options: VideoOptions) -> list[Path]:
        from elman.tasks.video.clips import video_files

        return video_files(path, file_column=options.file_column)

    def as_input(self, value: str | Path) -> Path:
        return Path(value)

    def stream(
        self, fitted: Fitted[LabelCounts, VideoOptions], source: BinaryIO, wanted: StripOptions
    ) -> Iterator[str]:
        from elman.tasks.video import recognition

        return recognition.stream(fitted, source, wanted)

    def stream_records(
        self,
        fitted: Fitted[LabelCounts, VideoOptions],
        pieces: Iterable[bytes],
        wanted: StripOptions,
    ) -> Iterator[dict[str, Any]]:
        from elman.tasks.video import recognition

        return recognition.stream_records(fitted, pieces, wanted)

    def save(self, answers: Sequence[Activity], wanted: StripOptions) -> list[Path]:
        from elman.tasks.video import answers as found

        return found.save(answers, wanted)

    def show(self, answer: Activity) -> str:
        from elman.tasks.video import answers

        return answers.show(answer)

    def record(self, answer: Activity) -> dict[str, Any]:
        from elman.tasks.video import answers

        return answers.record(answer)

    def demo_settings(self, folder: Path) -> Mapping[str, object]:
        return {"png": str(folder / "runner.png")}
