"""The usual options of `render`, read without Typer, which takes longer to import than an agent to render.

What is read here means the same to Typer, which a test holds to it; everything else is left to Typer: help,
wrong usage, shell completion, and other ways to write an option.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fleetform import targets
from fleetform.cli.report import Format

ENV = "prod"
"""The environment of every command that is told none, by --env or the variable ENV."""
FLAGS = {"--all": "everything", "--check": "check", "--diff": "show_diff"}
ONCE = {
    "--env": "env",
    "-e": "env",
    "--environments": "environments",
    "--out": "out",
    "-o": "out",
    "--format": "form",
}
LISTS = {"--agents": "agents", "-a": "agents", "--target": "targets", "-t": "targets"}


def read(words: Sequence[str], variables: Mapping[str, str]) -> dict[str, Any] | None:
    """Return the options of `render` by their parameters, None when Typer has to read them."""
    given = _given(words)
    if given is None or any(name.endswith("_COMPLETE") for name in variables):
        return None
    if {"env", "everything"} <= given.keys():
        return None
    if "env" not in given and "ENV" in variables:
        return None
    form, wanted = given.get("form", "text"), given.get("targets", [])
    if form not in {*Format} or not {*wanted} <= {*targets.NAMES}:
        return None
    return {
        "env": given.get("env", ENV),
        "everything": "everything" in given,
        "targets": wanted or None,
        "agents": [Path(name) for name in given.get("agents", ["agents"])],
        "environments": Path(given.get("environments", "environments")),
        "out": Path(given.get("out", "")),
        "check": "check" in given,
        "show_diff": "show_diff" in given,
        "form": Format(form),
    }


def _given(words: Sequence[str]) -> dict[str, Any] | None:
    """Return what is written, None when a word is not one of the plain ones."""
    found: dict[str, Any] = {}
    rest = iter(words)
    for word in rest:
        if word in FLAGS:
            found[FLAGS[word]] = True
            continue
        name, value = ONCE.get(word) or LISTS.get(word), next(rest, "")
        if name is None or not value or value.startswith("-"):
            return None
        if word in LISTS:
            found.setdefault(name, []).append(value)
        elif name in found:
            return None
        else:
            found[name] = value
    return found
