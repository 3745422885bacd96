"""What an environment needs for secrets to come from a provider: a store, an identity, and names for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fleetform.platforms.kubernetes.identities import lacks_identity
from fleetform.problems import Problem
from fleetform.resolve import Fleet
from fleetform.tree import TreePath, problem_at

if TYPE_CHECKING:
    from fleetform.models.environment import Secrets, SecretStore, StoreIdentity

BASE: TreePath = ("spec", "secrets")
STORE: TreePath = (*BASE, "store")
NAMES = ("environment", "namespace", "name")
PLACES = ("environment", "namespace")
FORMS = {
    "gcp": (r"[A-Za-z0-9_{}-]+", "letters, digits, dashes and underscores"),
    "azure": (r"[A-Za-z0-9{}-]+", "letters, digits and dashes"),
}
"""What a rule for the names of secrets may hold, by provider; the names are judged once they are filled in."""


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what is missing for secrets to come from a provider, and rules that name nothing."""
    secrets = fleet.environment.secrets
    if secrets.provider == "kubernetes":
        return
    if "external-secrets" not in fleet.environment.capabilities:
        yield problem_at(
            fleet.environment_tree,
            (*BASE, "provider"),
            "missing-capability",
            f"secrets from `{secrets.provider}` need the capability `external-secrets`",
            hint="add it to `capabilities` where the operator is installed",
        )
    yield from _store(fleet)
    yield from _layouts(fleet)
    for path, text, known in _templates(secrets):
        yield from _template(fleet, path, text, known)
    form, words = FORMS.get(secrets.provider, (".+", ""))
    if not re.fullmatch(form, secrets.remote_key):
        yield problem_at(
            fleet.environment_tree,
            (*BASE, "remoteKey"),
            "bad-template",
            f"`{secrets.remote_key[:80]}` is not a name that {secrets.provider} allows",
            hint=f"use {words}, such as `{{environment}}-{{namespace}}-{{name}}`",
        )


# -- the store and its identity ------------------------------------------------------------------


def _store(fleet: Fleet) -> Iterator[Problem]:
    secrets = fleet.environment.secrets
    store = secrets.store
    if store is None:
        hint = "add `store:` with the settings of the provider"
        yield _missing(fleet, BASE, "`store` is missing", hint)
        return
    if not store.create or store.kind != "SecretStore":
        return
    if getattr(store, secrets.provider) is None:
        hint = f"add `{secrets.provider}:`, or `create: false` if the store exists"
        yield _missing(fleet, STORE, f"`{secrets.provider}` is missing", hint)
    if not store.create_service_account and not store.service_account:
        hint = "name the account that exists in every namespace, or remove `createServiceAccount`"
        yield _missing(fleet, STORE, "`serviceAccount` is missing", hint)
    yield from _identity(fleet, store)


def _missing(fleet: Fleet, path: TreePath, message: str, hint: str) -> Problem:
    return problem_at(fleet.environment_tree, path, "missing-field", message, hint=hint, key=True)


EXAMPLES = {
    "aws": "awsRoleArn: arn:aws:iam::123456789012:role/{environment}-{namespace}-secrets",
    "azure": "azureClientId: 12345678-1234-1234-1234-123456789012",
}
"""Identities without which the operator cannot sign in as a ServiceAccount, by provider."""


def _identity(fleet: Fleet, store: SecretStore) -> Iterator[Problem]:
    """Yield stores that are read with the operator's own identity, which nobody asked for.

    An error where a ServiceAccount is named: it would be rendered without the identity that it may have.
    """
    provider = fleet.environment.secrets.provider
    without = sorted(space for space in fleet.spaces if lacks_identity(store, provider, space))
    if store.operator_identity or not without:
        return
    whose = (
        f"the operator cannot sign in as `{store.service_account}`"
        if store.service_account
        else "it is read with the operator's own, and so is every secret that this one may read"
    )
    more = f" and {len(without) - 1} more" if len(without) > 1 else ""
    yield problem_at(
        fleet.environment_tree,
        STORE,
        "no-store-identity",
        f"the store of the namespace `{without[0]}`{more} has no identity: {whose}",
        hint=f"set `identity: {{{EXAMPLES[provider]}}}`; or `createServiceAccount: false` if `serviceAccount` exists with its own, "
        "`kind: ClusterSecretStore` for a store that exists, `operatorIdentity: true` to read with whatever the operator may",
        severity="error" if store.service_account else "warning",
        key=True,
    )


# -- names ---------------------------------------------------------------------------------------


def _layouts(fleet: Fleet) -> Iterator[Problem]:
    """Yield layouts that the provider does not have: Vault holds maps only."""
    secrets = fleet.environment.secrets
    if secrets.provider != "vault":
        return
    items = [((*BASE, "items", key, "layout"), item.layout) for key, item in secrets.items.items()]
    for path, layout in (((*BASE, "layout"), secrets.layout), *items):
        if layout == "plain":
            yield problem_at(
                fleet.environment_tree,
                path,
                "contradiction",
                "Vault holds a map of keys for each secret, and no plain text",
                hint="remove it: `json` reads the keys of the map",
            )


def _templates(secrets: Secrets) -> Iterator[tuple[TreePath, str, tuple[str, ...]]]:
    """Yield the path of each text with placeholders, the text, and the placeholders that are filled in."""
    names = (*NAMES, "key") if secrets.layout == "plain" else NAMES
    yield (*BASE, "remoteKey"), secrets.remote_key, names
    for key, item in secrets.items.items():
        path = (*BASE, "items", key)
        if item.remote_key:
            plain = (item.layout or secrets.layout) == "plain"
            yield (*path, "remoteKey"), item.remote_key, (*NAMES, "key") if plain else NAMES
        for name, one in item.keys.items():
            if one.remote_key:
                yield (*path, "keys", name, "remoteKey"), one.remote_key, (*NAMES, "key")
    store = secrets.store
    if store is None:
        return
    identities: list[tuple[TreePath, StoreIdentity]] = [(("identity",), store.identity)]
    identities += [(("identities", key), value) for key, value in store.identities.items()]
    for path, identity in identities:
        for field, attribute in (
            ("awsRoleArn", "aws_role_arn"),
            ("gcpServiceAccount", "gcp_service_account"),
        ):
            yield (*STORE, *path, field), getattr(identity, attribute) or "", PLACES
    yield (*STORE, "aws", "role"), (store.aws and store.aws.role) or "", PLACES
    yield (*STORE, "vault", "role"), (store.vault and store.vault.role) or "", PLACES


def _template(fleet: Fleet, path: TreePath, text: str, known: tuple[str, ...]) -> Iterator[Problem]:
    unknown = {*re.findall(r"\{([^{}]*)\}", text)} - {*known}
    if not unknown and text.count("{") == text.count("}"):
        return
    hint = f"known: {', '.join(f'{{{name}}}' for name in known)}"
    if unknown == {"key"} and known == NAMES:
        hint += "; `{key}` is for `layout: plain`, where each key has a secret of its own"
    yield problem_at(
        fleet.environment_tree,
        path,
        "bad-template",
        f"`{text[:80]}` has an unknown placeholder",
        hint=hint,
    )
