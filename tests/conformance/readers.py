"""Three readers of YAML that disagree on many a bare word, and what they make of a text."""

import io
import json
from typing import Any

import yaml
from ruamel.yaml import YAML

from tests.tools import run


def go(text: str) -> list[Any]:
    """Read as helm, kubectl and Flux do. Raises ValueError on what they refuse."""
    done = run("yaml2json", text=text)
    if done.returncode:
        raise ValueError(done.stderr)
    return [json.loads(line) for line in done.stdout.split("\n") if line]


def yaml_1_1(text: str) -> list[Any]:
    """Read as PyYAML does, by YAML 1.1."""
    return list(yaml.safe_load_all(text))


def yaml_1_2(text: str) -> list[Any]:
    """Read as ruamel does, by YAML 1.2."""
    return list(YAML(typ="safe", pure=True).load_all(io.StringIO(text)))


def canonical(documents: list[Any]) -> list[str]:
    """Make documents comparable as JSON is: true is not 1, but 1.0 is; empty documents go."""
    return [json.dumps(_plain(d), sort_keys=True) for d in documents if d is not None]


def _plain(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return int(node) if isinstance(node, float) and node.is_integer() else node
