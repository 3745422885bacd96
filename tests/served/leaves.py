"""Every leaf of a spec kind, found by walking its JSON Schema, and how one is put into a document."""

import copy
from collections.abc import Iterator
from typing import Any

from fleetform.validators import schema
from tests.served.values import KEYS, candidates

Json = Any
Rule = dict[str, Any]
Steps = tuple[str, ...]
"""Steps to a leaf: names of fields, `[]` for any item of a list, `{}` for any key of a map."""

LAYERS = frozenset({"AgentSpec", "McpServerSpec", "MemoryStoreSpec", "ModelSettings"})
"""Whole specs below an Environment's `defaults`: the leaves of these are turned in their own kinds."""


def leaves(kind: str) -> dict[str, tuple[Steps, Rule]]:
    """Return the leaves of a kind by name, such as `spec.tools[].allow`, with their part of the schema."""
    body = schema(kind)
    found: dict[str, tuple[Steps, Rule]] = {}
    for name, rule in body["properties"].items():
        if name not in ("apiVersion", "kind"):
            for steps, leaf in _walk(kind, rule, body, (name,)):
                found[named(steps)] = steps, leaf
    return found


def named(steps: Steps) -> str:
    """Return the name of a leaf as people write it."""
    return ".".join(steps).replace(".[]", "[]")


def follow(rule: Rule, body: Rule) -> Rule:
    """Return what a rule refers to, or the rule itself."""
    if "$ref" in rule:
        return {
            **body["$defs"][rule["$ref"].rpartition("/")[2]],
            **{k: v for k, v in rule.items() if k != "$ref"},
        }
    return rule


def _walk(kind: str, rule: Rule, body: Rule, steps: Steps) -> Iterator[tuple[Steps, Rule]]:
    target = rule.get("$ref", "").rpartition("/")[2]
    if kind == "Environment" and target in LAYERS:
        yield steps, rule
        return
    rule = follow(rule, body)
    if rule.get("properties"):
        for name, part in rule["properties"].items():
            yield from _walk(kind, part, body, (*steps, name))
        return
    inner = rule.get("items") if rule.get("type") == "array" else rule.get("additionalProperties")
    if isinstance(inner, dict) and follow(inner, body).get("properties"):
        sign = "[]" if rule.get("type") == "array" else "{}"
        yield from _walk(kind, inner, body, (*steps, sign))
        return
    yield steps, rule


def places(document: Json, kind: str, steps: Steps) -> Iterator[tuple[str | int, ...]]:
    """Yield where a leaf is in a document: at every item of its lists, or in a new one where they are empty."""

    def descend(
        node: Json, rest: Steps, done: tuple[str | int, ...]
    ) -> Iterator[tuple[str | int, ...]]:
        if not rest:
            yield done
            return
        step = rest[0]
        if step == "[]":
            for number in range(len(node)) if isinstance(node, list) and node else [0]:
                child = node[number] if isinstance(node, list) and node else None
                yield from descend(child, rest[1:], (*done, number))
        elif step == "{}":
            known = (
                [*node]
                if isinstance(node, dict) and node
                else [KEYS[kind, named(steps[: len(done)])]]
            )
            for key in known:
                yield from descend(
                    node.get(key) if isinstance(node, dict) else None, rest[1:], (*done, key)
                )
        else:
            yield from descend(
                node.get(step) if isinstance(node, dict) else None, rest[1:], (*done, step)
            )

    yield from descend(document, steps, ())


def turned(
    document: Json, kind: str, steps: Steps, place: tuple[str | int, ...]
) -> tuple[Json, list[Json]]:
    """Return a document without a turn, and once for each other value of the leaf.

    What the leaf is in, and what that requires, is in all of them.
    """
    body = schema(kind)
    before = copy.deepcopy(document)
    rule: Rule = body
    node = before
    for number, step in enumerate(place[:-1]):
        rule = _below(rule, body, steps[number])
        fresh: Json = [] if steps[number + 1] == "[]" else {}
        if isinstance(step, int):
            while len(node) <= step:
                node.append(copy.deepcopy(fresh))
        elif not isinstance(node.get(step), dict | list):
            node[step] = fresh
        node = node[step]
        _require(node, rule, body, kind, steps[: number + 1])
    rule = _below(rule, body, steps[-1])
    last = place[-1]
    current = node.get(last) if isinstance(node, dict) else None
    afters = []
    for value in candidates(kind, named(steps), rule, current):
        if value not in (current, rule.get("default")):
            node[last] = copy.deepcopy(value)
            afters.append(copy.deepcopy(before))
    if current is None:
        node.pop(last, None)
    else:
        node[last] = current
    return before, afters


def _below(rule: Rule, body: Rule, step: str) -> Rule:
    rule = follow(rule, body)
    if step == "[]":
        return follow(rule["items"], body)
    if step == "{}":
        return follow(rule["additionalProperties"], body)
    return follow(rule["properties"][step], body)


def _require(node: Json, rule: Rule, body: Rule, kind: str, steps: Steps) -> None:
    """Fill what an object must have."""
    rule = follow(rule, body)
    if not isinstance(node, dict):
        return
    for name in rule.get("required", ()):
        if name not in node:
            node[name] = _least(follow(rule["properties"][name], body), body, kind, (*steps, name))


def _least(rule: Rule, body: Rule, kind: str, steps: Steps) -> Json:
    rule = follow(rule, body)
    if rule.get("properties"):
        made: Json = {}
        _require(made, rule, body, kind, steps)
        return made
    inner = rule.get("items")
    if rule.get("type") == "array" and inner and follow(inner, body).get("properties"):
        return [_least(inner, body, kind, (*steps, "[]"))]
    return copy.deepcopy(candidates(kind, named(steps), rule, None)[0])
