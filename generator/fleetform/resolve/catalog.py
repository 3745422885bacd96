"""Every document of a run by kind, namespace and name; two with the same name are a Problem."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fleetform import kinds
from fleetform.dialects import SpecDocument
from fleetform.problems import Names, Problem, did_you_mean, listed
from fleetform.tree import Map, TreePath, at, problem_at

DEFAULT_NAMESPACE = "default"

MOST_SUGGESTED = 1_000
"""Unknown names of a run that are compared with the known ones."""

Key = tuple[str, str]
"""Namespace as in the specs (empty: fleet-wide) and name."""


class Catalog:
    """Documents by kind and key, and what is known about input that could not be used."""

    def __init__(self, *, complete: bool = True, broken: Iterable[str] = ()) -> None:
        self.documents: dict[str, dict[Key, SpecDocument]] = {}
        self.complete = complete
        """Whether every file could be read: what is missing may stand in one that could not."""
        self.broken = frozenset(broken)
        """Names of documents that are there, and wrong."""
        self._suggested = 0
        self._names: dict[tuple[tuple[str, ...], str], Names] = {}
        self._spaces: dict[tuple[str, str], list[str]] = {}

    def find(self, kind: str, namespace: str, name: str) -> SpecDocument | None:
        """Return the document of that name in a namespace, else the fleet-wide one."""
        known = self.documents.get(kind, {})
        return known.get((namespace, name)) or known.get(("", name))

    def of(self, kind: str) -> Iterator[tuple[Key, SpecDocument]]:
        """Yield the documents of a kind in order of namespace and name."""
        yield from sorted(self.documents.get(kind, {}).items())

    def names(self, kinds: tuple[str, ...], namespace: str) -> Names:
        """Return the names of some kinds that a document of that namespace may use."""
        found = self._names.get((kinds, namespace))
        if found is None:
            found = self._names[kinds, namespace] = Names(
                name
                for kind in kinds
                for space, name in self.documents.get(kind, {})
                if space in ("", namespace)
            )
        return found

    def suggestion(self, kinds: tuple[str, ...], namespace: str, name: str) -> str:
        """Return the hint for an unknown name; many of one run are not compared: nobody reads that far."""
        known, noun = self.names(kinds, namespace), f"available in `{namespace}`"
        self._suggested += 1
        if self._suggested > MOST_SUGGESTED:
            return listed(known, noun)
        return did_you_mean(name, known, noun=noun)

    def spaces(self, kind: str, name: str) -> list[str]:
        """Return the namespaces that have a document of that kind and name."""
        if not self._spaces:
            for each, known in self.documents.items():
                for space, found in known:
                    self._spaces.setdefault((each, found), []).append(space)
        return self._spaces.get((kind, name), [])


def build(
    documents: Iterable[SpecDocument], *, complete: bool, broken: Iterable[str] = ()
) -> tuple[Catalog, list[Problem]]:
    """Index documents; the second one with the same name is a Problem."""
    catalog = Catalog(complete=complete, broken=broken)
    problems: list[Problem] = []
    for document in documents:
        if not document.name:
            continue
        key = (namespace_of(document), document.name)
        known = catalog.documents.setdefault(document.kind, {})
        first = known.setdefault(key, document)
        if first is not document:
            problems.append(twice(document, first))
    return catalog, problems


def twice(document: SpecDocument, first: SpecDocument) -> Problem:
    """Return the Problem of a document whose name another one has."""
    name = "/".join(filter(None, (namespace_of(document), document.name)))
    mark = first.tree.marks["metadata"]
    return problem_at(
        document.tree,
        ("metadata", "name"),
        "duplicate-name",
        f"{document.kind} `{name}` is defined twice",
        hint=f"the first one is in {mark.file}:{mark.line}; rename or remove one",
    )


def namespace_of(document: SpecDocument) -> str:
    """Return a document's namespace as in the specs; empty means fleet-wide."""
    found = at(document.tree, ("metadata", "namespace"))
    if isinstance(found, str):
        return found
    return DEFAULT_NAMESPACE if document.kind in kinds.LOCAL else ""


def unknown(
    catalog: Catalog, tree: Map, path: TreePath, kinds: tuple[str, ...], namespace: str, name: str
) -> Problem | None:
    """Return the Problem of an unknown name; None if an unusable document may have it."""
    if not catalog.complete or name in catalog.broken:
        return None
    elsewhere = sorted(
        {space for kind in kinds for space in catalog.spaces(kind, name)} - {namespace}
    )
    noun = " or ".join(kinds)
    if not elsewhere:
        hint = catalog.suggestion(kinds, namespace, name)
    else:
        hint = f"there is one in namespace `{elsewhere[0]}`, {_across(path, kinds, elsewhere[0], name)}"
    return problem_at(
        tree, path, "unknown-reference", f"there is no {noun} `{name[:80]}`", hint=hint
    )


def _across(path: TreePath, kinds: tuple[str, ...], space: str, name: str) -> str:
    """Return how to refer to a document of another namespace, if that is possible."""
    if path[1:2] == ("tools",):
        return f"which an agent names with `namespace: {space}` if it is shared"
    if kinds in (("ModelConfig",), ("MemoryStore",)):
        return f"which an agent names as `{space}/{name}` if it is shared"
    return "but references do not cross namespaces"
