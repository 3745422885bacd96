"""SecretStore of a namespace, and the ServiceAccount whose identity reads it, in the operator's own format."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from fleetform.platforms.kubernetes.bind.secrets import filled
from fleetform.platforms.kubernetes.identities import (
    ANNOTATIONS,
    account_name,
    identity_of,
    is_read_by_operator,
)
from fleetform.platforms.kubernetes.model import Account, SecretStore

if TYPE_CHECKING:
    from fleetform.models.environment import SecretStore as Settings
    from fleetform.resolve import Fleet


def secret_store(fleet: Fleet, space: str) -> SecretStore | None:
    """Return the store of a namespace, None if its Secrets exist."""
    secrets = fleet.environment.secrets
    store = secrets.store
    if secrets.provider == "kubernetes" or store is None:
        return None
    if not store.create or store.kind != "SecretStore":
        return SecretStore(store.name, store.kind, {}, None)
    return SecretStore(
        store.name, store.kind, _provider(fleet, space, store), _account(fleet, space, store)
    )


def _account(fleet: Fleet, space: str, store: Settings) -> Account | None:
    provider = fleet.environment.secrets.provider
    if is_read_by_operator(store, provider, space):
        return None
    annotations = {}
    field, key = ANNOTATIONS.get(provider, ("", ""))
    value = getattr(identity_of(store, space), field) if field else None
    if value:
        # Azure's tenant is the store's alone: the operator refuses to find it in both places.
        annotations[key] = _filled(fleet, space, value)
    return Account(account_name(store), store.create_service_account, annotations)


def _filled(fleet: Fleet, space: str, text: str) -> str:
    return filled(text, environment=fleet.environment_name, namespace=space)


def _provider(fleet: Fleet, space: str, store: Settings) -> dict[str, Any]:
    """Return a SecretStore's provider, empty if its settings are missing."""
    provider = fleet.environment.secrets.provider
    if getattr(store, provider) is None:
        return {}
    by_operator = is_read_by_operator(store, provider, space)
    account = {} if by_operator else {"serviceAccountRef": {"name": account_name(store)}}
    return _WRITERS[provider](store, account, partial(_filled, fleet, space))


def _aws(store: Any, account: dict[str, Any], fill: Callable[[str], str]) -> dict[str, Any]:
    given = store.aws
    role = {"role": fill(given.role)} if given.role else {}
    auth = {"auth": {"jwt": account}} if account else {}
    return {"aws": {"service": "SecretsManager", "region": given.region, **role, **auth}}


def _gcp(store: Any, account: dict[str, Any], fill: Callable[[str], str]) -> dict[str, Any]:
    del fill
    given = store.gcp
    cluster = {}
    if given.cluster_location and given.cluster_name:
        cluster = {"clusterLocation": given.cluster_location, "clusterName": given.cluster_name}
    auth = {"auth": {"workloadIdentity": {**cluster, **account}}} if account else {}
    return {"gcpsm": {"projectID": given.project_id, **auth}}


def _azure(store: Any, account: dict[str, Any], fill: Callable[[str], str]) -> dict[str, Any]:
    del fill
    given = store.azure
    tenant = {"tenantId": given.tenant_id} if given.tenant_id else {}
    body = {
        "authType": "WorkloadIdentity",
        "environmentType": "PublicCloud",
        "vaultUrl": given.vault_url,
        **tenant,
        **account,
    }
    return {"azurekv": body}


def _vault(store: Any, account: dict[str, Any], fill: Callable[[str], str]) -> dict[str, Any]:
    given = store.vault
    auth = {"mountPath": given.mount_path, "role": fill(given.role), **account}
    body = {"server": given.server, "path": given.path, "version": "v2"}
    return {"vault": {**body, "auth": {"kubernetes": auth}}}


_WRITERS: dict[str, Callable[[Any, dict[str, Any], Callable[[str], str]], dict[str, Any]]] = {
    "aws": _aws,
    "gcp": _gcp,
    "azure": _azure,
    "vault": _vault,
}
