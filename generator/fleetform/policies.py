"""What is enforced, how, and which rule it comes from: the catalogue that `fleetform policy` prints."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from fleetform import kinds, openings
from fleetform.platforms.kubernetes import obeyed, patchable
from fleetform.platforms.kubernetes.identities import is_read_by_operator
from fleetform.records import NamedTuple
from fleetform.resolve.pages import PLACE
from fleetform.tree import VERBATIM, Map, TreePath, at, dotted, leaves, locate
from fleetform.validators import schema

if TYPE_CHECKING:
    from fleetform.resolve import Fleet

WEAKENS = "Weakens:"
"""How the description of a field begins that gives something up."""


class Policy(NamedTuple):
    """One promise: how it is enforced, the codes of its problems, and the source of the rule."""

    name: str
    says: str
    kept: str
    codes: tuple[str, ...]
    source: str


_PODS = "Kubernetes Pod Security Standards, restricted"
POLICIES = (
    Policy("pod-security", "every pod complies with Pod Security `restricted`, every namespace enforces it", "rendered", ("pod-security",), _PODS),
    Policy("read-only-root", "no container has a writable root filesystem", "rendered", (), "NSA and CISA: Kubernetes Hardening Guidance"),
    Policy("resources", "every container has requests and limits; volumes in memory or on disk have a size", "rendered", ("request-above-limit",), "CWE-770: allocation without limits"),
    Policy("no-token", "no Kubernetes API token without `rbac` or sandboxes", "rendered", (), "CIS Kubernetes Benchmark: tokens only where necessary"),
    Policy("no-wildcards", "no permission is a wildcard", "refused", ("rbac-wildcard",), "CIS Kubernetes Benchmark: minimise wildcards"),
    Policy("no-escalation", "permissions that expose secrets or identities must be confirmed", "refused", ("rbac-dangerous",), "Kubernetes: RBAC Good Practices"),
    Policy("own-account", "no pod runs as another's service account, unless both name equal permissions", "refused", ("account-shared", "account-unknown"), "Kubernetes: RBAC Good Practices"),
    Policy("own-things", "no spec names another's claim, configuration, certificate or release", "refused", ("owned-elsewhere", "claim-not-shared", "claim-clash"), "CWE-639: authorization bypass through a key of the user"),
    Policy("own-namespaces", "no spec runs in a namespace of the cluster's own, unless the environment maps it there", "refused", ("namespace-not-granted",), "Kubernetes: Multi-tenancy, isolating namespaces"),
    Policy("own-nodes", "no spec takes nodes that are kept for others, or keeps or pushes pods of others off theirs", "refused", ("placement-not-granted",), "Kubernetes: Multi-tenancy, node isolation and fairness"),
    Policy("patches-in-bounds", "a spec patches harmless places of its own objects only, and sets no key that a controller obeys", "refused", ("object-patch-place", "object-patch-too-big", "obeyed-key", "rbac-patched"), "CWE-269: improper privilege management"),
    Policy("closed-network", "network traffic is limited to what the specs use", "rendered", ("bad-peer", "bad-cidr", "no-consent", "ambiguous-host"), "CIS Kubernetes Benchmark: network policies in all namespaces"),
    Policy("no-metadata", "cloud metadata addresses are blocked, except for a declared identity", "rendered", ("closed-address",), "CWE-918: server-side request forgery"),
    Policy("encrypted", "no credential leaves the cluster unencrypted, but to hosts that the environment names", "refused", ("unencrypted",), "CWE-319: cleartext transmission of sensitive information"),
    Policy("own-routes", "no spec takes requests for a host that is not granted, or below another's path", "refused", ("host-not-granted", "route-clash", "service-not-granted"), "CWE-441: unintended proxy or intermediary"),
    Policy("own-secrets", "no two Secrets share one in the provider's store", "refused", ("remote-key-clash",), "CWE-653: improper isolation"),
    Policy("store-identity", "no secret store is read with the operator's own identity, unless the environment says so or a warning does", "refused", ("no-store-identity",), "CWE-250: execution with unnecessary privileges"),
    Policy("no-plaintext", "credentials are references, never values", "refused", ("plaintext-credential",), "CWE-798: hard-coded credentials"),
    Policy("who-may-call", "every agent declares who may call it", "refused", ("no-auth", "open-to-all"), "CWE-306: missing authentication"),
    Policy("who-may-approve", "where approvers are named, they can exist, and nobody else decides, nor on calls of its own runs", "refused", ("no-approver",), "NIST SP 800-53 AC-5: separation of duties"),
    Policy("pinned-images", "no image uses `latest` or lacks a tag or digest", "refused", ("image-latest", "image-not-pinned"), "Kubernetes: Images, avoid `latest`"),
    Policy("immutable-configuration", "a configuration never changes under a running pod", "rendered", (), "Kubernetes: Immutable ConfigMaps"),
    Policy("no-templates", "user text is never evaluated as a template", "rendered", (), "CWE-1336: template injection"),
    Policy("no-lookups", "no external schema reference is followed, and no link leads outside the specs", "refused", ("remote-ref", "outside"), "CWE-918: server-side request forgery"),
    Policy("nothing-hidden", "reviewers see what is there: no invisible or bidirectional characters", "refused", ("hidden-character", "control-character"), "CVE-2021-42574: Trojan Source"),
    Policy("bounded-patterns", "regular expressions run in linear time", "refused", ("bad-pattern",), "CWE-1333: inefficient regular expressions"),
)  # fmt: skip


class Weakening(NamedTuple):
    """A place where a spec weakens a promise."""

    file: str
    line: int
    path: str
    says: str


@cache
def weakening_fields() -> dict[str, str]:
    """Return the fields that weaken a promise, by name, with their explanation."""
    found: dict[str, str] = {}
    for kind in kinds.NAMES:
        for definition in schema(kind)["$defs"].values():
            for name, rule in definition.get("properties", {}).items():
                says = rule.get("description", "")
                if says.startswith(WEAKENS):
                    found[name] = says.removeprefix(WEAKENS).strip()
    return found


def weakenings(fleet: Fleet) -> Iterator[Weakening]:
    """Yield every place that weakens a promise in an environment, each where its value was set.

    Templates, and the environment's `defaults` and `patches`, weaken what inherits from them.
    """
    for kind in kinds.FLEET:
        if kind != kinds.AGENT_TEMPLATE.name:
            for resolved in fleet.of(kind):
                yield from weakened(resolved.tree)
    for found in weakened(fleet.environment_tree):
        if not found.path.startswith(("spec.defaults.", "spec.patches[")):
            yield found
    secrets = fleet.environment.secrets
    if secrets.store is not None and secrets.store.create and not secrets.store.operator_identity:
        spaces = [
            space
            for space in fleet.spaces
            if secrets.store.kind == "SecretStore"
            and is_read_by_operator(secrets.store, secrets.provider, space)
        ]
        if spaces:
            more = f" and {len(spaces) - 1} more" if len(spaces) > 1 else ""
            says = f"`{sorted(spaces)[0]}`{more} read the store with the operator's own identity"
            yield _weakening(fleet.environment_tree, ("spec", "secrets", "store"), "", says)


def weakened(tree: Map) -> Iterator[Weakening]:
    """Yield every place of a document that weakens a promise."""
    for path, value in leaves(tree):
        if value in _NOTHING:
            says = "" if value is None else openings.EMPTY.get(path, "")
        else:
            says = "" if VERBATIM in path else _says(tree, path, value)
        if says:
            yield _weakening(tree, path, f" = {value}", says)
    for number, patch in enumerate(at(tree, ("spec", VERBATIM)) or ()):
        kind = patch["target"]["kind"]
        places = patchable.trespasses(kind, patch.get("merge"), patch.get("json6902") or ())
        if places:
            more = f" and {len(places) - 1} more" if len(places) > 1 else ""
            says = f"changes {dotted(places[0])}{more} of a {kind}, which no spec may"
            yield _weakening(tree, ("spec", VERBATIM, number, "target"), "", says)


_NOTHING: tuple[Any, ...] = (None, False, [], {}, "")
_WAYS_IN: tuple[TreePath, ...] = (
    ("spec", "auth", "type"),
    ("spec", "serve", "auth", "type"),
    (*PLACE, "auth", "type"),
)
_KEYED = ("annotations", "labels")
_SELF = "approvers decide on calls of their own runs, and nobody else looks at them"
_ONE_USER = "whoever can reach the agent reads, adds and deletes memories of one and the same user"
_IN_SECTIONS: dict[TreePath, str] = {
    ("approvals", "self"): _SELF,
    ("longTermMemory", "user"): _ONE_USER,
}
"""Fields whose name alone does not tell that they weaken a promise."""


def _says(tree: Map, path: TreePath, value: Any) -> str:
    """Return what a leaf weakens, empty if nothing."""
    opened = openings.opened(path, value, str(at(tree, ("metadata", "namespace"), "default")))
    if opened:
        return opened
    name = next((step for step in reversed(path) if isinstance(step, str)), "")
    if path in _WAYS_IN and value == "none":
        return "anyone who can reach the workload counts as the same user"
    if path[-2:] in _IN_SECTIONS:
        return _IN_SECTIONS[path[-2:]]
    if path == ("spec", "serviceAccount"):
        return (
            "runs as an account that it does not make: its permissions and identity are not its own"
        )
    if (
        len(path) > 1
        and path[-2] in _KEYED
        and ({"podTemplate", "service"} & {*path} or path[0] == "metadata")
    ):
        decides = obeyed.decides(name)
        return f"a key of those that decide {decides}" if decides else ""
    return weakening_fields().get(name, "")


def _weakening(tree: Map, path: TreePath, value: str, says: str) -> Weakening:
    mark, _ = locate(tree, path)
    return Weakening(mark.file, mark.line, dotted(path) + value, says)
