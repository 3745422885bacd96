"""The pages lead somewhere: links to files and headings that exist, commands and options that there are."""

import re
import shlex
from functools import cache
from pathlib import Path

import pytest

from fleetform.cli import COMMANDS
from tests.fleet import fleetform
from tests.tools import ROOT

PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")], key=lambda page: page.as_posix()
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
SHELL = {"sh", "console"}
of_each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text("utf-8"))


@cache
def anchors(page: Path) -> set[str]:
    """Return the fragments that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return set(plain)


@of_each_page
def test_every_link_of_a_page_leads_to_something(page):
    broken = []
    for link in LINK.findall(re.sub(r"`[^`\n]*`", "", prose(page))):
        name, _, fragment = link.partition("#")
        if "://" in name:
            continue
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (
            fragment and target.suffix == ".md" and fragment not in anchors(target)
        ):
            broken.append(link)
    assert broken == []


def commands(page: Path) -> list[list[str]]:
    """Return the words of each call of `fleetform` in the blocks of commands of a page."""
    found = []
    for kind, text in FENCE.findall(page.read_text("utf-8")):
        if kind in SHELL:
            for line in text.replace("\\\n", " ").splitlines():
                for call in re.findall(r"(?:^|[ (/])fleetform ((?:[^|&;)#\"]|\"[^\"]*\")*)", line):
                    found.append(shlex.split(call))
    return found


@cache
def options(*command: str) -> str:
    return fleetform(*command, "--help", cwd=ROOT).out


@of_each_page
def test_every_command_of_a_page_exists_with_its_options(page):
    unknown = []
    for name, *words in [call for call in commands(page) if call]:
        if name.startswith("-"):
            continue
        of_group = words[:1] if name == "workflow" and not words[0].startswith("-") else []
        known = options(name, *of_group) if name in COMMANDS else ""
        unknown += [] if known else [name]
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        unknown += [f"{name} {option}" for option in given if f"{option} " not in known]
    assert unknown == []


TAUGHT = sorted(
    [
        *PAGES,
        *(path for path in (ROOT / "examples").rglob("*") if path.is_file()),
        *(ROOT / "generator").rglob("*.py"),
        *(ROOT / "generator").rglob("*.jinja"),
        *(ROOT / "runtime/fleetform_runtime").rglob("*.py"),
        *(ROOT / "runtime").glob("*ockerfile"),
    ]
)
FROM_AN_INDEX = re.compile(
    r"(?:\binstall\b[^\n]*?[\s'\"]|:\s+[\"']?)fleetform(?:-runtime)?(?:\[[a-z,]+\]|[=<>~]=[^\s]*)(?=[\s'\"`]|$)"
    r"|\bpip3? install(?: -\S+)* [\"']?fleetform(?:-runtime)?[\"']?(?=[\s`]|$)",
    re.MULTILINE,
)
"""A name without a place, which pip looks for in an index."""


@pytest.mark.parametrize(
    "text",
    [
        "pip install fleetform",
        "pip install -U fleetform",
        "pip install 'fleetform[cluster]'",
        'hint="install fleetform[cluster]"',
        "  FLEETFORM: fleetform==0.1.0",
    ],
)
def test_a_name_without_a_place_is_seen(text):
    assert FROM_AN_INDEX.search(text)


def test_nobody_is_told_to_install_a_name_that_is_not_ours():
    """Whoever owns `fleetform` on PyPI would run in pipelines that have the keys of clusters."""
    found = {
        f"{path.relative_to(ROOT)}: {told[0]}"
        for path in TAUGHT
        for told in FROM_AN_INDEX.finditer(path.read_text("utf-8"))
    }
    assert found == set()
