"""The trained models that ship with the package: a run folder each, with its card."""

from pathlib import Path


def models() -> dict[str, Path]:
    """The folder of each shipped model, by the model's name."""
    here = Path(__file__).parent
    return {path.parent.name: path.parent for path in sorted(here.glob("*/run.toml"))}
