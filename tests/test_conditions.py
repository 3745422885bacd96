"""What every test can rely on, whoever started the run."""

import subprocess
import sys

from tests.tools import ROOT

CHILD = """
import signal
print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""
STARTED_IN_THE_BACKGROUND = f"""
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import conftest
subprocess.run([sys.executable, "-c", {CHILD!r}], check=True)
"""


def test_what_a_test_starts_can_be_interrupted_though_a_shell_ignores_it_for_the_run():
    done = subprocess.run(
        [sys.executable, "-c", STARTED_IN_THE_BACKGROUND],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    assert done.stdout == "True\n"
