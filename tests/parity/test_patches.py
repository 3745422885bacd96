"""Object patches reach Helm through values, and say so where no value can."""

from typing import Any

import pytest

from fleetform import emit
from fleetform.platforms.kubernetes.build import Build
from fleetform.platforms.kubernetes.model import FleetPlan, ObjectPatch, WorkloadPlan
from fleetform.platforms.kubernetes.objects import build, patches
from fleetform.platforms.kubernetes.objects.pod import security
from fleetform.platforms.kubernetes.targets import helm, lenses
from fleetform.problems import Mark
from tests.conformance import readers
from tests.parity import charts, plans
from tests.parity.objects import differences, of_text

in_both_helms = pytest.mark.parametrize("helm_version", charts.EACH_HELM)
MARK = Mark("a.yaml", 3, 5, 3, 5)
PEER = plans.PEER
POD = "/spec/template/spec"
MAIN = f"{POD}/containers/0"
RESTRICTED = {"securityContext": security(read_only_root=True)}
PROBE = {"httpGet": {"path": "/p", "port": 81}, "periodSeconds": 1}
ASKED = {"periodSeconds": 1, "timeoutSeconds": 1, "failureThreshold": 1}

Patch = tuple[str, Any]
"""A kind, and a merge patch or a list of operations."""


def add(path: str, value: Any) -> list[dict[str, Any]]:
    return [{"op": "add", "path": path, "value": value}]


def remove(path: str) -> list[dict[str, Any]]:
    return [{"op": "remove", "path": path}]


def pod(**body: Any) -> dict[str, Any]:
    return {"spec": {"template": {"spec": body}}}


