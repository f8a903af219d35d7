"""The text files of language modelling that ``test_mutants.py`` damages."""

from pathlib import Path

from elman.tasks import TASKS
from elman.tasks.language.data import read
from elman.tasks.language.options import LanguageOptions
from elman.tasks.language.report import check_texts
from tasks.mutating import refusal_of

TEXT = TASKS["language"].samples()["valid.txt"] + "Zoë\u2028 林\tend\n"


def read_text(path: Path) -> str:
    refusal = refusal_of(lambda: read(path, LanguageOptions()))
    assert (not check_texts(path).problems) == (not refusal)
    return refusal


READERS = {"text": ("a.txt", TEXT, read_text)}
#: for ``test_any_bytes.py``: characters that matter, the reader, its check
ANY_BYTES = {
    "a.txt": (" \r\n\0\xa0\u2028a", lambda path: read(path, LanguageOptions()), check_texts),
}
