"""Rollback: earlier revisions come back out of Git byte for byte, stay until they are released, and nothing else does."""

import random
import re
import subprocess
from pathlib import Path

import pytest

from fleetform.releases import holds, lock
from tests.fleet import API, fleetform, write

ENVIRONMENT = f"""{API}
kind: Environment
metadata: {{name: prod}}
spec:
  images: {{pins: {{fleetform/agent-runtime: {{tag: 1.0.0}}}}}}
"""
TITLE = "Agent/default/helper"
FILE = "rendered/prod/default/helper.yaml"
COMMIT = ("-c", "user.name=n", "-c", "user.email=e@example.com", "commit", "-qm", "c")


def agent(name: str = "helper", prompt: str = "You help.", **more: str) -> str:
    lines = "".join(f"  {key}: {value}\n" for key, value in more.items())
    return (
        f"{API}\nkind: Agent\nmetadata: {{name: {name}}}\nspec:\n  systemPrompt: {prompt}\n"
        '  model: {provider: ollama, name: qwen3, endpoint: "https://models.example/v1"}\n'
        f"  auth: {{type: none}}\n{lines}"
    )


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def run(folder: Path, *arguments: str, code: int = 0):
    done = fleetform(*arguments, cwd=folder)
    assert done.code == code, done.err
    return done


def committed(folder: Path, spec: str, *more: str, environment: str = ENVIRONMENT) -> str:
    """Render specs and commit everything; return the commit."""
    write(
        folder,
        {"agents/a.yaml": "---\n".join((spec, *more)), "environments/prod.yaml": environment},
    )
    run(folder, "render", "--env", "prod")
    git(folder, "add", "-A")
    git(folder, *COMMIT)
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path) -> Path:
    git(tmp_path, "init", "-q")
    return tmp_path


def revision(folder: Path, file: str = FILE) -> str:
    """Return the end of the name of a ConfigMap."""
    return re.search(r"name: helper-config-([0-9a-f]{8})$", (folder / file).read_text(), re.M)[1]


def read(folder: Path) -> bytes:
    return (folder / FILE).read_bytes()


def test_the_lock_says_what_the_output_consists_of(repository):
    committed(repository, agent(), agent("other"))
    found = lock.read((repository / "releases/prod.lock.yaml").read_bytes())
    assert [*found] == [TITLE, "Agent/default/other"]
    entry = found[TITLE]
    assert entry.revision == revision(repository)
    assert entry.images == ("fleetform/agent-runtime:1.0.0",)
    assert entry.files == {FILE: lock.sha(read(repository).decode())}
    run(repository, "render", "--env", "prod", "--check")
    write(repository, {"releases/prod.lock.yaml": "environment: prod\n"})
    done = run(repository, "render", "--env", "prod", "--check", code=3)
    assert "releases is stale" in done.err
    run(repository, "render", "--env", "prod", "--target", "manifests")
    assert (repository / "releases/prod.lock.yaml").read_text() == "environment: prod\n"


def test_an_earlier_revision_comes_back_stays_and_is_released(repository):
    committed(repository, agent(prompt="One."))
    one, name = read(repository), revision(repository)
    committed(repository, agent(prompt="Two."))
    two = read(repository)
    done = run(repository, "rollback", "Agent/helper", "--env", "prod", "--because", "it lies")
    assert f"{TITLE} is held at {name} (it lies); its spec says" in done.err
    assert read(repository) == one
    done = run(repository, "render", "--env", "prod", "--check")
    assert "is held at" in done.err
    committed(repository, agent(prompt="Three."), agent("new"))
    assert read(repository) == one
    assert (repository / "rendered/prod/default/new.yaml").exists()
    run(repository, "rollback", "Agent/helper", "--env", "prod", "--release")
    assert read(repository) not in (one, two)
    assert not (repository / "releases/prod.holds.yaml").exists()
    done = run(repository, "rollback", "Agent/helper", "--env", "prod", "--release", code=1)
    assert f"{TITLE} is not held" in done.err


