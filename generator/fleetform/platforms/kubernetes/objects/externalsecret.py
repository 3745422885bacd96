"""ExternalSecret and SecretStore: secrets by reference, with every default of the operator written out."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import ExternalSecret, NamespacePlan
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    data,
    manifest,
    namespace_labels,
)

API = "external-secrets.io/v1"
# Otherwise the operator's webhook would add them, and Argo CD would show permanent drift.
DEFAULTS = {"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the namespace's store and secrets, nothing if the Secrets exist in the cluster."""
    found: list[Manifest] = []
    if plan.secrets and plan.store_provider:
        found.append(
            manifest(
                API,
                "SecretStore",
                plan.store_name,
                plan.name,
                namespace_labels(plan, plan.store_name),
                spec={"provider": data(plan.store_provider)},
            )
        )
    found += [_secret(plan, secret) for secret in plan.secrets]
    return tuple(found)


def _secret(plan: NamespacePlan, secret: ExternalSecret) -> Manifest:
    spec: dict[str, Any] = {
        "refreshInterval": plan.refresh_interval,
        "secretStoreRef": {"name": plan.store_name, "kind": plan.store_kind},
        "target": {"name": secret.name, "creationPolicy": "Owner", "deletionPolicy": "Retain"},
    }
    if secret.keys:
        spec["data"] = [
            {"secretKey": key, "remoteRef": {"key": secret.remote_key, "property": key, **DEFAULTS}}
            for key in secret.keys
        ]
    else:
        spec["dataFrom"] = [{"extract": {"key": secret.remote_key, **DEFAULTS}}]
    return manifest(
        API,
        "ExternalSecret",
        secret.name,
        plan.name,
        namespace_labels(plan, secret.name),
        spec=spec,
    )


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `externalSecrets` and where they come from."""
    return {
        "secretStore": _store(plan, default["secretStore"]),
        "refreshInterval": plan.refresh_interval if plan.secrets else default["refreshInterval"],
        "externalSecrets": [
            {"name": item.name, "remoteKey": item.remote_key}
            | ({"keys": list(item.keys)} if item.keys else {})
            for item in plan.secrets
        ],
    }


def _store(plan: NamespacePlan, default: Values) -> Values:
    if not plan.secrets:
        return default
    return {
        "name": plan.store_name,
        "kind": plan.store_kind,
        "provider": data(plan.store_provider),
    }


LENSES = {"SecretStore": (lens("spec.provider", "secretStore.provider"),)}
