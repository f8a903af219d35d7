"""Whatever happens to a file on its way, a task reads it or says in a sentence what is wrong."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elman.errors import ElmanError
from elman.tasks import TASKS
from tasks.conftest import samples

#: what breaks numbers, lines, quotes and text
PIECES = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xc3",
    b"\r",
    b'"',
    b"\t",
    b",",
    b"{",
    b"1e99",
    b"nan",
)


def damaged(content: bytes, random: Random) -> bytes:
    """The file with a few bytes changed, lost, repeated or put in, or cut short."""
    for _ in range(random.choice([1, 2, 8])):
        at, length = random.randrange(len(content) + 1), random.randrange(1, 40)
        before, after = content[:at], content[at:]
        content = random.choice(
            [
                before,
                before + random.choice(PIECES) + after,
                before + random.choice(PIECES) + after[4:],
                before + bytes([random.randrange(256)]) + after[1:],
                before + after[length:],
                before + content[max(0, at - length) :],
            ]
        )
    return content


@pytest.mark.parametrize("task_name", TASKS)
@settings(max_examples=6, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_a_damaged_file_is_read_or_refused_in_a_sentence(tmp_path_factory, task_name, random):
    task, folder = TASKS[task_name], samples(tmp_path_factory.mktemp(task_name), task_name)
    path = random.choice(sorted([file for file in folder.rglob("*") if file.is_file()]))
    path.write_bytes(damaged(path.read_bytes(), random))
    options, refusal = task.Options(), ""
    try:
        task.read(folder / task.train_file, options)
    except ElmanError as error:
        refusal = str(error)
    assert "\n" not in refusal
    report = task.check(folder / task.train_file, options)
    assert report.problems or not refusal
