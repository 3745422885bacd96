"""What goes wrong around the process is a problem as well."""

import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet import GOOD, fleetform, snapshot, write
from tests.unit.test_bad_input import FLOODS, TEXTS, with_spec

LIMIT = 1.0
"""Seconds of processor time within which every bad input is refused."""


@pytest.mark.timed
@pytest.mark.parametrize("text", [*FLOODS.values(), *TEXTS.values()])
def test_bad_text_is_refused_at_once(text, tmp_path):
    with_spec(tmp_path, text)
    assert fleetform("validate", "agents", cwd=tmp_path).seconds < LIMIT


def test_a_full_disk_is_a_problem_and_leaves_whole_files(tmp_path):
    write(tmp_path, GOOD)

    def small() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    done = subprocess.run(
        [Path(sys.executable).with_name("fleetform"), "render"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=small,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert (
        "rendered/prod/default/helper.yaml: error: cannot be written: File too large" in done.stderr
    )
    assert "Traceback" not in done.stderr
    whole = fleetform("render", "--out", "whole", cwd=tmp_path)
    assert whole.code == 0
    expected = snapshot(tmp_path / "whole/rendered/prod")
    for name, content in snapshot(tmp_path / "rendered/prod").items():
        assert name.startswith(".") or content == expected[name]
    assert fleetform("render", cwd=tmp_path).code == 0
    assert snapshot(tmp_path / "rendered/prod") == expected


@pytest.mark.parametrize("text", FLOODS.values(), ids=FLOODS)
def test_a_flood_is_refused_in_few_words(text, tmp_path):
    with_spec(tmp_path, text)
    outcome = fleetform("validate", "agents", cwd=tmp_path)
    assert outcome.code == 1
    assert outcome.err.count(": error: ") == 101
    assert "the file has more than 100 problems: the rest is not shown" in outcome.err
    assert len(outcome.err) < 100_000
