"""Specs that somebody broke end in Problems, never in a traceback; what renders keeps the contract."""

import copy
import random
from pathlib import Path

import pytest
import yaml

from fleetform.pipeline import render
from fleetform.problems import Problem, SpecError, errors
from fleetform_runtime.settings import Settings
from tests.tools import ROOT

ODD = [
    0, 1, -1, 1.5, True, "", "x", "a b", "*", "none", "redis", "postgres", "api", "in-memory", "cluster",
    "10Gi", "http://", "http://h:99999/x", "https://[::1", "{x}", "${A}", "x.y.svc", "a" * 70, 2**53,
    [], ["x"], [None], {}, {"x": 1}, {"name": "x"},
]  # fmt: skip
BATCHES = range(12)
PER_BATCH = 12


def documents(folder: str, *names: str) -> list[dict]:
    files = [ROOT / folder / f"{name}.yaml" for name in names] or (ROOT / folder).rglob("*.yaml")
    return [doc for file in sorted(files) for doc in yaml.safe_load_all(file.read_text("utf-8"))]


def places(node, path=()):
    """Yield the path of every node."""
    yield path
    pairs = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    for step, value in pairs:
        yield from places(value, (*path, step))


def at(node, path):
    for step in path:
        node = node[step]
    return node


def break_one(chance: random.Random, document: dict) -> None:
    """Drop, empty or replace one node, or put another one in its place."""
    paths = [path for path in places(document) if len(path) > 1]
    path = chance.choice(paths)
    parent = at(document, path[:-1])
    choice = chance.random()
    if choice < 0.35:
        parent.pop(path[-1])
    elif choice < 0.5:
        parent[path[-1]] = None
    elif choice < 0.85:
        parent[path[-1]] = chance.choice(ODD)
    else:
        parent[path[-1]] = copy.deepcopy(at(document, chance.choice(paths)))


def broken_fleet(chance: random.Random, folder: Path) -> str:
    """Write the example fleet with one to three things broken; return the environment's name."""
    name = chance.choice(["dev", "staging", "prod"])
    agents, environments = documents("agents"), documents("environments", "base", name)
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        break_one(chance, chance.choice(agents if chance.random() < 0.75 else environments))
    for part, docs in (("agents", agents), ("environments", environments)):
        (folder / part).mkdir(parents=True)
        text = yaml.safe_dump_all(docs, sort_keys=False, allow_unicode=True)
        (folder / part / "all.yaml").write_text(text, "utf-8")
    return name


def configurations(texts: dict[str, str]) -> list[str]:
    return [
        doc["data"]["agent.json"]
        for text in texts.values()
        for doc in yaml.load_all(text, yaml.CSafeLoader)
        if doc["kind"] == "ConfigMap" and "agent.json" in doc["data"]
    ]


def outcome(folder: Path, name: str) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Render; return the texts, or the problems that stand in the way."""
    try:
        return render([folder / "agents"], folder / "environments", name).folders[
            f"rendered/{name}"
        ], ()
    except SpecError as error:
        return {}, error.problems


@pytest.mark.proof
@pytest.mark.parametrize("batch", BATCHES)
def test_a_broken_fleet_ends_in_problems_or_keeps_the_contract(batch, tmp_path):
    for number in range(PER_BATCH):
        folder = tmp_path / str(number)
        name = broken_fleet(random.Random(1000 * batch + number), folder)
        texts, problems = outcome(folder, name)
        assert texts or errors(problems)
        assert all(problem.hint for problem in problems)
        for text in configurations(texts):
            Settings.model_validate_json(text)
