"""The files that `fleetform init` writes into a new repository."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from fleetform.emit import emit
from fleetform.folder import Folder, Obstacle
from fleetform.kinds import NAMES
from fleetform.problems import Problem, SpecError

TEMPLATES = {
    ".gitattributes": "gitattributes.jinja",
    ".gitignore": "gitignore.jinja",
    "Makefile": "Makefile.jinja",
    "README.md": "README.md.jinja",
    "agents/hello/agent.yaml": "agent.yaml.jinja",
    "agents/shared/model.yaml": "model.yaml.jinja",
    "agents/shared/template.yaml": "template.yaml.jinja",
    "environments/base.yaml": "base.yaml.jinja",
    "environments/dev.yaml": "dev.yaml.jinja",
    "environments/prod.yaml": "prod.yaml.jinja",
}
"""Template of each file; the schemas of the kinds come beside them, as they are."""

LONGEST_NAME = 40
"""Characters of a name: environments put a suffix behind it, and it stays a namespace."""


def name_for(folder: Path) -> str:
    """Return a valid namespace name derived from a folder's name."""
    words = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower())
    return words.strip("-")[:LONGEST_NAME].rstrip("-") or "agents"


def texts(name: str, version: str) -> dict[str, str]:
    """Return every file of a new repository by its path."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - slow, and only here

    jinja = Environment(
        loader=PackageLoader("fleetform.scaffold"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - YAML and Markdown, of two words that are checked before
        keep_trailing_newline=True,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
    jinja.filters["yaml"] = lambda text: emit(text).strip()
    values = {"name": name, "version": version}
    found = {path: jinja.get_template(file).render(values) for path, file in TEMPLATES.items()}
    for schema in sorted(("fleetform", *map(str.lower, NAMES))):
        path = f"schemas/{schema}.json"
        found[path] = (files("fleetform") / path).read_text(encoding="utf-8")
    return found


def write(folder: Path, found: dict[str, str]) -> None:
    """Write new files below a folder, all or none.

    Raises:
        SpecError: something is in the way, or a disk error.
    """
    problems = [problem for path in found for problem in _in_the_way(folder, path)]
    if problems:
        raise SpecError(problems)
    at = ""
    try:
        with Folder(folder, "", make=True) as opened:
            for at, text in found.items():
                opened.create(at, text.encode())
    except Obstacle as obstacle:
        raise SpecError([_exists(folder / obstacle.path)]) from None
    except OSError as error:
        message = f"the file cannot be written: {error.strerror or error}"
        hint = "check space and permissions, remove what was written, and try again"
        place = str(folder / at)
        raise SpecError([Problem("error", "not-written", message, place, hint=hint)]) from None


def _in_the_way(folder: Path, path: str) -> list[Problem]:
    """Return what is in the way of a file, or of one of its folders."""
    steps = [folder / parent for parent in reversed(Path(path).parents[:-1])]
    taken = [step for step in steps if step.is_symlink() or (step.exists() and not step.is_dir())]
    taken = [folder] if folder.exists() and not folder.is_dir() else taken
    target = folder / path
    if not taken and (target.exists() or target.is_symlink()):
        taken = [target]
    return [_exists(step) for step in taken]


def _exists(place: Path) -> Problem:
    hint = "move it, or choose another folder; nothing was written"
    return Problem("error", "exists", "already exists", str(place), hint=hint)