@pytest.mark.proof
@pytest.mark.parametrize("seed", range(30))
def test_any_revision_of_any_history_comes_back_to_the_byte(seed, repository):
    chance = random.Random(seed)
    states: dict[str, tuple[str, bytes]] = {}
    for step in range(chance.randint(3, 6)):
        prompt = chance.choice([f"Prompt {step}.", "Again.", "Größe 日本語 {{ x }} ${Y}"])
        limits = f"{{maxSteps: {chance.randint(5, 9)}}}"
        others = [agent(f"other-{n}", f"Other {step}.") for n in range(chance.randint(0, 2))]
        tag = chance.choice(["1.0.0", "1.1.0"])
        commit = committed(
            repository,
            agent(prompt=f"'{prompt}'", limits=limits),
            *others,
            environment=ENVIRONMENT.replace("1.0.0", tag),
        )
        states[commit] = revision(repository), read(repository)
    now = lock.read((repository / "releases/prod.lock.yaml").read_bytes())
    for commit, (name, _) in states.items():
        entry = lock.read(git(repository, "show", f"{commit}:releases/prod.lock.yaml"))[TITLE]
        if entry == now[TITLE]:
            continue
        run(repository, "rollback", "Agent/helper", "--env", "prod", "--to", name)
        (hold,) = holds.read(repository, "prod")
        there = subprocess.run(
            ["git", "-C", repository, "cat-file", "blob", f"{hold.commit}:{FILE}"],
            capture_output=True,
            check=True,
        ).stdout
        assert read(repository) == there
        assert revision(repository) == name
        run(repository, "rollback", "Agent/helper", "--env", "prod", "--release")


def test_a_flipped_byte_in_the_history_is_refused(repository):
    committed(repository, agent(prompt="One."))
    name = revision(repository)
    text = read(repository).decode()
    write(repository, {FILE: text.replace("One.", "Two.")})
    git(repository, *COMMIT[:-2], "-qam", "x", "--amend")
    committed(repository, agent(prompt="Three."))
    before = read(repository)
    done = run(repository, "rollback", TITLE, "--env", "prod", "--to", name, code=1)
    assert "is not what the lock there says" in done.err
    assert read(repository) == before


def test_a_flipped_byte_in_a_hold_is_refused_by_every_render(repository):
    committed(repository, agent(prompt="One."))
    committed(repository, agent(prompt="Two."))
    run(repository, "rollback", TITLE, "--env", "prod")
    file = repository / "releases/prod.holds.yaml"
    file.write_text(file.read_text().replace("One.", "Eno."))
    before = read(repository)
    for command in (["render"], ["render", "--check"], ["rollback", TITLE, "--release"]):
        done = run(repository, *command, "--env", "prod", code=1)
        assert f"of {TITLE} is not what the release had" in done.err
    assert read(repository) == before
    for text in ("", "holds: 3\n", "holds:\n- {}\n", "holds: [[[\n", "\x00"):
        file.write_text(text)
        done = run(repository, "render", "--env", "prod", code=1)
        assert "releases/prod.holds.yaml: error: cannot be read" in done.err


def test_a_newer_generator_keeps_the_old_bytes(repository, monkeypatch):
    committed(repository, agent(prompt="One."))
    one = read(repository)
    committed(repository, agent(prompt="Two."))
    run(repository, "rollback", TITLE, "--env", "prod")
    monkeypatch.setattr("fleetform.__version__", "9.9.9")
    run(repository, "render", "--env", "prod")
    assert read(repository) == one
    assert 'generator: "9.9.9"' in (repository / "releases/prod.lock.yaml").read_text()


def test_whoever_is_held_and_gone_is_an_error_until_it_is_released(repository):
    committed(repository, agent(prompt="One."), agent("other"))
    committed(repository, agent(prompt="Two."), agent("other"))
    run(repository, "rollback", TITLE, "--env", "prod")
    write(repository, {"agents/a.yaml": agent("other")})
    done = run(repository, "render", "--env", "prod", code=1)
    assert f"{TITLE} is held at" in done.err
    assert "but no spec has it" in done.err
    assert (repository / FILE).exists()
    run(repository, "rollback", TITLE, "--env", "prod", "--release")
    assert not (repository / FILE).exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Agent/nobody"], "`Agent/nobody` is no workload of prod"),
        (
            ["Agent/helper", "--to", "00000000"],
            "no other revision `00000000` of Agent/default/helper",
        ),
        (["Agent/helper"], "no earlier revision of Agent/default/helper"),
        (["helper"], "`helper` is no workload of prod"),
        (["Agent/helper", "--release"], "is not held"),
    ],
)
def test_what_cannot_come_back_is_said(repository, arguments, said):
    committed(repository, agent())
    done = run(repository, "rollback", *arguments, "--env", "prod", code=1)
    assert said in done.err
    assert "hint: " in done.err


def test_without_a_history_or_a_lock_it_is_said(tmp_path):
    write(tmp_path, {"agents/a.yaml": agent(), "environments/prod.yaml": ENVIRONMENT})
    done = run(tmp_path, "rollback", "Agent/helper", "--env", "prod", code=1)
    assert "releases/prod.lock.yaml is not there" in done.err
    run(tmp_path, "render", "--env", "prod")
    done = run(tmp_path, "rollback", "Agent/helper", "--env", "prod", code=1)
    assert "the history of the output cannot be read" in done.err


