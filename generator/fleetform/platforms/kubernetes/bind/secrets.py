"""ExternalSecrets of a namespace: which Secrets its workloads name, and where the provider's store holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fleetform.kinds import CALLABLE
from fleetform.plan.model import Shape, Workload
from fleetform.platforms.kubernetes import rules
from fleetform.platforms.kubernetes.bind import delivery, pods
from fleetform.platforms.kubernetes.model import (
    Claim,
    ExternalSecret,
    NamespacePlan,
    RemoteKey,
    WorkloadPlan,
)
from fleetform.problems import Problem, did_you_mean
from fleetform.records import NamedTuple
from fleetform.tree import TreePath, problem_at

if TYPE_CHECKING:
    from fleetform.models.environment import SecretItem
    from fleetform.models.environment import Secrets as Settings
    from fleetform.resolve import Fleet

PULL_TYPE = "kubernetes.io/dockerconfigjson"
"""Type of the Secrets that images are pulled with: the kubelet takes no other."""
PULL_KEY = ".dockerconfigjson"
ITEMS: TreePath = ("spec", "secrets", "items")
RULE: TreePath = ("spec", "secrets", "remoteKey")


class Needs:
    """What the workloads of one namespace need from it: keys by Secret, those needed as a whole, and claims."""

    def __init__(self) -> None:
        self.secrets: dict[str, set[str]] = {}
        self.whole: set[str] = set()
        self.pulls: set[str] = set()
        self.claims: dict[str, Claim] = {}

    @property
    def names(self) -> list[str]:
        """Return the names of all Secrets, sorted."""
        return sorted({*self.secrets, *self.whole, *self.pulls})


def needs(workloads: Iterable[Workload], plans: Iterable[WorkloadPlan], shared: set[str]) -> Needs:
    """Collect the Secrets and claims that a namespace's workloads refer to."""
    found = Needs()
    certificates = set()
    for workload, plan in zip(workloads, plans, strict=True):
        for name, keys in plan.secrets:
            found.secrets.setdefault(name, set()).update(keys)
        found.whole.update(_whole(plan))
        for name, key in _single_keys(plan):
            found.secrets.setdefault(name, set()).add(key)
        for volume in plan.volumes:
            secret = volume.get("secret", {})
            if "items" in secret:
                chosen = found.secrets.setdefault(secret["secretName"], set())
                chosen.update(item["key"] for item in secret["items"])
            elif secret:
                found.whole.add(secret["secretName"])
        found.pulls.update(plan.pull_secrets)
        if plan.expose is not None:
            certificates.add(plan.expose.tls_secret)
        if workload.shape is not Shape.STATEFUL:
            found.claims |= {claim.name: claim for claim in pods.claims(workload, shared)}
    for name in certificates:  # cert-manager makes them
        found.secrets.pop(name, None)
        found.whole.discard(name)
    return found


def _whole(plan: WorkloadPlan) -> Iterator[str]:
    """Yield the Secrets whose keys are all variables of a container."""
    for container in ({"envFrom": plan.env_from}, *plan.sidecars, *plan.init_containers):
        for source in container.get("envFrom", ()):
            if "secretRef" in source:
                yield source["secretRef"]["name"]


def _single_keys(plan: WorkloadPlan) -> Iterator[tuple[str, str]]:
    """Yield the keys of Secrets that variables of containers and KEDA's triggers read."""
    for container in ({"env": plan.env}, *plan.sidecars, *plan.init_containers):
        for variable in container.get("env", ()):
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            if reference:
                yield reference["name"], reference["key"]
    for trigger in plan.keda.triggers if plan.keda is not None else ():
        for _, name, key in trigger.secrets:
            yield name, key


# -- from the rule to names in the store ---------------------------------------------------------


def filled(text: str, **values: str) -> str:
    """Return a text with its placeholders filled in; nothing else is replaced."""
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def item_of(settings: Settings, space: str, name: str) -> tuple[str, SecretItem] | None:
    """Return what an environment says of one Secret, and by which key; the namespace's own wins."""
    for key in (f"{space}/{name}", name):
        if key in settings.items:
            return key, settings.items[key]
    return None


