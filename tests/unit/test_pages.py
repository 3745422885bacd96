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
