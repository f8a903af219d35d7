"""Blocks of memory are used again when nobody can see them any more, and only then."""

import itertools
import mmap
import threading

import pytest
import torch

import elman
from elman.backends.native import memory, tuning
from elman.backends.native.memory import Pool, aligned, empty

MEGA = 1 << 20


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_block_comes_back_when_its_tensor_is_gone(dtype):
    pool = Pool()
    tensor = pool.empty(MEGA, dtype)
    assert (tensor.shape, tensor.dtype) == ((MEGA,), dtype)
    tensor.fill_(1.5)
    address = tensor.data_ptr()
    assert pool.empty(MEGA, dtype).data_ptr() != address
    del tensor
    assert pool.empty(MEGA, dtype).data_ptr() == address


VIEWS = {
    "part": lambda t: t[5:7],
    "shape": lambda t: t.view(1024, -1),
    "view of a view": lambda t: t.view(1024, -1)[3].unsqueeze(0),
    "detached": lambda t: t.detach(),
    "same numbers": lambda t: t.numpy(),
    "what backward will read": lambda t: torch.ones(MEGA, requires_grad=True) * t,
    "storage": lambda t: t.untyped_storage(),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_block_stays_while_a_view_of_it_lives(view):
    pool = Pool()
    tensor = pool.empty(MEGA, torch.float32)
    address = tensor.data_ptr()
    seen = view(tensor)
    del tensor
    other = pool.empty(MEGA, torch.float32)
    assert other.data_ptr() != address
    del seen
    assert pool.empty(MEGA, torch.float32).data_ptr() == address


def test_tensors_in_use_never_share_a_byte():
    pool, held = Pool(), []
    generator = torch.Generator().manual_seed(0)
    for turn in range(300):
        count = int(torch.randint(1, 300_000, (), generator=generator))
        held.append(pool.empty(count, torch.float32).fill_(turn))
        if len(held) > 6:
            held.pop(int(torch.randint(len(held), (), generator=generator)))
        spans = sorted([(t.data_ptr(), t.data_ptr() + 4 * t.numel()) for t in held])
        assert all([end <= start for (_, end), (start, _) in itertools.pairwise(spans)])
    assert all([(tensor == tensor[0]).all() for tensor in held])
    held.clear()
    assert idle_bytes(pool) == pool._idle_bytes


def test_a_block_fits_its_tensor_to_the_last_number():
    pool = Pool()
    for count in [1, 1023, 1024, 1025, MEGA - 1, MEGA, MEGA + 1, 3 * MEGA // 2]:
        tensor = pool.empty(count, torch.float64)
        block = tensor.untyped_storage()
        assert tensor.data_ptr() % 64 == 0
        assert block.nbytes() >= 8 * count
        tensor.fill_(1.0)


def idle_bytes(pool):
    return sum([len(block) for _, block in pool._idle.values()])


def test_no_more_than_the_limit_lies_idle_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(tuning, "MAX_IDLE_BYTES", 10 * MEGA)
    pool = Pool()
    tensors = [pool.empty(MEGA // 2, torch.float32) for _ in range(8)]  # 2 MB and a page each
    addresses = [tensor.data_ptr() for tensor in tensors]
    assert idle_bytes(pool) == pool._idle_bytes == 0
    while tensors:
        del tensors[0]
        assert idle_bytes(pool) == pool._idle_bytes <= 10 * MEGA
    kept = [pool.empty(MEGA // 2, torch.float32) for _ in range(4)]
    assert [tensor.data_ptr() for tensor in kept] == addresses[
        :-5:-1
    ]  # the last one is the warmest
    assert idle_bytes(pool) == pool._idle_bytes == 0


def test_a_block_above_the_limit_is_given_back_at_once(monkeypatch):
    monkeypatch.setattr(tuning, "MAX_IDLE_BYTES", MEGA)
    pool = Pool()
    pool.empty(MEGA, torch.float32)
    assert idle_bytes(pool) == pool._idle_bytes == 0


def test_sizes_that_are_alike_share_blocks():
    sizes = {memory._rounded(size) for size in range(MEGA, 2 * MEGA, mmap.PAGESIZE)}
    assert len(sizes) <= 5
    for size in (1, 5000, MEGA - 1, MEGA, MEGA + 1, 5 * MEGA):
        assert size <= memory._rounded(size) <= max(1.25 * size, size + mmap.PAGESIZE)


def test_small_tensors_are_torchs_own_and_large_ones_the_pools(monkeypatch):
    pool = Pool()
    monkeypatch.setattr(memory, "POOL", pool)
    small, large = empty((3, 5), torch.float32), empty((300, 500), torch.float32)
    assert (small.shape, large.shape) == ((3, 5), (300, 500))
    address = large.data_ptr()
    del small, large
    assert len(pool._idle) == 1
    assert aligned(150_000, torch.float32).data_ptr() == address
    for count in (1, 7, 100, 200_000):
        assert aligned(count, torch.float64).data_ptr() % 64 == 0
        assert aligned(count, torch.float64).numel() == count


def test_threads_never_get_the_same_block():
    pool, wrong = Pool(), []

    def work(number):
        for turn in range(200):
            tensor = pool.empty(70_000 + turn % 3, torch.float32)
            tensor.fill_(number)
            other = tensor[-1000:]
            del tensor
            if not (other == number).all():
                wrong.append(number)
            del other

    workers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert wrong == []
    assert idle_bytes(pool) == pool._idle_bytes


def test_what_a_layer_returned_is_not_written_over_by_the_next_call():
    torch.manual_seed(0)
    layer = elman.Recurrent(elman.cells.lstm, 4, 64)
    first, second = torch.randn(200, 16, 4), torch.randn(200, 16, 4)
    y, (h, c) = layer(first)
    seen = [tensor.detach().clone() for tensor in (y, h, c)]
    parameters = [*layer.parameters()]
    expected = torch.autograd.grad(layer(first)[0].sin().sum(), parameters)
    for _ in range(3):
        layer(second)[0].sum().backward()
        with torch.no_grad():
            layer(second)
    for now, before in zip((y, h, c), seen, strict=True):
        assert torch.equal(now, before)
    loss = y.sin().sum()
    once = torch.autograd.grad(loss, parameters, retain_graph=True)
    layer(second)[0].sum().backward()
    twice = torch.autograd.grad(loss, parameters)
    for a, b, wanted in zip(once, twice, expected, strict=True):
        assert torch.equal(a, wanted)
        assert torch.equal(b, wanted)