FULL = plans.BASE._replace(
    replicas=2,
    verbatim={"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
    annotations={"a": "b"},
    env=({"name": "A", "value": "1"},),
    volumes=({"name": "v", "emptyDir": {}},),
    mounts=({"name": "v", "mountPath": "/v"},),
    sidecars=(plans.CONTAINER,),
)
AGENT = lenses.of_kinds("workload")
COVERED: list[tuple[WorkloadPlan, Patch]] = [
    (FULL, ("Deployment", {"metadata": {"annotations": {"c": "${d}", "a": None}}})),
    (FULL, ("Deployment", {"spec": {"replicas": 5, "revisionHistoryLimit": 0}})),
    (FULL, ("Deployment", {"spec": {"minReadySeconds": 9}})),
    (FULL, ("Deployment", pod(hostAliases=[{"ip": "10.1.2.3", "hostnames": ["a"]}]))),
    (FULL, ("Deployment", {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}}})),
    (FULL, ("Deployment", {"spec": {"template": {"metadata": {"annotations": {"x": "y"}}}}})),
    (FULL, ("Deployment", pod(priorityClassName="high", runtimeClassName="gvisor"))),
    (FULL, ("Deployment", pod(imagePullSecrets=[{"name": "p"}], nodeSelector={"a": "b"}))),
    (
        FULL,
        ("Deployment", pod(tolerations=[{"operator": "Exists"}], affinity={"nodeAffinity": {}})),
    ),
    (FULL, ("Deployment", pod(topologySpreadConstraints=[{**plans.SPREAD, "labelSelector": {}}]))),
    (FULL, ("Deployment", pod(securityContext={"supplementalGroups": [7], "runAsUser": 7}))),
    (FULL, ("Deployment", pod(initContainers=[{"name": "i", "image": "i:1", **RESTRICTED}]))),
    (FULL, ("Deployment", add(f"{POD}/containers/-", {"name": "s", "image": "s:1", **RESTRICTED}))),
    (FULL, ("Deployment", remove(f"{POD}/containers/1"))),
    (FULL, ("Deployment", add(f"{POD}/containers/1/command", ["$(x)"]))),
    (
        FULL,
        ("Deployment", add(f"{POD}/volumes/-", {"name": "w", "emptyDir": {"medium": "Memory"}})),
    ),
    (FULL, ("Deployment", add(f"{POD}/volumes/0/emptyDir/sizeLimit", "1Gi"))),
    (FULL, ("Deployment", add(f"{MAIN}/volumeMounts/3", {"name": "v", "mountPath": "/w"}))),
    (
        FULL,
        ("Deployment", add(f"{MAIN}/command", ["sh", "{{ x }}"]) + add(f"{MAIN}/workingDir", "/")),
    ),
    (FULL, ("Deployment", add(f"{MAIN}/args/0", "first"))),
    (FULL, ("Deployment", add(f"{MAIN}/resources/limits/cpu", "2"))),
    (FULL, ("Deployment", add(f"{MAIN}/resources/limits/nvidia.com~1gpu", "1"))),
    (FULL, ("Deployment", add(f"{MAIN}/imagePullPolicy", "Never"))),
    (FULL, ("Deployment", add(f"{MAIN}/env/0", {"name": "B", "value": "$$(A)"}))),
    (FULL, ("Deployment", remove(f"{MAIN}/env"))),
    (FULL, ("Deployment", add(f"{MAIN}/envFrom", [{"secretRef": {"name": "s"}}]))),
    (FULL, ("Deployment", add(f"{MAIN}/securityContext/readOnlyRootFilesystem", value=False))),
    (FULL, ("Deployment", remove(f"{MAIN}/startupProbe"))),
    (
        FULL,
        (
            "Deployment",
            add(f"{MAIN}/readinessProbe", {**PROBE, "timeoutSeconds": 1, "failureThreshold": 1}),
        ),
    ),
    (FULL, ("Deployment", add(f"{MAIN}/livenessProbe", {**ASKED, "exec": {"command": ["true"]}}))),
    (
        FULL,
        (
            "Deployment",
            add(f"{MAIN}/livenessProbe", {**ASKED, "grpc": {"port": 1, "service": "x"}}),
        ),
    ),
    (FULL, ("Deployment", add(f"{MAIN}/livenessProbe/initialDelaySeconds", 3))),
    (FULL, ("Deployment", add(f"{MAIN}/image", "other/image:1.0.0@sha256:" + "c" * 64))),
    (FULL, ("Deployment", pod(terminationGracePeriodSeconds=77))),
    (FULL, ("Deployment", add(f"{MAIN}/lifecycle/preStop/sleep/seconds", 9))),
    (plans.STATEFUL, ("StatefulSet", {"spec": {"revisionHistoryLimit": 3}})),
    (FULL, ("Service", {"metadata": {"annotations": {"a": "b"}}, "spec": {"type": "NodePort"}})),
    (plans.BALANCED, ("Service", {"spec": {"loadBalancerSourceRanges": ["10.0.0.0/8"]}})),
    (plans.BALANCED, ("Service", add("/spec/externalTrafficPolicy", "Cluster"))),
    (FULL, ("ServiceAccount", {"metadata": {"annotations": {"a": "b"}}})),
    (FULL, ("Role", {"rules": [{"apiGroups": [""], "resources": ["x"], "verbs": ["get"]}]})),
    (
        plans.BASE._replace(rbac=plans.BASE.rbac._replace(cluster=True, name="space:base")),  # type: ignore[union-attr]
        ("ClusterRole", add("/rules/0/verbs/-", "list")),
    ),
    (plans.HPA, ("HorizontalPodAutoscaler", {"spec": {"minReplicas": 2, "maxReplicas": 9}})),
    (plans.HPA, ("HorizontalPodAutoscaler", {"spec": {"metrics": [plans.METRIC]}})),
    (plans.HPA, ("HorizontalPodAutoscaler", add("/spec/behavior/scaleUp/policies/0/value", 7))),
    (plans.KEDA, ("ScaledObject", {"spec": {"minReplicaCount": 1, "maxReplicaCount": 7}})),
    (plans.KEDA, ("ScaledObject", {"spec": {"pollingInterval": 7, "cooldownPeriod": 0}})),
    (
        plans.KEDA,
        ("ScaledObject", remove("/spec/advanced/horizontalPodAutoscalerConfig/behavior/scaleUp")),
    ),
    (
        plans.SANDBOXED,
        ("SandboxTemplate", add("/spec/podTemplate/spec/runtimeClassName", "kata")),
    ),
    (
        plans.SANDBOXED,
        (
            "SandboxTemplate",
            add("/spec/podTemplate/spec/containers/0/resources/limits/memory", "1Gi"),
        ),
    ),
    (plans.SANDBOXED, ("SandboxWarmPool", {"spec": {"replicas": 0}})),
    (FULL, ("PodDisruptionBudget", {"spec": {"maxUnavailable": "50%"}})),
    (FULL, ("NetworkPolicy", {"spec": {"ingress": [{"from": [PEER]}]}})),
    (FULL, ("NetworkPolicy", remove("/spec/egress/0"))),
    (FULL, ("NetworkPolicy", add("/spec/egress/-", {"to": [PEER]}))),
    (FULL, ("ServiceMonitor", add("/spec/endpoints/0/interval", "5s"))),
    (FULL, ("ServiceMonitor", add("/spec/endpoints/0/path", "/m"))),
    (FULL, ("HTTPRoute", {"metadata": {"annotations": {"a": "b"}}, "spec": {"hostnames": ["x"]}})),
    (FULL, ("HTTPRoute", add("/spec/rules/0/timeouts/request", "1s"))),
    (FULL, ("HTTPRoute", add("/spec/parentRefs/0/sectionName", "https"))),
    (plans.ISSUED, ("Ingress", {"metadata": {"annotations": {"a": "b"}}, "spec": {"tls": None}})),
    (plans.ISSUED, ("Ingress", {"spec": {"ingressClassName": "other"}})),
    (
        plans.ISSUED,
        ("Certificate", {"spec": {"dnsNames": ["x.example"], "issuerRef": {"kind": "Y"}}}),
    ),
]
BESIDE: list[tuple[WorkloadPlan, Patch, str]] = [
    (FULL, ("Deployment", pod(dnsPolicy="Default")), "spec.template.spec.dnsPolicy"),
    (FULL, ("Deployment", {"metadata": {"labels": {"x": "y"}}}), "metadata.labels.x"),
    (FULL, ("Deployment", {"metadata": {"annotations": None}}), "metadata.annotations"),
    (FULL, ("Deployment", {"spec": {"replicas": 1}}), "spec.replicas"),
    (plans.HPA, ("Deployment", {"spec": {"replicas": 3}}), "spec.replicas"),
    (plans.HPA, ("HorizontalPodAutoscaler", {"spec": {"maxReplicas": 1}}), "spec.maxReplicas"),
    (FULL, ("Deployment", remove(f"{MAIN}/resources/limits/cpu")), "spec.template.spec.containers[0].resources.limits.cpu"),
    (FULL, ("Deployment", add(f"{MAIN}/terminationMessagePolicy", "FallbackToLogsOnError")), "spec.template.spec.containers[0].terminationMessagePolicy"),
    (FULL, ("Deployment", add(f"{MAIN}/name", "x")), "spec.template.spec.containers[0].name"),
    (FULL, ("Deployment", add(f"{MAIN}/volumeMounts/1/subPath", "x")), "spec.template.spec.containers[0].volumeMounts[1].subPath"),
    (FULL, ("Deployment", add(f"{POD}/volumes/1/configMap/optional", value=True)), "spec.template.spec.volumes[1].configMap.optional"),
    (FULL, ("Deployment", remove(f"{POD}/containers/1/securityContext")), "spec.template.spec.containers[1].securityContext"),
    (FULL, ("Deployment", add(f"{MAIN}/readinessProbe/successThreshold", 2)), "spec.template.spec.containers[0].readinessProbe.successThreshold"),
    (FULL, ("Deployment", pod(topologySpreadConstraints=[plans.SPREAD])), "spec.template.spec.topologySpreadConstraints"),
    (FULL, ("Service", {"spec": {"sessionAffinity": "ClientIP"}}), "spec.sessionAffinity"),
    (FULL, ("ConfigMap", {"data": {"more": "x"}}), "data.more"),
    # The Rollout beside it has the same value.
    (plans.STEPPED, ("Deployment", {"spec": {"minReadySeconds": 9}}), "spec.minReadySeconds"),
    (plans.STEPPED, ("Rollout", {"spec": {"minReadySeconds": 9}}), "spec.minReadySeconds"),
    # Its own Role is no value of `rbac`.
    (plans.SANDBOXED, ("Role", {"rules": []}), "rules[0]"),
]  # fmt: skip


