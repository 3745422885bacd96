"""Documents of other API groups → our own schema, keeping every position; our own pass through."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from fleetform import kinds
from fleetform.dialects import foreign, kagent, python_logging
from fleetform.patterns import OWN_API
from fleetform.problems import Problem, did_you_mean
from fleetform.reader import Document
from fleetform.records import NamedTuple
from fleetform.tree import Map, at, problem_at

DIALECTS = {kagent.API: kagent.translate}
"""Translation of a document by its apiVersion: `(kind, tree) -> (tree or None, problems)`."""


class SpecDocument(NamedTuple):
    """A document in our own schema, ready to be checked."""

    kind: str
    tree: Map
    file: str
    origin: str

    @property
    def name(self) -> str:
        """Return `metadata.name`, or an empty string."""
        found = at(self.tree, ("metadata", "name"))
        return found if isinstance(found, str) else ""


def translate(
    documents: Iterable[Document],
    emitted: Mapping[str, str],
    leaked: Callable[[Map], Iterable[Problem]] = lambda _: (),
) -> tuple[list[SpecDocument], list[Problem]]:
    """Return the spec documents in our own schema, and what is wrong or was lost.

    `emitted` maps the kinds of objects that platforms build to the field they come from; `leaked` finds the credentials of
    documents that are refused, which nothing else reads.
    """
    specs: list[SpecDocument] = []
    problems: list[Problem] = []
    for document in documents:
        if python_logging.is_one(document.tree):
            levels, said = python_logging.translate(document.tree)
            problems += said
            if levels is not None:
                own = (python_logging.KIND, levels, document.file, document.origin)
                specs.append(SpecDocument(*own))
            continue
        found = _refuse(document, emitted)
        if found is not None:
            problems += [found, *leaked(document.tree)]
            continue
        tree: Map | None = document.tree
        kind: str = document.tree["kind"]
        rewrite = DIALECTS.get(document.tree["apiVersion"])
        if rewrite is not None:
            tree, said = rewrite(kind, document.tree)
            problems += said
        if tree is not None:
            specs.append(SpecDocument(kind, tree, document.file, document.origin))
    return specs, problems


def _refuse(document: Document, emitted: Mapping[str, str]) -> Problem | None:
    """Return why a document is not one of our kinds, None if it is."""
    tree = document.tree
    api, kind = tree.get("apiVersion"), tree.get("kind")
    if not isinstance(api, str) or not isinstance(kind, str):
        missing = "apiVersion" if not isinstance(api, str) else "kind"
        if missing in tree:
            return problem_at(
                tree,
                (missing,),
                "not-a-spec",
                f"`{missing}` is not text",
                hint=f"write `apiVersion: {OWN_API}`"
                if missing == "apiVersion"
                else did_you_mean("", kinds.NAMES, noun="kinds"),
            )
        return foreign.without_api(tree) or problem_at(
            tree,
            (),
            "not-a-spec",
            f"the document has no `{missing}`, so it is not a spec",
            hint=f"start it with `apiVersion: {OWN_API}` and `kind:`; Helm values and fragments do not belong here",
        )
    theirs = foreign.of_kagent(tree, kind) if api == kagent.API else None
    if theirs is not None:
        return theirs
    if api != OWN_API and api not in DIALECTS:
        return _foreign(tree, api, kind, emitted)
    if kind in kinds.NAMES:
        return None
    return problem_at(
        tree,
        ("kind",),
        "unknown-kind",
        f"unknown kind `{kind[:80]}`",
        hint=did_you_mean(kind, kinds.NAMES, noun="kinds"),
    )


def _foreign(tree: Map, api: str, kind: str, emitted: Mapping[str, str]) -> Problem:
    """Return whose document one of another API group is."""
    name = at(tree, ("metadata", "name"), "?")
    if kind in emitted and kind not in kinds.NAMES:
        return problem_at(
            tree,
            ("kind",),
            "foreign-object",
            f"{kind} `{str(name)[:80]}` is a Kubernetes object, not a spec",
            hint=f"Fleetform renders this kind itself: {emitted[kind]}; keep other objects in another folder",
        )
    # Another group's name says nothing about ours, however alike the letters are.
    alike = [known for known in (OWN_API, *DIALECTS) if _group(known) == _group(api)]
    return foreign.of_group(tree, api) or problem_at(
        tree,
        ("apiVersion",),
        "wrong-api-version",
        f"unknown apiVersion `{api[:80]}`",
        hint=did_you_mean(api, alike)
        if alike
        else f"specs are `{OWN_API}`; keep other objects in another folder",
    )


def _group(api: str) -> str:
    return api.partition("/")[0]
