"""ConfigMap with the dashboard of a namespace, which Grafana's sidecar finds by its labels."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import Manifest, manifest, namespace_labels

NAME = "fleetform-dashboard"
FOLDER = "grafana_folder"


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the dashboard, nothing if the environment wants none.

    The sidecar writes what it finds in all namespaces into one folder, by the key: it has the uid.
    """
    found = plan.dashboard
    if found is None:
        return ()
    from fleetform.platforms.kubernetes import dashboards  # noqa: PLC0415 - few environments want one

    annotations = {**plan.verbatim, **({FOLDER: found.folder} if found.folder else {})}
    return (
        manifest(
            "v1",
            "ConfigMap",
            NAME,
            plan.name,
            {**namespace_labels(plan, NAME), **found.labels},
            annotations,
            data={f"{found.uid}.json": dashboards.text(plan.name, found.uid, found.title)},
        ),
    )


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `dashboard`."""
    found = plan.dashboard
    if found is None:
        return {"dashboard": default["dashboard"]}
    return {
        "dashboard": {
            "enabled": True,
            "uid": found.uid,
            "title": found.title,
            "labels": dict(found.labels),
            "folder": found.folder,
        }
    }
