"""Where pods may run: what an API server refuses in tolerations, affinity and spread constraints.

Specs must follow these rules, and so must pods changed by object patches. They are those of Kubernetes' own
validation (pkg/apis/core/validation); types and names of fields are the schema's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleetform.lazy import regex
from fleetform.patterns import LABEL_KEY, LABEL_NAME, LABEL_VALUE, OBJECT_NAME
from fleetform.records import NamedTuple
from fleetform.tree import TreePath

Json = Mapping[str, Any]
FIELDS = ("tolerations", "affinity", "topologySpreadConstraints")
"""The fields of a pod, and of a spec's `podTemplate`, that are judged here."""
_KEY, _VALUE = regex(LABEL_KEY), regex(LABEL_VALUE)
_NAMESPACE, _NODE = regex(LABEL_NAME), regex(OBJECT_NAME)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_WITH_VALUES, _WITHOUT, _NUMERIC = ("In", "NotIn"), ("Exists", "DoesNotExist"), ("Gt", "Lt")
_WHOLE = regex(r"-?[0-9]{1,18}")
_LABEL_KEY = "write a key such as `disk` or `example.com/disk`"
_LABEL_VALUE = "use at most 63 letters, digits, dashes, dots and underscores, with a letter or digit at both ends"


class Fault(NamedTuple):
    """What no pod may have: its place in the pod, message and hint."""

    path: TreePath
    message: str
    hint: str


def faults(pod: Json) -> Iterator[Fault]:
    """Yield what is wrong in a pod's `FIELDS`, which have passed the schema."""
    for number, toleration in enumerate(pod.get("tolerations") or ()):
        yield from _toleration(("tolerations", number), toleration)
    yield from _affinity(pod.get("affinity") or {})
    yield from _spread(pod.get("topologySpreadConstraints") or ())


def is_key(text: str) -> bool:
    """Whether a text can be the key of a label."""
    return bool(_KEY.search(text)) and len(text.rpartition("/")[0]) <= 253 and "\n" not in text


def is_value(text: str) -> bool:
    """Whether a text can be the value of a label."""
    return bool(_VALUE.search(text)) and len(text) <= 63 and "\n" not in text


# -- what is not a spec's to say -----------------------------------------------------------------

KEPT = ("node-role.kubernetes.io", "node.kubernetes.io", "node.cloudprovider.kubernetes.io", "components.gke.io", "karpenter.sh", "node.cilium.io", "node.ocs.openshift.io")  # fmt: skip
"""Domains of taints by which a cluster keeps nodes for itself, or out of use."""
KEPT_KEYS = frozenset({"CriticalAddonsOnly", "ToBeDeletedByClusterAutoscaler", "DeletionCandidateOfClusterAutoscaler"})  # fmt: skip
LOST = frozenset({"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"})
"""Taints of nodes that are lost: how long a pod waits before it is evicted from one is its own business."""


def trespasses(pod: Json, namespace: str) -> Iterator[Fault]:
    """Yield what reaches beyond a pod and its namespace: nodes that are not for it, and pods that it keeps off nodes.

    `namespace` is the pod's own, in the cluster. Only required anti-affinity binds others: their pods must fulfil it too.
    """
    for number, given in enumerate(pod.get("tolerations") or ()):
        key = given.get("key") or ""
        hint = "tolerate the taint of the nodes that it is for, by its key"
        if not key:
            message = "without a key it tolerates every taint, also those of control planes and of nodes of others"
            yield Fault(("tolerations", number), message, hint)
        elif _is_kept(key) and not (key in LOST and given.get("effect") == "NoExecute"):
            message = f"nodes with the taint `{key}` are kept for the cluster itself, or out of use"
            yield Fault(("tolerations", number, "key"), message, hint)
    terms = ((pod.get("affinity") or {}).get("podAntiAffinity") or {}).get(_REQUIRED) or ()
    for number, term in enumerate(terms):
        path: TreePath = ("affinity", "podAntiAffinity", _REQUIRED, number)
        others = {*(term.get("namespaces") or ())} - {namespace}
        if term.get("namespaceSelector") is not None or others:
            field = "namespaces" if others else "namespaceSelector"
            message = "it keeps pods of other namespaces off the nodes that its own are on"
            yield Fault(
                (*path, field), message, f"remove `{field}`, or prefer it instead ({_PREFERRED})"
            )