def test_revisions_are_listed_newest_first(repository):
    committed(repository, agent(prompt="One."))
    one = revision(repository)
    committed(repository, agent(prompt="Two."))
    done = run(repository, "rollback", "Agent/helper", "--env", "prod", "--list")
    assert [line.split()[0] for line in done.out.splitlines()] == [revision(repository), one]


def test_each_environment_has_a_lock_of_its_own_and_one_that_is_gone_loses_it(repository):
    committed(repository, agent())
    staging = ENVIRONMENT.replace("name: prod", "name: staging")
    write(repository, {"environments/staging.yaml": staging})
    run(repository, "render", "--env", "staging")
    locks = {path.name for path in (repository / "releases").glob("*.lock.yaml")}
    assert locks == {"prod.lock.yaml", "staging.lock.yaml"}
    run(repository, "render", "--all", "--check")
    (repository / "environments/staging.yaml").unlink()
    run(repository, "render", "--all")
    assert {path.name for path in (repository / "releases").glob("*.lock.yaml")} == {
        "prod.lock.yaml"
    }


def test_every_target_goes_back_and_an_overlay_brings_its_base(repository):
    base = ENVIRONMENT.replace("name: prod", "name: base").replace(
        "spec:\n", "spec:\n  abstract: true\n"
    )
    prod = ENVIRONMENT.replace(
        "spec:\n", "spec:\n  extends: base\n  targets: [manifests, helm, kustomize]\n"
    )
    write(repository, {"environments/base.yaml": base})
    committed(repository, agent(prompt="One."), environment=prod)
    paths = [FILE, "charts/values/prod/default/helper.yaml"]
    old = {path: (repository / path).read_bytes() for path in paths}
    overlay = repository / "kustomize/overlays/prod/default/helper"
    committed(repository, agent(prompt="Two."), environment=prod)
    run(repository, "rollback", TITLE, "--env", "prod")
    assert {path: (repository / path).read_bytes() for path in paths} == old
    assert "- base\n" in (overlay / "kustomization.yaml").read_text()
    assert any("One." in path.read_text() for path in (overlay / "base").iterdir())
    assert any(
        "Two." in path.read_text() for path in (repository / "kustomize/base").rglob("*.yaml")
    )
    run(repository, "render", "--env", "prod", "--check")
    run(repository, "rollback", TITLE, "--env", "prod", "--release")
    assert not (overlay / "base").exists()


def test_nothing_touches_what_others_keep_below_releases(repository):
    write(repository, {"releases/notes.md": "ours\n"})
    committed(repository, agent())
    assert (repository / "releases/notes.md").read_text() == "ours\n"


def test_compose_has_one_file_for_all_and_it_is_said_how_a_service_goes_back_there(repository):
    both = f"{ENVIRONMENT}  targets: [manifests, compose]\n"
    first = committed(repository, agent(), agent("other"), environment=both)
    earlier = (repository / "compose/prod/compose.yaml").read_bytes()
    committed(repository, agent(prompt="Be brief."), agent("other"), environment=both)
    done = run(repository, "rollback", "Agent/helper", "--env", "prod")
    assert f"{TITLE} is not held in compose/prod, whose file has all services" in done.err
    command = re.search(
        r"`(git worktree add \S+ \w+) && docker compose -f (\S+) up -d --no-deps (\S+)`", done.err
    )
    assert command is not None
    # Beside the repository, as the hint says, would be among the folders of other tests.
    git(repository, "worktree", "add", "earlier", command[1].split()[-1])
    file = repository / command[2].removeprefix("../")
    assert file.read_bytes() == earlier
    assert f"\n  {command[3]}:\n" in file.read_text("utf-8")
    assert command[1].split()[-1] == first[:12]
    # Whoever is not held is not named, and neither is one whose spec says the same again.
    assert "Agent/default/other" not in done.err
    write(repository, {"agents/a.yaml": "---\n".join((agent(), agent("other")))})
    assert "is not held in compose/prod" not in run(repository, "render", "--env", "prod").err


def test_compose_alone_has_no_revisions_and_it_is_said_what_there_is_instead(repository):
    alone = f"{ENVIRONMENT}  targets: [compose]\n"
    committed(repository, agent(), environment=alone)
    done = run(repository, "rollback", "Agent/helper", "--env", "prod", code=1)
    assert "prod is rendered for Compose alone" in done.err
    assert "up -d --no-deps NAME.NAMESPACE" in done.err
