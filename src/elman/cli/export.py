"""``elman export``: a trained model, or an imported layer, as files that run without Elman."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from elman.cli.shared import Json
from elman.errors import OptionError

if TYPE_CHECKING:
    from torch import nn

    from elman.export import Exported


def export(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="A run folder, a shipped model, or a file from `elman import`."
        ),
    ],
    to: Annotated[
        Literal["c", "onnx", "torch"],
        typer.Option(help="Write C99 source, ONNX files or torch.export programs."),
    ],
    out: Annotated[Path, typer.Option(help="Output folder.")] = Path(),
    step: Annotated[
        bool, typer.Option("--step", help="Export only a single time step, as C always does.")
    ] = False,
    sequence: Annotated[
        bool, typer.Option("--sequence", help="Export only whole sequences.")
    ] = False,
    opset: Annotated[
        int | None, typer.Option(help="ONNX opset version, at least 17. Default: 17.")
    ] = None,
    quantize: Annotated[
        Literal["int8"] | None, typer.Option(help="Quantise weights to int8; slightly less exact.")
    ] = None,
    valid: Annotated[
        Path | None,
        typer.Option(help="Labelled data to evaluate the model and its ONNX files on."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Export a trained model to C, ONNX or torch, and report how far its outputs are from Elman's.

    ONNX and torch exports write one file for whole sequences and, if the model can run step by
    step, one for a single step.
    """
    from elman.export import c, onnx, torch_program

    if step and sequence:
        raise OptionError("--step and --sequence exclude each other; omit both to write both.")
    if to == "c" and (sequence or opset is not None):
        raise OptionError("C code computes one time step; omit --sequence and --opset.")
    if to == "torch" and (quantize or opset is not None):
        raise OptionError("torch programs are in float32; --quantize and --opset are for ONNX.")
    if valid is not None and (to != "onnx" or run.endswith(".safetensors")):
        raise OptionError("--valid is for trained models as ONNX files; omit it.")
    name, model, described = _model(run)
    before = {} if valid is None else _scores(run, valid)  # before a file is written
    forms = partial(_forms, model, out / name, step=step, sequence=sequence)
    if to == "c":
        done = [c(model, out / f"{name}.c", quantize=quantize)]
    elif to == "torch":
        done = forms(partial(torch_program, metadata=described), ".pt2")
    else:
        write = partial(onnx, opset=opset or 17, quantize=quantize, metadata=described)
        done = forms(write, ".onnx")
    scores = {}
    if valid is not None:
        scores = {"elman": before, "exported": _scores(str(done[0].files[0]), valid)}
    if as_json:
        files = [str(file) for each in done for file in each.files]
        known = [each.difference for each in done if each.difference is not None]
        worst = max(known) if len(known) == len(done) else None
        print(json.dumps({"files": files, "difference": worst, "note": done[0].note, **scores}))
    else:
        for each in done:
            print(each)
        for metric in scores.get("elman", {}):
            own, exported = [scores[by][metric] for by in ("elman", "exported")]
            print(
                f"{metric} on {valid}: {own:.4f}, exported {exported:.4f} ({exported - own:+.4f})"
            )


def export_to_onnx(run: str, folder: Path) -> Path:
    """Write every form of a trained model; returns a file that ``elman.load`` takes."""
    from elman.export import onnx

    name, model, described = _model(run)
    write = partial(onnx, metadata=described)
    done = _forms(model, folder / name, write, ".onnx", step=False, sequence=False)
    return done[0].files[0]


def _model(run: str) -> tuple[str, nn.Module, dict[str, str]]:
    """The name for the files, the module, and metadata that describe its task."""
    if run.endswith(".safetensors"):
        from elman.export.importing.importer import import_weights

        return Path(run).stem, import_weights(run), {}
    from elman.tasks import load
    from elman.tasks.onnx_network import constants_of
    from elman.tasks.runs import find_run

    trained = load(run)
    options = dataclasses.asdict(trained.options)
    described = {
        "elman.task": trained.task.name,
        "elman.symbols": trained.symbols.to_json(),
        "elman.options": json.dumps(options),
        "elman.cell_graph": trained.cell.text,
        "elman.weights": _fingerprint(trained.model),
    }
    constants = constants_of(trained.model)
    if constants:
        numbers = {name: tensor.tolist() for name, tensor in constants.items()}
        described["elman.constants"] = json.dumps(numbers)
    if "sample_rate" in options:
        described["elman.sample_rate"] = str(options["sample_rate"])
    return find_run(run).resolve().name, trained.model, described


def _fingerprint(model: nn.Module) -> str:
    """What the files of one model have in common."""
    total = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        total.update(name.encode())
        total.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def _scores(run: str, data: Path) -> dict[str, float]:
    """The scores of a trained model, or of its exported files, on labelled data."""
    from elman.tasks import load

    scores = load(run).evaluate(data)
    return {name: value for name, value in scores.items() if isinstance(value, float)}


def _forms(
    model: nn.Module,
    path: Path,
    write: Callable[..., Exported],
    suffix: str,
    *,
    step: bool,
    sequence: bool,
) -> list[Exported]:
    """A file for each form of the model, or for the one that is wanted."""
    from elman.export.forms import form_called, forms_of

    def file(form: str) -> Path:
        return path.with_name(path.name + ("" if form == "sequence" else f".{form}") + suffix)

    forms = [form.name for form in forms_of(model)]
    if not forms:  # a layer
        both = ["sequence"] if getattr(model, "bidirectional", False) else ["sequence", "step"]
        wanted = ["step"] if step else ["sequence"] if sequence else both
        return [write(model, file(each), step=each == "step") for each in wanted]
    if step or sequence:
        forms = [form_called(model, None, step=step).name]
    return [write(model, file(form), form=form) for form in forms]
