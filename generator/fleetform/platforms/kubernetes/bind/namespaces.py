"""The shared objects of a namespace: claims, external secrets and their store, quotas, alert rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from fleetform.plan.model import Shape, Workload
from fleetform.platforms.kubernetes import alerts
from fleetform.platforms.kubernetes.bind import delivery, pods
from fleetform.platforms.kubernetes.model import (
    Claim,
    ExternalSecret,
    NamespacePlan,
    WorkloadPlan,
)
from fleetform.problems import Problem
from fleetform.tree import problem_at

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

POD_SECURITY = {
    f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")
}


class Needs:
    """What the workloads of one namespace need from it: keys by Secret (empty: all of it), and claims."""

    def __init__(self) -> None:
        self.secrets: dict[str, set[str]] = {}
        self.whole: set[str] = set()
        self.claims: dict[str, Claim] = {}


def needs(workloads: Iterable[Workload], plans: Iterable[WorkloadPlan], shared: set[str]) -> Needs:
    """Collect the Secrets and claims that a namespace's workloads refer to."""
    found = Needs()
    for workload, plan in zip(workloads, plans, strict=True):
        for name, keys in plan.secrets:
            found.secrets.setdefault(name, set()).update(keys)
        for name, key in _environment_secrets(plan):
            found.secrets.setdefault(name, set()).add(key)
        for volume in plan.volumes:
            if "secret" in volume:
                found.whole.add(volume["secret"]["secretName"])
        if workload.shape is not Shape.STATEFUL:
            found.claims |= {claim.name: claim for claim in pods.claims(workload, shared)}
    return found


def _environment_secrets(plan: WorkloadPlan) -> Iterable[tuple[str, str]]:
    containers = [{"env": plan.env}, *plan.sidecars, *plan.init_containers]
    for container in containers:
        for variable in container.get("env", ()):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"]
    if plan.keda is not None:
        for trigger in plan.keda.triggers:
            for _, name, key in trigger.secrets:
                yield name, key


def namespace_plan(
    fleet: Fleet, space: str, plans: list[WorkloadPlan], need: Needs
) -> NamespacePlan:
    """Return the plan of a namespace as named in the specs."""
    environment = fleet.environment
    name = fleet.target_namespace(space)
    quota = environment.tenants.get(space)
    store = environment.secrets.store
    external = environment.secrets.provider != "kubernetes"
    watched = any(plan.metrics is not None and plan.component == "agent" for plan in plans)
    monitored = watched or (
        "prometheus-operator" in environment.capabilities
        and any(plan.component == "agent" for plan in plans)
    )
    runbooks = environment.monitoring.runbooks or ""
    return NamespacePlan(
        name=name,
        labels=dict(environment.labels),
        create=environment.namespaces.create,
        namespace_labels={**environment.labels, **environment.namespaces.labels, **POD_SECURITY},
        claims=tuple(claim for _, claim in sorted(need.claims.items())),
        secrets=_secrets(fleet, space, need) if external else (),
        store_name=store.name if store else "",
        store_kind=store.kind if store else "",
        store_provider=_provider(fleet)
        if external and store and store.create and store.kind == "SecretStore"
        else {},
        refresh_interval=environment.secrets.refresh_interval,
        quota=dict(sorted(quota.hard.items())) if quota else {},
        limits=_limits(quota) if quota else {},
        alerts=tuple(alerts.groups(name, runbooks, runtime=watched)) if monitored else (),
        runtime_alerts=watched,
        runbooks=runbooks,
        alert_labels=dict(environment.monitoring.labels),
        default_deny=environment.network.default_deny,
        retained=delivery.retained(fleet),
        verbatim=delivery.verbatim(fleet),
    )


def _secrets(fleet: Fleet, space: str, need: Needs) -> tuple[ExternalSecret, ...]:
    names = sorted({*need.secrets, *need.whole})
    return tuple(
        ExternalSecret(
            name,
            _remote_key(fleet, space, name),
            () if name in need.whole else tuple(sorted(need.secrets[name])),
        )
        for name in names
    )