def made(plan: WorkloadPlan, patch: Patch) -> Build:
    """Return what a fleet of one workload is built of after one patch."""
    kind, body = patch
    merge, operations = (body, ()) if isinstance(body, dict) else (None, tuple(body))
    given = ObjectPatch(
        "Agent a",
        kind,
        "",
        "",
        {},
        merge,
        operations,
        MARK,
        "spec.objectPatches[0]",
        by_environment=True,
    )
    plan = plan._replace(patches=(given,))
    fleet = FleetPlan("prod", (plan,), (), (), ("helm",), "charts", "", kustomization=False)
    done = patches.apply(fleet, build(fleet))
    assert done.problems == ()
    assert done.applied
    return Build(fleet, done.units, applied=done.applied)


def test_every_lens_is_looked_through():
    used = set()
    for plan, patch in COVERED:
        built = made(plan, patch)
        for item in built.applied:
            for change in item.changes:
                lens = lenses._lens_for(plan, AGENT[item.kind], change.path)
                used.add((item.kind, lens.path if lens else change.path))
    known = {(kind, lens.path) for kind, found in AGENT.items() for lens in found}
    known |= {("Deployment", path) for path in lenses.PLAN}
    # A StatefulSet's are those of a Deployment.
    assert {item for item in known if item[0] != "StatefulSet"} <= used


