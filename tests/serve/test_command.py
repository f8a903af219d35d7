"""`elman serve` as a process: it answers, refuses, and stops after what runs."""

import json
import signal
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPConnection

import pytest


def ask(port, path, body=None, headers=None):
    with closing(HTTPConnection("127.0.0.1", port, timeout=120)) as connection:
        kind = {"content-type": "application/json", **(headers or {})}
        connection.request("GET" if body is None else "POST", path, body, kind)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_a_request_that_runs_is_answered_after_sigterm(serve):
    process, port = serve("music")
    body = json.dumps({"inputs": [None], "options": {"seconds": 1}})
    assert ask(port, "/v1/music/predict", body)[0] == 200  # the model is loaded
    body = json.dumps({"inputs": [None] * 3, "options": {"seconds": 100}})
    found = []
    thread = threading.Thread(target=lambda: found.append(ask(port, "/v1/music/predict", body)))
    thread.start()
    time.sleep(0.5)
    assert found == []
    process.send_signal(signal.SIGTERM)
    thread.join()
    [(status, answer)] = found
    assert status == 200
    # a tune of voices has the form of a training piece of about the wanted length
    assert [each["seconds"] for each in answer["predictions"]] == pytest.approx([100] * 3, rel=0.1)
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    with pytest.raises(OSError):
        ask(port, "/healthz")
    assert "Traceback" not in process.stderr.read()


def test_a_stream_that_runs_ends_with_its_last_words_after_sigterm(serve):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    process, port = serve("speech")
    with connect(f"ws://127.0.0.1:{port}/v1/speech/stream") as socket:
        socket.send("{}")
        socket.send(bytes(32_000))
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        records = []
        with suppress(ConnectionClosed):
            while True:
                records.append(json.loads(socket.recv()))
    assert records[-2:] == [{"type": "text", "text": ""}, {"type": "end"}]
    assert socket.close_code == 1012
    assert process.wait(timeout=60) in (0, -signal.SIGTERM)
    assert "Traceback" not in process.stderr.read()


def test_a_body_that_is_too_large_or_breaks_off_leaves_the_service_running(serve):
    process, port = serve("ner", "--max-megabytes", "0.001", "--token", "sesame")
    key = {"authorization": "Bearer sesame"}
    assert ask(port, "/v1")[0] == 401
    status, answer = ask(port, "/v1/ner/predict", "x" * 100_000, key)
    assert status == 413
    assert answer["error"] == "the body is larger than 0.001 MB, the limit; send less."
    connection = HTTPConnection("127.0.0.1", port)
    connection.putrequest("POST", "/v1/ner/predict")
    for name, value in {**key, "content-type": "application/json", "content-length": "900"}.items():
        connection.putheader(name, value)
    connection.endheaders(b'{"inputs": [')
    connection.close()
    status, answer = ask(port, "/v1/ner/predict", json.dumps({"inputs": ["Nobody."]}), key)
    assert (status, answer) == (200, {"predictions": [{"text": "Nobody.", "names": []}]})
    process.send_signal(signal.SIGINT)
    process.wait(timeout=60)
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("nowhere",), "elman: nowhere: there is no such run folder"),
        (("ner", "ner"), "elman: ner: another run is also named ner; rename one of them."),
        (("--host", "256.1.1.1"), "elman: cannot listen on 256.1.1.1, port 8000"),
        (("--token", " "), "elman: --token is empty"),
        (("--max-inputs", "0"), "elman: max_inputs is 0; it must be at least 1."),
    ],
)
def test_a_wrong_command_is_refused_in_a_sentence(command, arguments, sentence):
    status, _, err = command("serve", *arguments)
    assert status == 1
    assert sentence in err


def test_a_port_in_use_is_refused_in_a_sentence(serve, command):
    _, port = serve("ner")
    status, _, err = command("serve", "ner", "--port", port)
    assert status == 1
    assert f"cannot listen on 127.0.0.1, port {port} (Address already in use)" in err
