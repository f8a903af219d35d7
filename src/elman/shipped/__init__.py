"""The trained models that ship with the package, each a run folder with a card."""

from pathlib import Path


def models() -> dict[str, Path]:
    """Maps the name of each shipped model to its folder."""
    here = Path(__file__).parent
    return {path.parent.name: path.parent for path in sorted(here.glob("*/run.toml"))}
