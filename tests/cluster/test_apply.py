"""All output applied for real: without a warning, once is enough, and what should run runs."""

import json
from typing import Any

import pytest
import yaml

from tests.cluster import fleet
from tests.cluster.plane import FIELD_MANAGER, Object, Plane, identity
from tests.tools import ROOT

in_each_environment = pytest.mark.parametrize("environment", fleet.ENVIRONMENTS, scope="module")


@pytest.fixture(scope="module")
def applied(plane: Plane, environment: str) -> str:
    """An environment whose files were applied one by one, in their order."""
    fleet.with_disks(plane, fleet.objects(environment))
    for file in fleet.files(environment):
        plane.apply("-f", file)
    for space in fleet.namespaces(environment):
        plane.until(lambda space=space: _scaled(plane, space), f"autoscalers of {space}")  # type: ignore[misc]
    return environment


def _scaled(plane: Plane, space: str) -> bool:
    """Tell whether every autoscaler has brought its workload to its fewest replicas."""
    workloads = {
        identity(item): item
        for kind in ("deployment", "statefulset")
        for item in plane.get(kind, "-n", space)
    }
    for scaler in plane.get("horizontalpodautoscaler", "-n", space):
        target = scaler["spec"]["scaleTargetRef"]
        found = workloads[target["kind"], space, target["name"]]
        if found["spec"]["replicas"] < scaler["spec"]["minReplicas"]:
            return False
    return True


def kept(item: Object) -> Any:
    """Return what a second apply must not touch: the generation, and what we own of the fields."""
    fields = [
        {key: entry[key] for key in ("manager", "operation", "fieldsV1")}
        for entry in item["metadata"]["managedFields"]
        if entry["manager"] == FIELD_MANAGER
    ]
    assert fields, identity(item)
    return item["metadata"].get("generation"), fields, item["metadata"]["uid"]


def state(plane: Plane, environment: str) -> dict[tuple[str, str, str], Any]:
    wanted = {identity(item) for item in fleet.objects(environment)}
    there = plane.ours(fleet.namespaces(environment))
    assert wanted <= there.keys(), wanted - there.keys()
    return {key: kept(item) for key, item in there.items() if key in wanted}


@in_each_environment
def test_every_object_is_there_after_the_first_apply(plane, applied):
    assert len(state(plane, applied)) == len(fleet.objects(applied))


@in_each_environment
def test_the_strictest_pod_security_holds_and_refuses_no_pod(plane, applied):
    for space in fleet.namespaces(applied):
        (namespace,) = plane.get("namespace", space)
        labels = namespace["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
        events = plane.get("events", "-n", space)
        refused = [item["message"] for item in events if item["reason"] == "FailedCreate"]
        # The account of a pod may come a moment after its Deployment.
        assert [text for text in refused if "PodSecurity" in text or "forbidden" in text] == []


@in_each_environment
def test_every_workload_rolls_out(plane, applied):
    for space in fleet.namespaces(applied):
        for kind in ("deployment", "statefulset"):
            for item in plane.get(kind, "-n", space):
                name = f"{kind}/{item['metadata']['name']}"
                plane.do("rollout", "status", name, "-n", space, "--timeout=60s")


@in_each_environment
@pytest.mark.parametrize("way", ["files", "kustomize", "server-side all at once"])
def test_applying_again_in_any_way_changes_nothing(way, plane, applied):
    before = state(plane, applied)
    if way == "files":
        for file in fleet.files(applied):
            plane.apply("-f", file)
    elif way == "kustomize":
        plane.apply("-k", ROOT / "kustomize/overlays" / applied)
    else:
        documents = {"apiVersion": "v1", "kind": "List", "items": list(fleet.objects(applied))}
        plane.apply("-f", "-", text=json.dumps(documents))
    assert state(plane, applied) == before


@in_each_environment
def test_there_is_no_difference_afterwards(plane, applied):
    options = ("--server-side", f"--field-manager={FIELD_MANAGER}")
    for file in fleet.files(applied):
        done = plane.run("diff", *options, "-f", file)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@in_each_environment
def test_every_service_leads_to_exactly_the_pods_of_its_workload(plane, applied):
    checked = 0
    for space in fleet.namespaces(applied):
        pods = {item["metadata"]["name"]: item for item in plane.get("pods", "-n", space)}
        for service in plane.get("services", "-n", space):
            name = service["metadata"]["name"]
            own = {
                pod
                for pod, item in pods.items()
                if item["metadata"]["labels"]["app"] == name.removesuffix("-headless")
            }
            assert own, name
            options = ("-n", space, "-l", f"kubernetes.io/service-name={name}")

            def led_to(options: tuple[str, ...] = options) -> set[str]:
                return {
                    endpoint["targetRef"]["name"]
                    for item in plane.get("endpointslices", *options)
                    for endpoint in item["endpoints"] or ()
                }

            plane.until(lambda own=own, led_to=led_to: led_to() == own, f"endpoints of {name}")  # type: ignore[misc]
            checked += 1
    assert checked > 5


def test_removing_an_agent_prunes_its_objects_and_nothing_else(plane: Plane, tmp_path) -> None:
    """Flux's way: everything in one apply, then what the inventory of before has and now has not."""
    space = "pruned"
    everything = _renamed(fleet.objects("prod"), space)
    names = {"customer-support-agent"}
    rest = [
        item
        for item in everything
        if item["metadata"]["name"] not in names | _derived(names, everything)
    ]
    assert 5 < len(everything) - len(rest) < 15
    plane.apply("-f", "-", text=_list(everything))
    before = plane.ours([space])
    plane.apply("-f", "-", text=_list(rest))
    for item in everything:
        if item in rest or _is_retained(item):
            continue
        plane.do("delete", item["kind"].lower(), item["metadata"]["name"], "-n", space)
    after = plane.ours([space])
    gone = {key for key in before if key not in after}
    kept_ones = {identity(item) for item in everything if _is_retained(item)}
    assert gone == {identity(item) for item in everything if item not in rest} - kept_ones
    assert {key[0] for key in gone} >= {"Deployment", "Service", "ScaledObject", "NetworkPolicy"}
    assert [key for key in kept_ones if key[0] == "ConfigMap" and key[2].startswith("customer")]
    for key, item in after.items():
        assert item["metadata"]["uid"] == before[key]["metadata"]["uid"]


def _renamed(found: tuple[Object, ...], space: str) -> list[Object]:
    """Return the objects of one namespace in another one."""
    text = yaml.safe_dump_all(
        item
        for item in found
        if "ai-agents" in (item["metadata"].get("namespace"), item["metadata"]["name"])
    )
    return list(yaml.safe_load_all(text.replace("ai-agents", space)))


def _derived(names: set[str], found: list[Object]) -> set[str]:
    return {
        item["metadata"]["name"]
        for item in found
        if item["metadata"]["labels"]["app.kubernetes.io/name"] in names
    }


def _is_retained(item: Object) -> bool:
    annotations = item["metadata"].get("annotations", {})
    return annotations.get("kustomize.toolkit.fluxcd.io/prune") == "disabled"


def _list(items: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
