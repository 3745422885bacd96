"""The same input makes the same bytes: on any machine, in any order, after any death."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fleetform.folder import TEMPORARY
from tests.fleet import AGENT, ENVIRONMENT, snapshot, write
from tests.tools import ROOT

FLEETFORM = Path(sys.executable).with_name("fleetform")
ENVIRONMENTS = ("dev", "staging", "prod")


def render(
    out: Path,
    *arguments: str | Path,
    env: str = "prod",
    cwd: Path = ROOT,
    umask: int = 0o022,
    **variables: str,
) -> dict[str, bytes]:
    """Render in a process of its own and return what is written for the environment."""
    command = [FLEETFORM, "render", "-t", "manifests", "-e", env, "--out", out, *arguments]
    surroundings = {"PATH": os.environ["PATH"], **variables}
    done = subprocess.run(
        command, cwd=cwd, env=surroundings, umask=umask, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return snapshot(out / "rendered" / env)


@pytest.fixture(scope="module")
def expected() -> dict[str, bytes]:
    return snapshot(ROOT / "rendered/prod")


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONHASHSEED": "0"},
        {"PYTHONHASHSEED": "1"},
        {"PYTHONHASHSEED": "4294967295"},
        {"LC_ALL": "C", "LANG": "C"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati"},
        {"TZ": "America/St_Johns", "COLUMNS": "20", "TERM": "xterm-256color"},
        {"AGENT": "x", "NAMESPACE": "y", "HOME": "/nonexistent", "NO_COLOR": "1"},
    ],
    ids=lambda variables: " ".join(f"{name}={value}" for name, value in variables.items()),
)
def test_surroundings_change_no_byte(variables, expected, tmp_path):
    assert render(tmp_path, **variables) == expected


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_no_target_depends_on_the_order_of_sets(seed, tmp_path):
    command = [FLEETFORM, "render", "--env", "dev", "--out", tmp_path]
    surroundings = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed}
    subprocess.run(command, cwd=ROOT, env=surroundings, check=True, capture_output=True)
    made = snapshot(tmp_path)
    assert {name.partition("/")[0] for name in made} >= {"flux", "kustomize", "rendered"}
    assert {name: (ROOT / name).read_bytes() for name in made} == made


def test_the_working_directory_changes_no_byte(expected, tmp_path):
    paths = ("--agents", ROOT / "agents", "--environments", ROOT / "environments")
    assert render(tmp_path, *paths, cwd=tmp_path) == expected
    paths = ("--agents", "../agents", "--environments", ROOT / "bench/../environments")
    assert render(tmp_path / "again", *paths, cwd=ROOT / "tests") == expected


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_umask_changes_no_byte(umask, expected, tmp_path):
    assert render(tmp_path, umask=umask) == expected


def test_the_order_of_arguments_and_of_names_in_folders_changes_no_byte(expected, tmp_path):
    for name in ("agents", "environments"):
        shutil.copytree(ROOT / name, tmp_path / name, copy_function=_late)
    assert render(tmp_path / "out", cwd=tmp_path) == expected
    folders = sorted((tmp_path / "agents").iterdir())
    options = [[word for f in order for word in ("-a", f)] for order in (folders, folders[::-1])]
    first, second = (
        render(tmp_path / f"{number}", *words, cwd=tmp_path) for number, words in enumerate(options)
    )
    assert first == second


def _late(source: str, target: str) -> None:
    """Copy so that the order in the folder is another one than by name."""
    Path(target).write_bytes(Path(source).read_bytes())
    os.utime(target, (random.Random(source).random(),) * 2)


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_a_second_render_is_the_same(env, tmp_path):
    assert (
        render(tmp_path, env=env) == render(tmp_path, env=env) == snapshot(ROOT / "rendered" / env)
    )


def test_renders_at_the_same_time_end_in_one_of_them(tmp_path, expected):
    with ThreadPoolExecutor(4) as pool:
        runs = [pool.submit(render, tmp_path) for _ in range(4)]
    for run in runs:
        run.result()
    assert snapshot(tmp_path / "rendered/prod") == expected


# -- death by SIGKILL ----------------------------------------------------------------------------

COUNT = 80


def fleet(folder: Path, prompt: str) -> Path:
    """Write a fleet whose every file changes with the prompt."""
    agents = [
        AGENT.replace("helper", f"agent-{n}").replace("You help.", prompt) for n in range(COUNT)
    ]
    files = {"agents/a.yaml": "---\n".join(agents), "environments/prod.yaml": ENVIRONMENT}
    return write(folder, files)


def test_a_killed_run_leaves_whole_files_and_the_next_one_heals(tmp_path):
    old = render(tmp_path / "old", cwd=fleet(tmp_path / "in", "Old."))
    start = time.monotonic()
    new = render(tmp_path / "new", cwd=fleet(tmp_path / "in", "New."))
    lasts = time.monotonic() - start
    chance = random.Random(20261121)
    for _ in range(4):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(tmp_path / "old", tmp_path / "out")
        run = subprocess.Popen(
            [FLEETFORM, "render", "--out", tmp_path / "out"],
            cwd=tmp_path / "in",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(lasts * chance.uniform(0.5, 1.0))
        run.send_signal(signal.SIGKILL)
        run.wait()
        for name, content in snapshot(tmp_path / "out/rendered/prod").items():
            whole = name.startswith(".") or content in (old.get(name), new.get(name))
            assert whole or name.endswith(TEMPORARY)
        assert render(tmp_path / "out", cwd=tmp_path / "in") == new
