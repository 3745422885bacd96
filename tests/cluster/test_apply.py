"""All output applied for real, from nothing and in every way: once is enough, and what should run runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster import fleet
from tests.cluster.plane import FIELD_MANAGER, Object, Plane, identity, listed
from tests.cluster.ways import MANAGERS, WAYS
from tests.fleet import fleetform
from tests.tools import ROOT

FILE, DELETED = "agents/kagent-fako/agents.yaml", "deepseek-r1-coder"
"""One of several agents in a file, which nobody calls."""
LONGER = ("agents/research-report/workflow.yaml", "timeout: 30m", "timeout: 31m")
"""What changes the definition of a workflow that has a run."""


class Applied(NamedTuple):
    """An environment that came into an empty cluster in one way."""

    plane: Plane
    environment: str
    way: str

    def again(self, root: Path = ROOT) -> None:
        """Apply once more, or what another folder has."""
        WAYS[self.way](self.plane, root, self.environment)

    def settle(self) -> None:
        """Wait until controllers have nothing left to do: what changes by itself compares with nothing."""
        what = "autoscalers, rollouts and Jobs have come to their end"
        self.plane.until(lambda: _scaled(self) and _rolled_out(self) and _finished(self), what)

    @property
    def wanted(self) -> dict[tuple[str, str, str], Object]:
        """What should be there."""
        return {identity(item): item for item in fleet.objects(self.environment)}

    def there(self) -> dict[tuple[str, str, str], Object]:
        """Return what of the fleet is there."""
        return self.plane.ours(fleet.namespaces(self.environment))

    def every(self, kinds: str) -> list[Object]:
        """Return all objects of some kinds in the namespaces of the environment."""
        spaces = fleet.namespaces(self.environment)
        found = self.plane.get(kinds, "--all-namespaces")
        return [item for item in found if item["metadata"]["namespace"] in spaces]


# Production by both Helms, the others by one of them.
LEFT_OUT = {("dev", "helm3"), ("staging", "helm4")}
PLACES = [
    # Whoever runs them at the same time does so in clusters of their own.
    pytest.param((environment, way), marks=pytest.mark.xdist_group(f"{environment}-{way}"))
    for environment in fleet.ENVIRONMENTS
    for way in WAYS
    if (environment, way) not in LEFT_OUT
]


@pytest.fixture(scope="module", params=PLACES, ids="-".join)
def applied(request, plane: Plane) -> Iterator[Applied]:
    """Each environment in each way, into a cluster that has nothing of it."""
    environment, way = request.param
    fleet.cleared(plane)
    found = Applied(plane, environment, way)
    found.again()
    found.settle()
    yield found
    fleet.cleared(plane)


def _finished(applied: Applied) -> bool:
    """Tell whether every Job has completed; the simulated nodes end its pods well."""
    return all(item["status"].get("succeeded") for item in applied.every("jobs"))


def _scaled(applied: Applied) -> bool:
    """Tell whether every autoscaler has brought its workload to its fewest replicas."""
    workloads = {identity(item): item for item in applied.every("deployments")}
    for scaler in applied.every("horizontalpodautoscalers"):
        target, space = scaler["spec"]["scaleTargetRef"], scaler["metadata"]["namespace"]
        found = workloads[target["kind"], space, target["name"]]
        if found["spec"]["replicas"] < scaler["spec"]["minReplicas"]:
            return False
    return True


def kept(applied: Applied) -> dict[tuple[str, str, str], Any]:
    """Return what a second apply must not touch: generations, and what we own of the fields."""
    found = {}
    for key, item in applied.there().items():
        metadata = item["metadata"]
        fields = [
            entry
            for entry in metadata["managedFields"]
            if entry["manager"] == MANAGERS[applied.way] or key[0] == "Namespace"
        ]
        assert fields, key
        found[key] = metadata.get("generation"), fields, metadata["uid"]
    return found


def test_exactly_what_was_rendered_is_there(applied):
    assert applied.there().keys() == applied.wanted.keys()


def test_the_strictest_pod_security_holds_and_refuses_no_pod(applied):
    for space in fleet.namespaces(applied.environment):
        (namespace,) = applied.plane.get("namespace", space)
        labels = namespace["metadata"]["labels"]
        for mode in ("enforce", "audit", "warn"):
            assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    refused = [
        item["message"] for item in applied.every("events") if item["reason"] == "FailedCreate"
    ]
    # The account of a pod may come a moment after its Deployment.
    assert [text for text in refused if "PodSecurity" in text or "forbidden" in text] == []


def test_every_workload_rolls_out(applied):
    assert applied.every("deployments")
    applied.plane.until(lambda: _rolled_out(applied), "every Deployment is rolled out")


def _rolled_out(applied: Applied) -> bool:
    return all(map(_is_rolled_out, applied.every("deployments")))


def _is_rolled_out(item: Object) -> bool:
    """Tell whether all pods are of the last generation, and ready."""
    metadata, wanted, status = item["metadata"], item["spec"]["replicas"], item["status"]
    counts = {status.get(f"{kind}Replicas") for kind in ("updated", "ready", "available")}
    return bool(
        status.get("observedGeneration") == metadata["generation"]
        and counts == {wanted}
        and status["replicas"] == wanted > 0
    )


def test_applying_again_changes_nothing(applied):
    applied.settle()
    before = kept(applied)
    assert len(before) > 30
    applied.again()
    assert kept(applied) == before


def test_there_is_no_difference_afterwards(applied):
    manager, items = MANAGERS[applied.way], [*applied.wanted.values()]
    if manager == "helm":
        # Labels say who brought an object in, and Helm's own notes are no business of ours.
        manager = FIELD_MANAGER
        items = [item if item["kind"] == "Namespace" else managed_by_helm(item) for item in items]
    options = ("--server-side", "--force-conflicts", f"--field-manager={manager}")
    applied.settle()
    done = applied.plane.run("diff", *options, "-f", "-", text=listed(items))
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def managed_by_helm(item: Any) -> Any:
    """Return an object with Helm's name in every label set of ours."""
    if isinstance(item, list):
        return [managed_by_helm(part) for part in item]
    if not isinstance(item, dict):
        return item
    label = "app.kubernetes.io/managed-by"
    found = {key: managed_by_helm(value) for key, value in item.items()}
    return {**found, label: "Helm"} if found.get(label) == "fleetform" else found


