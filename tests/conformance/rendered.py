"""The committed output, read by ourselves: what the other readers' counts are held against."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.tools import ROOT

ENVIRONMENTS = ("dev", "staging", "prod")

Object = dict[str, Any]


def folder(environment: str) -> Path:
    """Return the committed folder of an environment."""
    return ROOT / "rendered" / environment


def yaml_files(root: Path) -> list[Path]:
    """Return every YAML file of a tree; an empty tree is a failure."""
    files = sorted(root.rglob("*.yaml"))
    if not files:
        pytest.fail(f"no YAML files in {root}: make render ENV={root.name}")
    return files


def object_files(root: Path) -> list[Path]:
    """Return the files of Kubernetes objects: kustomization.yaml and values of charts are read on a laptop only."""
    return [
        file
        for file in yaml_files(root)
        if file.name != "kustomization.yaml" and "charts" not in file.relative_to(root).parts
    ]


def objects(files: Iterable[Path]) -> list[Object]:
    """Return the objects of some files in their order."""
    documents = [d for file in files for d in yaml.safe_load_all(file.read_text("utf-8"))]
    assert all(isinstance(document, dict) for document in documents)
    return documents
