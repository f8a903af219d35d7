"""Threads of our own for kernels, as on macOS and Windows: one program in a process of its own each."""

import subprocess
import sys
import textwrap

import pytest

HEAD = """
import sys, threading, time
import torch, elman
from elman.backends.native import tuning
from elman.backends.native.llvm import team
from elman.backends.native.llvm.workers import Workers
workers = team._Here.team = Workers()
team._Here.is_known = True
tuning.MIN_WORKERS_WORK = 0
torch.manual_seed(0)
torch.set_num_threads(3)
layer, x = elman.Recurrent(elman.cells.lstm, 16, 64), torch.randn(200, 12, 16)

def names():
    return [each.name for each in threading.enumerate() if each.name.startswith("elman")]

def gradients():
    y, _ = layer(x)
    return torch.cat([g.flatten() for g in torch.autograd.grad(y.square().sum(), [*layer.parameters()])])

"""


def output(program):
    command = [sys.executable, "-c", HEAD + textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_they_share_the_work_of_a_layer():
    found = output("""
        gradients()
        print(len(names()) > 0, layer.backend_report().count("threads of its own"))
    """)
    assert found == "True 1\n"


def test_several_threads_of_python_may_call_at_once():
    found = output("""
        wanted, wrong = gradients(), []
        def check():
            for _ in range(5):
                wrong.append(not torch.equal(gradients(), wanted))
        callers = [threading.Thread(target=check) for _ in range(4)]
        for each in callers: each.start()
        for each in callers: each.join()
        print(len(wrong), sum(wrong))
    """)
    assert found == "20 0\n"


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupted_call_ends_after_its_threads_do():
    found = output("""
        import os, signal
        from elman.backends.native.llvm import workers as module
        running = []
        class Slow:
            def __call__(self, *numbers):
                running.append(numbers)
                time.sleep(3 if numbers[1] else 0)
                running.remove(numbers)
        module.as_function = lambda address: Slow()
        threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        try:
            workers.run(0, 0, [0, 1, 2, 3], 0, 1)
        except KeyboardInterrupt:
            print("interrupted", len(running))
    """)
    assert found == "interrupted 0\n"


def test_a_layer_runs_while_python_exits():
    found = output("""
        import atexit
        wanted = gradients()
        atexit.register(lambda: print(torch.equal(gradients(), wanted)))
    """)
    assert found == "True\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks():
    found = output("""
        import os
        wanted = gradients()
        child = os.fork()
        if child == 0:
            os._exit(0 if torch.equal(gradients(), wanted) else 1)
        print(os.waitpid(child, 0)[1])
    """)
    assert found == "0\n"
