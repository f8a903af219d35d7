"""Every exception that Elman raises for a problem that the user can fix.

    ElmanError
    ├── CellError       a cell definition: a typo, sizes that clash, a branch on a value
    ├── ShapeError      a tensor whose shape, dtype or device does not fit (also a ValueError)
    ├── OptionError     an option or argument with an invalid value (also a ValueError)
    ├── DataError       a data file; names the file and the place (also a ValueError)
    ├── RunError        a run folder or model file that cannot be read or written
    ├── TrainingError   training that cannot continue, for example because the loss is NaN
    ├── BackendError    an engine that cannot run a layer
    └── ExportError     a layer or model that an export format cannot hold

Each message names the source of the problem, what was expected, what was found, and what to do.
A condition that only a bug in Elman can cause is an ``assert``, not an exception of this module.
"""


class ElmanError(Exception):
    """The base class: ``except ElmanError`` catches every error for users."""


class CellError(ElmanError):
    """The equations of a cell cannot be understood; the message quotes the line."""


class ShapeError(ElmanError, ValueError):
    """A tensor does not fit; the message holds the expected and the actual shape."""


class OptionError(ElmanError, ValueError):
    """An option or argument has an invalid value."""


class DataError(ElmanError, ValueError):
    """A data file cannot be used; the message names the file and the line."""


class DataWarning(UserWarning):
    """Part of a data file was left out; the message says what and why."""


class RunError(ElmanError):
    """A run folder or a model file cannot be read or written."""


class TrainingError(ElmanError):
    """Training cannot continue."""


class BackendError(ElmanError):
    """The requested engine cannot run this layer."""


class ExportError(ElmanError):
    """A layer or model cannot be exported, or an exported file does not compute the same."""
