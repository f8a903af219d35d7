"""What the native engine says of itself is so: its pages, its dumps, the names of its values."""

import re

import llvmlite.binding as llvm
import pytest
import torch
from hypothesis import given

import elman
from elman.backends.native.describe import describe
from elman.backends.native.kernels import CompiledLayer, layer_of
from elman.backends.native.llvm.jit import compile_module
from elman.backends.native.llvm.target import chosen_target, find_target
from elman.backends.native.names import comments_of, names_of, projection_names
from elman.backends.native.page import BATCHES, STEPS
from elman.backends.native.programs import programs_of
from elman.graph.node import ancestors
from elman.graph.show import labels
from graph.kinds import KINDS
from graph.random_cells import quick, random_cells

CELLS = tuple(elman.cells.CATALOGUE.values())
each_cell = pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
HEADS = ("EQUATIONS", "FORWARD", "BEFORE THE LOOP", "BACKWARD", "PARAMETERS", "MEMORY")


def sections(page):
    """The lines of a page by the first words of their headings."""
    found, head = {}, "title"
    for line in page.splitlines():
        head = next((h for h in HEADS if line.startswith(h)), head)
        found.setdefault(head, []).append(line)
    return found


def equations(lines):
    """The left sides of a section's equations."""
    cut = [re.sub(r"^ +(sums|then)? *", "", line) for line in lines]
    return [line.split(" = ")[0] for line in cut if " = " in line]


def test_the_lstm_has_one_phase_with_its_authors_names():
    parts = sections(describe(elman.cells.lstm, 128, 256))
    forward = parts["FORWARD"]
    assert equations(forward) == ["Σo", "Σf", "Σi", "Σg", "o", "f", "i", "g", "c'", "h'"]
    assert [line.strip() for line in forward if line.startswith("  phase")] == ["phase 1 of 1"]
    assert any("Σf = b.f + W.f · x + W.f · h" in line for line in forward)
    assert "    written  h' to `y`; c' to `pair c`" in forward
    assert "  training writes: h' to `y`; c' to `history c`; o, f, i, g to `saved`" in forward
    backward = parts["BACKWARD"]
    assert {"∂f", "∂Σf", "∂i", "∂g", "∂o", "∂c'", "∂h'", "∂h", "∂c", "∂x"} <= {*equations(backward)}
    assert any("∂W.f += ∂Σf ⊗ h" in line for line in parts["PARAMETERS"])


@pytest.mark.parametrize(
    ("name", "phases"), [("rnn", 1), ("gru", 2), ("gru_reset_after", 1), ("peephole_lstm", 2)]
)
def test_the_page_has_a_phase_for_each_product_that_waits_for_another(name, phases):
    forward = sections(describe(elman.cells.CATALOGUE[name], 12, 20))["FORWARD"]
    found = [line.strip() for line in forward if line.startswith("  phase")]
    assert {*found} == {f"phase {k} of {phases}" for k in range(1, phases + 1)}


@each_cell
def test_a_page_is_whole_and_fits_a_page(cell):
    page = describe(cell, 128, 256)
    parts = sections(page)
    assert list(parts) == ["title", *HEADS]
    assert {*labels(cell).values()} <= {*equations(parts["FORWARD"])}
    gathered = "\n".join(parts["PARAMETERS"])
    for parameter in cell.parameters:
        wanted = max(1, len(parameter.columns))
        assert gathered.count(f"∂{parameter.key} +=") == wanted
    assert max(len(line) for line in page.splitlines()) <= 100
    norms = [node for node in ancestors(cell.next_states) if node.operation == "layer_norm"]
    # a normalised sum is two equations more, there and back
    assert len(page.splitlines()) <= (85 if cell is elman.cells.lstm else 120 + 4 * len(norms))


