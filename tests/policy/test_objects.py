"""What holds for every object of every fleet: names, labels, selectors, and pods that are locked down."""

import re

import pytest

from tests import manifests
from tests.manifests import (
    NAMES,
    WORKLOADS,
    Tree,
    containers,
    identity,
    pod,
    selects,
    workload_of,
)


@pytest.fixture(params=NAMES)
def tree(request) -> Tree:
    return manifests.tree(request.param)


LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
RECOMMENDED = {
    f"app.kubernetes.io/{name}" for name in ("name", "component", "part-of", "managed-by")
}


def strings(node):
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    else:
        yield node


def test_no_two_objects_are_the_same(tree):
    found = [identity(item) for item in tree.objects]
    assert len(found) == len(set(found))


def test_every_name_is_legal(tree):
    for item in tree.objects:
        name, space = item["metadata"]["name"], item["metadata"].get("namespace", "")
        if item["kind"].startswith("ClusterRole"):  # `namespace:name`: roles may have a colon
            name = name.replace(":", ".", 1)
        is_label = item["kind"] in ("Service", "Namespace", *WORKLOADS)
        assert (LABEL if is_label else SUBDOMAIN).fullmatch(name), name
        most = 63 if is_label else 253
        assert len(name) <= (52 if item["kind"] == "StatefulSet" else most)
        assert not space or (LABEL.fullmatch(space) and len(space) <= 63)


def test_every_label_is_legal_and_the_recommended_ones_are_there(tree):
    for item in tree.objects:
        labels = item["metadata"]["labels"]
        assert labels.keys() >= RECOMMENDED
        for value in labels.values():
            assert VALUE.fullmatch(value)
            assert len(value) <= 63


def test_nothing_is_null(tree):
    assert [item for item in tree.objects if None in strings(item)] == []


def test_every_selector_matches_exactly_its_own_pods(tree):
    workloads = [*tree.with_pods(), *tree.of("SandboxTemplate")]
    for kind, where in (
        ("Service", ("selector",)),
        ("NetworkPolicy", ("podSelector",)),
        ("PodDisruptionBudget", ("selector",)),
        *((kind, ("selector",)) for kind in WORKLOADS),
    ):
        for item in tree.of(kind):
            selector = item["spec"][where[0]]
            space = item["metadata"]["namespace"]
            near = [other for other in workloads if other["metadata"]["namespace"] == space]
            (own,) = [other for other in near if selects(selector, other)]
            assert workload_of(own) == workload_of(item)


def test_selectors_have_no_label_that_an_upgrade_changes(tree):
    for item in tree.of(*WORKLOADS):
        assert item["spec"]["selector"]["matchLabels"].keys() == {
            "app.kubernetes.io/name",
            "app.kubernetes.io/instance",
        }


def test_every_workload_has_a_policy_an_account_and_no_other_identity(tree):
    accounts = {identity(item)[2:] for item in tree.of("ServiceAccount")}
    policies = {identity(item)[2:] for item in tree.of("NetworkPolicy")}
    for item in tree.with_pods():
        assert workload_of(item) in policies
        assert (item["metadata"]["namespace"], pod(item)["serviceAccountName"]) in accounts


def test_a_token_is_mounted_only_where_a_role_is_bound(tree):
    bound = {
        (subject.get("namespace"), subject["name"])
        for item in tree.of("RoleBinding", "ClusterRoleBinding")
        for subject in item["subjects"]
    }
    for item in tree.with_pods():
        key = item["metadata"]["namespace"], pod(item)["serviceAccountName"]
        assert pod(item)["automountServiceAccountToken"] == (key in bound)
    assert all(not item["automountServiceAccountToken"] for item in tree.of("ServiceAccount"))


def test_every_binding_has_its_role(tree):
    roles = {identity(item)[1:] for item in tree.of("Role", "ClusterRole")}
    for item in tree.of("RoleBinding", "ClusterRoleBinding"):
        reference = item["roleRef"]
        space = item["metadata"].get("namespace", "")
        assert (reference["kind"], space, reference["name"]) in roles


