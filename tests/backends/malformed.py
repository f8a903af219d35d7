"""A program for a process of its own: random calls of the operators with wrong arguments.

``python malformed.py COUNT [FIRST]`` makes the same calls each time, prints each before it is
made, and at the end how many there were and how many were refused.  Whatever is not refused must come back.
"""

import faulthandler
import random
import sys
import warnings

import torch
from torch import Tensor

import elman
from elman.cells import CATALOGUE

NOISY = elman.Recurrent(elman.cells.lstm, 2, 2, recurrent_dropout=0.5, zoneout=0.1)
#: few, since a kernel is compiled for each and each size
CELLS = [CATALOGUE["lstm"], CATALOGUE["gru"], NOISY.stack.in_training]


def right(draw: random.Random) -> dict[str, object]:
    """Arguments of ``elman::recurrent`` that fit."""
    cell = draw.choice(CELLS)
    time, batch, hidden = [draw.choice(few) for few in ([1, 2, 7], [1, 5, 16], [3, 17])]
    width = 5
    dtype = draw.choice([torch.float32, torch.float64, torch.bfloat16])
    sizes = elman.graph.sizes.Sizes(width, hidden)
    masks = [
        torch.ones((time, batch, hidden) if m.attribute[2] == "step" else (batch, hidden))
        for m in cell.masks
    ]
    lengths = draw.choice([None, torch.tensor([draw.randint(0, time) for _ in range(batch)])])
    return {
        "x": torch.randn(time, batch, width, dtype=dtype),
        "states": [torch.randn(batch, hidden, dtype=dtype) for _ in cell.states],
        "parameters": [torch.randn(p.shape(sizes), dtype=dtype) for p in cell.parameters],
        "lengths": lengths,
        "cell": cell.text,
        "reverse": draw.random() < 0.5,
        "save": draw.random() < 0.7,
        "backend": draw.choice(["native", "reference"]),
        "masks": masks,
    }


def spoilt(draw: random.Random, tensor: Tensor) -> object:
    """Something else in the place of a tensor."""
    ways = [
        lambda: tensor[..., :1] if tensor.dim() else tensor,
        lambda: tensor[:1] if tensor.dim() else tensor,
        lambda: torch.zeros(1, dtype=tensor.dtype),
        lambda: torch.zeros(0, dtype=tensor.dtype),
        lambda: torch.zeros((), dtype=tensor.dtype),
        lambda: torch.zeros(tensor.numel() * 2, dtype=tensor.dtype),
        lambda: tensor.unsqueeze(0),
        lambda: tensor.mT if tensor.dim() > 1 else tensor[None],
        lambda: tensor.reshape(-1),
        lambda: tensor.to("meta"),
        lambda: tensor.double() if tensor.dtype is torch.float32 else tensor.float(),
        lambda: tensor.to(torch.int64),
        lambda: tensor.to(torch.complex64),
        lambda: tensor.bool(),
        lambda: tensor.to_sparse(),
        lambda: torch._neg_view(tensor),
        lambda: torch._efficientzerotensor(tensor.shape, dtype=tensor.dtype),
        lambda: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
        lambda: torch.nested.nested_tensor([tensor, tensor]),
        lambda: tensor[:1].expand(tensor.shape),
        lambda: torch.cat([tensor, tensor], -1),
        lambda: torch.randn(7, 3, 2),
        lambda: torch.full_like(tensor, 1 << 40),
        lambda: -tensor,
        lambda: freed(tensor),
        lambda: None,
        lambda: 3,
        lambda: [tensor],
    ]
    try:
        return draw.choice(ways)()
    except (RuntimeError, ValueError, IndexError, NotImplementedError):
        return torch.zeros(1)


def freed(tensor: Tensor) -> Tensor:
    tensor = tensor.clone()
    tensor.untyped_storage().resize_(0)
    return tensor


def spoil(draw: random.Random, arguments: dict[str, object]) -> dict[str, object]:
    """With one to three arguments others, most of which do not fit."""
    arguments = dict(arguments)
    # none of them twice: torch itself reads what has no memory
    for name in draw.sample(list(arguments), draw.randint(1, 3)):
        value = arguments[name]
        if isinstance(value, Tensor):
            arguments[name] = spoilt(draw, value)
        elif isinstance(value, list):
            value = list(value)
            way = draw.randrange(4)
            if way == 0 and value:
                value.pop(draw.randrange(len(value)))
            elif way == 1:
                value.insert(0, torch.randn(3, 4))
            elif way == 2:
                draw.shuffle(value)
            elif value:
                k = draw.randrange(len(value))
                value[k] = spoilt(draw, value[k])
            arguments[name] = value
        elif name == "cell":
            text = str(value)
            arguments[name] = draw.choice(
                ["", "{}", "null", text[: len(text) // 2], draw.choice(CELLS).text]
            )
        elif name == "backend":
            arguments[name] = draw.choice(["auto", "", "kernels", "native\n", "../native"])
        else:
            arguments[name] = draw.choice([None, True, 2, "yes"])
    return arguments


def backward_of(draw: random.Random, arguments: dict[str, object]) -> dict[str, object]:
    """Arguments of ``elman::recurrent_backward`` that fit."""
    arguments = {**arguments, "save": True}
    made = torch.ops.elman.recurrent(**arguments)
    count = len(arguments["states"])
    del arguments["save"]
    return {
        **arguments,
        "grad_y": torch.randn_like(made[0]),
        "grad_states": [torch.randn_like(s) for s in made[1 : 1 + count]],
        "y": made[0],
        "saved": made[1 + count :],
        "need_input": draw.random() < 0.5,
        "need_parameters": draw.random() < 0.5,
    }


def described(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(described, value)) + "]"
    if isinstance(value, Tensor):
        shape = "nested" if value.is_nested else tuple(value.shape)
        return f"{value.dtype} {shape} {value.layout} {value.device}"
    return repr(value)


def main(count: int, first: int = 0) -> None:
    faulthandler.enable()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    refused = 0
    for seed in range(first, first + count):
        draw = random.Random(seed)
        torch.manual_seed(seed)
        arguments, operator = right(draw), torch.ops.elman.recurrent
        if draw.random() < 0.4:
            arguments, operator = backward_of(draw, arguments), torch.ops.elman.recurrent_backward
        arguments = spoil(draw, arguments)
        print(seed, {k: described(v) for k, v in arguments.items() if k != "cell"}, flush=True)
        try:
            operator(**arguments)
        except Exception as error:
            if isinstance(error, SystemError):
                raise
            refused += 1
    print(f"{count} calls, {refused} refused")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