@pytest.mark.parametrize(
    ("cell", "sizes", "dtype"),
    [(cell, (24, 40), torch.float32) for cell in CELLS]
    + [(elman.cells.CATALOGUE[n], (3, 4), torch.float64) for n in KINDS]
    + [(elman.cells.CATALOGUE[n], (128, 256), torch.float32) for n in KINDS],
    ids=str,
)
def test_the_bytes_kept_are_those_that_autograd_keeps(cell, sizes, dtype):
    memory = "\n".join(sections(describe(cell, *sizes, dtype=dtype))["MEMORY"])
    (shown,) = re.findall(r"saved for backward +([\d,]+) ", memory)
    layer = elman.Recurrent(cell, *sizes, dtype=dtype, backend="native")
    saved = {}
    time, batch = 3, 2

    def pack(tensor):
        saved[tensor.data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        layer(torch.zeros(time, batch, sizes[0], dtype=dtype))
    kept = [t for t in saved.values() if t.shape[:1] == (time * batch,)]
    assert bool(kept) == (shown != "0")
    assert int(shown.replace(",", "")) == sum(t.numel() * t.itemsize for t in kept) // time // batch


def test_the_page_knows_which_batches_are_projected_first(monkeypatch):
    (line,) = [
        line for line in describe(elman.cells.rnn, 3, 4).splitlines() if "does so for" in line
    ]
    yes, no = [
        [] if part == "none" else [int(number) for number in part.split(", ")]
        for part in re.fullmatch(r".* does so for a batch of (.*), but not (.*)", line).groups()
    ]
    assert tuple(sorted(yes + no)) == BATCHES
    seen = []
    forward = CompiledLayer.forward

    def spy(self, *, save, hoisted):
        seen.append(hoisted)
        return forward(self, save=save, hoisted=hoisted)

    monkeypatch.setattr(CompiledLayer, "forward", spy)
    layer = elman.Recurrent(elman.cells.rnn, 3, 4)
    for batch in BATCHES:
        layer(torch.zeros(STEPS, batch, 3))
    assert seen == [batch in yes for batch in BATCHES]


@pytest.mark.parametrize("target", ["avx512", "avx2", "x86-64", "aarch64"])
def test_a_tile_fits_the_registers_of_the_processor(target):
    processor = find_target(target)
    page = describe(elman.cells.lstm, 128, 256, target=processor)
    assert f"{processor.registers} vector registers" in page.splitlines()[1]
    tiles = re.findall(r"(\d+) rows × (\d+) blocks? × (\d+) sums? in registers", page)
    assert tiles
    for tile in tiles:
        rows, blocks, sums = map(int, tile)
        assert rows * blocks * sums < processor.registers


@quick
@given(random_cells())
def test_every_cell_has_a_page_and_no_two_values_one_name(cell):
    describe(cell, 3, 4)
    programs = programs_of(cell.text)
    authors = [*labels(cell).values()]
    for names in (names_of(programs), projection_names(programs, names_of(programs))):
        ours = [name for name in names.values() if name not in authors]
        assert len(ours) == len({*ours})


@pytest.fixture
def dump(tmp_path, monkeypatch):
    """Where the kernels of a layer, run forward and backward, were dumped."""
    monkeypatch.setenv("ELMAN_DUMP", str(tmp_path / "dump"))
    layer = elman.Recurrent(elman.cells.lstm, 5, 19, dtype=torch.float64)
    x = torch.zeros(8, 3, 5, dtype=torch.float64, requires_grad=True)
    layer_of.cache_clear()  # kernels of this process are not loaded again
    layer(x)[0].sum().backward()
    return tmp_path / "dump"


def test_every_kernel_leaves_graph_plan_and_code(dump):
    code = sorted(dump.glob("*.ll"))
    programs = [re.sub(r"^lstm_|_5x19_double_.*", "", path.stem) for path in code]
    assert programs == ["backward", "forward_saving", "input_gradient", "outer"]
    for path in code:
        assert path.with_suffix(".plan").read_text("utf-8").startswith("lstm, input 5, hidden 19")
        assert path.with_suffix(".graph").read_text("utf-8")
        module = llvm.parse_assembly(path.read_text("utf-8"))
        module.verify()
        wanted = "outer" if "outer" in path.name else "run"
        assert wanted in {function.name for function in module.functions}


def test_a_dump_speaks_in_the_names_of_the_equations(dump):
    (graph,) = dump.glob("lstm_forward_*.graph")
    lines = [line.split(maxsplit=2) for line in graph.read_text("utf-8").splitlines()]
    made = {name: (number, how) for number, name, how in [e for e in lines if len(e) == 3]}
    assert made["f"][1] == f"sigmoid({made['Σf'][0]})"
    assert made["x"][1] == "from `x`"
    (graph,) = dump.glob("lstm_backward_*.graph")
    assert re.search(r"^v\d+ +f +from `saved`$", graph.read_text("utf-8"), re.MULTILINE)
    (graph,) = dump.glob("lstm_outer_*.graph")
    assert "∂W.f += ∂Σf ⊗ h" in graph.read_text("utf-8").splitlines()
    (code,) = dump.glob("lstm_forward_*.ll")
    text = code.read_text("utf-8")
    for equation in comments_of(programs_of(elman.cells.lstm.text)).values():
        assert (f"  ; {equation}\n" in text) == ("∂" not in equation)
    (code,) = dump.glob("lstm_outer_*.ll")
    assert "  ; ∂W.f += ∂Σf ⊗ h\n" in code.read_text("utf-8")


def test_comments_do_not_change_the_code(dump):
    for path in dump.glob("*.ll"):
        text = path.read_text("utf-8")
        bare = "".join(
            [line for line in text.splitlines(keepends=True) if not line.startswith("  ;")]
        )
        assert compile_module(text, chosen_target()) == compile_module(bare, chosen_target())


def test_the_page_of_a_cell_with_inputs_beside_x_says_what_is_computed_before():
    assert "before it" not in describe(elman.cells.cfc, 4, 8)
    assert "  v_1 = W.s · d" in describe(elman.cells.gru_d, 4, 8).splitlines()
