"""The service behaves as its OpenAPI text says, for bodies that fit it and for bodies that do not.

schemathesis is not among the packages of the tests; install it in an environment of its own, and name
its program: ``SCHEMATHESIS=/tmp/env/bin/schemathesis``.
"""

import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from elman import shipped
from elman.serve.service import Service
from elman.tasks import TASKS, Data, train
from elman.tasks.series.samples import VALID

DEMO = Path(shipped.__file__).parent / "demo"
SERIES = {"hidden_size": 6, "horizon": 5, "longest": 20, "stride": 4}
#: the first museum's rows, without the column of its name
STREAM = "".join(
    [line.replace(",art,", ",").replace(",group,", ",") + "\n" for line in VALID.split("\n")[:30]]
).encode()


def converse(socket, first, pieces):
    """Send everything; the records until the end, and the code of the close."""
    socket.send_text(json.dumps(first))
    for piece in pieces:
        socket.send_bytes(piece)
    socket.send_text('{"end": true}')
    records = []
    while (message := socket.receive())["type"] != "websocket.close":
        records.append(json.loads(message["text"]))
    return records, message["code"]


def references(value):
    """Every ``$ref`` of a JSON value."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_description_has_every_task_and_its_options_with_their_bounds():
    description = Service()._description
    assert json.loads(json.dumps(description)) == description
    for each in references(description):
        assert each.removeprefix("#/components/schemas/") in description["components"]["schemas"]
    for name in shipped.models():  # a service serves them unless it is given runs
        task = TASKS[name]
        post = description["paths"][f"/v1/{name}/predict"]["post"]
        bodies = post["requestBody"]["content"]
        assert ("application/json" in bodies) == (task.input_kind != "file")
        assert {"200", "400", "404", "408", "413", "415", "422", "429", "503"} <= {
            *post["responses"]
        }
    music = description["paths"]["/v1/music/predict"]["post"]["requestBody"]["content"]
    options = music["application/json"]["schema"]["properties"]["options"]["properties"]
    assert "out" not in options
    seconds = options["seconds"]
    assert (seconds["exclusiveMinimum"], seconds["maximum"], seconds["default"]) == (0, 600, 30.0)


TYPES = {
    "string": str, "integer": int, "number": (int, float), "array": list, "object": dict,
    "null": type(None),
}  # fmt: skip


def fits(record, schema):
    """Whether a record is as a schema of a message says."""
    fields = schema["properties"]
    if not set(schema["required"]) <= set(record) <= set(fields):
        return False
    for name, value in record.items():
        if "const" in fields[name]:
            if value != fields[name]["const"]:
                return False
            continue
        types = fields[name]["type"]
        allowed = [TYPES[each] for each in ([types] if isinstance(types, str) else types)]
        if isinstance(value, bool) or not any(isinstance(value, each) for each in allowed):
            return False
    return True


#: first message and input of a stream for each live task
STREAMS = {
    "speech": ({"options": {"rate": 8000}}, lambda: [sound()]),
    "video": ({}, lambda: [TASKS["video"].samples()["train/bouncing/2.webm"]]),
    "music": ({"options": {"seconds": 3, "seed": 1}}, list),
    "language": ({"options": {"length": 5}}, lambda: [b"ROMEO:"]),
    "series": ({}, lambda: [STREAM]),
}


def sound():
    import soundfile

    samples, rate = soundfile.read(DEMO / "fox.flac", dtype="int16")
    return samples[:: rate // 8000].tobytes()


@pytest.fixture(scope="module")
def museums(tmp_path_factory):
    """A run of series."""
    folder = tmp_path_factory.mktemp("series")
    for name, content in TASKS["series"].samples().items():
        (folder / name).write_text(content)
    data = Data(folder / "train.csv", folder / "valid.csv")
    train(TASKS["series"], data, folder / "museums", {**SERIES, "epochs": 1, "threads": 1})
    return str(folder / "museums")


def test_every_live_task_describes_its_stream():
    live = {name for name, task in TASKS.items() if task.live}
    assert live == set(STREAMS)
    assert all(TASKS[name].live_input and TASKS[name].live_records for name in live)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_says_and_accepts_what_its_description_says(name, client, museums):
    service = client(museums if name == "series" else name)
    description = service.get("/openapi.json").json()
    get = description["paths"][f"/v1/{name}/stream"]["get"]
    schemas = description["components"]["schemas"]

    def named(key):
        return [schemas[each["$ref"].rpartition("/")[2]] for each in get["x-websocket"][key]]

    first, pieces = STREAMS[name]
    begin, _, end = named("send")
    assert set(first) <= set(begin["properties"])
    assert set(first.get("options", {})) <= set(begin["properties"]["options"]["properties"])
    assert end["properties"] == {"end": {"const": True}}
    with service.websocket_connect(f"/v1/{name}/stream") as socket:
        records, code = converse(socket, first, pieces())
    assert code == 1000
    assert "1000" in get["x-websocket"]["closeCodes"]
    received = named("receive")
    for record in records:
        assert sum([fits(record, schema) for schema in received]) == 1, record
    assert fits(records[-1], received[-2])
    assert len({record["type"] for record in records}) > 1
    # what is not described is refused, with an error as described
    for message in ({"options": {}, "more": 1}, {"begin": True}):
        assert not set(message) <= set(begin["properties"])
        with service.websocket_connect(f"/v1/{name}/stream") as socket:
            records, code = converse(socket, message, [])
        assert code == 4400
        assert [fits(each, schemas["Error"]) for each in records] == [True]


def test_a_request_for_a_stream_that_is_no_websocket_is_refused_in_a_sentence(client):
    service = client("speech", "ner")
    described = service.get("/openapi.json").json()["paths"]["/v1/speech/stream"]["get"]
    answer = service.get("/v1/speech/stream")
    assert answer.status_code == 426
    assert "426" in described["responses"]
    assert answer.headers["upgrade"] == "websocket"
    assert answer.json() == {
        "error": "/v1/speech/stream is a WebSocket; connect to it with a client for these."
    }
    assert service.get("/v1/ner/stream").status_code == 404
    assert "/v1/ner/stream" not in service.get("/openapi.json").json()["paths"]


def test_a_message_that_is_too_long_is_refused_in_a_sentence(client):
    service = client("speech", max_message_megabytes=0.01)
    get = service.get("/openapi.json").json()["paths"]["/v1/speech/stream"]["get"]
    assert get["x-websocket"]["maxMessageBytes"] == 10_000
    with service.websocket_connect("/v1/speech/stream") as socket:
        records, code = converse(socket, {}, [bytes(10_000), bytes(20_000)])
    assert code == 4413
    assert records[-1] == {
        "error": "a message has 0.02 MB, and the limit is 0.01 MB; cut the input into more "
        "messages."
    }


def test_the_command_refuses_a_long_message_in_a_sentence(serve):
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect

    _, port = serve("speech", "--max-message-megabytes", "0.1")
    with connect(f"ws://127.0.0.1:{port}/v1/speech/stream") as socket:
        socket.send("{}")
        socket.send(bytes(150_000))
        assert "the limit is 0.1 MB" in json.loads(socket.recv())["error"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd.code == 4413
    with connect(f"ws://127.0.0.1:{port}/v1/speech/stream") as socket:
        socket.send("{}")
        with suppress(ConnectionClosed):
            socket.send(bytes(2_000_000))  # so long that it is not read
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert closed.value.rcvd.code == 1009


@pytest.mark.slow
def test_schemathesis_finds_nothing_to_object_to(serve, tmp_path):
    program = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis")
    if program is None:
        pytest.skip("schemathesis is not installed, and SCHEMATHESIS names no program")
    process, port = serve("ner", "music", "speech", "translation")
    done = subprocess.run(
        [
            program, "run", f"http://127.0.0.1:{port}/openapi.json", "--max-examples", "20",
            "--no-color", "--exclude-checks", "positive_data_acceptance", "--request-timeout", "70",
        ],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    process.terminate()
    assert "Traceback" not in process.communicate()[1]
