"""What is refused, with which status, and in which words."""

import json
import threading
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse

import elman.shipped
from elman.options import known_options, types_of
from elman.serve import Limits, request_options
from elman.serve.service import Service
from elman.tasks import TASKS

DEMO = Path(elman.shipped.__file__).parent / "demo"


def predict(client, task, body, **more):
    content = body if isinstance(body, bytes | str) else json.dumps(body)
    headers = {"content-type": "application/json", **more}
    answer = client.post(f"/v1/{task}/predict", content=content, headers=headers)
    return answer.status_code, answer.json().get("error", "")


@pytest.fixture
def ner(client):
    return client("ner", max_inputs=3, max_length=50, max_megabytes=0.002)


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ("{", 400, "the body is not valid JSON (Expecting property name"),
        (b"\xff\xfe", 400, "the body is not valid JSON"),
        ("[" * 1900, 400, "the body is"),
        ('{"inputs": [NaN]}', 400, "(NaN is not JSON)."),
        ('{"inputs": ["a"], "inputs": ["b"]}', 400, '(the key "inputs" is there twice).'),
        ('{"inputs": ["a"], "options": {"abstain": 1, "abstain": 0}}', 400, '"abstain" is there'),
        ("[]", 400, "the body must be a JSON object with inputs and options."),
        ({"input": ["a"]}, 400, 'the body has the key "input"; it may have inputs and options'),
        ({}, 400, 'the body needs "inputs", a list of at least one input.'),
        ({"inputs": []}, 400, "a list of at least one input"),
        ({"inputs": "a"}, 400, "a list of at least one input"),
        ({"inputs": ["a", 3]}, 400, "inputs[1] must be a string."),
        ({"inputs": ["\ud800"]}, 400, "inputs[0] has half of a surrogate pair"),
        ({"inputs": ["a"], "options": []}, 400, "options must be a JSON object."),
        ({"inputs": ["a"], "options": {"beam": 2}}, 422, 'there is no option "beam"'),
        ({"inputs": ["a"] * 4}, 422, "the request has 4 inputs; the limit is 3."),
        ({"inputs": ["a" * 51]}, 422, "inputs[0] has a length of 51; the limit is 50."),
        ({"inputs": ["a" * 3000]}, 413, "the body is larger than 0.002 MB, the limit"),
    ],
)
def test_a_wrong_body_is_refused_in_a_sentence(ner, body, status, sentence):
    found = predict(ner, "ner", body)
    assert found[0] == status
    assert sentence in found[1]
    assert "\n" not in found[1]


