"""What `plan` says about a cluster, which here is a table."""

from typing import Any

import pytest

from fleetform.platforms.kubernetes.live import changes, gc
from fleetform.platforms.kubernetes.targets import argo_workflows

SPACE = "ai-agents"


def item(kind: str, name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"name": name, "namespace": SPACE, **metadata}}


class Cluster:
    """Holds some objects, and takes whatever is applied as it is."""

    def __init__(self, *held: dict[str, Any]) -> None:
        self.held = held

    def get(self, manifest: dict[str, Any]) -> dict[str, Any]:
        return manifest

    def dry_run(self, manifest: dict[str, Any], field_manager: str) -> dict[str, Any]:
        del field_manager
        return manifest

    def all(self, version: str, kind: str, space: str, labels: str = "") -> list[dict[str, Any]]:
        del version, labels
        return [each for each in self.held if (each["kind"], SPACE) == (kind, space)]


def pruned(*held: dict[str, Any], kinds: Any = ()) -> list[str]:
    cluster: Any = Cluster(*held)
    rows = changes.rows(cluster, [UNIT], [SPACE], kinds=kinds)
    return [row.name for row in rows if row.action == "prune"]


UNIT: Any = type("Unit", (), {"objects": (item("Service", "kept"),)})()


def test_what_is_no_longer_rendered_is_to_be_pruned():
    assert pruned(item("Service", "kept"), item("Service", "left")) == ["left"]


def test_of_argo_workflows_kinds_are_looked_for_where_it_is():
    left = [item(kind, kind.lower()) for _, kind in argo_workflows.KINDS]
    made = item(
        "Workflow",
        "tick",
        ownerReferences=[{"kind": "CronWorkflow", "name": "a", "controller": True}],
    )
    assert pruned(*left, made) == []
    assert pruned(*left, made, kinds=argo_workflows.KINDS) == [
        "cronworkflow",
        "workflow",
        "workflowtemplate",
    ]


def test_what_a_controller_made_is_not_ours_to_prune():
    """KEDA copies the labels of a ScaledObject to its HorizontalPodAutoscaler."""
    owner = {"kind": "ScaledObject", "name": "a", "controller": True}
    made = item("HorizontalPodAutoscaler", "keda-hpa-a", ownerReferences=[owner])
    assert pruned(made, item("HorizontalPodAutoscaler", "old")) == ["old"]


@pytest.mark.parametrize(("ready", "warned"), [(0, True), (2, False)])
def test_a_rollout_whose_deployment_has_no_pods_is_not_pruned_without_a_word(ready, warned):
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": "never"}
    rollout = item("Rollout", "web") | {"spec": {"workloadRef": reference}}
    deployment = item("Deployment", "web") | {"status": {"readyReplicas": ready}}
    cluster: Any = Cluster(rollout)
    cluster.get = lambda manifest: deployment if manifest["kind"] == "Deployment" else manifest
    (row,) = changes.rows(cluster, [UNIT], [SPACE])
    assert (row.action, row.kind, row.name) == ("prune", "Rollout", "web")
    assert ("moving: out" in row.message) == warned


def test_what_asks_to_be_kept_is_kept():
    annotations = {"helm.sh/resource-policy": "keep"}
    assert pruned(item("ConfigMap", "revision", annotations=annotations)) == []


def test_configurations_that_workflows_mount_are_kept():
    """A template's, and one that a run began with, which may have no pod right now."""
    volumes = {name: {"volumes": [{"name": "config", "configMap": {"name": name}}]} for name in ("flow-config-0000000a", "flow-config-0000000b")}  # fmt: skip
    now, before = volumes.values()
    labels = {"app.kubernetes.io/instance": "flow"}
    template = item("WorkflowTemplate", "flow", labels=labels) | {"spec": now}
    run = item("Workflow", "run") | {"status": {"storedWorkflowTemplateSpec": before}}
    maps = [
        item("ConfigMap", name, labels=labels, creationTimestamp=f"2026-01-0{day}T00:00:00Z") | {"immutable": True}
        for day, name in enumerate((*volumes, "flow-config-0000000c", "flow-config-0000000d"), 1)
    ]  # fmt: skip
    cluster: Any = Cluster(template, run, *maps)
    found = {
        revision.name: revision.kept for revision in gc.revisions(cluster, SPACE, 1, argo=True)
    }
    assert found == {
        "flow-config-0000000a": "mounted",
        "flow-config-0000000b": "mounted",
        "flow-config-0000000c": "",
        "flow-config-0000000d": "one of the last 1",
    }
