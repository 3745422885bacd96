"""Environment defaults < templates < spec < environment patches: one tree that keeps every leaf's origin."""

from __future__ import annotations

from collections.abc import Iterator

from fleetform import kinds
from fleetform.dialects import SpecDocument, python_logging
from fleetform.problems import Problem
from fleetform.records import NamedTuple
from fleetform.resolve.catalog import Catalog, namespace_of, unknown
from fleetform.tree import Map, Seq, TreePath, at, merge, problem_at

DEEPEST = 16
"""Most documents in a row that extend each other."""
MOST = 64
"""Most layers that one document may have below it."""


Used = set[tuple[int, str]]
"""Patches of an environment that matched something, by number, and its kind."""


class Layer(NamedTuple):
    """One source of a spec's values; `tree` has the structure of a `spec`."""

    name: str
    tree: Map
    by_environment: bool = False
    """Whether those who own the environments wrote it, not those who write specs."""


class _TooDeep(Exception):  # noqa: N818 - not an error: templates are not followed further
    """A limit is exceeded."""


def layers(
    catalog: Catalog, environment: Map, document: SpecDocument, used: Used
) -> tuple[list[Layer], list[Problem]]:
    """Return the layers of a document's spec, lowest first; `used` collects the patches that matched, and the kinds."""
    problems: list[Problem] = []
    found: list[Layer] = []
    name = at(environment, ("metadata", "name"), "")
    defaults = at(environment, ("spec", "defaults", document.kind))
    if isinstance(defaults, Map):
        found.append(Layer(f"defaults of environment {name}", defaults, by_environment=True))
    if document.kind == kinds.AGENT.name:
        found += _logging(catalog, document)
    found += _templates(catalog, document, (), problems)
    if at(document.tree, ("spec", "canaryOf")) is not None:
        found = [layer if layer.by_environment else _for_canary(layer) for layer in found]
    spec = document.tree.get("spec")
    if isinstance(spec, Map):
        found.append(Layer(f"{document.kind} {document.name}", spec))
    for number, patch in enumerate(_patches(environment)):
        if _matches(patch, document):
            used.add((number, document.kind))
            layer = f"patch {number} of environment {name}"
            found.append(Layer(layer, patch["spec"], by_environment=True))
    return found, problems


def _logging(catalog: Catalog, document: SpecDocument) -> Iterator[Layer]:
    """Yield the levels that ConfigMaps with a logging.yaml set for the agents of their namespace, without one of all, that have no image of their own."""
    if at(document.tree, ("spec", "container")) is not None:
        return
    for (space, name), levels in catalog.of(python_logging.KIND):
        if space in ("", namespace_of(document)):
            yield Layer(f"{python_logging.FILE} of ConfigMap {name}", levels.tree["spec"])


def flatten(found: list[Layer]) -> Map | None:
    """Merge layers into one tree; None if there are none."""
    merged: Map | None = None
    for layer in found:
        merged = layer.tree if merged is None else merge(merged, layer.tree)
    return merged


def _templates(
    catalog: Catalog, document: SpecDocument, trail: tuple[str, ...], problems: list[Problem]
) -> list[Layer]:
    """Return the layers that a document extends, each template's own bases before it."""
    found: list[Layer] = []
    try:
        _extend(catalog, document, trail, problems, found)
    except _TooDeep:
        if document.kind != "AgentTemplate":  # reported once, where it has consequences
            problems.append(too_deep(document.tree, ("spec", "extends"), "templates"))
    return found