def test_a_body_without_a_length_is_counted_too(ner):
    pieces = iter([b" " * 1000] * 3)
    answer = ner.post(
        "/v1/ner/predict", content=pieces, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 413


def test_wrong_paths_methods_and_types_are_refused(client):
    ner = client("ner")
    cases = [
        (ner.get("/v2"), 404, "there is no path /v2"),
        (ner.get("/v1/ner/predict"), 405, "does not answer GET; use POST"),
        (ner.post("/v1/speech/predict", json={}), 404, "the tasks are ner"),
        (ner.post("/v1/ner/predict?model=x", json={}), 404, "no model x is served; there are ner"),
        (ner.post("/v1/ner/predict?modl=x", json={}), 400, 'has the parameter "modl"'),
        (ner.post("/v1/ner/predict", content="a"), 415, "send application/json"),
        (
            ner.post(
                "/v1/ner/predict", content="a", headers={"content-type": "multipart/form-data"}
            ),
            400,
            "the multipart body is invalid",
        ),
        (
            ner.post("/v1/ner/predict", files={"x": ("a.txt", b"\x1f\x8b\x08")}),
            415,
            "a.txt: the file is compressed",
        ),
        (
            ner.post("/v1/ner/predict", data={"inputs": "a"}, files={"x": ("a.txt", b"a")}),
            400,
            'the form has the field "inputs"',
        ),
        (
            ner.post("/v1/ner/predict", data={"options": "{"}, files={"x": ("a.txt", b"a")}),
            400,
            "options is not valid JSON",
        ),
        (
            ner.post("/v1/ner/predict", files={"x": ("words.txt", b"\xff\xff")}),
            422,
            "words.txt",
        ),
    ]
    for answer, status, sentence in cases:
        assert (answer.status_code, sentence in answer.json()["error"]) == (status, True), (
            answer.text
        )


@pytest.mark.parametrize("task", list(TASKS))
def test_no_option_of_a_request_can_name_a_file(task):
    kind = TASKS[task].PredictOptions
    schema = request_options.options_schema(kind)["properties"]
    for name in known_options([kind]):
        if str in types_of(kind, name):
            with pytest.raises(request_options.Refusal, match=r"names a file|must be"):
                request_options.settings_of(kind, {name: "/tmp/elman-refused"})
            assert "enum" in schema.get(name, {"enum": ()})


@pytest.mark.parametrize("task", list(TASKS))
def test_an_option_has_the_bounds_of_its_declaration(task):
    kind = TASKS[task].PredictOptions
    for name, schema in request_options.options_schema(kind)["properties"].items():
        assert request_options.settings_of(kind, {name: schema["default"]})
        for wrong in ([], {}, "yes", True if schema.get("type") != "boolean" else 1):
            with pytest.raises(request_options.Refusal, match=name):
                request_options.settings_of(kind, {name: wrong})
        for end, step in (("minimum", -1), ("maximum", 1)):
            if end in schema and abs(schema[end]) < 2**62:
                with pytest.raises(request_options.Refusal, match=name):
                    request_options.settings_of(kind, {name: schema[end] + step})


def test_a_list_of_files_that_is_uploaded_names_nothing_on_the_server(client, tmp_path):
    secret = tmp_path / "secret.flac"
    secret.write_bytes((DEMO / "fox.flac").read_bytes())
    film = tmp_path / "film.mp4"
    film.write_bytes((DEMO / "runner.mp4").read_bytes())
    service = client("speech", "video")
    lists = {
        "a.jsonl": json.dumps({"audio": str(secret)}),
        "a.csv": f"audio\n{secret}\n",
        "a.m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{film}\n#EXT-X-ENDLIST\n",
        "a.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:3,\n{film}\n#EXT-X-ENDLIST\n",
        "b.mp4": f"ffconcat version 1.0\nfile {film}\n",
        "c.mp4": f"ffconcat version 1.0\nfile '{film}'\nduration 1\n",
    }
    for task in ("speech", "video"):
        for name, text in lists.items():
            answer = service.post(f"/v1/{task}/predict", files={"f": (name, text.encode())})
            assert answer.status_code == 422, (task, name, answer.text)
            assert answer.json()["error"].startswith(name)


def test_uploaded_files_are_removed(client, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    service = client("video", "dna")
    good = service.post(
        "/v1/video/predict", files={"f": ("../../x.mp4", (DEMO / "runner.mp4").read_bytes())}
    )
    assert good.json()["predictions"][0]["file"] == "../../x.mp4"
    bad = service.post("/v1/video/predict", files={"f": ("x.mp4", b"no film")})
    dna = service.post("/v1/dna/predict", files={"f": ("x.fa", b">a\nACGT\n")})
    assert (good.status_code, bad.status_code, dna.status_code) == (200, 422, 200)
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_required_everywhere_but_for_healthz(client):
    ner = client("ner", token="sesame")
    for headers in ({}, {"authorization": "Bearer sesam"}, {"authorization": "Basic sesame"}):
        for path in ("/v1", "/metrics", "/openapi.json", "/nowhere"):
            answer = ner.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
    assert ner.get("/healthz").status_code == 200
    assert ner.get("/v1", headers={"authorization": "Bearer sesame"}).status_code == 200


def test_a_page_of_another_site_is_refused(client):
    ner = client("ner")
    assert ner.get("/v1", headers={"origin": "http://127.0.0.1"}).status_code == 200
    answer = ner.get("/v1", headers={"origin": "http://example.org"})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:80"])
def test_a_service_of_this_machine_answers_to_its_names(client, host):
    ner = client("ner")
    headers = {"host": host, "origin": f"http://{host}"}
    assert ner.get("/healthz", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["evil.example:8000", "localhost.evil.example", "[::1", ""])
def test_a_name_that_a_site_has_bound_to_this_machine_is_refused(client, host):
    ner = client("ner")
    headers = {"host": host, "origin": f"http://{host}"}
    for path in ("/", "/v1", "/healthz"):
        answer = ner.get(path, headers=headers)
        assert answer.status_code == 403
        assert answer.json()["error"].startswith(f'the host "{host}" is not this machine; use loc')
    with pytest.raises(WebSocketDenialResponse) as denied:
        ner.websocket_connect("/v1/ner/stream", headers=headers).__enter__()
    assert denied.value.status_code == 403


def test_a_token_or_an_address_for_others_admits_other_names():
    for given in ({"token": "sesame"}, {"host": "0.0.0.0"}, {"host": "127.0.0.7"}):
        service = Service(["ner"], **given)
        name = "127.0.0.7" if given.get("host") == "127.0.0.7" else "models.example"
        found = TestClient(service.app, base_url=f"http://{name}").get("/healthz")
        assert found.status_code == 200
        service.close()


def test_a_request_that_takes_too_long_is_stopped(client):
    service = client("music", max_seconds=1.0)
    service.service.served.models[0].worker.model()
    start = time.monotonic()
    answer = service.post(
        "/v1/music/predict", json={"inputs": [None] * 200, "options": {"seconds": 600}}
    )
    assert answer.status_code == 408
    assert answer.json()["error"].startswith("the request took 1 seconds, the limit")
    # the thread is free again: the whole work would take minutes
    service.service.limits.__dict__["max_seconds"] = 60.0
    again = service.post("/v1/music/predict", json={"options": {"seconds": 1}})
    assert again.status_code == 200
    assert time.monotonic() - start < 60


def test_more_requests_than_may_wait_are_refused(client):
    service = client("music", max_waiting=1)
    service.service.served.models[0].worker.model()
    found = []

    def ask():
        found.append(
            service.post("/v1/music/predict", json={"options": {"seconds": 100}}).status_code
        )

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {200, 429}


def test_limits_are_checked():
    with pytest.raises(ValueError, match="max_inputs is 0; it must be at least 1"):
        Limits(max_inputs=0)


def test_what_is_served_and_how_it_goes_can_be_read(client):
    service = client("ner", "sentiment")
    assert service.get("/healthz").json() == {"status": "ok"}
    first, second = service.get("/v1").json()["models"]
    assert (first["name"], first["task"], first["loaded"]) == ("ner", "ner", False)
    assert second["live"] is False
    service.post("/v1/ner/predict", json={"inputs": ["Nobody."]})
    text = service.get("/metrics").text
    assert 'elman_requests_total{model="ner",status="200"} 1' in text
    assert 'elman_request_seconds_bucket{model="ner",le="+Inf"} 1' in text
    assert "elman_loaded_models 1" in text
    description = service.get("/openapi.json").json()
    assert list(description["paths"])[-2:] == ["/v1/ner/predict", "/v1/sentiment/predict"]