def planned(fleet: Fleet, space: str, need: Needs) -> tuple[ExternalSecret, ...]:
    """Return the ExternalSecrets of a namespace as named in the specs."""
    return tuple(
        _planned(fleet, space, name, need)
        for name in need.names
        if _is_made(fleet.environment.secrets, space, name)
    )


def given(fleet: Fleet, space: str) -> tuple[str, ...]:
    """Return the Secrets that the environment says exist in a namespace as named in the specs."""
    names = {key.removeprefix(f"{space}/") for key in fleet.environment.secrets.items}
    return tuple(
        sorted(
            name
            for name in names
            if "/" not in name and not _is_made(fleet.environment.secrets, space, name)
        )
    )


def _is_made(settings: Settings, space: str, name: str) -> bool:
    said = item_of(settings, space, name)
    return said is None or said[1].create


def _planned(fleet: Fleet, space: str, name: str, need: Needs) -> ExternalSecret:
    settings = fleet.environment.secrets
    said = item_of(settings, space, name)
    item = said[1] if said else None
    pulled = name in need.pulls
    plain = _layout(settings, item, pulled=pulled) == "plain"
    rule = item.remote_key if item and item.remote_key else settings.remote_key
    version = item.version or "" if item else ""
    where = {"environment": fleet.environment_name, "namespace": space, "name": name}
    keys = {*need.secrets.get(name, ()), *((PULL_KEY,) if pulled else ())}
    own = item.keys if item else {}
    if name in need.whole:
        # Without names of keys it has those that the store holds.
        keys = {*keys, *own} if own or plain else set()
    found = []
    for key in sorted(keys):
        one = own.get(key)
        text = (one.remote_key if one else None) or rule
        prop = one.property if one else None
        found.append(
            RemoteKey(
                key,
                filled(text, **where, key=key.lstrip(".")),
                ("" if plain else key) if prop is None else prop,
                (one.version if one else None) or version,
            )
        )
    remote = filled(rule, **where)
    shared = not found or any(entry.remote_key == remote for entry in found)
    return ExternalSecret(
        name, remote if shared else "", tuple(found), PULL_TYPE if pulled else "", version
    )


def _layout(settings: Settings, item: SecretItem | None, *, pulled: bool) -> str:
    """Return how a Secret is stored. Docker's configuration is JSON already: it is stored as it is."""
    if item is not None and item.layout is not None:
        return item.layout
    if pulled:
        return "json" if settings.provider == "vault" else "plain"
    return settings.layout


# -- what is wrong with them ---------------------------------------------------------------------

FORMS = {
    "aws": (
        r"[A-Za-z0-9/_+=.@-]{1,512}|arn:aws[a-z-]*:secretsmanager:[^\s]+",
        "at most 512 letters, digits and /_+=.@-",
    ),
    "gcp": (r"[A-Za-z0-9_-]{1,255}", "at most 255 letters, digits, dashes and underscores"),
    "azure": (r"[A-Za-z0-9-]{1,127}", "at most 127 letters, digits and dashes"),
    "vault": (r"\S{1,1024}", "a path without spaces"),
}
"""What the names of secrets may be, by provider."""
VERSIONS = {
    "aws": (r"uuid/[0-9A-Fa-f-]{36}|(?!uuid/)\S{1,256}", "a stage such as AWSCURRENT, or `uuid/…`"),
    "gcp": (
        r"[1-9][0-9]*|[A-Za-z][A-Za-z0-9_-]{0,62}",
        "a number, `latest` or an alias",
    ),
    "azure": (r"[0-9a-fA-F]{32}", "the 32 hexadecimal digits that identify it"),
    "vault": (r"[1-9][0-9]*", "a number"),
}
"""What the versions of secrets are, by provider."""


class Origin(NamedTuple):
    """One use of a secret of the store."""

    space: str
    name: str
    key: str
    """Empty for all keys of the Secret."""
    property: str
    is_named: bool
    """Whether the environment names it for this Secret, so that sharing it is meant."""


def problems(
    fleet: Fleet, spaces: Iterable[tuple[str, NamespacePlan]], needed: Iterable[Needs]
) -> Iterator[Problem]:
    """Yield what no store can serve, what two Secrets would share, and what nobody needs."""
    spaces = [*spaces]
    yield from _unlisted(fleet, spaces)
    yield from _forms(fleet, spaces)
    yield from shared_remote_keys(fleet, spaces)
    yield from _beside(fleet)
    yield from _idle(
        fleet, [(space, need) for (space, _), need in zip(spaces, needed, strict=True)]
    )


