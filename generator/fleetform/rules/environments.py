"""What an environment needs of itself, and capabilities that specs ask for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.problems import Problem
from fleetform.resolve import Fleet, Resolved
from fleetform.resolve.references import is_set
from fleetform.tree import Path, problem_at

if TYPE_CHECKING:
    from fleetform.rules import AgentUses

_PLACEHOLDERS = frozenset({"environment", "namespace", "name"})


def rules(fleet: Fleet, uses: AgentUses) -> Iterator[Problem]:
    """Yield what is missing in the environment, for itself or for a spec."""
    del uses
    yield from _secrets(fleet)
    yield from _namespaces(fleet)
    for kind in ("Agent", "MCPServer"):
        for resolved in fleet.of(kind):
            yield from _capabilities(fleet, resolved)


def _secrets(fleet: Fleet) -> Iterator[Problem]:
    secrets, tree = fleet.environment.secrets, fleet.environment_tree
    if secrets.provider == "kubernetes":
        return
    if "external-secrets" not in fleet.environment.capabilities:
        yield problem_at(
            tree,
            ("spec", "secrets", "provider"),
            "missing-capability",
            f"secrets from `{secrets.provider}` need the capability `external-secrets`",
            hint="add it to `capabilities` where the operator is installed",
        )
    store = secrets.store
    if store is None:
        yield problem_at(
            tree,
            ("spec", "secrets"),
            "missing-field",
            "`store` is missing",
            hint="add `store:` with the settings of the provider",
            key=True,
        )
    elif store.create and store.kind == "SecretStore" and getattr(store, secrets.provider) is None:
        yield problem_at(
            tree,
            ("spec", "secrets", "store"),
            "missing-field",
            f"`{secrets.provider}` is missing",
            hint=f"add `{secrets.provider}:`, or `create: false` when the store exists",
            key=True,
        )
    unknown = [
        name
        for name in re.findall(r"\{([^{}]*)\}", secrets.remote_key)
        if name not in _PLACEHOLDERS
    ]
    if unknown or secrets.remote_key.count("{") != secrets.remote_key.count("}"):
        yield problem_at(
            tree,
            ("spec", "secrets", "remoteKey"),
            "bad-template",
            f"`{secrets.remote_key[:80]}` has an unknown placeholder",
            hint="known: {environment}, {namespace}, {name}",
        )


def _namespaces(fleet: Fleet) -> Iterator[Problem]:
    spaces = sorted(
        {
            space
            for kind in ("Agent", "MCPServer", "MemoryStore")
            for space, _ in fleet.specs.get(kind, {})
        }
    )
    targets: dict[str, str] = {}
    for space in spaces:
        target = fleet.target_namespace(space)
        if target in targets:
            yield problem_at(
                fleet.environment_tree,
                ("spec", "namespaces"),
                "namespace-clash",
                f"`{targets[target]}` and `{space}` both become the namespace `{target}`",
                hint="map each to a name of its own",
                key=True,
            )
        targets[target] = space
        if len(target) > 63:
            yield problem_at(
                fleet.environment_tree,
                ("spec", "namespaces"),
                "name-too-long",
                f"the namespace `{target}` has {len(target)} characters",
                hint="at most 63: map it to a shorter one",
                key=True,
            )


def _capabilities(fleet: Fleet, resolved: Resolved) -> Iterator[Problem]:
    has = fleet.environment.capabilities
    spec = resolved.spec
    keda = spec.scaling.keda
    if keda is not None and keda.enabled and "keda" not in has:
        yield _missing(resolved, ("spec", "scaling", "keda", "enabled"), "KEDA scaling", "keda")
    if spec.expose is not None:
        yield from _exposed(fleet, resolved)
    path: Path = ("spec", "observability", "metrics", "enabled")
    if (
        spec.observability.metrics.enabled
        and is_set(resolved, path)
        and "prometheus-operator" not in has
    ):
        yield _missing(resolved, path, "a ServiceMonitor", "prometheus-operator", "warning")


def _exposed(fleet: Fleet, resolved: Resolved) -> Iterator[Problem]:
    defaults, expose = fleet.environment.expose, resolved.spec.expose
    kind = expose.type or defaults.type
    path: Path = ("spec", "expose")
    if kind == "HTTPRoute" and "gateway-api" not in fleet.environment.capabilities:
        yield _missing(resolved, path, "an HTTPRoute", "gateway-api")
    elif kind == "HTTPRoute" and defaults.gateway is None:
        yield resolved.problem(
            path,
            "no-gateway",
            "the environment names no gateway for the HTTPRoute",
            hint="set the environment's `expose.gateway`",
            key=True,
        )
    elif kind == "Ingress" and not fleet.environment.network.gateway_namespace:
        yield resolved.problem(
            path,
            "no-gateway",
            "the environment does not say where its ingress controller runs: nobody would get in",
            hint="set the environment's `network.gatewayNamespace`",
            key=True,
        )
    if not (expose.host or defaults.host):
        yield resolved.problem(
            path,
            "no-host",
            "there is no host to expose it at",
            hint="set `expose.host`, or the environment's `expose.host`",
            key=True,
        )
    own_path = expose.path or ("/" if expose.host else f"/agents/{resolved.name}")
    if kind == "Ingress" and own_path != "/":
        yield resolved.problem(
            path,
            "ingress-path",
            f"an Ingress cannot strip the prefix `{own_path}`: only {own_path}/chat answers",
            hint="use an own host, or HTTPRoute",
            severity="warning",
            key=True,
        )


def _missing(
    resolved: Resolved, path: Path, what: str, capability: str, severity: str = "error"
) -> Problem:
    return resolved.problem(
        path,
        "missing-capability",
        f"{what} needs the capability `{capability}`, which the environment lacks",
        hint=f"add `{capability}` to the environment's capabilities, or switch this off there with a patch",
        severity=severity,
        key=True,
    )
