"""A tool that is on PATH at the pinned version is used; at any other version it is built as without it."""

import os
from pathlib import Path

import pytest

from tests.tools import ROOT, installer, module

found = module("tools/found.py")
lock = module("tools/lock.py")

SAYS = {
    "helm": "v{}+g1234567",
    "kubeconform": "v{}",
    "kubectl": '{{"clientVersion": {{"major": "1", "gitVersion": "v{}", "platform": "x"}}}}',
    "kustomize": "v{}",
    "promtool": "promtool, version {} (branch: HEAD, revision: 1)\n  build user: x",
    "uv": "uv {} (abc 2026-01-01)",
}


class Builder:
    """Takes the place of a recipe and writes what it would build."""

    def build(self, name: str, folder: Path) -> None:
        (folder / name).write_text("built")


def put(folder: Path, name: str, says: str, code: int = 0) -> Path:
    """Write an executable that says a version to whoever asks."""
    folder.mkdir(exist_ok=True)
    place = folder / name
    place.write_text(f"#!/bin/sh\ncat <<'E'\n{says}\nE\nexit {code}\n")
    place.chmod(0o755)
    return place


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A folder that comes first on PATH, and an installer that builds nothing."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(installer, "TARGET", tmp_path / "target")
    for name in SAYS:
        monkeypatch.setitem(installer.RECIPES, name, Builder())
    return tmp_path / "bin"


def pinned(name: str) -> str:
    return found.pinned(name, ROOT / "tools" / name)


def test_each_of_them_has_a_pin_to_compare_with():
    assert found.ASKED.keys() == SAYS.keys() <= installer.RECIPES.keys()
    assert {name: pinned(name).count(".") for name in SAYS} == dict.fromkeys(SAYS, 2)
    assert pinned("promtool") == "3.13.5"


@pytest.mark.parametrize("name", SAYS)
def test_the_pinned_version_is_used(name, path, capfd):
    place = put(path, name, SAYS[name].format(pinned(name)))
    assert installer.install(name).resolve() == place
    assert f"{name}: using {place}, which is {pinned(name)} as pinned\n" in capfd.readouterr().err
    assert installer.install(name).resolve() == place
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", SAYS)
@pytest.mark.parametrize("other", ["{}1", "1{}", "{}-rc.1", "nothing"])
def test_another_version_is_not(name, other, path, capfd):
    place = put(path, name, SAYS[name].format(other.format(pinned(name))))
    assert installer.install(name).read_text() == "built"
    assert f"{name}: {place} says " in capfd.readouterr().err


def test_one_that_fails_is_not(path, capfd):
    put(path, "helm", SAYS["helm"].format(pinned("helm")), code=1)
    assert installer.install("helm").read_text() == "built"
    assert f"says no version, {pinned('helm')} is pinned: building it" in capfd.readouterr().err


@pytest.mark.parametrize("later", ["v0.0.1", None])
def test_one_that_changes_or_goes_is_no_longer_used(later, path):
    place = put(path, "kustomize", f"v{pinned('kustomize')}")
    assert installer.install("kustomize").resolve() == place
    if later:
        put(path, "kustomize", later)
    else:
        place.unlink()
    assert installer.install("kustomize").read_text() == "built"


def test_a_tool_that_is_only_on_path_to_be_compared_is_not_taken_for_another(path):
    put(path, "helm3", "v3.22.0")
    assert found.on_path("helm3") == ("", "")


def test_whoever_has_no_uv_is_told_what_is_needed(monkeypatch, capfd):
    def fails(name: str) -> Path:
        raise installer.InstallError(f"{name} is nowhere")

    monkeypatch.setattr(lock.install, "install", fails)
    monkeypatch.setattr(lock.install, "InstallError", installer.InstallError)
    monkeypatch.setattr("sys.argv", ["lock.py"])
    assert lock.main() == 1
    said = capfd.readouterr().err
    assert "error: uv is nowhere" in said
    assert "hint: uv is needed: on PATH at the version of tools/uv" in said
