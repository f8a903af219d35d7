"""The page as files: what is sent, to whom, and that nothing comes from elsewhere."""

import re
import time
from pathlib import Path

import pytest

import elman.serve
import elman.shipped
from elman.serve.served import _numbers

FILES = Path(elman.serve.__file__).parent / "page_files"
NAMES = sorted([path.relative_to(FILES).as_posix() for path in FILES.rglob("*.*")])


def test_every_file_of_the_page_is_sent_with_its_type_and_a_policy(client):
    service = client("ner")
    types = {
        ".html": "text/html",
        ".css": "text/css",
        ".js": "text/javascript",
        ".svg": "image/svg+xml",
    }
    for name in NAMES:
        answer = service.get(f"/page/{name}")
        assert answer.content == (FILES / name).read_bytes()
        assert answer.headers["content-type"].partition(";")[0] == types[Path(name).suffix]
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        again = service.get(f"/page/{name}", headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert service.get("/").content == (FILES / "index.html").read_bytes()
    assert service.get("/cell").content == (FILES / "cell.html").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_no_file_names_another_place(name):
    text = (FILES / name).read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w./-]+", text)) <= {
        "http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML",
    }  # fmt: skip
    # the policy forbids both
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=\"|\sstyle=\"", text)


def test_every_module_that_is_imported_is_there():
    for path in FILES.rglob("*.js"):
        for named in re.findall(r'from "(\.[^"]+)"', path.read_text(encoding="utf-8")):
            assert (path.parent / named).is_file(), (path, named)


def test_samples_are_sent_and_nothing_else(client):
    service = client("speech", "ner")
    [speech] = [each for each in service.get("/v1").json()["models"] if each["task"] == "speech"]
    assert speech["samples"] == ["fox.flac"]
    shipped = Path(elman.shipped.__file__).parent / "demo" / "fox.flac"
    answer = service.get("/page/samples/speech/0")
    assert answer.content == shipped.read_bytes()
    for path in (
        "/page/samples/speech/1", "/page/samples/ner/0", "/page/samples/nothing/0",
        "/page/samples/speech/-1", "/page/../service.py", "/page/%2e%2e/service.py",
        "/page/..%2fservice.py", "/page/", "/page/page.py", "/page/cards",
    ):  # fmt: skip
        answer = service.get(path)
        assert answer.status_code == 404
        assert "error" in answer.json()


def test_the_page_needs_no_token_but_what_it_asks_for_does(client):
    service = client("speech", token="sesame")
    for path in ("/", "/cell", "/page/style.css", "/page/samples/speech/0"):
        assert service.get(path).status_code == 200
        assert service.get(path, headers={"origin": "http://example.org"}).status_code == 403
    for path in ("/v1", "/v1/cell"):
        assert service.get(path).status_code == 401
    assert service.post("/v1/cell/formula", json={"equations": ""}).status_code == 401


def test_a_model_is_described_for_the_page(client):
    music = client("music").get("/v1").json()["models"][0]
    assert (music["settings"]["grid"], music["settings"]["tempo"]) == (4, 80.0)
    assert music["options"]["temperature"]["default"] == 0.9
    assert "out" not in music["options"]
    # texts among a model's options could name files of this machine
    assert _numbers({"rate": 8, "text": "/etc/passwd", "on": True, "nan": float("nan")}) == {
        "rate": 8
    }
    assert _numbers(None) == {}


def test_demo_page_serves_the_tasks_that_are_named(command, monkeypatch):
    listened = []
    monkeypatch.setattr(
        "elman.serve.server.listen",
        lambda service, host, port, **options: listened.append(
            ([each.name for each in service.served.models], host, port, options)
        ),
    )
    assert command("demo", "ner", "music", "--page")[0] == 0
    assert listened == [
        (["ner", "music"], "127.0.0.1", 0, {"token": None, "open_page": True}),
    ]
    status, _, err = command("demo", "--page", "--engine", "onnx")
    assert (status, "--page and --engine onnx exclude each other" in err) == (1, True)


def test_the_page_is_opened_with_the_token_where_it_is_not_sent(serve, tmp_path, monkeypatch):
    opened = tmp_path / "opened"
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new\nmv {opened}.new {opened}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{program} %s")
    _, port = serve("ner", "--open", "--token", "open sesame")
    for _ in range(200):
        if opened.exists():
            break
        time.sleep(0.05)
    assert opened.read_text() == f"http://127.0.0.1:{port}/#token=open+sesame"