def _is_kept(key: str) -> bool:
    return key in KEPT_KEYS or key.rpartition("/")[0] in KEPT


# -- tolerations and spread ----------------------------------------------------------------------


def _toleration(path: TreePath, given: Json) -> Iterator[Fault]:
    key, value = given.get("key") or "", given.get("value") or ""
    operator = given.get("operator") or "Equal"
    if key and not is_key(key):
        yield _bad_key((*path, "key"), key)
    if not key and operator != "Exists":
        message = (
            "a toleration without `key` tolerates every taint, and needs the operator `Exists`"
        )
        yield Fault(path, message, "add `key:`, or set `operator: Exists` without a value")
    if operator == "Exists" and value:
        message = f"the operator `Exists` compares no value, and `{value}` is one"
        yield Fault((*path, "value"), message, "remove `value`, or set `operator: Equal`")
    elif not is_value(value):
        yield Fault((*path, "value"), f"`{value}` is no value of a taint", _LABEL_VALUE)
    if given.get("tolerationSeconds") is not None and given.get("effect") != "NoExecute":
        message = "`tolerationSeconds` counts until an eviction, which only `NoExecute` brings"
        hint = "set `effect: NoExecute`, or remove it"
        yield Fault((*path, "tolerationSeconds"), message, hint)


def _spread(constraints: Any) -> Iterator[Fault]:
    seen = set()
    for number, given in enumerate(constraints):
        key = given["topologyKey"], given.get("whenUnsatisfiable")
        path: TreePath = ("topologySpreadConstraints", number)
        if key in seen:
            message = f"`{key[0]}` with {key[1]} has a constraint already"
            yield Fault((*path, "topologyKey"), message, "remove one, or change its key")
        seen.add(key)


# -- affinity ------------------------------------------------------------------------------------


def _affinity(affinity: Json) -> Iterator[Fault]:
    node = affinity.get("nodeAffinity") or {}
    root: TreePath = ("affinity", "nodeAffinity")
    required = node.get(_REQUIRED)
    if required is not None:
        yield from _node_terms((*root, _REQUIRED, "nodeSelectorTerms"), required)
    for number, given in enumerate(node.get(_PREFERRED) or ()):
        path: TreePath = (*root, _PREFERRED, number)
        yield from _weight(path, given)
        # A value that no label has is never met, which a preference may be.
        yield from _node_term((*path, "preference"), given["preference"], any_value=True)
    for kind in ("podAffinity", "podAntiAffinity"):
        pods = affinity.get(kind) or {}
        for number, given in enumerate(pods.get(_REQUIRED) or ()):
            yield from _pod_term(("affinity", kind, _REQUIRED, number), given)
        for number, given in enumerate(pods.get(_PREFERRED) or ()):
            path = ("affinity", kind, _PREFERRED, number)
            yield from _weight(path, given)
            yield from _pod_term((*path, "podAffinityTerm"), given["podAffinityTerm"])


def _weight(path: TreePath, given: Json) -> Iterator[Fault]:
    if not 1 <= given["weight"] <= 100:
        message = f"the weight {given['weight']} is out of range"
        yield Fault((*path, "weight"), message, "write a number from 1 to 100")


def _node_terms(path: TreePath, required: Json) -> Iterator[Fault]:
    if not required["nodeSelectorTerms"]:
        yield Fault(path, "no term: no node can meet it", "add one, or remove the requirement")
    for number, term in enumerate(required["nodeSelectorTerms"]):
        yield from _node_term((*path, number), term)


def _node_term(path: TreePath, term: Json, *, any_value: bool = False) -> Iterator[Fault]:
    for number, given in enumerate(term.get("matchExpressions") or ()):
        where: TreePath = (*path, "matchExpressions", number)
        yield from _expression(where, given, _NUMERIC)
        yield from () if any_value else _values(where, given)
    for number, given in enumerate(term.get("matchFields") or ()):
        where = (*path, "matchFields", number)
        values = given.get("values") or ()
        if given["key"] != "metadata.name":
            hint = "match labels with `matchExpressions`"
            yield Fault((*where, "key"), f"`{given['key']}` is no field of a node to match", hint)
        if given["operator"] not in _WITH_VALUES:
            yield _bad_operator((*where, "operator"), given["operator"], _WITH_VALUES)
        elif len(values) != 1:
            message = f"a field is compared with one value, and here are {len(values) or 'none'}"
            yield Fault((*where, "values"), message, "name one node: `values: [name]`")
        for place, name in enumerate(values):
            if not _NODE.search(name) or len(name) > 253:
                hint = "use lower-case letters, digits, dashes and dots"
                yield Fault((*where, "values", place), f"`{name}` is no name of a node", hint)