def test_every_pod_passes_pod_security_restricted(tree):
    for item in tree.with_pods():
        security = pod(item)["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & pod(item).keys()
        assert all("hostPath" not in volume for volume in pod(item)["volumes"])
        for container in containers(item):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert not {"privileged", "runAsUser", "runAsNonRoot", "seccompProfile"} & own.keys()


def test_every_container_has_requests_and_limits(tree):
    for item in tree.with_pods():
        for container in containers(item):
            assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
            assert container["resources"]["limits"].keys() >= {"cpu", "memory"}


def test_every_scratch_volume_has_a_size(tree):
    for item in tree.with_pods():
        for volume in pod(item)["volumes"]:
            assert "emptyDir" not in volume or volume["emptyDir"]["sizeLimit"]


def test_what_is_mounted_is_there(tree):
    claims = {identity(item)[2:] for item in tree.of("PersistentVolumeClaim")}
    maps = {identity(item)[2:] for item in tree.of("ConfigMap")}
    for item in tree.with_pods():
        space = item["metadata"]["namespace"]
        templates = {c["metadata"]["name"] for c in item["spec"].get("volumeClaimTemplates", ())}
        volumes = {volume["name"]: volume for volume in pod(item)["volumes"]}
        assert len(volumes) == len(pod(item)["volumes"])
        for container in containers(item):
            mounts = container.get("volumeMounts", [])
            assert {mount["name"] for mount in mounts} <= {*volumes, *templates}
            assert len({mount["mountPath"] for mount in mounts}) == len(mounts)
        for volume in volumes.values():
            others = volume["name"] == "models" or volume["name"].startswith("documents-")
            if "persistentVolumeClaim" in volume and not others:  # `models` is of a golden
                assert (space, volume["persistentVolumeClaim"]["claimName"]) in claims
            if volume["name"] == "config":
                assert (space, volume["configMap"]["name"]) in maps


def test_every_service_port_leads_to_a_port_of_the_container(tree):
    workloads = {identity(item)[2:]: item for item in tree.of(*WORKLOADS)}
    for item in tree.of("Service"):
        name = item["spec"]["selector"]["app.kubernetes.io/name"]
        main = pod(workloads[item["metadata"]["namespace"], name])["containers"][0]
        ports = {(port["name"], port["protocol"]) for port in main["ports"]}
        assert {(p["targetPort"], p["protocol"]) for p in item["spec"]["ports"]} <= ports


def test_every_route_leads_to_a_service_port(tree):
    ports = {
        (*identity(item)[2:], port["port"])
        for item in tree.of("Service")
        for port in item["spec"]["ports"]
    }
    for item in tree.of("HTTPRoute"):
        forwards, *redirects = item["spec"]["rules"]
        for rule in redirects:
            assert [step["type"] for step in rule["filters"]] == ["RequestRedirect"]
        for backend in forwards["backendRefs"]:
            assert (item["metadata"]["namespace"], backend["name"], backend["port"]) in ports
    for item in tree.of("Ingress"):
        for rule in item["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                key = item["metadata"]["namespace"], service["name"], service["port"]["number"]
                assert key in ports


def test_every_secret_that_a_workload_reads_is_made_where_an_operator_makes_them(tree):
    made = {
        (item["metadata"]["namespace"], item["metadata"]["name"], key.get("secretKey"))
        for item in tree.of("ExternalSecret")
        for key in item["spec"].get("data", [{}])
    }
    if not made:
        return
    for item in tree.with_pods():
        space = item["metadata"]["namespace"]
        for name, key in _keys(item):
            assert (space, name, key) in made or (space, name, None) in made


def _keys(workload):
    for volume in pod(workload)["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            for entry in source["secret"]["items"]:
                yield source["secret"]["name"], entry["key"]
    for container in containers(workload):
        for variable in container.get("env", ()):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"]


def test_a_monitor_scrapes_one_service_and_one_port(tree):
    for item in tree.of("ServiceMonitor"):
        selector = item["spec"]["selector"]
        hidden = {rule["key"] for rule in selector.get("matchExpressions", ())}
        services = [
            other
            for other in tree.of("Service")
            if other["metadata"]["namespace"] == item["metadata"]["namespace"]
            and other["metadata"]["labels"].items() >= selector["matchLabels"].items()
            and not hidden & other["metadata"]["labels"].keys()
        ]
        assert len(services) == 1
        (endpoint,) = item["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in services[0]["spec"]["ports"]}


def test_old_configuration_and_data_outlive_a_change(tree):
    for item in (*tree.revisions(), *tree.of("PersistentVolumeClaim")):
        annotations = item["metadata"]["annotations"]
        assert annotations["helm.sh/resource-policy"] == "keep"


def test_a_rollout_never_lacks_a_pod_and_never_cuts_a_turn(tree):
    for item in tree.of("Deployment"):
        strategy = item["spec"]["strategy"]
        if strategy["type"] == "RollingUpdate":
            assert strategy["rollingUpdate"]["maxUnavailable"] == 0
    for item in tree.of(*WORKLOADS):
        main = pod(item)["containers"][0]
        stop = main.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        assert pod(item)["terminationGracePeriodSeconds"] > stop


def test_the_three_probes_of_an_agent_are_distinct(tree):
    for item in tree.of(*WORKLOADS):
        main = pod(item)["containers"][0]
        if "agent-runtime" in main["image"]:
            probes = [main[f"{name}Probe"] for name in ("startup", "readiness", "liveness")]
            assert len({probe["httpGet"]["path"] for probe in probes}) == 3


def test_text_of_users_is_kept_from_substitution_under_flux(tree):
    flux = "kustomize.toolkit.fluxcd.io/substitute"
    prune = "kustomize.toolkit.fluxcd.io/prune"
    uses_flux = any(prune in item["metadata"]["annotations"] for item in tree.revisions())
    for item in tree.of("ConfigMap", "PrometheusRule"):
        annotations = item["metadata"].get("annotations", {})
        assert (annotations.get(flux) == "disabled") == uses_flux
