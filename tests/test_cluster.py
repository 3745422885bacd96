"""The script that starts control planes: what it started ends, all of it and nothing else."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.plane import cluster
from tests.tools import ROOT

SLEEP = Path("/bin/sleep")


def runs(pid: int) -> bool:
    return cluster._born(pid) != ""


def pid_of(folder: Path, part: str = "sleep") -> int:
    pid: int = cluster._state(folder)[part]["pid"]
    return pid


def test_stopping_ends_what_was_started_and_removes_its_folder(tmp_path):
    made = cluster._new(tmp_path / "state", bound=False)
    cluster.run_part(made, SLEEP, "600")
    pid = pid_of(made.folder)
    assert runs(pid)
    cluster.stop(made.folder)
    assert not runs(pid)
    assert not made.folder.exists()
    cluster.stop(made.folder)


def test_a_part_that_does_not_listen_is_killed(tmp_path, monkeypatch):
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' TERM\necho ready\nwhile :; do sleep 0.05; done\n")
    stubborn.chmod(0o755)
    made = cluster._new(tmp_path / "state", bound=False)
    cluster.run_part(made, stubborn)
    pid = pid_of(made.folder, "stubborn")
    while "ready" not in (made.folder / "stubborn.log").read_text():
        time.sleep(0.01)
    monkeypatch.setattr(cluster, "PATIENCE", (0.2, 120))
    cluster.stop(made.folder)
    assert not runs(pid)


def test_a_process_that_only_has_the_number_of_ours_is_left_alone(tmp_path):
    made = cluster._new(tmp_path / "state", bound=False)
    with subprocess.Popen([SLEEP, "600"]) as stranger:
        try:
            state = f'{{"sleep": {{"pid": {stranger.pid}, "born": "1"}}}}'
            (made.folder / cluster.STATE).write_text(state)
            cluster.stop(made.folder)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_start_that_fails_leaves_nothing(tmp_path, monkeypatch):
    begun = []

    def half(made, parts):
        cluster.run_part(made, SLEEP, "600")
        begun.append(pid_of(made.folder))
        raise cluster.ClusterError("the second part did not start")

    monkeypatch.setattr(cluster, "_start", half)
    monkeypatch.setattr(cluster.install, "install", Path)
    with pytest.raises(cluster.ClusterError):
        cluster.start(tmp_path / "state")
    assert not runs(begun[0])
    assert not (tmp_path / "state").exists()


def test_a_running_cluster_is_not_started_over(tmp_path):
    made = cluster._new(tmp_path / "state", bound=False)
    cluster.run_part(made, SLEEP, "600")
    try:
        with pytest.raises(cluster.ClusterError, match="stop that one first"):
            cluster.start(made.folder)
        assert runs(pid_of(made.folder))
    finally:
        cluster.stop(made.folder)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not there")
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_bound_part_ends_with_whoever_started_it(end, tmp_path):
    script = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, 'tools'); import cluster\n"
        f"made = cluster._new(Path({str(tmp_path / 'state')!r}), bound=True)\n"
        f"cluster.run_part(made, Path({str(SLEEP)!r}), '600')\n"
        "print('ready', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout
        assert starter.stdout.readline() == "ready\n"
        pid = pid_of(tmp_path / "state")
        assert runs(pid)
        os.kill(starter.pid, end)
        starter.wait()
    until = time.monotonic() + 120
    while runs(pid):
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv of util-linux is not there")
def test_a_part_whose_starter_ended_before_it_was_bound_ends_by_itself(tmp_path):
    script = (
        "import os, sys, time; sys.path.insert(0, 'tools'); import cluster\n"
        "command = [*cluster._dying(True), '/bin/touch', sys.argv[1]]\n"
        "starter = os.getpid()\n"
        "if os.fork(): os._exit(0)\n"
        "while os.getppid() == starter: time.sleep(0.001)\n"
        "os.execvp(command[0], command)\n"
    )
    place = tmp_path / "touched"
    done = subprocess.run(
        [sys.executable, "-c", script, place], cwd=ROOT, check=False, stdout=subprocess.PIPE
    )
    assert done.returncode == 0  # and its output has ended: nobody of it runs
    assert not place.exists()


def test_kind_without_a_container_engine_says_so_and_leaves_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(cluster.install, "install", lambda name: Path("/bin/false"))
    with pytest.raises(cluster.ClusterError, match="it needs a container engine"):
        cluster.start_kind(tmp_path / "state")
    assert not (tmp_path / "state").exists()