def _extend(
    catalog: Catalog,
    document: SpecDocument,
    trail: tuple[str, ...],
    problems: list[Problem],
    found: list[Layer],
) -> None:
    for path, name in extends_of(document.tree):
        is_canary = path == ("spec", "canaryOf")
        wanted = ("Agent",) if is_canary else ("AgentTemplate", "Agent")
        base = base_of(catalog, document, name)
        if base is None or base.kind not in wanted:
            problem = unknown(
                catalog,
                document.tree,
                path,
                wanted,
                namespace_of(document),
                name,
            )
            problems += [problem] if problem else []
            continue
        step = f"{base.kind} {base.name}"
        if step in trail or base is document:
            chain = " → ".join((*trail, step))
            problems.append(
                problem_at(
                    document.tree,
                    path,
                    "template-cycle",
                    f"`{name}` extends itself: {chain}",
                    hint="break the cycle",
                )
            )
            continue
        if len(trail) >= DEEPEST or len(found) >= MOST:
            raise _TooDeep
        _extend(catalog, base, (*trail, step), problems, found)
        spec = base.tree.get("spec")
        if isinstance(spec, Map):
            found.append(Layer(step, spec))


def too_deep(tree: Map, path: TreePath, what: str) -> Problem:
    """Return the Problem of a chain of `extends` that is too long."""
    return problem_at(
        tree,
        path,
        "extends-too-deep",
        f"the chain is longer than {DEEPEST} {what}, or {MOST} in total",
        hint="extend fewer",
    )


def base_of(catalog: Catalog, document: SpecDocument, name: str) -> SpecDocument | None:
    """Return the template or agent that a document names, None if there is none."""
    namespace = namespace_of(document)
    template = catalog.find("AgentTemplate", namespace, name)
    return template or catalog.find("Agent", namespace, name)


def extends_of(tree: Map) -> Iterator[tuple[TreePath, str]]:
    """Yield the names in `extends`, with their places, and last the agent that this one is a canary of."""
    value = at(tree, ("spec", "extends"))
    if isinstance(value, str):
        yield ("spec", "extends"), value
    elif isinstance(value, Seq):
        for number, item in enumerate(value):
            if isinstance(item, str):
                yield ("spec", "extends", number), item
    stable = at(tree, ("spec", "canaryOf"))
    if isinstance(stable, str):
        yield ("spec", "canaryOf"), stable


def _for_canary(layer: Layer) -> Layer:
    """Return a layer without what a canary does not inherit: routes and steps of its own, and queries about the other's load."""
    tree = layer.tree.clone()
    scaling = tree.get("scaling")
    if isinstance(scaling, Map) and "keda" in scaling:
        scaling = scaling.clone()
        del scaling["keda"], scaling.marks["keda"]
        tree.put("scaling", scaling, tree.marks["scaling"])
    for name in ("expose", "delivery", "canaryOf", "weight"):
        if name in tree:
            del tree[name], tree.marks[name]
    return layer._replace(tree=tree)


def _patches(environment: Map) -> list[Map]:
    value = at(environment, ("spec", "patches"))
    return [patch for patch in value if isinstance(patch, Map)] if isinstance(value, Seq) else []


def _matches(patch: Map, document: SpecDocument) -> bool:
    target = patch["target"]
    kinds = target["kind"]
    if document.kind not in ([kinds] if isinstance(kinds, str) else kinds):
        return False
    if "name" in target and target["name"] != document.name:
        return False
    if "namespace" in target and target["namespace"] != namespace_of(document):
        return False
    labels = at(document.tree, ("metadata", "labels"), {}) or {}
    wanted = target.get("labels") or {}
    return all(labels.get(key) == value for key, value in wanted.items())


def extended(catalog: Catalog) -> set[tuple[str, str]]:
    """Return the keys of the templates that some agent extends, directly or indirectly."""
    found: set[tuple[str, str]] = set()
    todo = [document for _, document in catalog.of("Agent")]
    while todo:
        document = todo.pop()
        for _, name in extends_of(document.tree):
            base = base_of(catalog, document, name)
            if base is not None and base.kind == "AgentTemplate":
                key = namespace_of(base), base.name
                if key not in found:
                    found.add(key)
                    todo.append(base)
            elif base is not None and base.kind == "Agent":
                continue  # it is in the list by itself
    return found
