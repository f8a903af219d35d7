"""Files of http servers: ranges are what was asked for, and a fault of the server is named."""

import http.server
import threading
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("fsspec", reason="needs fsspec: pip install 'elman[remote]'")
pytest.importorskip("aiohttp", reason="needs aiohttp: pip install 'elman[remote]'")

from elman.data.remote import opened, read_range, size_of
from elman.errors import DataError
from elman.tasks import TASKS
from elman.tasks.reading import index, read_rows

REVIEWS = "text,label\n" + "".join(f"film {k},{('bad', 'good')[k % 2]}\n" for k in range(50))
LARGE = b"0123456789" * 900_000
FILES = {"/reviews.csv": REVIEWS.encode(), "/large.bin": LARGE}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers ranges under /ranges, whole files elsewhere, and paths such as /500 by a status."""

    def answer(self):
        path = self.path.removeprefix("/ranges")
        content, status = FILES.get(path, b""), 200
        given = self.headers.get("Range")
        if path[1:4].isdecimal():
            status = int(path[1:4])
        elif path not in FILES:
            status = 404
        elif given and path != self.path:
            first, last = given.removeprefix("bytes=").split("-")
            content, status = content[int(first) : int(last) + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        return content

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        content = self.answer()
        with suppress(OSError):  # the reader has left
            self.wfile.write(content)

    def log_message(self, *given):
        pass


@pytest.fixture(scope="module")
def server():
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()


def read_all(path):
    with opened(path) as file:
        while file.read(2**22):
            pass


def test_a_range_is_what_was_asked_for(server):
    path = Path(f"{server}/ranges/reviews.csv")
    assert size_of(path) == len(REVIEWS)
    assert read_range(path, 11, 21) == REVIEWS[11:21].encode()
    task = TASKS["sentiment"]
    assert [row.value.text for row in read_rows(task, path, task.Options())] == [
        f"film {k}" for k in range(50)
    ]


def test_a_server_without_ranges_is_refused_and_no_row_comes_twice(server):
    task = TASKS["sentiment"]
    path, sentence = Path(f"{server}/reviews.csv"), "the server does not answer ranges; download"
    assert read_range(path, 0, 10) == REVIEWS[:10].encode()
    assert read_range(path, 0, len(REVIEWS)) == REVIEWS.encode()
    with pytest.raises(DataError, match=rf"^http://.*/reviews.csv: {sentence}"):
        read_range(path, 11, 21)
    with pytest.raises(DataError, match=sentence):
        index(task, path, task.Options(), per_shard=4)
    with pytest.raises(DataError, match=sentence):
        read_all(Path(f"{server}/large.bin"))


def test_a_range_beyond_the_end_is_said(server):
    path = Path(f"{server}/ranges/reviews.csv")
    with pytest.raises(DataError, match=r"answered 10 of 20 bytes; the file may have changed"):
        read_range(path, len(REVIEWS) - 10, len(REVIEWS) + 10)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("none.csv", r"there is no such file; check the address"),
        ("500.csv", r"the server answered 500; check the address, or try again later"),
        ("403.csv", r"the server answered 403; check your access"),
    ],
)
def test_a_fault_of_the_server_is_not_a_missing_file(server, name, sentence):
    path = Path(f"{server}/{name}")
    for read in (size_of, lambda path: read_range(path, 0, 5)):
        with pytest.raises(DataError, match=rf"/{name}: {sentence}"):
            read(path)


def test_a_server_that_cannot_be_reached_does_not_answer():
    path = Path("http://127.0.0.1:9/a.csv")
    for read in (size_of, lambda path: read_range(path, 0, 5)):
        with pytest.raises(DataError, match=r"127.0.0.1:9/a.csv: the server does not answer \("):
            read(path)
