"""What new output asks of objects that a cluster has already, by each target that holds objects."""

import itertools

import pytest

from tests.fleet import API, fleetform, write

ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  capabilities: [keda, argo-rollouts]
  secrets: {{provider: kubernetes}}
"""
CPU = (
    "[{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]"
)
WEB = """  container:
    image: {repository: acme/web, tag: 1.2.3}
    ports: [{name: http, containerPort: 8000}]
  healthCheck: {path: /healthz}
  resources: {requests: {cpu: 100m, memory: 64Mi}, limits: {memory: 64Mi}}
"""


def agent(rest: str, name: str = "web") -> str:
    return f"{API}\nkind: Agent\nmetadata: {{name: {name}, namespace: team}}\nspec:\n{WEB}{rest}"


def volume(rest: str) -> str:
    return f"  volumes: [{{name: data, mountPath: /data, claim: {{{rest}}}}}]\n"


def rendered(folder, *specs: str, target: str = "manifests") -> list[str]:
    """Return the warnings of the last of several renders, each of one more version of a spec."""
    done = None
    for spec in specs:
        write(folder, {"agents/a.yaml": spec, "environments/prod.yaml": ENVIRONMENT})
        done = fleetform("render", "--env", "prod", "--target", target, cwd=folder)
        assert done.code == 0, done.err
    return [line for line in done.err.splitlines() if ": warning: " in line and "charts" not in line.split(": warning: ")[1]]  # fmt: skip


def steps(scaling: str, moving: str = "") -> str:
    canary = f"    canary:\n      steps: [{{weight: 50}}]\n{moving}"
    return f"  scaling: {{{scaling}}}\n  delivery:\n{canary}"


SCALED = f"minReplicas: 2, maxReplicas: 9, metrics: {CPU}"
FIXED = "minReplicas: 2"
IN, OUT = "      moving: in\n", "      moving: out\n"
CHANGES = {
    "into a canary": (
        f"  scaling: {{{FIXED}}}\n",
        steps(FIXED),
        "the pods of Deployment `team/web` go at once, before those of its new Rollout are ready",
    ),
    "into a canary of an autoscaler": (
        f"  scaling: {{{SCALED}}}\n",
        steps(SCALED),
        "the pods of Deployment `team/web` go at once, before those of its new Rollout are ready",
    ),
    "out of a canary": (
        steps(FIXED),
        f"  scaling: {{{FIXED}}}\n",
        "the Rollout `team/web` goes with all its pods, and its Deployment has none",
    ),
    "out of a canary of an autoscaler": (
        steps(SCALED),
        f"  scaling: {{{SCALED}}}\n",
        "the Rollout `team/web` goes with all its pods, and its Deployment has none",
    ),
    "more pods": (
        volume("size: 5Gi"),
        volume("size: 5Gi") + "  scaling: {minReplicas: 2}\n",
        "`spec.accessModes` of PersistentVolumeClaim `team/data` changes from",
    ),
    "other class": (
        volume("size: 5Gi, storageClass: a"),
        volume("size: 5Gi, storageClass: b"),
        "`spec.storageClassName` of PersistentVolumeClaim `team/data` changes from",
    ),
    "smaller": (volume("size: 5Gi"), volume("size: 2Gi"), "from 5Gi to 2Gi, and no claim shrinks"),
    "own disks": (
        volume("size: 5Gi") + "  stateful: true\n",
        volume("size: 6Gi") + "  stateful: true\n",
        "`spec.volumeClaimTemplates` of StatefulSet `team/web` changes from",
    ),
    "a first class": (
        volume("size: 5Gi"),
        volume("size: 5Gi, storageClass: a"),
        "`spec.storageClassName` of PersistentVolumeClaim `team/data` changes from",
    ),
    "a first disk": (
        "  stateful: true\n",
        volume("size: 5Gi") + "  stateful: true\n",
        "`spec.volumeClaimTemplates` of StatefulSet `team/web` changes from",
    ),
    "no more disks": (
        volume("size: 5Gi") + "  stateful: true\n",
        "  stateful: true\n",
        "`spec.volumeClaimTemplates` of StatefulSet `team/web` changes from",
    ),
    "stateful": ("", "  stateful: true\n", "Deployment `team/web` becomes a StatefulSet"),
    "stateless": ("  stateful: true\n", "", "StatefulSet `team/web` becomes a Deployment"),
    "scaled by KEDA": (
        f"  scaling: {{minReplicas: 1, maxReplicas: 9, metrics: {CPU}}}\n",
        f"  scaling: {{minReplicas: 1, maxReplicas: 9, metrics: {CPU}, keda: {{enabled: true}}}}\n",
        "KEDA refuses the new ScaledObject `team/web` as long as the HorizontalPodAutoscaler `web` is there",
    ),
    "autoscaled": (
        "  scaling: {minReplicas: 5}\n",
        "  scaling: {minReplicas: 5, maxReplicas: 9, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}\n",
        "Deployment `team/web` loses `replicas: 5` to an autoscaler",
    ),
}


@pytest.mark.parametrize("target", ["manifests", "helm", "kustomize"])
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_cluster_does_not_do_is_said_when_it_is_rendered(tmp_path, change, target):
    before, after, message = CHANGES[change]
    (found,) = rendered(tmp_path, agent(before), agent(after), target=target)
    assert message in found


def test_it_is_said_once_for_all_targets_and_only_when_it_changes(tmp_path):
    before, after, message = CHANGES["more pods"]
    (found,) = rendered(tmp_path, agent(before), agent(after))
    assert message in found
    assert rendered(tmp_path, agent(after)) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (volume("size: 5Gi"), volume("size: 6Gi")),
        (volume("size: 1Gi"), volume("size: 1024Mi")),
        ("", volume("size: 5Gi")),
        ("  scaling: {minReplicas: 5}\n", "  scaling: {minReplicas: 3}\n"),
        (
            "",
            "  scaling: {maxReplicas: 9, metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]}\n",
        ),
    ],
)
def test_what_a_cluster_does_is_not_said(tmp_path, before, after):
    assert rendered(tmp_path, agent(before), agent(after)) == []


def test_an_agent_that_goes_or_comes_is_not_said(tmp_path):
    assert rendered(tmp_path, agent(volume("size: 5Gi")), agent("", "other")) == []


@pytest.mark.parametrize("target", ["manifests", "helm", "kustomize"])
@pytest.mark.parametrize("scaling", [FIXED, SCALED])
def test_into_a_canary_and_out_of_it_in_two_steps_each_nothing_is_said(tmp_path, scaling, target):
    plain = f"  scaling: {{{scaling}}}\n"
    way = (plain, steps(scaling, IN), steps(scaling), steps(scaling, OUT), plain)
    for before, after in itertools.pairwise(way):
        assert rendered(tmp_path, agent(before), agent(after), target=target) == []


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.parametrize(
    "broken",
    [
        "kind: Deployment\n{[\n",
        "kind: PersistentVolumeClaim\nmetadata: [1]\nspec: x\n",
        "kind: Deployment\nmetadata: {name: web, namespace: team}\nspec: {replicas: many}\n",
        f"{BOMB}kind: PersistentVolumeClaim\nmetadata: {{name: data, namespace: team}}\nspec: {{accessModes: *a39, resources: {{requests: {{storage: [*a39]}}}}}}\n",
        "claims: [1, {name: [x]}]\nautoscaling: on\nvolumeClaimTemplates: 3\nkind: [a]\n",
    ],
)
@pytest.mark.parametrize("target", ["manifests", "helm"])
def test_output_that_somebody_broke_is_replaced(tmp_path, broken, target):
    spec = agent(volume("size: 5Gi"))
    rendered(tmp_path, spec, target=target)
    folder = tmp_path / ("rendered/prod" if target == "manifests" else "charts/values/prod")
    for file in folder.rglob("*.yaml"):
        file.write_text(broken)
    found = rendered(tmp_path, spec, target=target)
    assert all(len(line) < 700 for line in found)
