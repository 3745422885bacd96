"""What a spec names although another owns it: accounts, claims, Secrets and configurations of other workloads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleetform import view
from fleetform.lazy import regex
from fleetform.names import fit
from fleetform.platforms.kubernetes.identities import account_name
from fleetform.problems import Problem
from fleetform.records import NamedTuple
from fleetform.resolve import Fleet, Resolved, backups, flows
from fleetform.rules.pods import workloads
from fleetform.tree import TreePath, entries, leaves

ACCOUNT: TreePath = ("spec", "serviceAccount")
REVISION = regex(r".-config-[0-9a-f]{8}\Z")
"""How the names of rendered configurations end."""
HELM = "sh.helm.release.v1."
"""How the names of the Secrets begin in which Helm keeps releases, with all values."""


class Owner(NamedTuple):
    """A workload, and the account that its pods have."""

    resolved: Resolved[Any]
    spec: Any
    account: str

    @property
    def makes_it(self) -> bool:
        """Whether its account is its own, made with it."""
        return getattr(self.spec, "service_account", None) is None


def rules(fleet: Fleet) -> Iterator[Problem]:
    """Yield what a spec takes from another one, or from the environment."""
    spaces: dict[str, list[Owner]] = {}
    for resolved, spec, _ in workloads(fleet):
        account = getattr(spec, "service_account", None) or resolved.name
        space = fleet.target_namespace(resolved.namespace)
        spaces.setdefault(space, []).append(Owner(resolved, spec, account))
    store = fleet.environment.secrets.store
    external = fleet.environment.secrets.provider != "kubernetes"
    for owners in spaces.values():
        yield from _accounts(owners)
        yield from _claims(owners)
        for owner in owners:
            if store is not None and external and owner.account == account_name(store):
                place = ("metadata", "name") if owner.makes_it else ACCOUNT
                yield _of_the_store(owner.resolved, place, owner.account)
    if store is not None and external:
        for resolved, name, _ in (*flows.names(fleet), *backups.names(fleet)):
            if name == account_name(store):
                yield _of_the_store(resolved, ("metadata", "name"), name)
    yield from _names(fleet, spaces)


# -- accounts ------------------------------------------------------------------------------------


def _accounts(owners: list[Owner]) -> Iterator[Problem]:
    makers = {owner.account: owner for owner in owners if owner.makes_it}
    for owner in owners:
        if owner.makes_it:
            continue
        maker = makers.get(owner.account)
        if maker is not None:
            yield from _shared(owner, maker)
        elif not owner.resolved.by_environment(ACCOUNT):
            yield owner.resolved.problem(
                ACCOUNT,
                "account-unknown",
                f"no spec says what the ServiceAccount `{owner.account}` may do, or which cloud identity it has",
                hint="remove it and ask with `rbac` and `identity`, or let the Environment's `patches` in environments/ set it",
            )


def _shared(owner: Owner, maker: Owner) -> Iterator[Problem]:
    """Yield an account of another workload whose permissions and identity the spec does not name too."""
    mine, theirs = _rights(owner.spec), _rights(maker.spec)
    names = [name for name in mine if mine[name] != theirs[name]]
    if not names and (any(mine.values()) or owner.resolved.by_environment(ACCOUNT)):
        return
    other = maker.resolved
    kept = " and ".join(f"`{name}`" for name in names)
    what = f"its {kept}" if names else "an `rbac` or `identity`"
    yield owner.resolved.problem(
        ACCOUNT,
        "account-shared",
        f"the ServiceAccount `{owner.account}` is that of {other.kind} `{other.name}` in {other.file}, "
        f"and this spec does not name {what}",
        hint="remove it: each workload has its own account; to share one, both must name equal `rbac` and `identity`",
    )


def _rights(spec: Any) -> dict[str, Any]:
    rbac, identity = getattr(spec, "rbac", None), getattr(spec, "identity", None)
    rules = [view.dump(rule) for rule in rbac.rules] if rbac is not None else []
    return {
        "rbac": (rbac.scope, rules) if rbac is not None and rules else None,
        "identity": (view.dump(identity) or None) if identity is not None else None,
    }


def _of_the_store(resolved: Resolved[Any], place: TreePath, account: str) -> Problem:
    return resolved.problem(
        place,
        "account-shared",
        f"the ServiceAccount `{account}` is that of the environment's `secrets.store`, which reads every secret",
        hint="rename the workload, or the account of the store",
    )


# -- claims --------------------------------------------------------------------------------------


def _claims(owners: list[Owner]) -> Iterator[Problem]:
    """Yield claims that another workload makes, by its own name or by that of a StatefulSet's pod."""
    stateful = {
        (volume.name, owner.resolved.name): owner
        for owner in owners
        if getattr(owner.spec, "stateful", False)
        for volume in owner.spec.volumes
        if volume.claim is not None
    }
    made = {
        name: owner
        for owner in owners
        if not getattr(owner.spec, "stateful", False)
        for name in _made(owner)
    }
    for owner, path, name, exists in _named_claims(owners):
        base, _, ordinal = name.rpartition("-")
        for (volume, workload), found in stateful.items():
            if ordinal.isdecimal() and base == f"{volume}-{workload}":
                yield _elsewhere(owner.resolved, path, "claim", name, found.resolved)
        if exists and name in made:
            yield _elsewhere(owner.resolved, path, "claim", name, made[name].resolved)


