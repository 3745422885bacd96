"""SecretStore of a namespace, and the ServiceAccount whose identity reads it."""

from __future__ import annotations

from fleetform.platforms.kubernetes.lens import Values, lens
from fleetform.platforms.kubernetes.model import Account, NamespacePlan
from fleetform.platforms.kubernetes.objects.externalsecret import API
from fleetform.platforms.kubernetes.objects.manifest import (
    Manifest,
    data,
    manifest,
    namespace_labels,
)


def build(plan: NamespacePlan) -> tuple[Manifest, ...]:
    """Return account and store, nothing if they exist or nothing is read from them."""
    store = plan.store
    if store is None or not store.provider or not plan.secrets:
        return ()
    found = [_account(plan, store.account)] if store.account and store.account.create else []
    spec = {"provider": data(store.provider)}
    labels = namespace_labels(plan, store.name)
    return (*found, manifest(API, "SecretStore", store.name, plan.name, labels, spec=spec))


def _account(plan: NamespacePlan, account: Account) -> Manifest:
    return manifest(
        "v1",
        "ServiceAccount",
        account.name,
        plan.name,
        namespace_labels(plan, account.name),
        account.annotations,
        automountServiceAccountToken=False,
    )


def values(plan: NamespacePlan, default: Values) -> Values:
    """Return the chart's `secretStore`."""
    store = plan.store
    if store is None or not plan.secrets:
        return {"secretStore": default["secretStore"]}
    account = store.account
    made = account is not None and account.create and bool(store.provider)
    own = {
        "create": made,
        "name": account.name if account and made and account.name != store.name else "",
        "annotations": dict(account.annotations) if account and made else {},
    }
    return {
        "secretStore": {
            "name": store.name,
            "kind": store.kind,
            "provider": data(store.provider),
            "serviceAccount": own,
        }
    }


LENSES = {
    "SecretStore": (lens("spec.provider", "secretStore.provider"),),
    "ServiceAccount": (lens("metadata.annotations", "secretStore.serviceAccount.annotations"),),
}
