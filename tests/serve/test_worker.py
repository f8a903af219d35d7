"""Requests are answered together only where that changes nothing."""

import json
import re
import threading
import time
import wave
from io import BytesIO

import pytest

from elman.errors import DataError
from elman.serve import worker
from elman.serve.limits import Limits
from elman.serve.metrics import Metrics
from elman.serve.worker import Job, Worker
from elman.tasks.registry import TASKS


def together(service, calls):
    """The results of requests that the model finds waiting when it has answered another one."""
    [model] = service.service.served.models
    started, waiting = threading.Event(), threading.Event()

    def first(trained):
        started.set()
        waiting.wait()
        raise DataError("this one only waits.")

    model.worker.ask(Job(first, {"none": "has these settings"}, lambda outcome: None))
    started.wait()
    found = [None] * len(calls)

    def run(k):
        found[k] = calls[k]()

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(calls))]
    for thread in threads:
        thread.start()
    while model.worker._queue.qsize() < len(calls):
        time.sleep(0.01)
    waiting.set()
    for thread in threads:
        thread.join()
    return found


def batches(service, task):
    text = service.get("/metrics").text
    return int(re.search(rf'elman_batch_inputs_count{{model="{task}"}} (\d+)', text)[1])


def sound(count):
    with wave.open(BytesIO(TASKS["speech"].samples()["train/05.wav"])) as given:
        made = BytesIO()
        with wave.open(made, "wb") as file:
            file.setparams(given.getparams())
            file.writeframes(given.readframes(count))
    return made.getvalue()


def posted(service, task, k):
    """A request whose input depends on k, as a function."""
    address = f"/v1/{task}/predict"
    if task == "speech":
        files = [("files", (f"{k}.wav", sound(3000 + 500 * k)))]
        return lambda: service.post(address, files=files)
    text = {
        "dna": "GATTACA" * (k + 1),
        "translation": "Bonjour" + "!" * (k % 4),
    }.get(task, "Harry Potter met " + "nobody " * k)
    return lambda: service.post(address, json={"inputs": [text]})


@pytest.mark.parametrize("task", ["ner", "sentiment", "translation", "dna", "speech"])
def test_requests_that_arrive_together_are_joined_with_the_same_answers(task, client, monkeypatch):
    monkeypatch.setattr(worker, "_COMPARED", 2)
    service = client(task, max_seconds=3600)
    requests = [posted(service, task, k) for k in range(5)]
    alone = [request().json() for request in requests]
    assert [
        each.json() for each in together(service, requests)
    ] == alone  # some alone too, to compare
    before = batches(service, task)
    assert [each.json() for each in together(service, requests)] == alone
    assert batches(service, task) - before < 5


def test_texts_that_are_written_one_after_another_are_not_joined(client):
    service = client("language", max_seconds=3600)
    requests = [
        lambda k=k: service.post(
            "/v1/language/predict",
            json={"inputs": [f"ROMEO: {k}"], "options": {"length": 3, "seed": 1}},
        )
        for k in range(4)
    ]
    alone = [request().json() for request in requests]
    assert [each.json() for each in together(service, requests)] == alone
    assert batches(service, "language") == 8


class Odd:
    """A model whose answers depend on how many inputs there are, against its task's promise."""

    class task:
        independent = True
        input_kind = "text"
        record = staticmethod(lambda answer: {"answer": answer})

    def __call__(self, values):
        return [len(values) for _ in values]


def test_a_model_that_breaks_the_promise_of_its_task_answers_each_request_alone():
    metrics = Metrics()
    odd = Worker("odd", Odd, Limits(batch_milliseconds=200), metrics)
    found = []
    for _ in range(3):
        jobs = [Job(lambda model: ["a"], {}, found.append) for _ in range(30)]
        for job in jobs:
            odd.ask(job)
    odd.stop()
    assert found == [[{"answer": 1}]] * 90


def test_jobs_of_similar_lengths_are_joined():
    odd = Worker("odd", Odd, Limits(batch_inputs=5), Metrics())
    odd.model()
    jobs = []
    for length in (900, 10, 1000, 20, 64, 5000, 30, 1, 2):
        jobs.append(Job(lambda model: [], {}, print, values=["x" * length]))
    groups = odd._groups(jobs)
    assert [[len(job.values[0]) for job in group] for group in groups] == [
        [1, 2, 10, 20, 30], [64], [900, 1000], [5000],
    ]  # fmt: skip


def test_a_file_that_cannot_be_read_is_refused_though_others_came_with_it(client, monkeypatch):
    monkeypatch.setattr(worker, "_COMPARED", 2)
    service = client("speech", max_seconds=3600)
    good = posted(service, "speech", 0)

    def bad():
        return service.post("/v1/speech/predict", files=[("files", ("bad.wav", b"RIFFxxxx"))])

    expected = [good().json(), bad().json()]
    for _ in range(3):
        answers = together(service, [good, bad, good])
        assert [each.status_code for each in answers] == [200, 422, 200]
        assert [each.json() for each in answers[:2]] == expected
    assert json.dumps(expected[1]).count("bad.wav") == 1
