"""The dashboard of a namespace: a GrafanaDashboard for the Grafana operator, or a ConfigMap that Grafana's sidecar finds."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import Dashboard, NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels

NAME = "fleetform-dashboard"
FOLDER = "grafana_folder"
BY_OPERATOR = "GrafanaDashboard"
API = "grafana.integreatly.org/v1beta1"


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the dashboard, nothing if the environment wants none."""
    found = plan.dashboard
    if found is None:
        return ()
    from fleetform.platforms.kubernetes import dashboards  # noqa: PLC0415 - few environments want one

    text = dashboards.text(plan.name, found.uid, found.title)
    return (_for_operator(plan, found, text) if found.instances else _in_map(plan, found, text),)


def _in_map(plan: NamespacePlan, found: Dashboard, text: str) -> Manifest:
    """Return a ConfigMap. The sidecar writes what it finds in all namespaces into one folder, by the key: it has the uid."""
    annotations = {**plan.verbatim, **({FOLDER: found.folder} if found.folder else {})}
    labels = {**namespace_labels(plan, NAME), **found.labels}
    data = {f"{found.uid}.json": text}
    return manifest("v1", "ConfigMap", NAME, plan.name, labels, annotations, data=data)


def _for_operator(plan: NamespacePlan, found: Dashboard, text: str) -> Manifest:
    """Return a GrafanaDashboard; what its definition would fill in is written out, or Argo CD shows it as drift."""
    spec: dict[str, Any] = {
        # Grafana is hardly ever in a namespace of agents.
        "allowCrossNamespaceImport": True,
        "instanceSelector": {"matchLabels": dict(found.instances)},
        **({"folder": found.folder} if found.folder else {}),
        "resyncPeriod": "10m0s",
        "json": text,
    }
    labels = namespace_labels(plan, NAME)
    return manifest(API, BY_OPERATOR, NAME, plan.name, labels, plan.verbatim, spec=spec)


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `dashboard`."""
    found = plan.dashboard
    if found is None:
        return {"dashboard": default["dashboard"]}
    return {
        "dashboard": {
            "enabled": True,
            "kind": BY_OPERATOR if found.instances else "ConfigMap",
            "uid": found.uid,
            "title": found.title,
            "labels": {} if found.instances else dict(found.labels),
            "instanceSelector": dict(found.instances),
            "folder": found.folder,
        }
    }


LENSES = {
    BY_OPERATOR: (
        lens("spec.folder", "dashboard.folder"),
        lens("spec.instanceSelector.matchLabels", "dashboard.instanceSelector"),
    )
}