def _remote_key(fleet: Fleet, space: str, name: str) -> str:
    """Return the name of a secret in the provider's store; only the known placeholders are filled in."""
    text = fleet.environment.secrets.remote_key
    for placeholder, value in (
        ("environment", fleet.environment_name),
        ("namespace", space),
        ("name", name),
    ):
        text = text.replace(f"{{{placeholder}}}", value)
    return text


def shared_remote_keys(
    fleet: Fleet, spaces: Iterable[tuple[str, NamespacePlan]]
) -> Iterator[Problem]:
    """Yield Secrets that would be filled from the same secret of the provider's store.

    An error where the rule tells them apart and its text does not, since any separator may be part of a
    name; a warning where the rule leaves out what differs.
    """
    secrets = fleet.environment.secrets
    seen: dict[str, tuple[str, str]] = {}
    for space, plan in spaces:
        for item in plan.secrets:
            # Names in Azure's vaults have no case.
            key = item.remote_key.lower() if secrets.provider == "azure" else item.remote_key
            first = seen.setdefault(key, (space, item.name))
            if first != (space, item.name):
                yield _shared(fleet, item.remote_key, first, (space, item.name))


def _shared(
    fleet: Fleet, remote_key: str, first: tuple[str, str], second: tuple[str, str]
) -> Problem:
    rule = fleet.environment.secrets.remote_key
    told = [
        one != other
        for placeholder, one, other in zip(("namespace", "name"), first, second, strict=True)
        if f"{{{placeholder}}}" in rule
    ]
    clash = any(told)
    hint = "use a separator that no name holds, such as `/` or `_`, if the provider allows it; else rename one"
    if not clash:
        missing = "namespace" if first[0] != second[0] else "name"
        hint = f"add `{{{missing}}}` to the rule, unless they are meant to share it"
    return problem_at(
        fleet.environment_tree,
        ("spec", "secrets", "remoteKey"),
        "remote-key-clash",
        f"the Secrets `{'/'.join(first)}` and `{'/'.join(second)}` both get `{remote_key}` of the store",
        hint=hint,
        severity="error" if clash else "warning",
    )


def _provider(fleet: Fleet) -> dict[str, Any]:
    """Return a SecretStore's provider in the operator's own format."""
    secrets = fleet.environment.secrets
    store = secrets.store
    if store is None:  # pragma: no cover - checked by the caller
        return {}
    account = (
        {"serviceAccountRef": {"name": store.service_account}} if store.service_account else {}
    )
    if secrets.provider == "aws" and store.aws:
        auth = {"auth": {"jwt": account}} if account else {}
        return {"aws": {"service": "SecretsManager", "region": store.aws.region, **auth}}
    if secrets.provider == "gcp" and store.gcp:
        identity: dict[str, Any] = dict(account)
        if store.gcp.cluster_location and store.gcp.cluster_name:
            identity = {
                "clusterLocation": store.gcp.cluster_location,
                "clusterName": store.gcp.cluster_name,
                **account,
            }
        auth = {"auth": {"workloadIdentity": identity}} if account else {}
        return {"gcpsm": {"projectID": store.gcp.project_id, **auth}}
    if secrets.provider == "azure" and store.azure:
        tenant = {"tenantId": store.azure.tenant_id} if store.azure.tenant_id else {}
        return {
            "azurekv": {
                "authType": "WorkloadIdentity",
                "vaultUrl": store.azure.vault_url,
                **tenant,
                **account,
            }
        }
    if secrets.provider == "vault" and store.vault:
        vault = store.vault
        kubernetes = {"mountPath": vault.mount_path, "role": vault.role, **account}
        return {
            "vault": {
                "server": vault.server,
                "path": vault.path,
                "version": "v2",
                "auth": {"kubernetes": kubernetes},
            }
        }
    return {}


def _limits(quota: Any) -> dict[str, Any]:
    rows = (
        ("default", quota.default_limit),
        ("defaultRequest", quota.default_request),
        ("max", quota.max),
    )
    return {name: dict(sorted(values.items())) for name, values in rows if values}
