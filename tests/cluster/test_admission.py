"""The admission policies in a real API server: they compile, the fleet passes, and what they forbid is refused."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleetform.platforms.kubernetes.objects import admission
from tests.cluster import fleet
from tests.cluster.plane import Object, Plane, listed

SPACE = "guarded"
OURS = {"app.kubernetes.io/part-of": "agent-fleet"}
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture(scope="module")
def guarded(plane: Plane) -> Iterator[Plane]:
    """A control plane with the policies, once they act."""
    policies = listed(admission.build())
    plane.apply("-f", "-", text=policies)
    plane.apply("-f", "-", text=json.dumps(namespace(SPACE, **OURS, **RESTRICTED)))
    plane.until(lambda: _refused(plane, namespace("unguarded", **OURS)) != "", "the policies act")
    yield plane
    plane.do("delete", "-f", "-", "--wait=true", text=policies)
    plane.do("delete", "namespace", SPACE, "--wait=true")


def _refused(plane: Plane, item: Object) -> str:
    """Return why the API server would refuse an object, empty when it takes it; nothing is kept."""
    done = plane.run("apply", "--server-side", "--dry-run=server", "-f", "-", text=json.dumps(item))
    return "" if done.returncode == 0 else done.stderr


def test_every_expression_compiles(guarded):
    for rule in admission.RULES:
        name = f"fleetform-{rule.name}"

        def checked(name: str = name) -> bool:
            (found,) = guarded.get("validatingadmissionpolicy", name)
            return "typeChecking" in found.get("status", {})

        guarded.until(checked, f"the types of {name} are checked")
        (policy,) = guarded.get("validatingadmissionpolicy", name)
        assert policy["status"]["typeChecking"].get("expressionWarnings", []) == []


@pytest.mark.parametrize("environment", fleet.ENVIRONMENTS)
def test_the_whole_fleet_passes(guarded, environment):
    for item in fleet.objects(environment):
        kind = item["kind"]
        if kind == "Namespace":
            assert _refused(guarded, item) == ""
        if kind in ("Deployment", "StatefulSet", "Job", "CronJob", "Role", "ConfigMap"):
            assert _refused(guarded, moved(item)) == "", item["metadata"]


def moved(item: Object) -> Object:
    return {**item, "metadata": {**item["metadata"], "namespace": SPACE}}


def one(kind: str, name: str = "") -> Object:
    """Return an object of production, moved into the guarded namespace; of an agent, not of a namespace."""
    found = (
        item
        for item in fleet.objects("prod")
        if item["kind"] == kind and name in item["metadata"]["name"]
        if item["metadata"]["labels"]["app.kubernetes.io/component"] != "namespace"
    )
    return moved(copy.deepcopy(next(found)))


def pod(item: Object) -> Any:
    return item["spec"]["template"]["spec"]


def container(item: Object) -> Any:
    return pod(item)["containers"][0]


Change = Callable[[Object], object]
WRONG: dict[str, tuple[str, Change, str]] = {
    "latest": ("Deployment", lambda o: container(o).update(image="a/b:latest"), "not `latest`"),
    "no tag": (
        "Deployment",
        lambda o: container(o).update(image="a.example:5000/b"),
        "not `latest`",
    ),
    "an init container": (
        "Deployment",
        lambda o: pod(o).update(
            initContainers=[{"name": "i", "image": "a/b", "resources": container(o)["resources"]}]
        ),
        "not `latest`",
    ),
    "no requests": (
        "Deployment",
        lambda o: container(o)["resources"].pop("requests"),
        "requests cpu",
    ),
    "no limits": ("Deployment", lambda o: container(o)["resources"].pop("limits"), "limits memory"),
    "no resources": ("Deployment", lambda o: container(o).pop("resources"), "requests cpu"),
    "the default account": (
        "Deployment",
        lambda o: pod(o).update(serviceAccountName="default"),
        "their own ServiceAccount",
    ),
    "service links": (
        "Deployment",
        lambda o: pod(o).pop("enableServiceLinks"),
        "as environment variables",
    ),
    "a mutable configuration": ("ConfigMap", lambda o: o.update(immutable=False), "immutable"),
}


@pytest.mark.parametrize(("kind", "change", "says"), WRONG.values(), ids=WRONG)
def test_what_is_forbidden_is_refused_with_its_reason(guarded, kind, change, says):
    item = one(kind)
    change(item)
    assert says in _refused(guarded, item)


def job(item: Object) -> Object:
    """Return a Job with the pods of a Deployment."""
    template = copy.deepcopy(item["spec"]["template"])
    template["spec"]["restartPolicy"] = "Never"
    metadata = {"name": "j", "namespace": SPACE}
    spec = {"template": template}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def schedule(item: Object) -> Object:
    """Return a CronJob with the pods of a Deployment."""
    spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": job(item)["spec"]}}
    return {**job(item), "kind": "CronJob", "spec": spec}


@pytest.mark.parametrize("holder", [job, schedule])
@pytest.mark.parametrize(
    ("change", "says"),
    [(change, says) for kind, change, says in WRONG.values() if kind == "Deployment"],
    ids=[name for name, (kind, *_) in WRONG.items() if kind == "Deployment"],
)
def test_pods_that_run_to_their_end_obey_the_same(guarded, holder, change, says):
    item = one("Deployment")
    assert _refused(guarded, holder(item)) == ""
    change(item)
    assert says in _refused(guarded, holder(item))


@pytest.mark.parametrize("field", ["apiGroups", "resources", "verbs"])
def test_no_wildcard_is_accepted_in_a_role(guarded, field):
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": SPACE},
        "rules": [rule],
    }
    assert _refused(guarded, role) == ""
    rule[field] = ["*"]
    assert "no permission is a wildcard" in _refused(guarded, role)


def test_a_namespace_of_the_fleet_enforces_the_standard(guarded):
    enforced = {"pod-security.kubernetes.io/enforce": "baseline"}
    assert "`restricted` is enforced" in _refused(guarded, namespace("n", **OURS, **enforced))
    assert _refused(guarded, namespace("n", **OURS, **RESTRICTED)) == ""


def test_namespaces_of_others_are_left_alone(guarded):
    assert _refused(guarded, namespace("theirs")) == ""
    item = one("Deployment")
    container(item)["image"] = "a/b:latest"
    item["metadata"]["namespace"] = "default"
    assert _refused(guarded, item) == ""
