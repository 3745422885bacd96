"""Accepted means taken: whatever a spec may say in a leaf, an API server refuses nothing that is rendered of it.

Each leaf gets values that somebody might write and Kubernetes might not like. What a schema or a rule
refuses is of no interest here; what they let pass is rendered and judged.
"""

import copy
import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import yaml

from fleetform import pipeline
from fleetform.problems import SpecError, errors
from tests.conformance import apiserver
from tests.parity.exact import EXAMPLES
from tests.served import rendering
from tests.served.fleets import SUBJECTS
from tests.served.leaves import leaves, places, turned
from tests.served.turns import ENVIRONMENTS, FLEETS

pytestmark = pytest.mark.proof

Json = Any
KINDS = ("Agent", "MCPServer", "MemoryStore", "ModelConfig", "Tool", "Environment")
LONG = 300_000
TEXTS = (
    *("Bad_Name", "UPPER", "a.b", "a..b", "-a", "a b", "", "é", "*", "9", "9a.b"),
    *("a" * 16, "a" * 54, "a" * 63, "a" * 64, "a.b-" + "c" * 240, "a" * 254, "A" * 63),
    *("a/b", "a/b/c", "../x", "a:b", "a%b", "K/v", "kubernetes.io/x_y", "example.com/a"),
    *("metadata.labels['A b']", "metadata.annotations['a/b']", "status.phase", "spec.nodeName"),
    *("10.0.0.0/8", "https://h.example/x", "h.example", "1h", "0s", "1000000h"),
)
AMOUNTS = ("0", "0.5", "100m", "1k", "-1", "1n", "1e3", "100Ei", "1.5Gi", 0, 1.5)
NUMBERS = (-1, 0, 1, 100, 101, 1023, 65535, 65536, (1 << 31) - 1, 1 << 31, 1 << 53)
MAPS = (
    *({"Bad_Name": "1"}, {"a b": "1"}, {"a/b/c": "1"}, {"A.b/c": "1"}, {"a..b/c": "1"}, {"": "x"}),
    *({"k": "a b"}, {"k": "x" * 64}, {"k": "é"}, {"k": "x" * LONG}, {"d." * 126 + "d/c": "1"}),
    *({"pods": "1.5"}, {"cpus": "1"}, {"limits.cpu": "1n"}, {"count/x": "0.5"}, {"memory": "100m"}),
)


def hostile(rule: Json) -> tuple[Json, ...]:
    """Return values of a leaf's type, and lists of one of them, once and twice."""
    kind = rule.get("type")
    if "enum" in rule:
        return tuple(rule["enum"])
    if kind == "array":
        inner = hostile(rule.get("items") or {})
        return ([], *([value] for value in inner), *([value, value] for value in inner[:4]))
    if isinstance(kind, list):
        return AMOUNTS
    given = {"object": MAPS, "boolean": (True, False), "integer": NUMBERS, "number": NUMBERS}
    return given.get(kind, TEXTS) if kind else (*TEXTS, *NUMBERS, *MAPS)


def some(name: str, values: tuple[Json, ...]) -> Iterable[Json]:
    """Return as many values as there is time for: all of them with `make parity`."""
    return random.Random(name).sample(values, min(len(values), EXAMPLES // 5))


def documents(kind: str, leaf: str) -> Iterator[tuple[str, str, str, Json, Json]]:
    """Yield fleets with a document whose leaf has another value, in the first place that has one."""
    steps, rule = leaves(kind)[leaf]
    for fleet, environment, name, prefixes in SUBJECTS[kind]:
        if "compose" in environment or not leaf.startswith(prefixes):
            continue
        known = ENVIRONMENTS[environment] if kind == "Environment" else FLEETS[fleet]
        document = known[f"{kind} {name}"]
        place = next(places(document, kind, steps), None)
        if place is None:
            continue
        before, _ = turned(document, kind, steps, place)
        for value in some(f"{kind} {leaf}", hostile(rule)):
            after = copy.deepcopy(before)
            node = after
            for step in place[:-1]:
                node = node[step]
            node[place[-1]] = value
            yield fleet, environment, f"{kind} {name}", after, value
        if not leaf.startswith("spec.gitops"):
            return  # a leaf means the same to all fleets, but for Flux and Argo CD


def built(fleet: str, environment: str, name: str, document: Json) -> list[Json]:
    """Return the objects of a fleet in which one document is another; none if it is refused."""
    if errors(rendering._sources({name: document}).problems):
        return []  # by its schema, which is quick
    specs, spaces = dict(FLEETS[fleet]), dict(ENVIRONMENTS[environment])
    (spaces if name.startswith("Environment ") else specs)[name] = document
    sources = rendering._sources(specs), rendering._sources(spaces)
    try:
        found, problems = pipeline.assembled(*sources, "prod", "environments")
    except SpecError:
        return []
    if found is None or errors(problems) or found.kubernetes is None:
        return []
    made = [item for unit in found.kubernetes.units for item in unit.objects]
    return made + (delivering(found) if name.startswith("Environment ") else [])


def delivering(found: pipeline.Assembled) -> list[Json]:
    """Return the objects that tell Flux and Argo CD what to apply."""
    files = {
        path: text
        for folder, texts in pipeline.texts(found).items()
        for path, text in texts.items()
        if folder.startswith(("flux/", "argocd/")) and not path.endswith("kustomization.yaml")
    }
    return [item for text in files.values() for item in yaml.safe_load_all(text)]


@pytest.mark.parametrize("kind", KINDS)
def test_what_passes_is_taken(kind):
    judged: dict[str, tuple[Json, str]] = {}
    for leaf in leaves(kind):
        for fleet, environment, name, document, value in documents(kind, leaf):
            for item in built(fleet, environment, name, document):
                key = json.dumps(item, sort_keys=True)
                judged.setdefault(key, (item, f"{leaf}: {json.dumps(value)[:80]}"))
    verdicts = apiserver.judge_objects(item for item, _ in judged.values())
    wrong = [
        f"{said} → {line[:300]}"
        for (_, said), verdict in zip(judged.values(), verdicts, strict=True)
        for line in apiserver.unexpected([verdict])
    ]
    assert not wrong, "\n".join(wrong)
    assert judged
