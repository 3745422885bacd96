"""SandboxTemplate, SandboxWarmPool, and what bounds them: pods of agent-sandbox, each for one program of a workload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform.names import fit
from fleetform.plan.containers import SCRATCH_SIZE
from fleetform.platforms.kubernetes.containers import security
from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import (
    SANDBOX_PORT,
    Sandbox,
    WorkloadPlan,
    sandbox_selector,
)
from fleetform.platforms.kubernetes.objects import networkpolicy, role
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    data,
    versioned,
    workload_object,
)
from fleetform.platforms.kubernetes.objects.pod import IDS

GROUP = "extensions.agents.x-k8s.io"
API = f"{GROUP}/v1beta1"
SUFFIX = "-sandbox"
COMPONENT = "sandbox"
RIGHTS = {
    "apiGroups": [GROUP],
    "resources": ["sandboxclaims"],
    "verbs": ["create", "get", "delete"],
}
"""What an agent does with claims: each has a new name, so a rule cannot name them."""


def build(plan: WorkloadPlan) -> tuple[Manifest, ...]:
    """Return the policy before the pods that it is for, nothing if no program asks for a sandbox."""
    found = plan.sandbox
    if found is None:
        return ()
    reference = {"name": plan.name}
    return (
        _policy(plan),
        *_rights(plan),
        workload_object(plan, API, "SandboxTemplate", spec=_template(plan, found)),
        workload_object(
            plan,
            API,
            "SandboxWarmPool",
            spec={
                "replicas": found.warm,
                "sandboxTemplateRef": reference,
                # A pod of the image or the limits before is of no use to anybody.
                "updateStrategy": {"type": "Recreate"},
            },
        ),
    )


def _policy(plan: WorkloadPlan) -> Manifest:
    """Return the policy of the pods: their own agent reaches them, and they reach nothing, not even name servers."""
    agent = {"from": [{"podSelector": {"matchLabels": plan.selector}}]}
    ports = [{"protocol": "TCP", "port": SANDBOX_PORT}]
    return workload_object(
        plan,
        networkpolicy.API,
        "NetworkPolicy",
        fit(plan.name, SUFFIX),
        spec={
            "podSelector": {"matchLabels": sandbox_selector(plan.name)},
            "policyTypes": [*networkpolicy.DIRECTIONS],
            "ingress": [{**agent, "ports": ports}],
        },
    )


def _rights(plan: WorkloadPlan) -> Iterator[Manifest]:
    name = fit(plan.name, SUFFIX)
    yield workload_object(plan, role.API, "Role", name, rules=[RIGHTS])
    yield workload_object(
        plan,
        role.API,
        "RoleBinding",
        name,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        subjects=[
            {"kind": "ServiceAccount", "name": plan.account.name, "namespace": plan.namespace}
        ],
    )


def _template(plan: WorkloadPlan, found: Sandbox) -> dict[str, Any]:
    # None of the labels by which Services and other policies find the agent's own pods.
    own = {key: text for key, text in versioned(plan).items() if key not in plan.selector}
    own |= {"app.kubernetes.io/component": COMPONENT, **sandbox_selector(plan.name)}
    return {
        "podTemplate": {
            "metadata": {"labels": dict(sorted(own.items()))},
            "spec": _pod(plan, found),
        },
        "service": False,
        # Ours is there before any pod, and is reviewed with everything else.
        "networkPolicyManagement": "Unmanaged",
        "envVarsInjectionPolicy": "Disallowed",
        "volumeClaimTemplatesPolicy": "Disallowed",
    }


def _pod(plan: WorkloadPlan, found: Sandbox) -> dict[str, Any]:
    container: dict[str, Any] = {"name": COMPONENT, "image": plan.image}
    if plan.pull_policy:
        container["imagePullPolicy"] = plan.pull_policy
    spec: dict[str, Any] = {
        "runtimeClassName": found.runtime_class,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            **(dict.fromkeys(IDS[:2], plan.run_as_user) if plan.run_as_user else {}),
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": 1,
    }
    if plan.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in plan.pull_secrets]
    spec["containers"] = [
        container
        | {
            "args": [COMPONENT],
            "ports": [{"name": "http", "containerPort": SANDBOX_PORT, "protocol": "TCP"}],
            "resources": data(found.resources),
            "readinessProbe": {
                "httpGet": {"path": "/health", "port": "http"},
                "periodSeconds": 1,
                "timeoutSeconds": 3,
                "failureThreshold": 3,
            },
            "securityContext": security(read_only_root=True),
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
        }
    ]
    spec["volumes"] = [{"name": "tmp", "emptyDir": {"sizeLimit": SCRATCH_SIZE}}]
    return spec


def values(plan: WorkloadPlan, default: Values) -> Values:
    """Return the chart's `sandbox`."""
    found = plan.sandbox
    if found is None:
        return {"sandbox": default["sandbox"]}
    return {
        "sandbox": {
            "enabled": True,
            "runtimeClassName": found.runtime_class,
            "warm": found.warm,
            "resources": data(found.resources),
        }
    }


_MAIN = "spec.podTemplate.spec"
LENSES = {
    "SandboxTemplate": (
        lens(f"{_MAIN}.runtimeClassName", "sandbox.runtimeClassName"),
        lens(f"{_MAIN}.containers.0.resources", "sandbox.resources"),
    ),
    "SandboxWarmPool": (lens("spec.replicas", "sandbox.warm"),),
}