def _pod_term(path: TreePath, term: Json) -> Iterator[Fault]:
    if not is_key(term["topologyKey"]):
        yield _bad_key((*path, "topologyKey"), term["topologyKey"])
    for field in ("labelSelector", "namespaceSelector"):
        yield from selector((*path, field), term.get(field) or {})
    for number, name in enumerate(term.get("namespaces") or ()):
        if not _NAMESPACE.search(name) or len(name) > 63:
            hint = "write its name in the cluster"
            yield Fault((*path, "namespaces", number), f"`{name}` is no name of a namespace", hint)
    yield from _label_keys(path, term)


def _label_keys(path: TreePath, term: Json) -> Iterator[Fault]:
    own = term.get("labelSelector")
    chosen = {*((own or {}).get("matchLabels") or {})}
    chosen |= {given["key"] for given in (own or {}).get("matchExpressions") or ()}
    for field, taken in (("matchLabelKeys", chosen), ("mismatchLabelKeys", set())):
        for number, key in enumerate(term.get(field) or ()):
            where = (*path, field, number)
            if own is None:
                yield Fault(where, f"`{field}` needs a `labelSelector`", "add one, or remove it")
            elif key in taken or (field, key) in _both(term):
                yield Fault(where, f"`{key}` is selected elsewhere already", "remove one of them")
            elif not is_key(key):
                yield _bad_key(where, key)


def _both(term: Json) -> set[tuple[str, str]]:
    """Return the keys that a term wants to be equal and different at once."""
    both = {*(term.get("matchLabelKeys") or ())} & {*(term.get("mismatchLabelKeys") or ())}
    return {("matchLabelKeys", key) for key in both}


# -- selectors -----------------------------------------------------------------------------------


def selector(path: TreePath, given: Json) -> Iterator[Fault]:
    """Yield what is wrong in a label selector."""
    for key, value in (given.get("matchLabels") or {}).items():
        if not is_key(key):
            yield _bad_key((*path, "matchLabels", key), key)
        if not is_value(value):
            yield Fault(
                (*path, "matchLabels", key), f"`{value}` is no value of a label", _LABEL_VALUE
            )
    for number, expression in enumerate(given.get("matchExpressions") or ()):
        where = (*path, "matchExpressions", number)
        yield from _expression(where, expression, ())
        yield from _values(where, expression)


def _expression(path: TreePath, given: Json, more: tuple[str, ...]) -> Iterator[Fault]:
    operator, count = given["operator"], len(given.get("values") or ())
    if not is_key(given["key"]):
        yield _bad_key((*path, "key"), given["key"])
    if operator not in (*_WITH_VALUES, *_WITHOUT, *more):
        yield _bad_operator((*path, "operator"), operator, (*_WITH_VALUES, *_WITHOUT, *more))
    elif operator in _WITH_VALUES and not count:
        yield Fault(path, f"the operator `{operator}` needs `values`", "list at least one value")
    elif operator in _WITHOUT and count:
        hint = "remove them, or use `In` or `NotIn`"
        yield Fault((*path, "values"), f"the operator `{operator}` takes no values", hint)
    elif operator in _NUMERIC and count != 1:
        yield Fault(path, f"the operator `{operator}` compares with one number", "give one value")
    elif operator in _NUMERIC and not _WHOLE.fullmatch(str(given["values"][0])):
        where = (*path, "values", 0)
        yield Fault(
            where, f"`{given['values'][0]}` is no whole number: no node meets it", "give one"
        )


def _values(path: TreePath, given: Json) -> Iterator[Fault]:
    for number, value in enumerate(given.get("values") or ()):
        if not is_value(value):
            where = (*path, "values", number)
            yield Fault(where, f"`{value}` is no value of a label", _LABEL_VALUE)


def _bad_key(path: TreePath, key: str) -> Fault:
    return Fault(path, f"`{key}` is no key of a label", _LABEL_KEY)


def _bad_operator(path: TreePath, operator: str, known: tuple[str, ...]) -> Fault:
    return Fault(path, f"`{operator}` is no operator here", f"known: {', '.join(known)}")
