"""Random cells with a matrix state: valid equations over values of every size.

A cell is drawn as the lines of a Python function, so that a failing example reads like a cell
that somebody wrote.  Values that may grow go through tanh.
"""

from random import Random

import elman.graph
from elman.graph import Cell, cell

#: the sizes of the inputs beside x that a cell may take
SIDES = {"dt": "one", "u": "hidden"}
#: the states that a cell may have beside y, and their sizes
STATES = {"S": "memory", "R": "memory", "n": "key", "m": "head", "c": "hidden"}
#: a value of each size is repeated to these sizes
LARGER = {
    "one": ("head", "hidden", "key", "memory"),
    "head": ("hidden", "key", "memory"),
    "hidden": ("memory",),
    "key": ("memory",),
    "memory": (),
}
ONE_OPERAND = (
    "-{a}", "sigmoid({a})", "tanh({a})", "relu({a})", "exp(tanh({a}))", "softplus({a})", "abs({a})",
    "log(1.5 + tanh({a}))", "sqrt(1.1 + tanh({a}))", "sin(3 * {a})", "cos({a})", "{a} - floor(2.7 * {a})",
    "0.5 * {a}", "1 - {a}", "{a} / 1.6", "maximum({a}, 0.21)", "where({a} > 0.13, {a}, 0.5)",
    "{a} * {a}",
)  # fmt: skip
TWO_OPERANDS = (
    "{a} + {b}", "{a} - {b}", "{a} * {b}", "{a} / (0.6 + exp({b}))", "maximum({a}, {b})",
    "minimum({a}, {b} + 0.19)", "where({a} > 0.3 * {b}, {a}, {b})",
    "where({b} <= 0.11 - {a}, {a}, 0.25)", "{a} + {b} * {a}", "sigmoid({b}) * {a} + {b}",
)  # fmt: skip


class _Writer:
    """The lines so far, and the size of each name and whether it depends on a state."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        others = [name for name in STATES if name != "S"]
        drawn = self.random.sample(others, self.random.randint(0, 3))
        #: most cells have a matrix; sums over keys need none
        has_no_size = not {"R", "n", "m"} & {*drawn}
        drawn += ["S"] if has_no_size or self.random.random() < 0.7 else []
        self.states = ["y", *[name for name in STATES if name in drawn]]
        self.sides = [name for name in SIDES if self.random.random() < 0.3]
        self.size = {"y": "hidden", **{n: STATES[n] for n in drawn}}
        self.size |= {n: SIDES[n] for n in self.sides}
        self.sizes = {name: STATES[name] for name in self.states[1:] if name != "c"}
        self.lines: list[str] = []
        self.count = 0

    def fresh(self, letter: str, size: str) -> str:
        """A new parameter with one value of this size."""
        self.count += 1
        name = f"{letter}.g{self.count}"
        if size != "hidden":
            self.sizes[name] = size
        return name

    def leaf(self, size: str) -> str:
        """A value of this size that needs no state."""
        if size == "one":
            return self.random.choice(["0.7", *[n for n in self.sides if SIDES[n] == "one"]])
        if size == "memory" or self.random.random() < 0.3:
            return self.fresh("p", size)
        if size == "hidden" and "u" in self.sides and self.random.random() < 0.3:
            return "u"
        operand = "[x, u]" if "u" in self.sides and self.random.random() < 0.5 else "x"
        return f"({self.fresh('W', size)} @ {operand})"

    def value(self, size: str) -> str:
        """A value of exactly this size, between -1 and 1 or so."""
        names = [name for name, own in self.size.items() if own == size]
        if names and self.random.random() < 0.75:
            name = self.random.choice(names)
            return name if self.random.random() < 0.3 else f"tanh({name})"
        if self.random.random() < 0.5:
            summed = self.sum(size)
            if summed:
                return f"tanh({summed})"
        return f"tanh({self.leaf(size)})"

    def smaller(self, size: str) -> str:
        """A value that may be repeated to this size."""
        sizes = [size, size, *[own for own, larger in LARGER.items() if size in larger]]
        return self.value(self.random.choice(sizes))

    def sum(self, size: str) -> str | None:
        """A sum or an outer product of this size."""
        if size == "memory":
            return f"outer({self.named('hidden')}, {self.named('key')})"
        if size == "hidden":
            return f"{self.named('memory')} @ {self.named('key')}"
        if size == "head":
            return f"head_sum({self.named(self.random.choice(['hidden', 'key']))})"
        return None

    def named(self, size: str) -> str:
        """A name of this size; a leaf if there is none."""
        names = [name for name, own in self.size.items() if own == size]
        if names:
            return self.random.choice(names)
        return f"(1 * {self.leaf(size)})" if size == "memory" else self.leaf(size)

    def line(self) -> None:
        size = self.random.choice(["memory", "memory", "hidden", "hidden", "key", "key", "head"])
        kind = self.random.random()
        right = self.sum(size) if kind < 0.3 else None
        if right is None and kind < 0.55:
            right = self.random.choice(ONE_OPERAND).format(a=self.value(size))
        if right is None:
            operands = [self.value(size), self.smaller(size)]
            self.random.shuffle(operands)
            right = self.random.choice(TWO_OPERANDS).format(a=operands[0], b=operands[1])
        # the name of a state, or one that is used again, is what authors write too
        again = [n for n in self.states if self.size[n] == size]
        name = self.random.choice([f"{size[0]}{self.random.randint(1, 3)}", *again])
        self.lines.append(f"    {name} = {right}")
        self.size[name] = size

    def source(self) -> str:
        for _ in range(self.random.randint(2, 9)):
            self.line()
        following = []
        for name in self.states:
            size = "hidden" if name == "y" else STATES[name]
            plain = self.random.random() < 0.3
            following.append(self.named(size) if plain else f"0.5 * {self.value(size)}")
        following[0] += "".join([f" + 0.1 * {side}" for side in self.sides])  # each must be used
        arguments = ", ".join(["x", *self.states, *self.sides])
        head = f"def random_cell({arguments}, *, W, p):"
        return "\n".join([head, *self.lines, f"    return {', '.join(following)}"])


def random_memory_cell(seed: int) -> tuple[str, Cell]:
    """The source of a random cell with a matrix state or a state per key or head, and the cell."""
    writer = _Writer(seed)
    source = writer.source()
    inputs = {name: SIDES[name] for name in writer.sides}
    sizes = {n: s for n, s in writer.sizes.items() if n in writer.states or n in source}
    names = {name: getattr(elman.graph, name) for name in elman.graph.__all__}
    exec(compile(source, "<random cell>", "exec"), names)
    return source, cell(inputs=inputs, sizes=sizes)(names["random_cell"])
