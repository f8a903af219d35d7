"""Mapping labels to others: ``MISC=O,PERSON=PER``."""

from __future__ import annotations

from elman.errors import OptionError


def label_map(text: str) -> dict[str, str]:
    """The new label of each label in the option ``map``.

    Raises ``OptionError`` for text of another form, and for a label that occurs twice.

    >>> label_map("MISC=O, PERSON=PER")
    {'MISC': 'O', 'PERSON': 'PER'}
    """
    found: dict[str, str] = {}
    for pair in [each.strip() for each in text.split(",") if each.strip()]:
        label, equals, other = [part.strip() for part in pair.partition("=")]
        if not (label and equals and other):
            raise OptionError(f'map: "{pair}" is not of the form LABEL=LABEL, such as MISC=O.')
        if label in found:
            raise OptionError(f'map: the label "{label}" occurs twice; give it once.')
        found[label] = other
    return found
