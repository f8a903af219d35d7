"""The tasks by name: those of Elman, and those that other packages add.

A task is imported when it is first used, so listing the names is cheap.  A package adds its
own by an entry point in its ``pyproject.toml``:

    [project.entry-points."elman.tasks"]
    tagging = "my_package.tagging:Tagging"
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points

from elman.errors import OptionError
from elman.tasks.task import Task

#: in the order of ``elman demo``
OWN = {
    "speech": "elman.tasks.speech:SpeechRecognition",
    "music": "elman.tasks.music:MusicGeneration",
    "sentiment": "elman.tasks.sentiment:SentimentClassification",
    "dna": "elman.tasks.dna:GeneFinding",
    "translation": "elman.tasks.translation:Translation",
    "video": "elman.tasks.video:ActivityRecognition",
    "ner": "elman.tasks.ner:NamedEntities",
    "language": "elman.tasks.language:LanguageModelling",
    "series": "elman.tasks.series:SeriesModelling",
}


class UnknownTask(OptionError, KeyError):
    """There is no task with a name.  A ``KeyError`` too, as a mapping's ``get`` expects."""

    def __init__(self, name: object, tasks: Iterable[str]) -> None:
        super().__init__(f'there is no task "{name}"; choose from {", ".join(tasks)}.')

    __str__ = OptionError.__str__  # a KeyError would show it in quotes


class Registry(Mapping[str, Task]):
    """Tasks by name, imported when they are looked up.

    >>> TASKS["ner"].metric
    'f1'
    """

    def __init__(self, own: Mapping[str, str], group: str) -> None:
        self._own, self._group = own, group
        self._loaded: dict[str, Task] = {}

    def __getitem__(self, name: str) -> Task:
        if name not in self:
            raise UnknownTask(name, self)
        if name not in self._loaded:
            if name in self._own:
                module, _, attribute = self._own[name].partition(":")
                kind = getattr(import_module(module), attribute)
            else:
                kind = self._foreign(name)
            self._loaded[name] = kind()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._own, *[name for name in self._others if name not in self._own]])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._others

    @cached_property
    def _others(self) -> dict[str, EntryPoint]:
        return {each.name: each for each in entry_points(group=self._group)}

    def _foreign(self, name: str) -> type[Task]:
        found = self._others[name]
        try:
            kind = found.load()
        except Exception as error:
            raise OptionError(
                f"the task {name} cannot be imported from {found.value} ({error!r}); repair or "
                "uninstall the package that adds it."
            ) from error
        if not (isinstance(kind, type) and issubclass(kind, Task)):
            raise OptionError(
                f"the task {name}: {found.value} is not a class derived from elman.tasks.Task."
            )
        return kind


#: all installed tasks by name
TASKS = Registry(OWN, "elman.tasks")


def task_of(name: str) -> Task:
    """The task with this name; ``OptionError`` if there is none."""
    return TASKS[name]
