"""Forked processes: memory of their own, no waiting for threads that the fork left behind.

Each program runs in a process of its own, since what it shows are wrong numbers and hangs.
"""

import os
import signal
import subprocess
import sys

import pytest

from thorough import few

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork")

HEAD = """
import multiprocessing, os, sys
import torch, elman
torch.manual_seed(0)
torch.set_num_threads({threads})
# outputs, what backward reads and gradients are all large enough for the pool
layer = elman.Recurrent(elman.cells.lstm, 16, 64)
inputs = [torch.randn(120, 8, 16) for _ in range(12)]

def inference(k):
    with torch.no_grad():
        return layer(inputs[k])[0].clone()

def gradients(k):
    y, _ = layer(inputs[k])
    return torch.cat([g.flatten() for g in torch.autograd.grad(y.square().sum(), [*layer.parameters()])])

def check(k):
    return torch.equal(inference(k), wanted[k]) and torch.equal(gradients(k), slopes[k])

wanted = [inference(k) for k in range(12)]
slopes = [gradients(k) for k in range(12)]
"""

POOL = """
context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    right = pool.map(check, list(range(12)) * 4, chunksize=1)
print(right.count(False), "wrong")
"""

LOADER = """
from torch.utils.data import DataLoader

class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 48

    def __getitem__(self, k):
        return inference(k % 12), gradients(k % 12)

wrong = 0
for k, (y, slope) in enumerate(DataLoader(Data(), batch_size=None, num_workers=2)):
    wrong += not (torch.equal(y, wanted[k % 12]) and torch.equal(slope, slopes[k % 12]))
print(wrong, "wrong")
"""

BESIDE = """
def train():
    torch.manual_seed(1)
    own = elman.Recurrent(elman.cells.lstm, 16, 64)
    optimizer = torch.optim.SGD(own.parameters(), 0.1)
    for turn in range(30):
        optimizer.zero_grad()
        own(inputs[turn % 12])[0].square().mean().backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in own.parameters()])

alone = train()
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.close(writing)
    os.set_blocking(reading, False)
    wrong = 0
    while True:
        wrong += not all([check(k) for k in range(12)])
        try:
            if os.read(reading, 1) == b"":
                os._exit(min(wrong, 100))
        except BlockingIOError:
            pass
os.close(reading)
beside = train()
os.close(writing)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status) + (not torch.equal(alone, beside)), "wrong")
"""

# a batch for which torch's own operations are parallel too
AFTER_THREADS = """
x = torch.randn(300, 64, 16)
lengths = torch.arange(64) + 200
layer(x, lengths=lengths)[0].sum().backward()
{more}
child = os.fork()
if child == 0:
    y, _ = layer(x, lengths=lengths)
    y.sum().backward()
    os._exit(0 if all([check(k) for k in range(12)]) else 1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), "wrong")
"""

# a thread that is in the middle of everything while others are forked
BUSY = """
import threading
ended = threading.Event()
def busy():
    while not ended.is_set():
        check(0)
thread = threading.Thread(target=busy)
thread.start()
wrong = 0
for _ in range(20):
    child = os.fork()
    if child == 0:
        os._exit(0 if check(1) else 1)
    _, status = os.waitpid(child, 0)
    wrong += os.waitstatus_to_exitcode(status)
ended.set()
thread.join()
print(wrong, "wrong")
"""


def outcome(program: str, threads: int = 1) -> str:
    """What the program prints; a hang is killed, with its children."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            HEAD.format(threads=threads) + program,
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=150)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return "hangs"


@pytest.mark.parametrize(
    "program",
    few([POOL, LOADER, BESIDE, BUSY], keep=lambda program: program in (POOL, BUSY)),
    ids=["pool", "loader", "beside", "busy"],
)
def test_a_forked_process_has_memory_of_its_own(program):
    assert outcome(program) == "0 wrong\n"


@pytest.mark.parametrize(
    "more", few(["", "torch.randn(600, 600) @ torch.randn(600, 600)"], keep="".__ne__)
)
def test_a_process_forked_from_one_with_threads_runs_on_one(more):
    assert outcome(AFTER_THREADS.format(more=more), threads=2) == "0 wrong\n"
