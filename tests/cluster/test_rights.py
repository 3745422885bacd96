"""What each rendered ServiceAccount may do, in the API server's own words; tests/cluster/rights holds the tables.

`FLEETFORM_REWRITE=1` rewrites them: read the difference before you commit it.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cluster import fleet
from tests.cluster.plane import Object, Plane, listed

TABLES = Path(__file__).with_name("rights")
RBAC = ("Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
NEVER = (
    ("get", "secrets"), ("list", "secrets"), ("create", "pods/exec"), ("create", "pods/attach"),
    ("create", "pods/portforward"), ("create", "pods/ephemeralcontainers"), ("create", "serviceaccounts/token"),
    ("create", "pods"), ("create", "deployments.apps"), ("create", "rolebindings.rbac.authorization.k8s.io"),
    ("create", "clusterrolebindings.rbac.authorization.k8s.io"), ("escalate", "roles.rbac.authorization.k8s.io"),
    ("escalate", "clusterroles.rbac.authorization.k8s.io"), ("bind", "clusterroles.rbac.authorization.k8s.io"),
    ("impersonate", "serviceaccounts"), ("impersonate", "users"), ("get", "nodes/proxy"), ("delete", "namespaces"),
    ("patch", "validatingwebhookconfigurations.admissionregistration.k8s.io"), ("*", "*"),
)  # fmt: skip
"""What gives away secrets or other identities."""
Grant = tuple[str, str]


@pytest.fixture(scope="module", params=fleet.ENVIRONMENTS)
def environment(request, plane: Plane) -> Iterator[str]:
    """An environment whose namespaces, accounts and rights stand."""
    name: str = request.param
    wanted = [
        item
        for item in fleet.objects(name)
        if item["kind"] in ("Namespace", "ServiceAccount", *RBAC)
    ]
    plane.apply("-f", "-", text=listed(wanted))
    yield name
    fleet.cleared(plane)


def accounts(environment: str) -> Iterator[tuple[str, str]]:
    """Yield namespace and name of every account that a pod of the environment runs as."""
    found = set()
    for item in fleet.objects(environment):
        if item["kind"] in fleet.WORKLOADS:
            pod = item["spec"]["template"]["spec"]
            found.add((item["metadata"]["namespace"], pod["serviceAccountName"]))
    yield from sorted(found)


class Ask(NamedTuple):
    """One question: may an account do something in a namespace?"""

    space: str
    account: str
    grant: Grant
    where: str


def review(ask: Ask) -> Object:
    """Return a question as the API server takes it."""
    verb, what = ask.grant
    resource, _, group = what.partition(".")
    resource, _, subresource = resource.partition("/")
    attributes = {"namespace": ask.where, "verb": verb, "group": group, "resource": resource}
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{ask.space}:{ask.account}",
            "groups": [
                "system:authenticated",
                "system:serviceaccounts",
                f"system:serviceaccounts:{ask.space}",
            ],
            "resourceAttributes": {**attributes, "subresource": subresource},
        },
    }


def answers(plane: Plane, asks: list[Ask]) -> dict[Ask, bool]:
    """Return what the API server says to many questions at once: kubectl costs more than they do."""
    text = plane.do("create", "-f", "-", "-o", "json", text=listed(review(ask) for ask in asks))
    decoder, found, at = json.JSONDecoder(), [], 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        item, at = decoder.raw_decode(text, at)
        found += item["items"] if item["kind"] == "List" else [item]
    assert len(found) == len(asks)
    return {ask: item["status"]["allowed"] for ask, item in zip(asks, found, strict=True)}


def named(environment: str, space: str, account: str) -> set[Grant]:
    """Return what the rendered rights of an account, and so its spec, name by verb and resource."""
    objects = fleet.objects(environment)
    roles = {
        (item["kind"], item["metadata"].get("namespace", ""), item["metadata"]["name"]): item
        for item in objects
        if item["kind"] in ("Role", "ClusterRole")
    }
    found = set()
    for item in objects:
        if item["kind"] in ("RoleBinding", "ClusterRoleBinding") and _is_for(item, space, account):
            reference = item["roleRef"]
            home = item["metadata"].get("namespace", "") if reference["kind"] == "Role" else ""
            for rule in roles[reference["kind"], home, reference["name"]]["rules"]:
                for group in rule["apiGroups"]:
                    ends = f".{group}" if group else ""
                    found |= {
                        (verb, f"{resource}{ends}")
                        for verb in rule["verbs"]
                        for resource in rule["resources"]
                    }
    return found


def _is_for(binding: Object, space: str, account: str) -> bool:
    return any(
        (subject.get("namespace"), subject["name"]) == (space, account)
        for subject in binding["subjects"]
    )


def has_cluster_rights(environment: str, space: str, account: str) -> bool:
    return any(
        item["kind"] == "ClusterRoleBinding" and _is_for(item, space, account)
        for item in fleet.objects(environment)
    )


def test_what_each_account_may_do_is_what_the_table_says(plane, environment):
    lines = []
    for space, account in accounts(environment):
        user = f"--as=system:serviceaccount:{space}:{account}"
        text = plane.do("auth", "can-i", "--list", user, "-n", space)
        head, *rows = (line.rstrip() for line in text.splitlines())
        lines += [f"# {space}/{account}", head, *sorted(rows), ""]
    table = TABLES / f"{environment}.txt"
    if os.environ.get("FLEETFORM_REWRITE"):
        table.parent.mkdir(exist_ok=True)
        table.write_text("\n".join(lines), "utf-8")
    assert table.read_text("utf-8") == "\n".join(lines)


def test_no_account_may_do_what_its_spec_does_not_name(plane, environment):
    never, granted = [], []
    for space, account in accounts(environment):
        grants = named(environment, space, account)
        never += [Ask(space, account, grant, space) for grant in NEVER if grant not in grants]
        granted += [Ask(space, account, grant, space) for grant in sorted(grants)]
    said = answers(plane, never)
    assert [ask for ask, is_allowed in said.items() if is_allowed] == []
    assert len(said) > 100
    assert granted
    assert all(answers(plane, granted).values())


def test_no_account_acts_outside_its_namespace(plane, environment):
    probes: list[Grant] = [("get", "pods"), ("get", "configmaps"), ("list", "services"), *NEVER]
    asks = [
        Ask(space, account, grant, other)
        for space, account in accounts(environment)
        if not has_cluster_rights(environment, space, account)
        for other in {*fleet.namespaces(environment), "kube-system", "default"} - {space}
        for grant in {*probes, *named(environment, space, account)}
    ]
    assert asks
    assert [ask for ask, is_allowed in answers(plane, asks).items() if is_allowed] == []


def test_only_pods_with_rights_get_a_token(environment):
    for item in fleet.objects(environment):
        if item["kind"] in fleet.WORKLOADS:
            space = item["metadata"]["namespace"]
            pod: dict[str, Any] = item["spec"]["template"]["spec"]
            has = bool(named(environment, space, pod["serviceAccountName"]))
            assert pod["automountServiceAccountToken"] == has


SEEN = (("get", "pods"), ("get", "pods/log"), ("list", "deployments.apps"), ("get", "configmaps"))
DONE = (("delete", "pods"), ("create", "pods/eviction"), ("patch", "deployments/scale.apps"))
MAKING = (
    *(("create", "jobs.batch"), ("patch", "deployments.apps"), ("patch", "cronjobs.batch")),
    *(("create", "configmaps"), ("patch", "networkpolicies.networking.k8s.io")),
)
"""What makes pods, or opens a way to them."""
PEOPLE = {"ai-platform": (*SEEN, *DONE), "customer-care": SEEN}
"""What the groups of the example's tenant may do."""


def of_group(group: str, grant: Grant, where: str) -> Object:
    asked = review(Ask("nowhere", "nobody", grant, where))
    asked["spec"] |= {"user": "jane", "groups": ["system:authenticated", group]}
    return asked


def test_people_of_a_tenant_see_their_namespace_and_nobodys_secrets(plane, environment):
    if environment != "prod":
        return  # the example has people there only
    (space,) = {
        item["metadata"]["namespace"]
        for item in fleet.objects(environment)
        if item["kind"] == "Role" and item["metadata"]["name"] == "tenant-view"
    }
    grants = {*SEEN, *DONE, *MAKING, *NEVER}
    for group, may in PEOPLE.items():
        for where in (space, "kube-system", "k8sops"):
            for grant in sorted(grants):
                text = plane.do(
                    "create",
                    "-f",
                    "-",
                    "-o",
                    "json",
                    text=json.dumps(of_group(group, grant, where)),
                )
                allowed = json.loads(text)["status"]["allowed"]
                assert allowed == (where == space and grant in may), (group, where, grant)
