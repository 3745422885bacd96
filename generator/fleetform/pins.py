"""Tag and digest of an image → an environment's file: both in one place, comments and order kept."""

from __future__ import annotations

import re
from io import StringIO
from typing import TYPE_CHECKING, Any

from fleetform.parse import parse
from fleetform.problems import Problem, SpecError
from fleetform.tree import at, plain

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

_DOCUMENT = re.compile(r"^(?=---(?:\s|$))", re.MULTILINE)
_WIDEST = 1_000_000
"""Columns after which a line would be folded: none is."""


def pinned(text: str, file: str, environment: str, pins: dict[str, tuple[str, str]]) -> str:
    """Return a file's text with the pins of one of its environments: (tag, digest) by repository.

    Raises:
        SpecError: the file would mean something else afterwards, which is never written.
    """
    parts = _DOCUMENT.split(text)
    for number, part in enumerate(parts):
        if _is(part, environment):
            parts[number] = _edited(part, pins)
    new = "".join(parts)
    if _meaning(new, file) != _expected(text, file, environment, pins):
        lines = "".join(f"\n    {name}: {{tag: {t}, digest: {d}}}" for name, (t, d) in pins.items())
        raise SpecError(
            [
                Problem(
                    "error",
                    "cannot-edit",
                    f"the pins of `{environment}` cannot be written without changing something else",
                    file,
                    hint=f"write them below `images.pins` yourself:{lines}",
                )
            ]
        )
    return new


def _is(part: str, environment: str) -> bool:
    documents = parse(part.encode(), "").documents
    return [(at(d.tree, ("kind",)), at(d.tree, ("metadata", "name"))) for d in documents] == [
        ("Environment", environment)
    ]


def _edited(part: str, pins: dict[str, tuple[str, str]]) -> str:
    from ruamel.yaml import YAML  # noqa: PLC0415
    from ruamel.yaml.comments import CommentedMap  # noqa: PLC0415
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString  # noqa: PLC0415
    from ruamel.yaml.util import load_yaml_guess_indent  # noqa: PLC0415

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDEST
    _, indent, offset = load_yaml_guess_indent(part)
    yaml.indent(mapping=2, sequence=indent or 2, offset=offset or 0)
    yaml.explicit_start = part.startswith("---")
    body = yaml.load(part)
    known = _below(
        _below(_below(body, "spec", CommentedMap), "images", CommentedMap), "pins", CommentedMap
    )
    for repository, (tag, digest) in pins.items():
        entry = _below(known, repository, CommentedMap)
        entry["tag"] = tag if _is_plain(tag) else DoubleQuotedScalarString(tag)
        entry["digest"] = digest
    out = StringIO()
    yaml.dump(body, out)
    return out.getvalue()


def _is_plain(tag: str) -> bool:
    """Whether every parser reads a tag as text, quoted or not."""
    found = parse(f"tag: {tag}\n".encode(), "")
    return not found.problems and [plain(item.tree) for item in found.documents] == [{"tag": tag}]


def _below(node: CommentedMap, key: str, make: type[CommentedMap]) -> CommentedMap:
    """Return a map below another one, a new one if it is not there or null."""
    if node.get(key) is None:
        node[key] = make()
    found: CommentedMap = node[key]
    return found


def _meaning(text: str, file: str) -> list[Any]:
    return [plain(document.tree) for document in parse(text.encode(), file).documents]


def _expected(
    text: str, file: str, environment: str, pins: dict[str, tuple[str, str]]
) -> list[Any]:
    documents = _meaning(text, file)
    for document in documents:
        if document.get("kind") == "Environment" and document["metadata"]["name"] == environment:
            node = document
            for key in ("spec", "images", "pins"):
                node[key] = node.get(key) or {}
                node = node[key]
            for repository, (tag, digest) in pins.items():
                node[repository] = {**(node.get(repository) or {}), "tag": tag, "digest": digest}
    return documents