def test_every_service_leads_to_exactly_the_pods_of_its_workload(applied):
    services = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in applied.every("services")
    }
    assert len(services) > 5

    def own() -> dict[tuple[str, str], set[str]]:
        pods = [
            item for item in applied.every("pods") if "deletionTimestamp" not in item["metadata"]
        ]
        return {
            (space, name): {
                pod["metadata"]["name"]
                for pod in pods
                if pod["metadata"]["namespace"] == space
                and _workload_of(pod) == name.removesuffix("-headless")
            }
            for space, name in services
        }

    def led_to() -> dict[tuple[str, str], set[str]]:
        found: dict[tuple[str, str], set[str]] = {}
        for item in applied.every("endpointslices"):
            labels = item["metadata"]["labels"]
            key = item["metadata"]["namespace"], labels["kubernetes.io/service-name"]
            names = {end["targetRef"]["name"] for end in item["endpoints"] or ()}
            found.setdefault(key, set()).update(names)
        return found

    applied.plane.until(
        lambda: all(own().values()) and led_to() == own(), "each Service leads to its own pods"
    )


def _workload_of(pod: Object) -> str:
    """Return the name of the workload that owns a pod, by the owners and not by the labels."""
    (owner,) = pod["metadata"]["ownerReferences"]
    name: str = owner["name"]
    if owner["kind"] == "ReplicaSet":
        return name.removesuffix(f"-{pod['metadata']['labels']['pod-template-hash']}")
    return name


def test_a_job_that_is_over_is_replaced_and_never_changed(applied, tmp_path):
    """What a Job runs cannot change, so another definition is another Job, and the old one goes."""
    (job,) = [name for kind, _, name in applied.wanted if kind == "Job"]
    root = fleet.changed(tmp_path, applied.environment, *LONGER)
    others = {identity(item) for item in fleet.objects(applied.environment, root)}
    (other,) = [name for kind, _, name in others if kind == "Job"]
    assert other != job
    applied.settle()
    applied.again(root)
    applied.settle()
    jobs = {item["metadata"]["name"] for item in applied.every("jobs")}
    # kubectl prunes nothing: `plan` says what to delete
    assert jobs == ({job, other} if applied.way in ("files", "kustomize") else {other})
    applied.again()
    for item in applied.every("jobs,configmaps"):
        if (found := identity(item)) in others and found not in applied.wanted:
            applied.plane.do("delete", found[0], found[2], "-n", found[1])
    applied.settle()
    assert applied.there().keys() == applied.wanted.keys()


def test_deleting_an_agent_prunes_its_objects_and_nothing_else(applied, tmp_path):
    root = fleet.without(tmp_path, applied.environment, FILE, DELETED)
    rest = {identity(item) for item in fleet.objects(applied.environment, root)}
    expected = {
        key for key, item in applied.wanted.items() if key not in rest and not _outlives(item)
    }
    assert {key[0] for key in expected} >= {"Deployment", "Service", "NetworkPolicy"}
    assert {_instance(applied.wanted[key]) for key in expected} == {DELETED}
    before = applied.there()
    applied.again(root)
    if applied.way in ("files", "kustomize"):  # kubectl prunes nothing: `plan` says what to delete
        options = ("--kubeconfig", str(applied.plane.kubeconfig), "--format", "json")
        done = fleetform("plan", "--env", applied.environment, *options, cwd=root)
        for row in json.loads(done.out):
            assert row["action"] == "prune", row
            where = ("-n", row["namespace"]) if row["namespace"] else ()
            applied.plane.do("delete", row["kind"], row["name"], *where)
    after = applied.there()
    assert before.keys() - after.keys() == expected
    assert after.keys() <= before.keys()
    for key, item in after.items():
        assert item["metadata"]["uid"] == before[key]["metadata"]["uid"], key


def _instance(item: Object) -> str:
    name: str = item["metadata"]["labels"]["app.kubernetes.io/instance"]
    return name


def _outlives(item: Object) -> bool:
    """Tell whether an object stays in the cluster after it is gone from the output."""
    return "helm.sh/resource-policy" in item["metadata"].get("annotations", {})