@in_both_helms
def test_what_a_value_covers_arrives_through_it(helm_version, tmp_path):
    built = [made(plan, patch) for plan, patch in COVERED]
    for item, (_, patch) in zip(built, COVERED, strict=True):
        assert [*helm.problems(item)] == [], patch
    releases = [release for item in built for release in helm.releases(item)]
    documents = readers.go(emit.emit_all([release.document for release in releases]))
    root = charts.umbrella(tmp_path, "agent", documents)
    found = charts.template(helm_version, root, "space", len(built))
    wrong = [
        f"{patch}: {line}"
        for item, theirs, (_, patch) in zip(built, found, COVERED, strict=True)
        for line in differences(of_text(emit.emit_all(list(item.units[0].objects))), theirs)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(("plan", "patch", "path"), BESIDE, ids=[row[2] for row in BESIDE])
def test_what_no_value_covers_is_a_problem_that_names_it(plan, patch, path):
    (problem,) = helm.problems(made(plan, patch))
    assert problem.code == "object-patch-no-value"
    assert f"changes {path} of {patch[0]} " in problem.message
    assert (problem.file, problem.line, problem.path) == ("a.yaml", 3, "spec.objectPatches[0]")


@in_both_helms
def test_patches_of_a_namespace_arrive_through_its_values(helm_version, tmp_path):
    space = plans.SPACE._replace(limits={"default": {"cpu": "1"}}, alerts=(plans.GROUP,))
    bodies: dict[str, Any] = {
        "ResourceQuota": {"spec": {"hard": {"pods": "99", "count/jobs.batch": "1"}}},
        "LimitRange": add("/spec/limits/0/max", {"cpu": "9"}),
        "SecretStore": {
            "spec": {
                "provider": {"fake": None, "aws": {"region": "r", "service": "SecretsManager"}}
            }
        },
        "PrometheusRule": remove("/spec/groups/0/rules/0/labels"),
    }
    given = tuple(
        ObjectPatch(
            "Environment prod",
            kind,
            "",
            "",
            {},
            body if isinstance(body, dict) else None,
            () if isinstance(body, dict) else tuple(body),
            MARK,
            "p",
            by_environment=True,
        )
        for kind, body in bodies.items()
    )
    fleet = FleetPlan("prod", (), (space,), given, ("helm",), "charts", "", kustomization=False)
    done = patches.apply(fleet, build(fleet))
    assert done.problems == ()
    built = Build(fleet, done.units, applied=done.applied)
    assert [*helm.problems(built)] == []
    (release,) = helm.releases(built)
    root = charts.umbrella(tmp_path, "namespace", readers.go(emit.emit(release.document)))
    (found,) = charts.template(helm_version, root, "space", 1)
    assert differences(of_text(emit.emit_all(list(done.units[0].objects))), found) == []
