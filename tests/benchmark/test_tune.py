"""What a processor was measured to be best at is kept, and is used by later processes."""

import json
import os
import subprocess
import sys

import pytest
import torch

import elman
from elman.backends.native import tuned, tuning
from elman.backends.native.hoisting import should_hoist
from elman.backends.native.kernels import layer_of
from elman.backends.native.llvm import cache
from elman.backends.native.llvm.target import find_target
from elman.backends.native.schedule import make_schedule
from elman.benchmark import tune as module
from elman.benchmark.timing import Timing
from elman.graph.sizes import Sizes

TARGET = find_target("x86-64")
KEPT = ((1 << 20, 5), (0, 3))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    tmp_path.chmod(0o700)
    monkeypatch.setenv("ELMAN_CACHE_DIR", str(tmp_path / "kernels"))
    tuned.measured.cache_clear()
    yield tmp_path / "kernels"
    tuned.measured.cache_clear()


def hoists(batch, target=TARGET, units=16):
    layer = layer_of(elman.cells.lstm.text, Sizes(units, units), torch.float32, target)
    return should_hoist(layer, make_schedule(50, batch, None, False))


def test_what_is_kept_decides():
    assert [hoists(batch) for batch in (1, 2, 3, 4)] == [True, False, False, False]
    tuned.keep(TARGET, KEPT)
    assert tuned.hoisted_batches(TARGET) == KEPT
    assert [hoists(batch) for batch in (1, 2, 3, 4)] == [True, True, True, False]
    assert tuned.hoisted_batches(find_target("avx2")) == tuning.HOISTED_BATCH


def test_another_process_reads_it(folder):
    tuned.keep(TARGET, KEPT)
    program = (
        "from elman.backends.native import tuned; from elman.backends.native.llvm.target import "
        "find_target; print(tuned.hoisted_batches(find_target('x86-64')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        env={**os.environ, "ELMAN_CACHE_DIR": str(folder)},
    )  # fmt: skip
    assert done.stdout.strip() == str(KEPT)


def test_a_damaged_file_is_as_none(folder):
    tuned.keep(TARGET, KEPT)
    (path,) = folder.glob("hoisting-*.json")
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    tuned.measured.cache_clear()
    assert tuned.hoisted_batches(TARGET) == tuning.HOISTED_BATCH


def test_without_a_folder_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(cache, "folder", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    tuned.keep(TARGET, KEPT)
    assert tuned.hoisted_batches(TARGET) == tuning.HOISTED_BATCH


def test_a_known_processor_has_its_own_values(monkeypatch):
    monkeypatch.setitem(tuning.HOISTED_BATCH_OF, TARGET.cpu, KEPT)
    assert tuned.hoisted_batches(TARGET) == KEPT
    for batches in (tuning.HOISTED_BATCH, *tuning.HOISTED_BATCH_OF.values()):
        sizes = [size for size, _ in batches]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == 0


@pytest.fixture
def timed(monkeypatch):
    """Hoisting pays up to batch 3 with the largest weights, and never with others."""
    asked = []

    def interleaved(runs, seconds, **_):
        for run in runs.values():
            run()
        units, batch = asked[-1]
        pays = batch <= 3 if units == module.CLASSES[0][1] else False
        found = {"hoisted": 1.0, "not hoisted": 1.2 if pays else 1.01}
        return {name: Timing.of([found[name]]) for name in runs}

    original = module._speed_up

    def speed_up(units, batch, seconds):
        asked.append((units, batch))
        return original(units, batch, seconds)

    monkeypatch.setattr(module, "interleaved", interleaved)
    monkeypatch.setattr(module, "_speed_up", speed_up)
    return asked


def test_tuning_asks_until_it_no_longer_pays_and_keeps_the_rest(timed):
    found = module.tune(0.0)
    sizes = [size for size, _ in module.CLASSES]
    assert found.now == ((sizes[0], 3), *[(size, 0) for size in sizes[1:]])
    units = [units for _, units in module.CLASSES]
    assert timed == [*[(units[0], b) for b in (1, 2, 3, 4)], *[(u, 1) for u in units[1:]]]
    assert tuned.hoisted_batches(module.chosen_target()) == found.now


def test_the_command_prints_what_it_kept(command, timed):
    status, out, _ = command("benchmark", "--tune", "--json")
    assert status == 0
    assert json.loads(out)["now"][0] == [module.CLASSES[0][0], 3]
    status, out, _ = command("benchmark", "--tune")
    assert status == 0
    assert "3 where weights exceed 4,096 KiB" in " ".join(out.split())
    for other in (("--cell", "gru"), ("--threads", "1"), ("--sizes", "projection=3")):
        status, _, err = command("benchmark", "--tune", *other)
        assert status != 0
        assert "omit --cell, --heads, --key-size, --sizes and --threads" in err


def test_both_ways_give_the_same_bits():
    layer, x = elman.Recurrent(elman.cells.lstm, 5, 18), torch.randn(20, 3, 5)
    with torch.no_grad(), tuned.trying(module.ALWAYS):
        hoisted, _ = layer(x)
    with torch.no_grad(), tuned.trying(module.NEVER):
        plain, _ = layer(x)
    assert torch.equal(hoisted, plain)
