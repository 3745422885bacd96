"""Documents of a dialect → the same documents in our own, keeping the author's text where possible."""

from __future__ import annotations

from dataclasses import dataclass

from fleetform.check import check
from fleetform.dialects import DIALECTS, translate
from fleetform.migrate.origins import Origins, same
from fleetform.migrate.syntax import Node, attach, closed, layout
from fleetform.migrate.writer import Writer
from fleetform.parse import parse
from fleetform.platforms.kubernetes.kinds import EMITTED_BY
from fleetform.problems import Problem, errors
from fleetform.reader import Document
from fleetform.tree import Map


@dataclass(frozen=True, slots=True)
class Migration:
    """A file's text in our own dialect, the problems found, and how many documents changed.

    If there is an error among the problems, the text is unchanged.
    """

    file: str
    old: str
    new: str
    problems: tuple[Problem, ...]
    documents: int = 0


def migrate(data: bytes, file: str) -> Migration:
    """Rewrite the dialect documents of one file; others keep every byte.

    Lines that mean the same before and after are copied. Comments stay with what they are above or
    behind, even if that is renamed or moved; those of a dropped field are dropped with it.
    """
    loaded = parse(data, file)
    if errors(loaded.problems):
        text = data.decode("utf-8", "replace")
        return Migration(file, text, text, loaded.problems)
    old = data.decode("utf-8")
    trees, problems = _translated(loaded.documents)
    if errors(problems) or not any(trees):
        return Migration(file, old, old, tuple(problems))
    new = _rewritten(old, loaded.documents, trees)
    expected = [
        tree or document.tree for tree, document in zip(trees, loaded.documents, strict=True)
    ]
    if not _says(new, expected):
        return Migration(file, old, old, (*problems, _beyond_us(file)))
    return Migration(file, old, new, tuple(problems), sum(tree is not None for tree in trees))


def _translated(documents: tuple[Document, ...]) -> tuple[list[Map | None], list[Problem]]:
    """Return the checked tree of each dialect document, None for documents that stay as they are."""
    trees: list[Map | None] = []
    problems: list[Problem] = []
    for document in documents:
        tree = None
        if document.tree.get("apiVersion") in DIALECTS:
            specs, said = translate([document], EMITTED_BY)
            problems += said
            for spec in specs:
                tree = spec.tree
                problems += check(spec.kind, spec.tree)
        trees.append(tree)
    return trees, problems


def _rewritten(old: str, documents: tuple[Document, ...], trees: list[Map | None]) -> str:
    found = layout(closed(old))
    todo = iter(zip(documents, trees, strict=True))
    lines: list[str] = []
    for root, own in zip(found.roots, found.ranges, strict=True):
        document, tree = next(todo) if _is_document(root) else (None, None)
        if document is None or tree is None:
            lines += found.lines[own.start : own.stop]
            continue
        attach(root, document.tree)
        lines += Writer(found, Origins(root, tree)).write(tree, own)
    return "\n".join(lines)


def _is_document(root: Node) -> bool:
    """Whether the loader turned it into a document: empty ones are skipped."""
    return root.kind == "map"


def _says(text: str, expected: list[Map]) -> bool:
    """Whether a text loads to the expected trees: the proof that nothing was lost or changed."""
    again = parse(text.encode(), "")
    found = [document.tree for document in again.documents]
    return not again.problems and same(found, expected)


def _beyond_us(file: str) -> Problem:
    return Problem(
        "error",
        "not-migrated",
        "the file cannot be rewritten without changing its meaning",
        file,
        hint="simplify it (no anchors, no `? ` keys, `|` instead of `|+`) and try again",
    )
