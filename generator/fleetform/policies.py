"""What is enforced, how, and which rule it comes from: the catalogue that `fleetform policy` prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from fleetform import kinds
from fleetform.check import schema
from fleetform.tree import Map, leaves, locate

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
    Policy("no-token", "no Kubernetes API token without `rbac`", "rendered", (), "CIS Kubernetes Benchmark: tokens only where necessary"),
    Policy("no-wildcards", "no permission is a wildcard", "refused", ("rbac-wildcard",), "CIS Kubernetes Benchmark: minimise wildcards"),
    Policy("no-escalation", "permissions that expose secrets or identities must be confirmed", "refused", ("rbac-dangerous",), "Kubernetes: RBAC Good Practices"),
    Policy("closed-network", "network traffic is limited to what the specs use", "rendered", ("bad-peer", "bad-cidr"), "CIS Kubernetes Benchmark: network policies in all namespaces"),
    Policy("no-metadata", "cloud metadata addresses are blocked, except for a declared identity", "rendered", (), "CWE-918: server-side request forgery"),
    Policy("no-plaintext", "credentials are references, never values", "refused", ("plaintext-credential",), "CWE-798: hard-coded credentials"),
    Policy("who-may-call", "every agent declares who may call it", "refused", ("no-auth", "open-to-all"), "CWE-306: missing authentication"),
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


def weakenings(trees: Iterable[Map]) -> Iterator[Weakening]:
    """Yield every use of such a field, with its position."""
    fields = weakening_fields()
    for tree in trees:
        for path, value in leaves(tree):
            name = next((step for step in reversed(path) if isinstance(step, str)), "")
            if name in fields and value not in (None, False, [], {}, ""):
                yield _weakening(tree, path, value, fields[name])


def _weakening(tree: Map, path: tuple[Any, ...], value: Any, says: str) -> Weakening:
    mark, _ = locate(tree, path)
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return Weakening(mark.file, mark.line, f"{text[1:]} = {value}", says)
