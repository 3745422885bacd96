"""A new repository: it works as it is, and it never takes the place of anything."""

import os
from pathlib import Path

import pytest

from fleetform import scaffold
from fleetform.kinds import NAMES as KINDS
from tests.fleet import fleetform, read_yaml, snapshot

CHECKED = ("validate", "agents", "environments", "--env")


@pytest.fixture
def repository(tmp_path) -> Path:
    assert fleetform("init", "acme", cwd=tmp_path).code == 0
    return tmp_path / "acme"


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_it_validates_and_renders_without_a_word(repository, environment):
    done = fleetform(*CHECKED, environment, cwd=repository)
    assert (done.code, done.out, done.err) == (0, "", "6 documents valid\n")
    done = fleetform("render", "--env", environment, cwd=repository)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"rendered/{environment}: ")
    assert done.err.splitlines()[1:] == ["releases: 1 new"]
    assert (repository / "rendered" / environment / "kustomization.yaml").is_file()


@pytest.mark.parametrize("name", ["true", "123", "1e3", "on", "a" * 40])
def test_any_name_of_a_namespace_will_do(tmp_path, name):
    assert fleetform("init", "--name", name, cwd=tmp_path).code == 0
    done = fleetform(*CHECKED, "prod", cwd=tmp_path)
    assert (done.code, done.err) == (0, "6 documents valid\n")
    (agent,) = read_yaml((tmp_path / "agents/hello/agent.yaml").read_text())
    assert agent["metadata"]["namespace"] == name


@pytest.mark.parametrize("name", ["A", "a_b", "-a", "a-", "", "a" * 41, "a\n"])
def test_other_names_are_wrong_usage(tmp_path, name):
    done = fleetform("init", "--name", name, cwd=tmp_path)
    assert done.code == 2
    assert "it becomes a namespace" in done.err
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(
    ("folder", "name"),
    [("My Agents!", "my-agents"), ("--", "agents"), ("é", "agents"), ("x" * 60, "x" * 40)],
)
def test_the_folder_suggests_the_name(folder, name):
    assert scaffold.name_for(Path("/somewhere") / folder) == name


def test_specs_point_editors_to_schemas_that_are_there(repository):
    specs = [*repository.glob("agents/*/*.yaml"), *repository.glob("environments/*.yaml")]
    assert len(specs) == 6
    for path in specs:
        prefix, schema = path.read_text().splitlines()[0].split("=")
        assert prefix == "# yaml-language-server: $schema"
        (document,) = read_yaml(path.read_text())
        assert (path.parent / schema).resolve() == (
            repository / "schemas" / f"{document['kind'].lower()}.json"
        )
    schemas = {path.stem for path in repository.glob("schemas/*.json")}
    assert schemas == {"fleetform", *map(str.lower, KINDS)}


def test_everything_in_the_way_is_named_and_nothing_is_written(tmp_path):
    (tmp_path / "Makefile").write_text("mine")
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/hello").write_text("a file where a folder is to be")
    (tmp_path / "environments").symlink_to("nowhere")
    before = snapshot(tmp_path)
    done = fleetform("init", cwd=tmp_path)
    assert done.code == 1
    named = [line.split(":")[0] for line in done.err.splitlines() if ": error: " in line]
    assert named == ["Makefile", "agents/hello", "environments"]
    assert snapshot(tmp_path) == before


def test_other_files_of_a_folder_stay(tmp_path):
    (tmp_path / "LICENSE").write_text("mine")
    assert fleetform("init", cwd=tmp_path).code == 0
    assert (tmp_path / "LICENSE").read_text() == "mine"


def test_a_folder_that_is_a_file_is_a_problem(tmp_path):
    (tmp_path / "acme").write_text("mine")
    done = fleetform("init", "acme", cwd=tmp_path)
    assert done.code == 1
    assert done.err.startswith("acme: error: ")
    assert done.err.endswith("1 error\n")


def test_a_folder_that_refuses_is_a_problem(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", refuse)
    done = fleetform("init", "acme", cwd=tmp_path)
    assert done.code == 1
    assert "cannot be written: Permission denied" in done.err


def test_no_link_in_the_folder_is_followed(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme/agents").symlink_to("../outside")
    done = fleetform("init", "acme", cwd=tmp_path)
    assert done.code == 1
    assert "acme/agents: error: already exists" in done.err
    assert snapshot(tmp_path) == {"acme/agents": b"../outside"}
