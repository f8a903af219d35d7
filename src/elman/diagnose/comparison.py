"""A comparison of diagnoses: a table with sentences, and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elman.diagnose.diagnosis import Diagnosis
from elman.diagnose.words import all_sentences
from elman.files import write_whole


@dataclass(frozen=True, repr=False)
class Comparison(Mapping[str, Diagnosis]):
    """A mapping from names of layers to ``Diagnosis``; prints as a table and sentences."""

    layers: Mapping[str, Diagnosis]

    def __getitem__(self, name: str) -> Diagnosis:
        return self.layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def words(self) -> tuple[str, ...]:
        """The findings, one sentence each."""
        return all_sentences(self)

    def plot(self, path: Path | str | None = None) -> bytes:
        """A PNG plot of all layers, also written to ``path`` if given."""
        from elman.diagnose.plot import draw  # matplotlib takes a second to import

        picture = draw(self)
        if path is not None:
            write_whole(Path(path), picture)
        return picture

    def record(self) -> dict[str, Any]:
        """The figures and the sentences as a JSON object."""
        return {
            "layers": {name: each.record() for name, each in self.items()},
            "words": list(self.words),
        }

    def __repr__(self) -> str:
        return f"<Comparison: {', '.join(self)}>"

    def __str__(self) -> str:
        from elman.diagnose.table import as_text  # rich takes a tenth of a second to import

        return as_text(self)
