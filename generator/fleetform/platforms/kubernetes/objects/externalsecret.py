"""ExternalSecret: secrets by reference, with every default of the operator written out."""

from __future__ import annotations

from typing import Any

from fleetform.platforms.kubernetes.lens import Values
from fleetform.platforms.kubernetes.model import (
    ExternalSecret,
    NamespacePlan,
    RemoteKey,
    SecretStore,
)
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    manifest,
    namespace_labels,
)

API = "external-secrets.io/v1"
# Otherwise the operator's webhook would add them, and Argo CD would show permanent drift.
DEFAULTS = {"conversionStrategy": "Default", "decodingStrategy": "None", "metadataPolicy": "None"}
TEMPLATE = {"engineVersion": "v2", "mergePolicy": "Replace"}


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return the namespace's secrets, nothing if they exist in the cluster."""
    store = plan.store
    if store is None:
        return ()
    return tuple(_secret(plan, store, secret) for secret in plan.secrets)


def _secret(plan: NamespacePlan, store: SecretStore, secret: ExternalSecret) -> Manifest:
    target: dict[str, Any] = {
        "name": secret.name,
        "creationPolicy": "Owner",
        "deletionPolicy": "Retain",
    }
    if secret.type:
        target["template"] = {"type": secret.type, **TEMPLATE}
    spec: dict[str, Any] = {
        "refreshInterval": plan.refresh_interval,
        "secretStoreRef": {"name": store.name, "kind": store.kind},
        "target": target,
    }
    if secret.keys:
        spec["data"] = [
            {"secretKey": entry.key, "remoteRef": _reference(entry)} for entry in secret.keys
        ]
    else:
        spec["dataFrom"] = [{"extract": _reference(entry)} for entry in secret.entries]
    return manifest(
        API,
        "ExternalSecret",
        secret.name,
        plan.name,
        namespace_labels(plan, secret.name),
        spec=spec,
    )


def _reference(entry: RemoteKey) -> dict[str, str]:
    optional = {"property": entry.property, "version": entry.version}
    given = {name: value for name, value in optional.items() if value}
    return {"key": entry.remote_key, **given, **DEFAULTS}


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `externalSecrets`, and how often they are refreshed."""
    return {
        "refreshInterval": plan.refresh_interval if plan.secrets else default["refreshInterval"],
        "externalSecrets": [_value(secret) for secret in plan.secrets],
    }


def _value(secret: ExternalSecret) -> Values:
    optional = {
        "type": secret.type,
        "remoteKey": secret.remote_key,
        "version": secret.version,
        "keys": [_key(secret, entry) for entry in secret.keys],
    }
    return {"name": secret.name, **{name: value for name, value in optional.items() if value}}


def _key(secret: ExternalSecret, entry: RemoteKey) -> str | Values:
    """Return a key's name alone if it is that of its property, and all else is as in the whole Secret."""
    home = (secret.remote_key, secret.version) == (entry.remote_key, entry.version)
    if home and entry.property == entry.key:
        return entry.key
    optional = {"property": entry.property, "version": entry.version}
    if entry.version == secret.version:
        del optional["version"]
    given = {name: value for name, value in optional.items() if value}
    remote = {} if entry.remote_key == secret.remote_key else {"remoteKey": entry.remote_key}
    return {"key": entry.key, **remote, **given}
