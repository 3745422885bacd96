"""Kubeconform's verdict on files, by schemas that allow only what an API server would keep."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.tools import run, tool

SCHEMA = "{{.Group}}/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json"


@dataclass(frozen=True)
class Verdict:
    """How many objects kubeconform read, and what it holds against which."""

    scanned: int
    refused: list[str]


def judge(files: Iterable[Path]) -> Verdict:
    """Validate every object of the files; one that has no schema is refused."""
    schemas = tool("schemas") / SCHEMA
    options = ["-strict", "-summary", "-verbose", "-output", "json"]
    done = run("kubeconform", *options, "-schema-location", schemas, *files)
    assert not done.stderr, done.stderr
    report = json.loads(done.stdout)
    outcomes = [entry for entry in report["resources"] if entry["status"]]
    refused = [
        f"{entry['filename']}: {entry['kind']} {entry['name']}: {entry['status']} {entry['msg']}"
        for entry in outcomes
        if entry["status"] != "statusValid"
    ]
    assert bool(done.returncode) == bool(refused), done
    assert report["summary"]["valid"] == len(outcomes) - len(refused), report["summary"]
    return Verdict(len(outcomes), refused)
