"""A local Ray cluster of two workers, one of which is killed: prints what was answered, as JSON."""

import json
import os
import signal

import psutil
import ray
import ray.data

import elman
from elman.distributed import predict
from elman.errors import OptionError

ROWS, BLOCKS = 800, 100


def workers():
    """The process IDs of the workers that have the model."""
    found = [each for each in psutil.Process().children(recursive=True) if each.is_running()]
    return [each.pid for each in found if "MapWorker" in " ".join(each.cmdline())]


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, object_store_memory=2**27, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    texts = ["A warm and funny film.", "A dull mess.", "", "There is nothing to like."]
    rows = [{"number": k, "text": texts[k % 4]} for k in range(ROWS)]
    data = ray.data.from_items(rows, override_num_blocks=BLOCKS)
    found, killed, before = [], None, 0
    for row in predict("sentiment", data, batch_size=4).iter_rows():
        found.append(row)
        if killed is None and (there := workers()):
            before = len(found)
            killed = there[0]
            os.kill(killed, signal.SIGKILL)
    sentences = []
    for settings in ({"column": "words"}, {"no_such": 1}):
        try:
            predict("sentiment", data, **settings)
        except OptionError as error:
            sentences.append(str(error))
    alone = {text: elman.load("sentiment")([text])[0].label for text in texts}
    print(json.dumps({
        "numbers": sorted(int(row["number"]) for row in found),
        "wrong": [row["text"] for row in found if row["label"] != alone[row["text"]]],
        "columns": sorted(found[0]),
        "killed": killed is not None,
        "before": before,
        "sentences": sentences,
    }))  # fmt: skip
    ray.shutdown()
