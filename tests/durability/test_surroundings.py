"""The same input makes the same tree, through every target: whatever machine, moment and order it is rendered in."""

import itertools
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from fleetform import targets
from fleetform.releases import lock
from fleetform.write import RECORD
from tests.durability import rendering
from tests.durability.rendering import LONG, start, tree
from tests.fleet import write
from tests.tools import ROOT, module

interpreters = module("tools/interpreters.py")
MAIN = ["-c", "from fleetform.cli import main; main()"]
HASHES = ("0", "1", "7", "4294967295", "random")
LOCALES: tuple[dict[str, str], ...] = (
    {},
    {"LC_ALL": "C", "LANG": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"LC_ALL": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
    {"LC_ALL": "C.UTF-8", "LANGUAGE": "de:ar"},
    {"LC_NUMERIC": "de_DE.UTF-8", "PYTHONIOENCODING": "latin-1"},
)
ZONES = ("", "UTC", "Pacific/Kiritimati", "America/St_Johns", "Asia/Kathmandu", "XXX-25:59")
MASKS = (0o022, 0o000, 0o077, 0o027, 0o777 & 0o037)
MOMENTS = (0, -1_700_000_000, 86_400 * 366, 5_400_000_000)
"""Seconds by which the clock is moved: not at all, to 1972, by a leap year, to 2198."""
VARIABLES: tuple[dict[str, str], ...] = (
    {},
    {"COLUMNS": "20", "TERM": "xterm-256color", "NO_COLOR": "1"},
    {
        "AGENT": "x",
        "NAMESPACE": "y",
        "USER": "z",
        "HOSTNAME": "h",
        "HOME": "/nonexistent",
        "TMPDIR": "/nonexistent",
    },
    {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONOPTIMIZE": "1", "SOURCE_DATE_EPOCH": "1"},
    {
        "KUBECONFIG": "/nonexistent",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "CI": "true",
        "GITHUB_ACTIONS": "true",
    },
)
FOLDERS = ("in place", "from elsewhere", "by another way", "in a copy", "in a copy made backwards")
ENVIRONMENTS = ("prod", "dev", "staging", "argo", "flows")
COMBINATIONS = 108 if LONG else 6
ARGO = (
    "apiVersion: fleetform.dev/v1alpha1\nkind: Environment\nmetadata: {name: argo}\n"
    "spec:\n  extends: prod\n  targets: [argocd, manifests]\n"
    '  gitops: {tool: argocd, source: {url: "https://git.example.com/f", tag: v1}}\n'
)
FLOWS = (
    "apiVersion: fleetform.dev/v1alpha1\nkind: Environment\nmetadata: {name: flows}\n"
    "spec:\n  extends: prod\n  targets: [argo-workflows, manifests]\n"
    "  capabilities: [argo-workflows, external-secrets, gateway-api, keda, prometheus-operator]\n"
)


@dataclass(frozen=True)
class Surroundings:
    """One machine, so to say."""

    environment: str
    python: str
    seed: str
    locale: dict[str, str]
    zone: str
    mask: int
    moment: int
    variables: dict[str, str]
    folder: str


def some(count: int) -> Iterator[Surroundings]:
    """Yield combinations: everything is in turn, beside something else each time."""
    chance = random.Random(20261121)
    versions = interpreters.VERSIONS if LONG else ("",)
    sides: tuple[tuple[Any, ...], ...] = (
        ENVIRONMENTS, versions, HASHES, LOCALES, ZONES, MASKS, MOMENTS, VARIABLES, FOLDERS,
    )  # fmt: skip
    turns = [itertools.cycle(chance.sample(side, len(side))) for side in sides]
    for number in range(count):
        for turn in turns:
            if not chance.randrange(len(sides)) and number:
                next(turn)
        yield Surroundings(*(next(turn) for turn in turns))


ALL = [*some(COMBINATIONS)]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Return the example fleet with two environments more, and copies of it."""
    folder = tmp_path_factory.mktemp("fleet")
    for name in ("agents", "environments"):
        shutil.copytree(ROOT / name, folder / "in place" / name)
    write(folder / "in place", {"environments/argo.yaml": ARGO, "environments/flows.yaml": FLOWS})
    shutil.copytree(folder / "in place", folder / "in a copy")
    files = sorted(path for path in (folder / "in place").rglob("*") if path.is_file())
    for file in reversed(files):
        other = folder / "in a copy made backwards" / file.relative_to(folder / "in place")
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_bytes(file.read_bytes())
        os.utime(other, (1, 1))
    (folder / "elsewhere").mkdir()
    (folder / "link").symlink_to("in place")
    return folder


@pytest.fixture(scope="module")
def expected(root) -> dict[str, str]:
    found = {}
    for name in ENVIRONMENTS:
        rendering.render("--env", name, "--out", root / f"out-{name}", cwd=root / "in place")
        found[name] = digest(root / f"out-{name}")
    return found


def digest(folder: Path) -> str:
    """Return one hash of all names and all bytes below a folder."""
    found = sha256()
    for name, content in sorted(tree(folder).items()):
        found.update(f"{name}\0{len(content)}\0".encode() + content)
    return found.hexdigest()


def where(root: Path, folder: str) -> tuple[Path, list[str | Path]]:
    """Return the working directory of a run, and how it names its input."""
    if folder == "from elsewhere":
        place = root / "in place"
        return root / "elsewhere", [
            "--agents",
            place / "agents",
            "--environments",
            place / "environments",
        ]
    if folder == "by another way":
        return root / "in place/agents", [
            "--agents",
            ".",
            "--environments",
            "../../link/environments",
        ]
    return root / folder, []


def python_of(version: str) -> list[str]:
    """Return how `fleetform` runs on a version of Python."""
    if not version:
        return [sys.executable, *MAIN]
    made = interpreters.where(version)
    if not (made.parent / ".done").exists():
        pytest.skip(f"Python {version} is not here: `make interpreters` says how to get it")
    return [str(made), *MAIN]


@pytest.fixture(scope="session")
def clock(tmp_path_factory) -> str:
    """Return what moves the clock of a process: libfaketime, or the lines of C beside this file; "" for neither."""
    for found in Path("/usr/lib").glob("*/faketime/libfaketime.so.1"):
        return str(found)
    compiler = shutil.which("cc")
    if compiler is None:
        return ""
    made = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source], check=True)
    return str(made)


def moved(clock: str, seconds: int) -> dict[str, str]:
    """Return the variables under which a process has another time."""
    if not seconds:
        return {}
    if not clock:
        pytest.skip("moving the clock needs libfaketime or a C compiler: apt-get install faketime")
    own = {"CLOCK_SECONDS": str(seconds), "FAKETIME": f"{seconds:+d}", "FAKETIME_NO_CACHE": "1"}
    return {"LD_PRELOAD": clock, **own}


def variables(item: Surroundings, clock: str) -> dict[str, str]:
    zone = {"TZ": item.zone} if item.zone else {}
    python = {"PYTHONPATH": str(ROOT / "generator"), "PYTHONHASHSEED": item.seed}
    return {
        **rendering.PATH,
        **item.variables,
        **item.locale,
        **zone,
        **python,
        **moved(clock, item.moment),
    }


@pytest.mark.parametrize("number", range(COMBINATIONS))
def test_the_same_tree_wherever_it_is_rendered(number, root, expected, clock, tmp_path):
    item = ALL[number]
    cwd, named = where(root, item.folder)
    running = start(
        "--env", item.environment, "--out", tmp_path / "out", *named,
        cwd=cwd, command=python_of(item.python), env=variables(item, clock), umask=item.mask,
    )  # fmt: skip
    out, err = running.communicate()
    assert running.returncode == 0, out + err
    assert digest(tmp_path / "out") == expected[item.environment], item


def test_the_combinations_are_many_and_each_side_is_in_them():
    assert len({repr(item) for item in ALL}) == COMBINATIONS >= (100 if LONG else 6)
    if LONG:
        for name, side in (
            ("seed", HASHES), ("locale", LOCALES), ("zone", ZONES), ("mask", MASKS), ("moment", MOMENTS),
            ("variables", VARIABLES), ("folder", FOLDERS), ("environment", ENVIRONMENTS), ("python", interpreters.VERSIONS),
        ):  # fmt: skip
            assert {repr(getattr(item, name)) for item in ALL} == {repr(each) for each in side}


def test_all_targets_are_in_it(root, expected):
    found = {path.name for name in ENVIRONMENTS for path in (root / f"out-{name}").iterdir()}
    folders = {targets.folder(name, "prod").split("/")[0] for name in targets.NAMES}
    assert found == {*folders, lock.FOLDER}
    assert len(set(expected.values())) == len(ENVIRONMENTS)


@pytest.mark.parametrize("seconds", MOMENTS[1:])
def test_the_clock_is_really_moved(seconds, clock):
    code = "import time, datetime; print(int(time.time()), datetime.datetime.now().timestamp())"
    surroundings = {**rendering.PATH, **moved(clock, seconds)}
    said = [
        subprocess.run(
            [sys.executable, "-c", code], env=env, check=True, capture_output=True, text=True
        ).stdout.split()
        for env in (rendering.PATH, surroundings)
    ]
    for before, after in zip(*said, strict=True):
        assert abs(float(after) - float(before) - seconds) < 30


def test_the_committed_trees_are_those(root, expected):
    for name in ("dev", "staging", "prod"):
        made = tree(root / f"out-{name}")
        del made[f"{lock.FOLDER}/{RECORD}"]  # there the environments are beside each other
        assert {path: (ROOT / path).read_bytes() for path in made} == made


def test_the_order_of_arguments_changes_no_byte(root, expected, tmp_path):
    folders = sorted((root / "in place/agents").iterdir())
    for number, order in enumerate((folders, folders[::-1])):
        words = [word for folder in order for word in ("--agents", folder)]
        rendering.render(
            "--env", "prod", "--out", tmp_path / str(number), *words, cwd=root / "in place"
        )
    assert digest(tmp_path / "0") == digest(tmp_path / "1")
