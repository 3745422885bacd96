"""Plans → values of the two charts, without those that equal the chart's defaults.

Each kind's module in `objects/` returns its own values; here are those that belong to no kind.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

from fleetform import written
from fleetform.plan import images
from fleetform.platforms.kubernetes.lens import Values, less
from fleetform.platforms.kubernetes.model import NamespacePlan, WorkloadPlan
from fleetform.platforms.kubernetes.objects import modules

KEEP = {"helm.sh/resource-policy": "keep"}
"""What the charts themselves put on objects that outlive a release."""


@cache
def defaults(chart: str) -> Values:
    """Return a chart's own values.yaml."""
    text = resources.files("fleetform").joinpath(f"charts/{chart}/values.yaml").read_text("utf-8")
    found: Values = written.load(text)
    return found


def of_workload(plan: WorkloadPlan) -> Values:
    """Return the values of a workload's release of charts/agent, in the chart's order."""
    return difference(whole_workload(plan), defaults("agent"))


def of_namespace(plan: NamespacePlan) -> Values:
    """Return the values of a namespace's release of charts/namespace, in the chart's order."""
    return difference(whole_namespace(plan), defaults("namespace"))


def difference(wanted: Values, default: Values) -> Values:
    """Return what differs from the chart's defaults; Helm merges maps, so an empty default map is open-ended."""
    found: Values = {}
    for key in (*default, *(key for key in wanted if key not in default)):
        own = default.get(key)
        value = wanted[key]
        if isinstance(own, dict) and own:
            value, own = difference(value, own), {}
        if value != own:
            found[key] = value
    return found


def _tests(plan: WorkloadPlan, default: Values) -> Values:
    if plan.test_image is None:
        return {**default, "enabled": False}
    names = ("repository", "tag", "digest")
    return {**default, "image": dict(zip(names, images.split(plan.test_image), strict=True))}


def whole_workload(plan: WorkloadPlan) -> Values:
    """Return every value of charts/agent for a workload, defaults included."""
    default = defaults("agent")
    repository, tag, digest = images.split(plan.image)
    return {
        "fullnameOverride": plan.name,
        "component": plan.component,
        "version": "" if plan.version == images.version(tag, digest) else plan.version,
        "image": {
            "repository": repository,
            "tag": tag,
            "digest": digest,
            "pullPolicy": plan.pull_policy,
        },
        "tests": _tests(plan, default["tests"]),
        **_common(plan),
        **_of_kinds("workload", plan, default),
    }


def whole_namespace(plan: NamespacePlan) -> Values:
    """Return every value of charts/namespace for a namespace, defaults included."""
    return {**_common(plan), **_of_kinds("namespace", plan, defaults("namespace"))}


def _common(plan: WorkloadPlan | NamespacePlan) -> Values:
    return {
        "commonLabels": dict(plan.labels),
        "textAnnotations": dict(plan.verbatim),
        "retainedAnnotations": less(plan.retained, KEEP),
    }


def _of_kinds(owner: str, plan: Any, default: Values) -> Values:
    found: Values = {}
    for module in modules(owner):
        if hasattr(module, "values"):
            found |= module.values(plan, default)
    return found
