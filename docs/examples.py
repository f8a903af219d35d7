"""Examples of docstrings become blocks of code on the pages of the API.

A docstring shows an example as plain ``>>>`` lines, which Markdown would take for quotations.
mkdocstrings loads this as an extension of griffe; see ``mkdocs.yml``.
"""

from typing import Any

import griffe


class FencedExamples(griffe.Extension):
    """Put a fence around each example of a docstring."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Change the docstring of an object that griffe has found."""
        if obj.docstring is not None:
            obj.docstring.value = fenced(obj.docstring.value)


def fenced(text: str) -> str:
    """The text with a fence around each paragraph that begins with ``>>>``."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(
        [f"```pycon\n{part}\n```" if part.startswith(">>> ") else part for part in paragraphs]
    )
