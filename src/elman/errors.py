"""Every exception that Elman raises for something that its user can put right.

    ElmanError
    ├── CellError       the text of a cell: a typo, a clash of sizes, a branch on a value
    ├── ShapeError      a tensor whose shape, dtype or device does not fit (also a ValueError)
    ├── OptionError     an option or argument with a value that it cannot have (also a ValueError)
    ├── DataError       a user's data file, with its name and the place (also a ValueError)
    ├── RunError        a run folder or model file that cannot be read or written
    ├── TrainingError   training that cannot go on, such as a loss that is not a number
    ├── BackendError    an engine that cannot run what it was asked to
    └── ExportError     a layer or model that a target of export cannot hold

Each message is one sentence: who, what was expected, what came, what to do.  What only Elman's
own authors can cause is an ``assert``, not an exception of this file.
"""


class ElmanError(Exception):
    """The root: ``except ElmanError`` catches whatever Elman has to say to its user."""


class CellError(ElmanError):
    """The equations of a cell cannot be understood; the message holds the line and its text."""


class ShapeError(ElmanError, ValueError):
    """A tensor does not fit; the message holds the expected and the actual shape."""


class OptionError(ElmanError, ValueError):
    """An option or argument has a value that it cannot have."""


class DataError(ElmanError, ValueError):
    """A data file cannot be used; the message holds its name and the line."""


class DataWarning(UserWarning):
    """A data file is used, but not all of it; the message says what is left out and why."""


class RunError(ElmanError):
    """A run folder or a model file cannot be read or written."""


class TrainingError(ElmanError):
    """Training cannot go on."""


class BackendError(ElmanError):
    """The engine that was asked for cannot run this layer."""


class ExportError(ElmanError):
    """A layer or model cannot be exported, or an exported file does not compute the same."""