def _at(fleet: Fleet, space: str, name: str) -> TreePath:
    """Return where an environment says where a Secret comes from."""
    said = item_of(fleet.environment.secrets, space, name)
    return (*ITEMS, said[0]) if said else RULE


def _problem(fleet: Fleet, path: TreePath, code: str, message: str, hint: str) -> Problem:
    key = path[:-1] == ITEMS
    return problem_at(fleet.environment_tree, path, code, message, hint=hint, key=key)


def _unlisted(fleet: Fleet, spaces: Iterable[tuple[str, NamespacePlan]]) -> Iterator[Problem]:
    """Yield Secrets that are mounted as a whole, and whose keys neither a spec nor the store lists."""
    settings = fleet.environment.secrets
    for space, plan in spaces:
        for secret in plan.secrets:
            said = item_of(settings, space, secret.name)
            plain = _layout(settings, said[1] if said else None, pulled=False) == "plain"
            if plain and not secret.keys:
                yield _problem(
                    fleet,
                    _at(fleet, space, secret.name),
                    "unlisted-keys",
                    f"the Secret `{space}/{secret.name}` is mounted as a whole, and plain text has no list of its keys",
                    f"name them: `secrets.items.{space}/{secret.name}.keys: {{config.ini: {{}}}}`; or store it as JSON and set its `layout: json`",
                )


def _forms(fleet: Fleet, spaces: Iterable[tuple[str, NamespacePlan]]) -> Iterator[Problem]:
    """Yield names and versions that the provider does not have, each once."""
    settings = fleet.environment.secrets
    provider = settings.provider
    seen = set()
    form, _ = rules.secrets.FORMS.get(provider, (".+", ""))
    if not re.fullmatch(form, settings.remote_key):
        return  # the rule is told of
    for space, plan in spaces:
        for secret in plan.secrets:
            for entry in secret.entries:
                for code, what, text, (form, words) in (
                    ("bad-remote-key", "name", entry.remote_key, FORMS[provider]),
                    ("bad-remote-version", "version", entry.version, VERSIONS[provider]),
                ):
                    is_unsaid = (not text and what == "version") or "{" in text
                    if is_unsaid or re.fullmatch(form, text) or (code, text) in seen:
                        continue
                    seen.add((code, text))
                    field = "remoteKey" if what == "name" else "version"
                    yield _problem(
                        fleet,
                        _at(fleet, space, secret.name),
                        code,
                        f"`{text[:80]}` is no {what} of a secret that {provider} allows",
                        f"it takes {words}: set `{field}` in `secrets.items.{space}/{secret.name}`",
                    )


def shared_remote_keys(
    fleet: Fleet, spaces: Iterable[tuple[str, NamespacePlan]]
) -> Iterator[Problem]:
    """Yield Secrets that would be filled from the same secret of the provider's store.

    An error where the rule tells them apart and its text does not, since any separator may be part of a
    name, and where only one of them is named for it; a warning where the rule leaves out what differs.
    """
    settings = fleet.environment.secrets
    seen: dict[str, Origin] = {}
    told = set()
    for space, plan in spaces:
        for secret in plan.secrets:
            for entry in secret.entries:
                # Names in Azure's vaults have no case.
                text = entry.remote_key
                remote = text.lower() if settings.provider == "azure" else text
                named = _is_named(settings, space, secret.name, entry.key)
                origin = Origin(space, secret.name, entry.key, entry.property, named)
                first = seen.setdefault(remote, origin)
                pair = first[:2], origin[:2], remote
                if pair in told:
                    continue
                problem = _shared(fleet, text, first, origin)
                if problem is not None:
                    told.add(pair)
                    yield problem


def _is_named(settings: Settings, space: str, name: str, key: str) -> bool:
    said = item_of(settings, space, name)
    if said is None:
        return False
    one = said[1].keys.get(key)
    return bool(said[1].remote_key or (one is not None and one.remote_key))