def _made(owner: Owner) -> Iterator[str]:
    """Yield the names of the claims that a workload without names of its own pods makes."""
    yield from (volume.name for volume in owner.spec.volumes if volume.claim is not None)
    if owner.resolved.kind == "MemoryStore" and owner.spec.storage:
        yield f"{owner.resolved.name}-data"


def _named_claims(owners: list[Owner]) -> Iterator[tuple[Owner, TreePath, str, bool]]:
    """Yield the claims that specs name, where they do, and whether they must exist already."""
    for owner in owners:
        root = ("spec", "provision") if owner.resolved.kind == "MemoryStore" else ("spec",)
        for number, volume in enumerate(owner.spec.volumes):
            path = (*root, "volumes", number)
            if volume.claim is not None:
                yield owner, (*path, "name"), volume.name, False
            if volume.existing_claim is not None:
                name = volume.existing_claim.name
                yield owner, (*path, "existingClaim", "name"), name, True
        knowledge = getattr(owner.spec, "knowledge", None)
        for number, source in enumerate(knowledge.sources if knowledge else ()):
            if source.claim is not None:
                yield owner, ("spec", "knowledge", "sources", number, "claim"), source.claim, True


# -- Secrets and configurations ------------------------------------------------------------------


def _names(fleet: Fleet, spaces: dict[str, list[Owner]]) -> Iterator[Problem]:
    pulls = frozenset(fleet.environment.images.pull_secrets)
    certificates = {
        (space, fit(owner.resolved.name, "-tls")): owner.resolved
        for space, owners in spaces.items()
        for owner in owners
        if getattr(owner.spec, "expose", None) is not None
    }
    taken = {*pulls, *(name for _, name in certificates)}
    for kind in fleet.specs:
        for resolved in fleet.of(kind):
            if kind == "AgentTemplate" or not _is_suspect(resolved, taken):
                continue
            space = fleet.target_namespace(resolved.namespace)
            for path, name in leaves(resolved.tree.get("spec") or {}, ("spec",)):
                if not isinstance(name, str):
                    continue
                owner = certificates.get((space, name))
                if _is_config(path) and REVISION.search(name):
                    yield _elsewhere(resolved, path, "configuration", name, None)
                elif not _is_secret(path):
                    continue
                elif name.startswith(HELM):
                    yield _elsewhere(resolved, path, "Secret", name, None)
                elif owner is not None and owner.key != resolved.key:
                    yield _elsewhere(resolved, path, "Secret", name, owner)
                elif name in pulls and "imagePullSecrets" not in path:
                    yield _elsewhere(resolved, path, "Secret", name, None)


def _is_suspect(resolved: Resolved[Any], taken: set[str]) -> bool:
    """Whether some text could be such a name: few documents have one, and this costs little."""
    return any(
        isinstance(text, str)
        and (
            text in taken or text.startswith(HELM) or ("-config-" in text and REVISION.search(text))
        )
        for _, text in entries(resolved.tree)
    )


def _is_secret(path: TreePath) -> bool:
    steps = [step.lower() for step in path if isinstance(step, str)]
    return "imagepullsecrets" in steps or any("secret" in step for step in steps[-2:])


def _is_config(path: TreePath) -> bool:
    return "configMap" in path[-1:] or not {"configMapKeyRef", "configMapRef"}.isdisjoint(
        step for step in path[-2:] if isinstance(step, str)
    )


def _elsewhere(
    resolved: Resolved[Any], path: TreePath, what: str, name: str, owner: Resolved[Any] | None
) -> Problem:
    whose = f"{owner.kind} `{owner.name}` in {owner.file}" if owner else _WHOSE[what]
    return resolved.problem(
        path,
        "owned-elsewhere",
        f"the {what} `{name}` is that of {whose}",
        hint="use one of its own: what another workload, the environment or Helm owns is not shared",
    )


_WHOSE = {
    "configuration": "one revision of a workload, which alone mounts it",
    "Secret": "Helm's releases or the environment's `images.pullSecrets`",
}
