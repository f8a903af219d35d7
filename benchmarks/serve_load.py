"""How many requests `elman serve` answers, how fast, and whether it survives bad clients.

    python benchmarks/serve_load.py                    100 clients for a minute
    python benchmarks/serve_load.py --soak             random disconnects and damaged frames

Each client keeps a connection and sends its next request when it has the answer to the last one.
Each writes its part of benchmarks/results/serve_load.json, from which the docs take their table.
Every answer is compared with the one that the model gives to the same text alone.  The service is a
process of its own on the loopback interface; its memory is sampled each second.
"""

import argparse
import asyncio
import json
import os
import random
import re
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import elman
from elman.benchmark.machine import machine

RESULTS = Path(__file__).parent / "results" / "serve_load.json"
WORDS = """
    there is nothing to like in this movie a warm and funny film by Harry Potter met Hermione
    Granger yesterday in London but the plot was thin and very very long
""".split()  # noqa: SIM905


def start(task):
    process = subprocess.Popen(
        [sys.executable, "-m", "elman.cli", "serve", *task, "--port", "0"],
        stderr=subprocess.PIPE,
        text=True,
    )
    port = int(re.search(r"http://[^ ]*:(\d+)", process.stderr.readline())[1])
    return process, port


def resident_megabytes(process):
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def processor_seconds(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stream:
        fields = stream.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def post(reader, writer, path, body):
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(x.partition(":")[2]) for x in lines if x.lower().startswith("content-length"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


async def client(port, task, texts, expected, until, found, chance):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        text = chance.choice(texts)
        begin = time.perf_counter()
        try:
            answer = await post(
                reader, writer, f"/v1/{task}/predict", json.dumps({"inputs": [text]}).encode()
            )
        except (OSError, asyncio.IncompleteReadError):
            found["lost"] += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        found["seconds"].append(time.perf_counter() - begin)
        found["statuses"][answer[0]] += 1
        found["wrong"] += answer[0] != 200 or answer[1] != expected[text]
    writer.close()


async def watch(process, until, samples):
    while time.monotonic() < until:
        samples.append(resident_megabytes(process))
        await asyncio.sleep(1)


async def load(process, port, task, texts, expected, clients, seconds):
    found = {"seconds": [], "statuses": Counter(), "wrong": 0, "lost": 0}
    samples, until = [], time.monotonic() + seconds
    await asyncio.gather(
        watch(process, until, samples),
        *[
            client(port, task, texts, expected, until, found, random.Random(number))
            for number in range(clients)
        ],
    )
    return found, samples


async def bad_client(port, until, counts, chance):
    """Requests that break off, bodies and frames of random bytes, streams that are left."""
    from websockets.asyncio.client import connect
    from websockets.exceptions import WebSocketException

    while time.monotonic() < until:
        kind = chance.choice(("cut", "noise", "stream", "frame", "quiet"))
        counts[kind] += 1
        try:
            if kind in ("cut", "noise"):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                body = chance.randbytes(chance.randrange(1, 2000))
                head = (
                    "POST /v1/ner/predict HTTP/1.1\r\nhost: 127.0.0.1\r\n"
                    f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                ).encode()
                sent = head + body
                writer.write(sent[: chance.randrange(1, len(sent))] if kind == "cut" else sent)
                await writer.drain()
                if kind == "noise":
                    line = await reader.readline()
                    counts[f"answered {line.split()[1].decode()}"] += 1
                writer.close()
                continue
            task = "video" if kind == "frame" else "speech"
            async with connect(f"ws://127.0.0.1:{port}/v1/{task}/stream") as socket:
                if kind == "quiet":
                    continue
                await socket.send("{}")
                first = b"\xff\xd8\xff" if kind == "frame" else b""
                for _ in range(chance.randrange(1, 6)):
                    await socket.send(first + chance.randbytes(chance.randrange(1, 20_000)))
                if chance.random() < 0.5:
                    await socket.send('{"end": true}')
                    async for message in socket:
                        record = json.loads(message)
                        counts["streams ended"] += record.get("type") == "end"
                        counts["streams refused"] += "error" in record
        except (OSError, WebSocketException, asyncio.IncompleteReadError, IndexError) as error:
            status = getattr(getattr(error, "response", None), "status_code", "")
            counts[f"closed: {type(error).__name__} {status}".strip()] += 1


async def soak(process, port, texts, expected, seconds):
    found = {"seconds": [], "statuses": Counter(), "wrong": 0, "lost": 0}
    counts, samples, until = Counter(), [], time.monotonic() + seconds
    await asyncio.gather(
        watch(process, until, samples),
        *[bad_client(port, until, counts, random.Random(k)) for k in range(8)],
        *[
            client(port, "ner", texts, expected, until, found, random.Random(100 + k))
            for k in range(4)
        ],
    )
    return found, counts, samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="ner")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULTS)
    wanted = parser.parse_args()
    chance, model = random.Random(1), elman.load(wanted.task)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 30))) for _ in range(50)]
    expected = {
        text: json.dumps(
            {"predictions": [model.task.record(each) for each in model([text])]}, ensure_ascii=False
        ).encode()
        for text in texts
    }
    process, port = start(["ner", "speech", "video"] if wanted.soak else [wanted.task])
    try:
        counts = {}
        asyncio.run(load(process, port, wanted.task, texts, expected, 4, 3))  # loads and warms
        if wanted.soak:  # loads the models of streams, whose memory is no growth
            asyncio.run(soak(process, port, texts, expected, 20))
        before = processor_seconds(process)
        if wanted.soak:
            found, counts, samples = asyncio.run(
                soak(process, port, texts, expected, wanted.seconds)
            )
        else:
            found, samples = asyncio.run(
                load(process, port, wanted.task, texts, expected, wanted.clients, wanted.seconds)
            )
        alive, busy = process.poll() is None, processor_seconds(process) - before
        process.terminate()
        _, said = process.communicate(timeout=90)
    finally:
        process.kill()
    if "Traceback" in said:
        print(said, file=sys.stderr)
    cuts = statistics.quantiles(found["seconds"], n=100)
    tenth = max(1, len(samples) // 10)
    figures = {
        "command": " ".join(["python benchmarks/serve_load.py", *sys.argv[1:]]),
        "machine": machine(),
        "load_average": round(os.getloadavg()[0], 1),
        "task": wanted.task,
        "clients": 4 if wanted.soak else wanted.clients,
        "seconds": wanted.seconds,
        "requests": len(found["seconds"]),
        "requests_per_second": round(len(found["seconds"]) / wanted.seconds, 1),
        "processor_ms_per_request": round(1000 * busy / len(found["seconds"]), 2),
        "part_of_a_core": round(busy / wanted.seconds, 3),
        "ms_at_50": round(1000 * cuts[49], 1),
        "ms_at_99": round(1000 * cuts[98], 1),
        "slowest_ms": round(1000 * max(found["seconds"]), 1),
        "statuses": dict(found["statuses"]),
        "wrong": found["wrong"],
        "lost": found["lost"],
        "megabytes_first_tenth": round(statistics.median(samples[:tenth]), 1),
        "megabytes_last_tenth": round(statistics.median(samples[-tenth:]), 1),
        "alive": alive,
        "tracebacks": said.count("Traceback"),
        **({"bad_clients": dict(sorted(counts.items()))} if counts else {}),
    }
    print(json.dumps(figures, indent=1))
    results = json.loads(wanted.json.read_text()) if wanted.json.exists() else {}
    results["soak" if wanted.soak else "load"] = figures
    wanted.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
