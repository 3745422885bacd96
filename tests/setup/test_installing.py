"""What is installed is what the lock says, whatever else an index offers: each way to install is held to it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.setup.index import BACKEND, Index, serving
from tests.tools import ROOT, installer, module, tool

locked = module("tools/locked.py")
interpreters = module("tools/interpreters.py")
OWN = '[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n[project]\nname = "own"\nversion = "1"\n'


@pytest.fixture
def index(monkeypatch):
    """An index, and pip and uv told of it and of nothing else."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "127.0.0.1")
    with serving() as made:
        monkeypatch.setenv("PIP_INDEX_URL", f"{made.url}/simple")
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{made.url}/simple")
        yield made


def locked_set(index: Index) -> str:
    """Serve a locked set, and newer versions of all of it, which also require more."""
    lock = index.add("first", "1.0", "second[more]>=1")
    lock += index.add("second", "1.0", "third>=1; extra == 'more'")
    lock += index.add("third", "1.0")
    lock += index.add("backend", "1.0", source=BACKEND)
    lock += index.add("elsewhere", "1.0").replace(" \\", " ; sys_platform == 'nowhere' \\", 1)
    index.add("first", "1.1", "second[more]>=1.1", "fourth")
    index.add("second", "1.1", "third>=1.1; extra == 'more'", "fourth; extra == 'more'")
    for name in ("third", "fourth", "backend", "elsewhere"):
        index.add(name, "1.1")
    return lock


TAKEN = {"first": "1.0", "second": "1.0", "third": "1.0", "backend": "1.0"}


def assert_only_the_lock_was_taken(index: Index, python: Path, **more: str) -> None:
    """Nothing else was asked for, nothing else is there; pip and setuptools come with Python."""
    pages = {f"/simple/{name}/" for name in TAKEN}
    files = {f"/files/{name}-1.0-py3-none-any.whl" for name in TAKEN}
    metadata = {f"{file}.metadata" for file in files}
    assert files <= set(index.asked) <= pages | files | metadata
    assert installed(python) == TAKEN | more


def installed(python: Path) -> dict[str, str]:
    """Return the packages of an environment."""
    code = (
        "from importlib.metadata import distributions\n"
        "for found in distributions(): print(found.name, found.version)"
    )
    done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=True)
    found = dict(line.split() for line in done.stdout.splitlines())
    return {name: found[name] for name in found if name not in ("pip", "setuptools")}


