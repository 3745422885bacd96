"""The environment of a run: the chain of `extends`, merged and typed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fleetform.dialects import SpecDocument
from fleetform.problems import Problem, SpecError, did_you_mean
from fleetform.resolve.layers import DEEPEST, Layer, too_deep
from fleetform.tree import VERBATIM, Map, Seq, at, merge, problem_at

ADDED = ("patches", VERBATIM)
"""Lists that add up along the chain."""


def chain(documents: Iterable[SpecDocument], name: str, folder: str) -> list[SpecDocument]:
    """Return an environment's documents, starting at the root; raise SpecError if the chain is broken."""
    known = {document.name: document for document in documents if document.kind == "Environment"}
    if name not in known:
        raise SpecError(
            [
                Problem(
                    "error",
                    "unknown-environment",
                    f"there is no environment `{name[:80]}`",
                    folder,
                    hint=did_you_mean(name, known, noun="environments"),
                )
            ]
        )
    found = [known[name]]
    while (base := at(found[0].tree, ("spec", "extends"))) is not None:
        tree = found[0].tree
        if base not in known:
            raise SpecError(
                [
                    problem_at(
                        tree,
                        ("spec", "extends"),
                        "unknown-reference",
                        f"there is no Environment `{base}`",
                        hint=did_you_mean(str(base), known, noun="environments"),
                    )
                ]
            )
        if known[base] in found:
            trail = " → ".join(document.name for document in reversed(found))
            raise SpecError(
                [
                    problem_at(
                        tree,
                        ("spec", "extends"),
                        "environment-cycle",
                        f"environments extend each other: {trail} → {base}",
                        hint="break the cycle",
                    )
                ]
            )
        if len(found) > DEEPEST:
            raise SpecError([too_deep(tree, ("spec", "extends"), "environments")])
        found.insert(0, known[base])
    return found


def base(found: list[SpecDocument]) -> SpecDocument | None:
    """Return the abstract root of a chain, None if it has none."""
    root = found[0]
    return root if len(found) > 1 and at(root.tree, ("spec", "abstract")) is True else None


def second_base(documents: Iterable[SpecDocument], found: list[SpecDocument]) -> Iterator[Problem]:
    """Yield a Problem if another environment has a different base: there is only one folder."""
    known = [document for document in documents if document.kind == "Environment"]
    own = base(found)
    if own is None:
        return
    for document in known:
        try:
            other = chain(known, document.name, "")
        except SpecError:
            continue  # reported when that one is rendered
        root = base(other)
        if root is None or root is own:
            continue
        if "kustomize" not in at(merged(other), ("spec", "targets"), ()):
            continue
        yield problem_at(
            found[1].tree,
            ("spec", "extends"),
            "second-base",
            f"`kustomize/base` would belong to both `{own.name}` and `{root.name}`, which `{document.name}` extends",
            hint="let both extend the same abstract environment, or remove `kustomize` from the targets of one",
        )
        return


def layers(found: list[SpecDocument]) -> list[Layer]:
    """Return the environment's layers, starting at the root."""
    return [
        Layer(f"Environment {document.name}", document.tree["spec"])
        for document in found
        if isinstance(document.tree.get("spec"), Map)
    ]


def merged(found: list[SpecDocument]) -> Map:
    """Return the environment as one document.

    Patches accumulate along the chain, starting at the root: they are lists of changes, not values.
    """
    last = found[-1]
    whole = last.tree.clone()
    spec: Map | None = None
    sums: dict[str, Seq] = {}
    for layer in layers(found):
        own = layer.tree
        for key in ADDED:
            if isinstance(own.get(key), Seq):
                sums[key] = _appended(sums.get(key), own[key])
        inherited = spec.clone() if spec is not None else Map(own.mark)
        inherited.pop("abstract", None)
        spec = merge(inherited, own)
    if spec is not None:
        for key, patches in sums.items():
            spec.put(key, patches, spec.marks[key])
        whole.put("spec", spec, last.tree.marks.get("spec", whole.mark))
    return whole


def _appended(first: Seq | None, second: Seq) -> Seq:
    if first is None:
        return second
    both = Seq(second.mark)
    both.extend([*first, *second])
    both.marks = [*first.marks, *second.marks]
    return both
