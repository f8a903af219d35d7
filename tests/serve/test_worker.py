"""Requests are answered together only where that changes nothing."""

import random
import re
import threading

import pytest
import torch

import elman
from elman.nn.row_blocks import row_blocks
from elman.serve.worker import answers_alike

WORDS = ["Yesterday", ",", "Harry", "Potter", "met", "Hermione", "in", "London", "nobody", "knows"]


def test_names_are_the_same_in_any_batch_bit_for_bit():
    model, chance = elman.load("ner"), random.Random(5)
    assert model.task.independent
    assert answers_alike(model)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 40))) for _ in range(60)]
    alone = [model([text])[0] for text in texts]
    assert model(texts) == alone
    assert model(texts[::-1]) == alone[::-1]


@pytest.mark.parametrize(("size", "outputs"), [(128, 3), (57, 31), (512, 400)])
def test_a_linear_layer_in_blocks_has_the_same_rows_in_any_batch(size, outputs):
    torch.manual_seed(0)
    layer, x = torch.nn.Linear(size, outputs), torch.randn(50, 2, size)
    with torch.no_grad(), row_blocks():
        whole = layer(x)
        for start, end in ((0, 1), (3, 5), (7, 40)):
            assert torch.equal(layer(x[start:end]), whole[start:end])
            assert torch.equal(layer(x[start:end, :1]), whole[start:end, :1])
    with torch.no_grad():
        torch.testing.assert_close(whole, layer(x), atol=1e-5, rtol=1e-5)


def test_requests_for_names_are_joined_and_others_are_not(client):
    service = client("ner", "sentiment", batch_milliseconds=300)
    for task in ("ner", "sentiment"):
        service.post(f"/v1/{task}/predict", json={"inputs": ["Nobody."]})  # loads the model
        threads = [
            threading.Thread(
                target=service.post, args=(f"/v1/{task}/predict",),
                kwargs={"json": {"inputs": [f"Harry Potter met {k}."]}},
            )
            for k in range(8)
        ]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    text = service.get("/metrics").text
    batches = {
        task: int(re.search(rf'elman_batch_inputs_count{{model="{task}"}} (\d+)', text)[1])
        for task in ("ner", "sentiment")
    }
    assert batches["ner"] < 9 == batches["sentiment"]
