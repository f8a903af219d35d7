"""WS /v1/{task}/stream."""

import io
import json
from pathlib import Path

import pytest
from starlette.websockets import WebSocketDisconnect

import elman
import elman.shipped

DEMO = Path(elman.shipped.__file__).parent / "demo"


def converse(socket, first, pieces):
    """Send everything; the records until the end, and the code of the close."""
    socket.send_text(first if isinstance(first, str) else json.dumps(first))
    for piece in pieces:
        socket.send_bytes(piece)
    socket.send_text('{"end": true}')
    return received(socket)


def received(socket):
    records = []
    while True:
        message = socket.receive()
        if message["type"] == "websocket.close":
            return records, message["code"]
        records.append(json.loads(message["text"]))


def speech():
    import soundfile

    samples, rate = soundfile.read(DEMO / "fox.flac", dtype="int16")
    raw = samples.tobytes()
    return [raw[k : k + 4001] for k in range(0, len(raw), 4001)], rate


def test_speech_is_transcribed_while_it_arrives(client):
    pieces, rate = speech()
    with client("speech").websocket_connect("/v1/speech/stream") as socket:
        records, code = converse(socket, {"options": {"rate": rate}}, pieces)
    assert code == 1000
    assert records[-1] == {"type": "end"}
    whole = elman.load("speech")(DEMO / "fox.flac")[0]
    assert records[-2] == {"type": "text", "text": whole.text}
    assert records[0]["type"] == "words"
    assert records[0]["seconds"] < 1
    sentence = next(each for each in records if each["type"] == "sentence")
    assert [word["text"] for word in sentence["words"]] == sentence["text"].split()
    assert sentence["words"][0]["start"] <= sentence["words"][0]["end"]


def frames():
    """Each frame of the demo video as a PNG picture."""
    import av

    with av.open(str(DEMO / "runner.mp4")) as video:
        for frame in video.decode(video=0):
            file = io.BytesIO()
            with av.open(file, "w", format="image2pipe") as out:
                stream = out.add_stream("png", rate=10)
                stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "rgb24"
                picture = av.VideoFrame.from_ndarray(
                    frame.to_ndarray(format="rgb24"), format="rgb24"
                )
                for packet in [*stream.encode(picture), *stream.encode()]:
                    out.mux(packet)
            yield file.getvalue()


def test_a_video_has_a_label_for_each_frame(client):
    pictures = list(frames())[:8]
    service = client("video")
    with service.websocket_connect("/v1/video/stream") as socket:
        records, code = converse(socket, {}, pictures)
    assert code == 1000
    assert [each["type"] for each in records] == ["label"] * 8 + ["end"]
    assert records[3]["frame"] == 3
    assert sum(records[3]["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert records[7]["label"] == "running"
    with service.websocket_connect("/v1/video/stream") as socket:
        records, code = converse(socket, {}, [*pictures[:2], pictures[2][:60]])
    assert code == 4422
    assert "frame 3 cannot be read as a picture" in records[-1]["error"]


def test_notes_of_a_tune_arrive_while_it_is_composed(client):
    service, options = client("music"), {"seconds": 10, "seed": 2}
    with service.websocket_connect("/v1/music/stream") as socket:
        records, code = converse(socket, {"options": options}, [])
    assert code == 1000
    *changes, tune, end = records
    assert end == {"type": "end"}
    answer = service.post("/v1/music/predict", json={"options": options})
    assert tune == {"type": "tune", **answer.json()["predictions"][0]}
    begun = sorted([(each["seconds"], each["pitch"]) for each in changes if each["type"] == "on"])
    assert begun == sorted([(note["start"], note["pitch"]) for note in tune["notes"]])
    ended = sorted([(each["seconds"], each["pitch"]) for each in changes if each["type"] == "off"])
    assert ended == sorted([(note["end"], note["pitch"]) for note in tune["notes"]])


@pytest.mark.parametrize(
    ("first", "code", "sentence"),
    [
        ("{", 4400, "the first message is not valid JSON"),
        ("[]", 4400, "the message must be a JSON object with options"),
        ('{"options": 3}', 4400, "options must be a JSON object"),
        ('{"options": {"png": "/tmp/x"}}', 4422, 'the option "png" names a file'),
        ('{"options": {"rate": 1}}', 4422, "rate"),
    ],
)
def test_a_wrong_first_message_is_refused(client, first, code, sentence):
    with client("speech").websocket_connect("/v1/speech/stream") as socket:
        socket.send_text(first)
        records, found = received(socket)
    assert found == code
    assert sentence in records[0]["error"]


def test_streams_are_refused_before_they_begin(client):
    service = client("speech", "ner", max_streams=1, token="sesame")
    cases = [
        ("/v1/speech/stream", 401),
        ("/v1/speech/stream?token=sesam", 401),
        ("/v1/ner/stream?token=sesame", 404),
        ("/v1/music/stream?token=sesame", 404),
    ]
    with service.websocket_connect("/v1/speech/stream?token=sesame"):
        for path, status in [*cases, ("/v1/speech/stream?token=sesame", 429)]:
            with pytest.raises(WebSocketDisconnect) as refused, service.websocket_connect(path):
                pass
            assert refused.value.status_code == status
            assert "error" in refused.value.json()


def test_a_silent_stream_ends(client):
    service = client("speech", max_idle_seconds=0.2)
    with service.websocket_connect("/v1/speech/stream") as socket:
        records, code = received(socket)
    assert (records, code) == ([{"error": "no message came for 0.2 seconds, the limit."}], 4408)
    with service.websocket_connect("/v1/speech/stream") as socket:
        socket.send_text("{}")
        records, code = received(socket)
    assert code == 4408


def test_a_client_that_leaves_frees_its_stream(client):
    service = client("speech", max_streams=1)
    pieces, rate = speech()
    for _ in range(3):
        with service.websocket_connect("/v1/speech/stream") as socket:
            socket.send_text(json.dumps({"options": {"rate": rate}}))
            socket.send_bytes(pieces[0])
    with service.websocket_connect("/v1/speech/stream") as socket:
        _, code = converse(socket, {}, [])
    assert code == 1000
    assert len(service.service.streams) == 0
