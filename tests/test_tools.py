"""The installer of the pinned tools: what it builds again, and what it leaves alone."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tools import ROOT, installer


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