def _shared(fleet: Fleet, remote: str, first: Origin, second: Origin) -> Problem | None:
    if first[:2] == second[:2]:
        return _within(fleet, remote, first, second)
    if first.is_named and second.is_named:
        return None
    both = f"the Secrets `{first.space}/{first.name}` and `{second.space}/{second.name}` both get `{remote}` of the store"
    if first.is_named or second.is_named:
        other = second if first.is_named else first
        named = first if first.is_named else second
        hint = f"name it for `{other.space}/{other.name}` too if they are meant to share it, else choose another"
        return _problem(fleet, _at(fleet, named.space, named.name), "remote-key-clash", both, hint)
    rule = fleet.environment.secrets.remote_key
    told = [
        one != other
        for placeholder, one, other in zip(
            ("namespace", "name", "key"), first[:3], second[:3], strict=True
        )
        if f"{{{placeholder}}}" in rule
    ]
    clash = any(told)
    hint = "use a separator that no name holds, such as `/` or `_`, if the provider allows it; else rename one"
    if not clash:
        missing = "namespace" if first.space != second.space else "name"
        hint = f"add `{{{missing}}}` to the rule, unless they are meant to share it"
    return problem_at(
        fleet.environment_tree,
        RULE,
        "remote-key-clash",
        both,
        hint=hint,
        severity="error" if clash else "warning",
    )


def _within(fleet: Fleet, remote: str, first: Origin, second: Origin) -> Problem | None:
    """Return the Problem of two keys of one Secret with the same value."""
    if first.key == second.key or first.property != second.property:
        return None
    return _problem(
        fleet,
        _at(fleet, first.space, first.name),
        "remote-key-clash",
        f"the keys `{first.key}` and `{second.key}` of the Secret `{first.space}/{first.name}` both get the text of `{remote}`",
        "add `{key}` to `remoteKey`, or name a `property` for each",
    )


def _beside(fleet: Fleet) -> Iterator[Problem]:
    """Yield Secrets that rendered sources name, and that nothing here makes: Flux needs them before all else."""
    for path, space, name in delivery.source_secrets(fleet):
        if _is_made(fleet.environment.secrets, space, name):
            yield problem_at(
                fleet.environment_tree,
                path,
                "secret-not-provided",
                f"no ExternalSecret makes the Secret `{name}` in the namespace `{space}`",
                hint=GIVEN.format(key=f"{space}/{name}"),
                severity="warning",
            )


GIVEN = "create it by other means, then say so: `secrets.items.{key}: {{create: false}}`"


def _idle(fleet: Fleet, needed: list[tuple[str, Needs]]) -> Iterator[Problem]:
    """Yield items of Secrets that nothing names, and keys of them that nothing reads."""
    if not fleet.catalog.complete or fleet.catalog.broken:
        return
    known: set[str] = set()
    for _, space, name in delivery.source_secrets(fleet):
        known |= {name, f"{space}/{name}"}
    for space, need in needed:
        known |= {known for name in need.names for known in (name, f"{space}/{name}")}
    for key, item in fleet.environment.secrets.items.items():
        path = (*ITEMS, key)
        if key not in known:
            if not item.create and _is_patched(fleet):
                continue  # an object that a patch has changed may name it
            yield _not_needed(fleet, path, f"the key `{key}` matches nothing: no workload needs the Secret", did_you_mean(key, known, noun="Secrets"))  # fmt: skip
            continue
        bare = key.rpartition("/")[2]
        mine = [
            need
            for space, need in needed
            if bare in need.names and key in (bare, f"{space}/{bare}")
        ]
        if any(bare in need.whole for need in mine):
            continue
        read = {name for need in mine for name in need.secrets.get(bare, ())}
        read |= {PULL_KEY for need in mine if bare in need.pulls}
        for name in item.keys:
            if name not in read:
                yield _not_needed(fleet, (*path, "keys", name), f"the key `{name}` matches nothing: no workload reads it", did_you_mean(name, read, noun="keys"))  # fmt: skip


def _is_patched(fleet: Fleet) -> bool:
    own = (item.spec for kind in CALLABLE for item in fleet.of(kind))
    return bool(fleet.environment.object_patches) or any(spec.object_patches for spec in own)


def _not_needed(fleet: Fleet, path: TreePath, message: str, hint: str) -> Problem:
    return problem_at(
        fleet.environment_tree,
        path,
        "idle-key",
        message,
        hint=hint,
        severity="warning",
        key=True,
    )
