"""Streamed training and bulk prediction at sizes that memory does not hold.

    python benchmarks/large_data.py training --processes 1 2         tokens a second of 2 GB
    python benchmarks/large_data.py training --gigabytes 2 20        peak memory
    python benchmarks/large_data.py prediction                       10^5 and 10^6 lines

Each writes its part of benchmarks/results/large_data.json, from which the docs take their tables.
The text is made: reviews of random words in JSON Lines, one file of 100 MB under as many names as
are needed (hard links), which is as good as other text for memory and speed.  Each training is a
process of its own, ended by ``max_minutes``, reading included; tokens a second are those between
its 50th and its last batch.  Peak memory is that of the whole process, libraries included.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from elman.benchmark.machine import machine, sentence
from elman.bulk import predict_file
from elman.tasks import TASKS, Data, train
from elman.training.progress import Silence

BLOCK = 100_000_000
WORDS = 20_000
RESULTS = Path(__file__).parent / "results" / "large_data.json"


def review(draw, words):
    label = draw.choice(["bad", "good"])
    text = " ".join([*draw.choices(words, k=draw.randint(5, 30)), label])
    return json.dumps({"text": text, "label": label}) + "\n"


def write_text(folder, gigabytes):
    """The pattern of files that have so many gigabytes together."""
    draw = random.Random(0)
    words = [f"w{draw.randrange(16**5):05x}" for _ in range(WORDS)]
    lines, size = [], 0
    while size < BLOCK:
        line = review(draw, words)
        lines.append(line)
        size += len(line)
    folder.mkdir()
    first = folder / "0000.jsonl"
    first.write_text("".join(lines))
    for number in range(1, round(gigabytes * 1e9 / size)):
        os.link(first, folder / f"{number:04d}.jsonl")
    return folder / "*.jsonl"


class Speed(Silence):
    """The time and the number of each batch, and what is said."""

    def __init__(self):
        self.batches, self.said, self.tokens = 0, [], 0
        self.times = {}

    def say(self, text):
        self.said.append(text)

    def batch(self, info):
        self.batches += 1
        self.times[self.batches] = (time.monotonic(), self.tokens)


def worker(path, valid, minutes):
    """Train for a while, and print what it took."""
    task, speed = TASKS["sentiment"], Speed()
    collate = task.collate

    def counted(examples, *rest):
        speed.tokens += sum(len(each) for each in examples)
        return collate(examples, *rest)

    task.collate = counted
    main = os.environ.get("RANK", "0") == "0"
    folder = os.environ["LARGE_RUN"]
    settings = {
        "max_minutes": minutes,
        "threads": 1,
        "batch_size": 64,
        "vocabulary_examples": 20_000,
    }
    begun = time.monotonic()
    train(task, Data(Path(path), Path(valid)), Path(folder), settings,
          progress=speed if main else Silence())  # fmt: skip
    if not main:
        return
    (first, before), (last, after) = speed.times[50], speed.times[speed.batches]
    count = int(os.environ.get("WORLD_SIZE", "1"))
    print(json.dumps({
        "gigabytes": round(sum(p.stat().st_size for p in Path(path).parent.glob("*")) / 1e9, 1),
        "processes": count,
        "batches": speed.batches,
        "seconds_to_first_batch": round(speed.times[1][0] - begun, 1),
        # the other processes have about as many tokens
        "tokens_per_second": round(count * (after - before) / (last - first)),
        "peak_megabytes": peak_megabytes(),
        "said": speed.said[2] if len(speed.said) > 2 else "",
    }))  # fmt: skip


def peak_megabytes():
    """The peak memory of this process; ru_maxrss would begin with that of the process before."""
    with open("/proc/self/status", encoding="ascii") as status:
        [kilobytes] = [line.split()[1] for line in status if line.startswith("VmHWM:")]
    return round(int(kilobytes) * 1024 / 1e6)


def run_training(path, valid, minutes, processes):
    launcher = [sys.executable]
    if processes > 1:
        launcher += [
            "-m",
            "torch.distributed.run",
            "--standalone",
            "--nproc-per-node",
            str(processes),
        ]
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*launcher, __file__, "--worker", str(path), str(valid), str(minutes)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "LARGE_RUN": f"{folder}/run",
                 "GLOO_SOCKET_IFNAME": "lo"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def run_prediction(folder, lines):
    """``elman predict --in --out`` on so many lines."""
    draw = random.Random(1)
    words = [f"w{k}" for k in range(1000)] + ["good", "bad", "film", "dull", "warm"]
    source, out = folder / f"{lines}.txt", folder / f"{lines}.jsonl"
    with source.open("w") as file:
        file.writelines(" ".join(draw.choices(words, k=12)) + "\n" for _ in range(lines))
    done = subprocess.run(
        [sys.executable, __file__, "--predict", str(source), str(out)],
        capture_output=True,
        text=True,
        check=True,
    )
    answers, seconds, peak = done.stdout.split()
    source.unlink()
    out.unlink()
    return {
        "lines": int(answers),
        "inputs_per_second": round(int(answers) / float(seconds)),
        "peak_megabytes": int(peak),
    }


def save(part, asked, rows):
    """Write one part of the results; the other stays."""
    found = json.loads(asked.json.read_text()) if asked.json.exists() else {}
    found[part] = {
        "command": " ".join(["python benchmarks/large_data.py", *sys.argv[1:]]),
        "machine": machine(),
        "load_average": round(os.getloadavg()[1], 1),
        "rows": rows,
    }
    asked.json.write_text(json.dumps(found, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=["training", "prediction"])
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[2])
    parser.add_argument("--processes", type=int, nargs="+", default=[1])
    parser.add_argument("--lines", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--json", type=Path, default=RESULTS)
    asked = parser.parse_args()
    print(sentence(machine()))
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if asked.part == "prediction":
            for lines in asked.lines:
                rows.append(run_prediction(folder, lines))
                print(rows[-1], flush=True)
        else:
            valid, draw = folder / "valid.jsonl", random.Random(2)
            valid.write_text("".join([review(draw, ["some", "word", "here"]) for _ in range(500)]))
            for size in asked.gigabytes:
                text = write_text(folder / "text", size)
                for processes in asked.processes:
                    rows.append(run_training(text, valid, asked.minutes, processes))
                    print(rows[-1], flush=True)
                shutil.rmtree(text.parent)
    save(asked.part, asked, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        worker(sys.argv[2], sys.argv[3], float(sys.argv[4]))
    elif sys.argv[1:2] == ["--predict"]:
        begun = time.monotonic()
        found = predict_file("sentiment", sys.argv[2], sys.argv[3], threads=1)
        print(found.answers, time.monotonic() - begun, peak_megabytes())
    else:
        main()
