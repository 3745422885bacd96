"""Who reads a secret store: the ServiceAccount of each namespace, and its identity in the cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fleetform.models.environment import SecretStore as Settings
    from fleetform.models.environment import StoreIdentity

ANNOTATIONS = {
    "aws": ("aws_role_arn", "eks.amazonaws.com/role-arn"),
    "gcp": ("gcp_service_account", "iam.gke.io/gcp-service-account"),
    "azure": ("azure_client_id", "azure.workload.identity/client-id"),
}
"""By provider the field of an identity, and the annotation by which its operator and cloud know it."""


SIGNED_IN = frozenset({"aws", "azure"})
"""Providers at which the operator can sign in as a ServiceAccount only by an identity that the account names."""


def is_read_by_operator(store: Settings, provider: str, space: str) -> bool:
    """Whether the operator's own identity reads the store of a namespace, named so or for want of another.

    A ServiceAccount that is named, or exists with an identity of its own, reads it instead.
    """
    if store.operator_identity:
        return True
    return not store.service_account and lacks_identity(store, provider, space)


def lacks_identity(store: Settings, provider: str, space: str) -> bool:
    """Whether the account that is rendered into a namespace has no identity to sign in with, where it needs one."""
    if provider not in SIGNED_IN or not store.create_service_account:
        return False
    return not getattr(identity_of(store, space), ANNOTATIONS[provider][0])


def account_name(store: Settings) -> str:
    """Return the ServiceAccount that reads a store, empty for the operator's own or one that is unknown."""
    if store.service_account:
        return store.service_account
    made = store.create and store.kind == "SecretStore" and not store.operator_identity
    return store.name if made else ""


def identity_of(store: Settings, space: str) -> StoreIdentity:
    """Return the identity of a store in a namespace as named in the specs."""
    return store.identities.get(space, store.identity)