@pytest.fixture
def project(tmp_path, index):
    """A project of ours whose lock the index serves."""
    for name in ("generator", "runtime/fleetform_runtime"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(OWN)
    (tmp_path / "lock.txt").write_text(locked_set(index))
    return tmp_path


def make(project: Path) -> subprocess.CompletedProcess[str]:
    """Make the environment of a project, as `make render` does."""
    command = [sys.executable, ROOT / "tools/venv.py", "env", "lock.txt"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_the_environment_of_the_project_takes_the_lock_and_nothing_else(index, project):
    done = make(project)
    assert done.returncode == 0, done.stderr
    assert_only_the_lock_was_taken(index, project / "env/bin/python", own="1.0")
    assert "lock.txt: 5 packages into env" in done.stderr
    assert "1 of 4  first==1.0" in done.stderr
    assert "4 of 4  backend==1.0" in done.stderr
    assert done.stderr.endswith("env is ready\n")
    assert "pip" not in done.stdout


@pytest.mark.proof
def test_a_changed_lock_is_installed_over_the_last_one(index, project):
    assert make(project).returncode == 0
    newer = index.add("third", "1.2")
    text = re.sub(r"third==1.0 \\\n[^\n]*\n", lambda _: newer, (project / "lock.txt").read_text())
    (project / "lock.txt").write_text(text)
    assert make(project).returncode == 0
    assert installed(project / "env/bin/python") == TAKEN | {"third": "1.2", "own": "1.0"}


@pytest.mark.proof
def test_what_was_interrupted_is_made_again(index, project):
    (project / "env/bin").mkdir(parents=True)
    (project / "env/bin/python").symlink_to(sys.executable)
    assert make(project).returncode == 0
    assert_only_the_lock_was_taken(index, project / "env/bin/python", own="1.0")


@pytest.mark.proof
@pytest.mark.parametrize(
    ("spoil", "said", "hint"),
    [
        (lambda i: i.files.pop("third-1.0-py3-none-any.whl"), "third==1.0", "does not serve this"),
        (
            lambda i: i.files.update({"third-1.0-py3-none-any.whl": i.files.popitem()[1]}),
            "HASHES",
            "serves other files than lock.txt names",
        ),
    ],
)
def test_a_failure_says_what_failed_and_what_to_do(index, project, spoil, said, hint):
    spoil(index)
    done = make(project)
    assert done.returncode == 1
    assert "error: lock.txt could not be installed" in done.stderr
    assert said in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.proof
def test_no_password_of_an_index_is_shown(index, project, monkeypatch):
    index.files.clear()
    monkeypatch.setenv("PIP_INDEX_URL", index.url.replace("//", "//me:hush@") + "/simple")
    done = make(project)
    assert "//…@127.0.0.1" in done.stderr
    assert "hush" not in done.stderr


@pytest.mark.proof
def test_a_python_tool_takes_its_lock_and_nothing_else(index, tmp_path, monkeypatch):
    folder = tmp_path / "source/first"
    folder.mkdir(parents=True)
    (folder / "requirements.txt").write_text(locked_set(index))
    monkeypatch.setattr(installer, "SOURCE", tmp_path / "source")
    monkeypatch.setattr(installer, "TARGET", tmp_path / "target")
    recipe = installer.PythonTool(
        'exec "$here/venv/bin/python" -c "import first; print(first.version)"'
    )
    monkeypatch.setitem(installer.RECIPES, "first", recipe)
    place = installer.install("first")
    assert subprocess.run([place], capture_output=True, check=True).stdout == b"1.0\n"
    assert_only_the_lock_was_taken(index, place.parent / "venv/bin/python")


@pytest.mark.proof
def test_the_other_interpreters_take_the_lock_and_nothing_else(index, tmp_path, monkeypatch):
    (tmp_path / "render.txt").write_text(locked_set(index))
    monkeypatch.setattr(interpreters, "ROOT", tmp_path)
    monkeypatch.setattr(interpreters, "LOCK", tmp_path / "render.txt")
    version = ".".join(map(str, sys.version_info[:2]))
    python = interpreters.make(version)
    assert_only_the_lock_was_taken(index, python)
    assert interpreters.make(version) == python


def test_the_image_takes_its_locks_and_nothing_else(index, tmp_path):
    """As the Dockerfile does it, with this machine's uv in the place of the builder's."""
    text = (ROOT / "runtime/Dockerfile").read_text("utf-8")
    pip, uv = re.findall(r"RUN python -m ((?:uv )?pip install .*-r requirements/)\S+", text)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/lock.txt").write_text(locked_set(index))
    python = locked.environment(tmp_path / "env")
    command = [python, "-m", *f"{pip}lock.txt".split()]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert_only_the_lock_was_taken(index, python)
    shutil.rmtree(tmp_path / "env")
    index.asked.clear()
    python = locked.environment(tmp_path / "env")
    options = f"{uv}lock.txt".replace("/opt/runtime", str(tmp_path / "env")).split()[1:]
    command = [str(tool("uv")), *options, "--no-cache"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert_only_the_lock_was_taken(index, python)


def lines_that_install() -> list[str]:
    """Return every line of the repository that calls pip's or uv's installer for a lock."""
    places = [ROOT / "Makefile", ROOT / ".ci/run", ROOT / "runtime/Dockerfile"]
    for folder in ("tools", "examples", "docs", "bench", "charts"):
        places += [
            p for p in (ROOT / folder).rglob("*") if p.suffix in (".py", ".sh", ".yaml", ".md")
        ]
    return [
        f"{place.relative_to(ROOT)}: {line.strip()}"
        for place in places
        if "adr/" not in str(place)
        for line in place.read_text("utf-8").splitlines()
        if "--require-hashes" in line
    ]


def test_whoever_installs_a_lock_resolves_nothing():
    found = lines_that_install()
    assert len(found) == 3  # one of Python's, two of the Dockerfile
    for line in found:
        assert "--no-deps" in line, line
        assert "--only-binary=:all:" in line, line
