"""The recipes for Slurm and Kubernetes in the documentation, tried as far as without a cluster."""

import importlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from torch.distributed.run import get_args_parser

from elman.training import RunFolder

PAGE = Path(__file__).parents[2] / "docs" / "tutorials" / "machines.md"
#: what the recipe trains on, and where
DATA, RUN = "'s3://bucket/reviews/*.jsonl'", "/shared/runs/reviews"
#: programs of Slurm, on this machine alone: a step of two tasks, and the names of two nodes
SRUN = """#!/bin/bash
for node in 0 1; do SLURM_NODEID=$node "$@" & tasks+=($!); done
trap 'kill -TERM "${tasks[@]}"' TERM
status=0
for task in "${tasks[@]}"; do wait "$task" || status=1; wait "$task"; done
exit $status
"""
SCONTROL = """#!/bin/bash
[ "$*" = "show hostnames node[1-2]" ] && printf 'localhost\\nnode2\\n'
"""


def block(language, mark):
    """The block of code of the page in which ``mark`` stands."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    [text] = [each for each in found if mark in each]
    return text


def documents():
    return list(yaml.safe_load_all(block("yaml", "kind: Job")))


def problems(document):
    """What is wrong with the fields of a document by the schema of the API, by place."""
    kinds = importlib.import_module("kubernetes.client").models
    try:
        getattr(kinds, f"V1{document['kind']}").model_validate(document)
    except ValueError as error:
        return {".".join(map(str, each["loc"])): each["type"] for each in error.errors()}
    return {}


def test_the_recipe_for_kubernetes_has_fields_of_its_api():
    pytest.importorskip("kubernetes", reason="the client of Kubernetes is not installed")
    service, job = documents()
    assert (problems(service), problems(job)) == ({}, {})
    # and wrong ones are found
    container = "spec.template.spec.containers.0"
    job["spec"]["completion"] = job["spec"].pop("completions")
    job["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = 1
    del job["spec"]["template"]["spec"]["containers"][0]["name"]
    service["spec"]["clusterIp"] = service["spec"].pop("clusterIP")
    assert problems(service) == {"spec.clusterIp": "extra_forbidden"}
    assert problems(job) == {
        "spec.completion": "extra_forbidden",
        f"{container}.env.0.value": "string_type",
        f"{container}.name": "missing",
    }


def test_the_parts_of_the_recipe_for_kubernetes_fit_together():
    service, job = documents()
    name, pod = job["metadata"]["name"], job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    # what the Job controller gives the pods of an indexed Job: a label and a host name
    assert service["spec"]["selector"] == {"job-name": name}
    assert job["spec"]["completionMode"] == "Indexed"
    assert service["spec"]["clusterIP"] == "None"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert container["command"] == ["torchrun"]
    given = get_args_parser().parse_args(container["args"])
    assert given.rdzv_endpoint.partition(":")[0] == f"{name}-0.{pod['subdomain']}"
    assert int(given.nnodes) == job["spec"]["completions"] == job["spec"]["parallelism"]
    assert (given.module, given.training_script) == (True, "elman.cli")
    [mount] = container["volumeMounts"]
    assert mount["name"] in [volume["name"] for volume in pod["volumes"]]
    options = given.training_script_args
    assert options[options.index("--out") + 1].startswith(f"{mount['mountPath']}/")
    # the same training as in the recipe for Slurm
    slurm = shlex.split(block("sh", "#SBATCH").partition(" -m elman.cli ")[2])
    assert options[:4] == slurm[:4]
    assert options[4:] == ["--out", "/runs/reviews", "--resume"]


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.timeout(1800)  # four processes start twice, which takes minutes on a busy machine
def test_the_recipe_for_slurm_trains_is_preempted_and_goes_on(tmp_path):
    (tmp_path / "data").mkdir()
    for file in range(2):
        lines = [{"text": f"word{k} film", "label": "ab"[k % 2]} for k in range(file, 80, 2)]
        text = "".join([json.dumps(line) + "\n" for line in lines])
        (tmp_path / "data" / f"{file}.jsonl").write_text(text)
    (tmp_path / "bin").mkdir()
    torchrun = f'#!/bin/sh\nexec {sys.executable} -m torch.distributed.run "$@"\n'
    for name, content in (("srun", SRUN), ("scontrol", SCONTROL), ("torchrun", torchrun)):
        (tmp_path / "bin" / name).write_text(content)
        (tmp_path / "bin" / name).chmod(0o755)
    run = tmp_path / "run"

    def submitted(epochs):
        with socket.create_server(("localhost", 0)) as free:
            port = free.getsockname()[1]
        script = block("sh", "#SBATCH")
        small = f"--resume --epochs {epochs} --hidden-size 4 --batch-size 4 --buffer-examples 20 --checkpoint-seconds 0"
        for old, new in (
            (DATA, f"'{tmp_path}/data/*.jsonl'"), (RUN, str(run)), ("29400", str(port)),
            ("--resume", small),
        ):  # fmt: skip
            assert script.count(old) == 1
            script = script.replace(old, new)
        (tmp_path / "job.sh").write_text(script)
        return subprocess.Popen(
            ["bash", str(tmp_path / "job.sh")],
            env={
                **os.environ,
                "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
                "PYTHONPATH": os.pathsep.join(sys.path),
                "GLOO_SOCKET_IFNAME": "lo",
                "SLURM_JOB_ID": "17", "SLURM_NNODES": "2", "SLURM_CPUS_PER_TASK": "1",
                "SLURM_JOB_NODELIST": "node[1-2]",
            },
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    first = submitted(100_000)
    try:
        while not RunFolder(run).checkpoint_path.exists():
            assert first.poll() is None, first.stderr.read()
            time.sleep(0.2)
        os.killpg(first.pid, signal.SIGTERM)  # as Slurm does with a preempted job
        _, said = first.communicate(timeout=600)
    finally:
        if first.poll() is None:
            os.killpg(first.pid, signal.SIGKILL)
    assert "Streaming 72 examples of 2 files" in said
    reached = len(RunFolder(run).history())
    second = submitted(reached + 3)
    try:
        _, said = second.communicate(timeout=900)
    finally:
        if second.poll() is None:
            os.killpg(second.pid, signal.SIGKILL)
    assert second.returncode == 0, said
    assert re.search(r"Resuming in epoch \d+", said), said
    assert RunFolder(run).history()[-1]["epoch"] == reached + 3
