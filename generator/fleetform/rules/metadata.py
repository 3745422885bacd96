"""Names and labels: reserved ones, conflicts, and keys that other tools would lose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fleetform import kinds
from fleetform.lazy import regex
from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.hosts import is_deployed
from fleetform.tree import Map, TreePath, problem_at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

RESERVED_PREFIXES = ("app.kubernetes.io/", "fleetform.dev/", "kubernetes.io/", "helm.sh/")
OF_NAMESPACES = frozenset(
    f"pod-security.kubernetes.io/{mode}" for mode in ("enforce", "audit", "warn")
)
"""Labels that every namespace gets with a value of its own."""
RESERVED_NAMES = {
    "kustomization": "kustomization.yaml is Flux's and Kustomize's own file",
    "default": "every namespace has a ServiceAccount `default`, and pods of others run as it",
    "kubernetes": "the API server's Service is called `kubernetes`",
}
# Kustomize 5.8 fails on keys that look like scalars, or drops them.
_SCALAR_KEY = regex(
    r"(?i)([-+.0-9][-+.0-9_]*(e[-+]?[0-9]+)?|true|false|yes|no|on|off|y|n|null|~|<<|=|0x[0-9a-f]+|0o[0-7]+|\.inf|\.nan|nan|inf)\Z"
)


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield reserved labels, keys that look like scalars, and names that would collide."""
    del uses
    yield from _environment_labels(fleet)
    yield from _one_space(fleet)
    for kind in kinds.WITH_OBJECTS:
        for resolved in fleet.of(kind):
            yield from _labels(resolved)
    yield from _one_name(fleet)


def _one_space(fleet: Fleet) -> Iterator[Problem]:
    """Yield namespaces that become the same one: what is in them would meet under one name."""
    targets: dict[str, str] = {}
    for space in sorted(fleet.spaces):
        target = fleet.target_namespace(space)
        if target in targets:
            yield problem_at(
                fleet.environment_tree,
                ("spec", "namespaces"),
                "namespace-clash",
                f"`{targets[target]}` and `{space}` both become the namespace `{target}`",
                hint="map each to a different name",
                key=True,
            )
        targets[target] = space


def _environment_labels(fleet: Fleet) -> Iterator[Problem]:
    environment = fleet.environment
    for path, entries in (
        (("spec", "labels"), environment.labels),
        (("spec", "namespaces", "labels"), environment.namespaces.labels),
        *(
            (("spec", "tenants", name, "labels"), tenant.labels)
            for name, tenant in environment.tenants.items()
        ),
    ):
        for key in entries:
            yield from _reserved(fleet.environment_tree, path, key)
            if key in OF_NAMESPACES:
                yield problem_at(
                    fleet.environment_tree,
                    (*path, key),
                    "reserved-label",
                    f"`{key}` is `restricted` in every namespace, and no label changes that",
                    hint="remove it: pods that cannot comply belong into a namespace of somebody else's",
                    key=True,
                )


def _labels(resolved: Resolved[Any]) -> Iterator[Problem]:
    metadata = resolved.typed.metadata
    maps: list[tuple[TreePath, dict[str, str], bool]] = [
        (("metadata", "labels"), metadata.labels, True),
        (("metadata", "annotations"), metadata.annotations, False),
    ]
    template = getattr(resolved.spec, "pod_template", None)
    if template is not None:
        maps.append((("spec", "podTemplate", "annotations"), template.annotations, False))
    if template is not None and resolved.kind in kinds.WORKLOADS:  # those of workflows have neither
        maps += [
            (("spec", "podTemplate", "labels"), template.labels, True),
            (("spec", "service", "annotations"), resolved.spec.service.annotations, False),
        ]
    for path, entries, is_labels in maps:
        for key, text in entries.items():
            if (
                path != ("spec", "podTemplate", "annotations")
                and not is_labels
                and text.startswith("\t")
                and "\n" in text
            ):
                yield resolved.problem(
                    (*path, key),
                    "leading-tab",
                    "the text has several lines and starts with a tab, which Kustomize cannot read",
                    hint="start the first line with another character",
                )
            if _SCALAR_KEY.match(key):
                yield resolved.problem(
                    (*path, key),
                    "scalar-key",
                    f"the key `{key}` looks like a YAML scalar, so Kustomize would drop it",
                    hint="use a key with a domain, or with letters and a dash",
                    key=True,
                )
            elif is_labels:
                yield from _reserved(resolved.tree, path, key)


def is_reserved(path: TreePath, key: str) -> bool:
    """Whether a key at `path` is refused here, as a label that Fleetform sets."""
    return path[-2] == "labels" and (key == "app" or key.startswith(RESERVED_PREFIXES))


def _reserved(tree: Map, path: TreePath, key: str) -> Iterator[Problem]:
    if is_reserved((*path, key), key):
        yield problem_at(
            tree,
            (*path, key),
            "reserved-label",
            f"the label `{key}` is set by Fleetform",
            hint="choose another key, such as `example.com/tier`",
            key=True,
        )


def _named(fleet: Fleet) -> Iterator[Resolved[Any]]:
    """Yield everything whose objects are called as it is."""
    for kind in kinds.WORKLOADS:
        yield from filter(is_deployed, fleet.of(kind))
    if fleet.page is not None:
        yield fleet.page


def _one_name(fleet: Fleet) -> Iterator[Problem]:
    seen: dict[tuple[str, str], Resolved[Any]] = {}
    for resolved in _named(fleet):
        if resolved.name in RESERVED_NAMES:
            yield resolved.problem(
                ("metadata", "name"),
                "reserved-name",
                f"the name `{resolved.name}` is reserved: {RESERVED_NAMES[resolved.name]}",
                hint="choose another name",
            )
        if resolved.kind != "MemoryStore" and resolved.spec.stateful and len(resolved.name) > 52:
            yield resolved.problem(
                ("metadata", "name"),
                "name-too-long",
                f"a StatefulSet's name has at most 52 characters, `{resolved.name}` has {len(resolved.name)}",
                hint="choose a shorter name: its pods have the name plus a hash in a label of at most 63 characters",
            )
        first = seen.setdefault(resolved.key, resolved)
        if first is not resolved:
            yield resolved.problem(
                ("metadata", "name"),
                "duplicate-name",
                f"{first.kind} and {resolved.kind} `{resolved.name}` would be the same workload",
                hint=f"the first one is in {first.file}: rename one",
            )
        if resolved.name[0].isdigit():
            yield resolved.problem(
                ("metadata", "name"),
                "bad-name",
                f"`{resolved.name}` cannot be the name of a Service",
                hint="start it with a letter",
            )
    for space, name in seen:
        if (space, f"{name}-headless") in seen:
            yield seen[space, f"{name}-headless"].problem(
                ("metadata", "name"),
                "reserved-name",
                f"`{name}-headless` is the name of the headless Service of `{name}`",
                hint="choose another name",
            )
