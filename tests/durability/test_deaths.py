"""Runs that are killed, and runs beside each other: files are old or new, others' stay, the next run heals."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.durability import rendering
from tests.durability.rendering import LONG, Others, render, start, tree

OLD, NEW = range(10), range(2, 12)
SEEDS = (1, 2, 3) if LONG else (1,)
POINTS = 50 if LONG else 4
"""Deaths per test; there are four of them, two in the short version."""

DYING = """
import os, signal, sys
sys.dont_write_bytecode = True  # what a first run compiles is no change of the output
left = int(sys.argv.pop(1))
WRITES = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")

def count(event, found, here=[0]):
    is_ours = event in WRITES and not str(found[0]).startswith(("/usr", sys.prefix, sys.base_prefix))
    if is_ours and (event != "open" or found[2] & os.O_CREAT):
        here[0] += 1
        if here[0] == left:
            os.kill(os.getpid(), signal.SIGKILL)
        count.last = here[0]

sys.addaudithook(count)
from fleetform.cli import main
try:
    main()
finally:
    if not left:
        print("calls", count.last)
"""
"""`fleetform` that kills itself at the n-th time that it changes the disk; 0 counts them."""


@pytest.fixture(scope="module")
def states(tmp_path_factory) -> tuple[Path, Path, dict[str, bytes], dict[str, bytes]]:
    """Return two fleets, and what each is rendered to."""
    root = tmp_path_factory.mktemp("states")
    old = rendering.fleet(root / "old", "Old.", OLD)
    new = rendering.fleet(root / "new", "New, and longer.", NEW)
    for folder in (old, new):
        render("--out", folder / "out", cwd=folder)
    return old, new, tree(old / "out"), tree(new / "out")


def dying(point: int) -> list[str]:
    return [sys.executable, "-c", DYING, str(point)]


def calls(cwd: Path, out: Path) -> int:
    """Return how often a run changes the disk."""
    done = subprocess.run(
        [*dying(0), "render", "--out", out],
        cwd=cwd,
        env=rendering.PATH,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_is_killed_at_a_change_of_the_disk(seed, states, tmp_path):
    old, new, before, after = states
    out = tmp_path / "out"
    render("--out", out, cwd=old)
    others = Others(out)
    most = calls(new, out)
    render("--out", out, cwd=old)
    chance, died = random.Random(seed), 0
    sides = [(old, before), (new, after)]
    for _ in range(POINTS):
        point = chance.randint(1, most + most // 20)
        running = start("--out", out, cwd=sides[1][0], command=dying(point))
        running.communicate()
        assert running.returncode in (0, -signal.SIGKILL)
        died += running.returncode != 0
        _is_whole(out, sides[0][1], sides[1][1], others)
        if chance.random() < 0.5:  # the next run may want what there was before
            sides.reverse()
        _heals(out, *sides[1], others)
        sides.reverse()
    assert died > POINTS // 2


def test_a_run_that_is_killed_at_any_time(states, tmp_path):
    old, new, before, after = states
    out, chance = tmp_path / "out", random.Random(20261121)
    begin = time.monotonic()
    start("--out", out, cwd=old).communicate()
    lasts = time.monotonic() - begin
    others = Others(out)
    sides = [(old, before), (new, after)]
    for _ in range(POINTS):
        running = start("--out", out, cwd=sides[1][0])
        time.sleep(lasts * chance.uniform(0.2, 1.1))
        running.kill()
        running.communicate()
        _is_whole(out, sides[0][1], sides[1][1], others)
        _heals(out, *sides[1], others)
        sides.reverse()


def _is_whole(out: Path, before: dict[str, bytes], after: dict[str, bytes], others: Others) -> None:
    found = tree(out)
    mine = {name: content for name, content in found.items() if name not in others.names()}
    assert rendering.whole(mine, before, after) == []
    assert rendering.record_is_whole(found)
    others.are_untouched()


def _heals(out: Path, cwd: Path, wanted: dict[str, bytes], others: Others) -> None:
    render("--out", out, cwd=cwd)
    assert {name: text for name, text in tree(out).items() if name not in others.names()} == wanted
    others.are_untouched()


# -- beside each other ---------------------------------------------------------------------------


@pytest.mark.parametrize("environment", ["prod", "argo"] if LONG else ["prod"])
def test_eight_runs_at_once_end_as_one_after_the_other(environment, states, tmp_path):
    old, _, _, _ = states
    alone, together = tmp_path / "alone", tmp_path / "together"
    render("--env", environment, "--out", alone, cwd=old)
    running = [start("--env", environment, "--out", together, cwd=old) for _ in range(8)]
    for each in running:
        each.communicate()
        assert each.returncode == 0
    assert tree(together) == tree(alone)


def test_eight_runs_of_two_fleets_end_as_one_of_them(states, tmp_path):
    old, new, before, after = states
    out = tmp_path / "out"
    running = [start("--out", out, cwd=(old, new)[n % 2]) for n in range(8)]
    for each in running:
        each.communicate()
        assert each.returncode == 0
    # Each folder is of one of both; a last run of either makes all of them its own.
    assert rendering.whole(tree(out), before, after) == []
    render("--out", out, cwd=old)
    assert tree(out) == before


def test_what_others_have_in_the_output_survives_whatever_is_rendered(states, tmp_path):
    old, new, before, after = states
    out = tmp_path / "out"
    render("--out", out, cwd=old)
    others = Others(out)
    for cwd, wanted in ((new, after), (old, before), (new, after)):
        _heals(out, cwd, wanted, others)
    render("--env", "argo", "--out", out, cwd=new)
    others.are_untouched()
    assert render("--out", out, cwd=new).count("unchanged") >= 4
    others.are_untouched()
