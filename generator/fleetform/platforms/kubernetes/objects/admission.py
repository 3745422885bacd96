"""ValidatingAdmissionPolicy and its binding: the fleet's rules again, enforced by the API server for everyone.

Rendering already enforces them. The policies are for clusters where others may write into the
fleet's namespaces, and are only printed on request. Pod Security is left to the namespaces' own
labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.platforms.kubernetes.objects.manifest import (
    MANAGED_BY,
    PART_OF,
    Manifest,
)
from fleetform.records import NamedTuple

API = "admissionregistration.k8s.io/v1"
OURS = {"matchLabels": {"app.kubernetes.io/part-of": PART_OF}}
"""Namespaces of the fleet, as `namespaces.create` labels them; others must be labelled by hand."""
_POD = "object.spec.template.spec"
_SCHEDULED = "object.spec.jobTemplate.spec.template.spec"
_LISTS = ("apiGroups", "resources", "verbs")


def _each(pod: str, holds: str) -> str:
    """Return what must hold for every container; the two lists have different types, and cannot be concatenated."""
    others = f"!has({pod}.initContainers) || {pod}.initContainers.all(c, {holds})"
    return f"{pod}.containers.all(c, {holds}) && ({others})"


def _of_pods(pod: str) -> tuple[tuple[str, str], ...]:
    """Return what must hold for the pods of a workload, whose spec is at a path."""
    return (
        (
            _each(pod, "(c.image.contains('@sha256:') || (c.image.matches(':[^/]+$') && !c.image.endsWith(':latest')))"),
            "every image has a digest, or a tag that is not `latest`",
        ),
        (
            _each(
                pod,
                # The API server's type of `resources` has no fields that it could check.
                "has(c.resources) && has(dyn(c.resources).requests) && has(dyn(c.resources).limits)"
                " && 'cpu' in dyn(c.resources).requests && 'memory' in dyn(c.resources).requests"
                " && 'memory' in dyn(c.resources).limits",
            ),
            "every container requests cpu and memory, and limits memory",
        ),
        (
            f"has({pod}.serviceAccountName) && {pod}.serviceAccountName != 'default'",
            "pods run as their own ServiceAccount",
        ),
        (
            f"has({pod}.enableServiceLinks) && !{pod}.enableServiceLinks",
            "pods do not get the namespace's Services as environment variables",
        ),
    )  # fmt: skip


class Rule(NamedTuple):
    """One policy: the resources it applies to, and what must hold, as CEL with a message."""

    name: str
    group: str
    version: str
    resources: tuple[str, ...]
    by_object: bool
    """Whether it finds its objects by their own labels, not by those of their namespace."""
    validations: tuple[tuple[str, str], ...]


RULES = (
    Rule("workloads", "apps", "v1", ("deployments", "statefulsets"), False, _of_pods(_POD)),
    Rule("jobs", "batch", "v1", ("jobs",), False, _of_pods(_POD)),
    Rule("schedules", "batch", "v1", ("cronjobs",), False, _of_pods(_SCHEDULED)),
    Rule(
        "rights", "rbac.authorization.k8s.io", "v1", ("roles",), False,
        (
            (
                "!has(object.rules) || object.rules.all(r, "
                + " && ".join(f"(!has(r.{field}) || !r.{field}.exists(v, v.contains('*')))" for field in _LISTS)
                + ")",
                "no permission is a wildcard",
            ),
        ),
    ),
    Rule(
        "configurations", "", "v1", ("configmaps",), False,
        (
            (
                "!object.metadata.name.matches('-config-[0-9a-f]{8}$') || (has(object.immutable) && object.immutable)",
                "a configuration with a hash in its name is immutable",
            ),
        ),
    ),
    Rule(
        "namespaces", "", "v1", ("namespaces",), True,
        (
            (
                ("'pod-security.kubernetes.io/enforce' in object.metadata.labels"
                " && object.metadata.labels['pod-security.kubernetes.io/enforce'] == 'restricted'"),
                "Pod Security `restricted` is enforced",
            ),
        ),
    ),
)  # fmt: skip


def build() -> tuple[Manifest, ...]:
    """Return the policies and their bindings."""
    return tuple(item for rule in RULES for item in _both(rule))


def _both(rule: Rule) -> Iterator[Manifest]:
    name = f"fleetform-{rule.name}"
    rules = [
        {
            "apiGroups": [rule.group],
            "apiVersions": [rule.version],
            "operations": ["CREATE", "UPDATE"],
            "resources": list(rule.resources),
        }
    ]
    yield {
        **_head("ValidatingAdmissionPolicy", name),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": rules},
            "validations": [
                {"expression": expression, "message": f"Fleetform: {message}"}
                for expression, message in rule.validations
            ],
        },
    }
    selector = "objectSelector" if rule.by_object else "namespaceSelector"
    yield {
        **_head("ValidatingAdmissionPolicyBinding", name),
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {selector: OURS},
        },
    }


def _head(kind: str, name: str) -> dict[str, Any]:
    labels = {
        "app.kubernetes.io/component": "policy",
        "app.kubernetes.io/managed-by": MANAGED_BY,
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": PART_OF,
    }
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name, "labels": labels}}
