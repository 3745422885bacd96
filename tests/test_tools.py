"""The installer of the pinned tools: what it builds again, and what it leaves alone."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools import ROOT, installer, module


class Recipe:
    """Writes one file slowly and counts its builds."""

    def __init__(self) -> None:
        self.builds = 0
        self.error: BaseException | None = None

    def __repr__(self) -> str:
        return "Recipe()"

    def build(self, name: str, folder: Path) -> None:
        self.builds += 1
        (folder / "part").write_text("")
        if self.error:
            raise self.error
        (folder / name).write_text("ready")


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    recipe = Recipe()
    (tmp_path / "source/hammer").mkdir(parents=True)
    (tmp_path / "source/hammer/pins").write_text("1")
    monkeypatch.setattr(installer, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(installer, "TARGET", tmp_path / "target")
    monkeypatch.setitem(installer.RECIPES, "hammer", recipe)
    return recipe


def test_an_unchanged_pin_costs_no_build(recipe):
    assert installer.install("hammer") == installer.install("hammer")
    assert recipe.builds == 1


def test_a_changed_pin_is_built_beside_the_old_one(recipe, tmp_path):
    old = installer.install("hammer")
    (tmp_path / "source/hammer/pins").write_text("2")
    new = installer.install("hammer")
    assert old != new
    assert old.exists()
    assert new.exists()
    assert recipe.builds == 2


def test_a_changed_source_beside_the_pins_is_built_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(installer, "SOURCE", tmp_path)
    monkeypatch.setitem(installer.RECIPES, "saw", installer.SharedGoTool("./own", module="shared"))
    source = tmp_path / "shared/own/main.go"
    source.parent.mkdir(parents=True)
    source.write_text("1")
    before = installer.where("saw")
    source.write_text("2")
    assert installer.where("saw") != before


def test_many_at_once_build_once(recipe):
    with ThreadPoolExecutor(8) as pool:
        places = {*pool.map(installer.install, ["hammer"] * 8)}
    assert recipe.builds == 1
    assert len(places) == 1


@pytest.mark.parametrize("error", [installer.InstallError("no"), KeyboardInterrupt()])
def test_a_failed_build_leaves_nothing_in_place(recipe, error):
    recipe.error = error
    with pytest.raises(type(error)):
        installer.install("hammer")
    assert not installer.where("hammer").parent.exists()
    recipe.error = None
    assert installer.install("hammer").read_text() == "ready"


def test_what_a_killed_build_left_behind_is_swept_up(recipe, tmp_path):
    left_over = tmp_path / "target/.hammer.building-killed"
    left_over.mkdir(parents=True)
    installer.install("hammer")
    assert not left_over.exists()


def test_a_command_that_fails_is_named_with_what_it_said():
    with pytest.raises(installer.InstallError, match=r"(?s)import sys.*failed:.*too bad"):
        installer._run([sys.executable, "-c", "import sys; sys.exit('too bad')"])


def test_an_unknown_name_is_refused_with_the_known_ones():
    command = [sys.executable, ROOT / "tools/install.py", "anvil"]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert "no such tool: anvil" in done.stderr
    assert "kubeconform" in done.stderr


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository whose main branch has two commits, with a file in `a` and one in `b`."""
    changed = module("tools/changed.py")
    monkeypatch.setattr(changed, "ROOT", tmp_path)

    def git(*arguments: str) -> None:
        who = (
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@example.com",
            "-c",
            "init.defaultBranch=main",
        )
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("1")
        git("add", ".")
        git("commit", "-m", name)
    return changed, git


def test_a_branch_is_compared_with_where_it_left_the_main_one(repository, tmp_path):
    changed, git = repository
    git("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    git("switch", "-c", "branch")
    for name in ("c", "d"):
        (tmp_path / "a" / name).write_text("1")
        git("add", ".")
        git("commit", "-m", name)
    (tmp_path / "a/new").write_text("1")
    assert changed.changed(changed.base(), ["a"]) == ["a/c", "a/d", "a/new"]
    assert changed.changed(changed.base(), ["b"]) == []


def test_the_main_branch_is_compared_with_what_was_before(repository):
    changed, git = repository
    git("update-ref", "refs/remotes/origin/HEAD", "HEAD")
    assert changed.changed(changed.base(), ["a", "b"]) == ["b/file"]


def test_what_cannot_be_known_counts_as_changed(repository):
    changed, _ = repository
    assert changed.changed(changed.base(), ["a"]) is None
    assert changed.changed("nowhere", ["a"]) is None
