"""Many releases in one run of Helm: an umbrella chart with an alias for each of them."""

import json
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from fleetform import emit
from tests.conformance import readers
from tests.parity.objects import Key, Object, by_key
from tests.tools import ROOT, run

HELMS = ("helm3", "helm")
"""Helm 3 and Helm 4."""
EACH_HELM = (pytest.param("helm3", marks=pytest.mark.proof), "helm")
"""The same as a test's parameters."""
CHARTS = ROOT / "charts"


@cache
def validator(chart: str) -> jsonschema_rs.Draft202012Validator:
    """Return the schema of a chart's values."""
    text = (CHARTS / chart / "values.schema.json").read_text("utf-8")
    return jsonschema_rs.Draft202012Validator(json.loads(text))


def umbrella(folder: Path, chart: str, values: Sequence[dict[str, Any]]) -> Path:
    """Write a chart that holds one of ours once for each document of values."""
    # Helm would compile the schema anew for each alias, which takes longer than all the rest.
    wrong = [
        error.message for document in values for error in validator(chart).iter_errors(document)
    ]
    assert not wrong, wrong
    without = shutil.ignore_patterns("values.schema.json")
    shutil.copytree(CHARTS / chart, folder / "charts" / chart, ignore=without)
    aliases = [f"a{number}" for number in range(len(values))]
    dependencies = [{"name": chart, "version": "0.1.0", "alias": alias} for alias in aliases]
    head = {"apiVersion": "v2", "name": "umbrella", "version": "0.1.0"}
    (folder / "Chart.yaml").write_text(json.dumps({**head, "dependencies": dependencies}))
    text = emit.emit(dict(zip(aliases, values, strict=True)))
    (folder / "values.yaml").write_text(text, "utf-8")
    return folder


def template(helm: str, folder: Path, namespace: str, count: int) -> list[dict[Key, Object]]:
    """Return the objects of each release of an umbrella, in the order of its values."""
    done = run(helm, "template", "umbrella", folder, "--namespace", namespace, "--skip-tests")
    assert done.returncode == 0, done.stderr[-4000:]
    chunks = [chunk for chunk in ("\n" + done.stdout).split("\n---\n") if chunk.strip()]
    documents = readers.go("\n---\n".join(chunks))
    assert len(documents) == len(chunks), "Helm and we disagree where documents end"
    found: list[list[Any]] = [[] for _ in range(count)]
    for chunk, document in zip(chunks, documents, strict=True):
        source = next(line for line in chunk.splitlines() if line.startswith("# Source: "))
        found[int(source.split("/")[2].removeprefix("a"))].append(document)
    return [by_key(documents) for documents in found]
