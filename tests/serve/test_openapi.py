"""The service behaves as its OpenAPI text says, for bodies that fit it and for bodies that do not.

schemathesis is not among the packages of the tests; install it in an environment of its own, and name
its program: ``SCHEMATHESIS=/tmp/env/bin/schemathesis``.
"""

import json
import os
import shutil
import subprocess

import pytest

from elman import shipped
from elman.serve.service import Service
from elman.tasks import TASKS


def references(value):
    """Every ``$ref`` of a JSON value."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "$ref":
                yield each
            else:
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def test_the_description_has_every_task_and_its_options_with_their_bounds():
    description = Service()._description
    assert json.loads(json.dumps(description)) == description
    assert set(references(description)) == {"#/components/schemas/Error"}
    for name in shipped.models():  # a service serves them unless it is given runs
        task = TASKS[name]
        post = description["paths"][f"/v1/{name}/predict"]["post"]
        bodies = post["requestBody"]["content"]
        assert ("application/json" in bodies) == (task.input_kind != "file")
        assert {"200", "400", "404", "408", "413", "415", "422", "429", "503"} <= {
            *post["responses"]
        }
    music = description["paths"]["/v1/music/predict"]["post"]["requestBody"]["content"]
    options = music["application/json"]["schema"]["properties"]["options"]["properties"]
    assert "out" not in options
    seconds = options["seconds"]
    assert (seconds["exclusiveMinimum"], seconds["maximum"], seconds["default"]) == (0, 600, 30.0)


@pytest.mark.slow
def test_schemathesis_finds_nothing_to_object_to(serve, tmp_path):
    program = os.environ.get("SCHEMATHESIS") or shutil.which("schemathesis")
    if program is None:
        pytest.skip("schemathesis is not installed, and SCHEMATHESIS names no program")
    process, port = serve("ner", "music", "speech", "translation")
    done = subprocess.run(
        [
            program, "run", f"http://127.0.0.1:{port}/openapi.json", "--max-examples", "20",
            "--no-color", "--exclude-checks", "positive_data_acceptance", "--request-timeout", "70",
        ],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    process.terminate()
    assert "Traceback" not in process.communicate()[1]
