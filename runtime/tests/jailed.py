"""Runs programs once, one after the other, as the user of a pod, and tells what has become of everything else."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import fleetform_runtime

CANARY = f"/tmp/canary-{os.getpid()}"
"""A file of others, which every program may find."""


def _readable(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in Path(path).resolve().parents)


def _interpreter(folder):
    """Return a Python that every user may start; that of the tests may be root's alone."""
    if _readable(sys.executable) and _readable(os.__file__):
        return sys.executable
    library = Path(os.__file__).parent
    left_out = ("test", "tests", "site-packages", "__pycache__", "idlelib", "ensurepip", "config-*")
    shutil.copytree(
        library, folder / "lib" / library.name, ignore=shutil.ignore_patterns(*left_out)
    )
    (folder / "bin").mkdir()
    return shutil.copy(Path(sys.executable).resolve(), folder / "bin" / library.name)


def in_a_pod(timed, engine):
    """Return what `locked_in.py` says of programs, each with its seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        package = Path(fleetform_runtime.__file__).parent
        (folder / "fleetform_runtime").mkdir()
        (folder / "fleetform_runtime/__init__.py").touch()
        shutil.copytree(package / "code", folder / "fleetform_runtime/code")
        place = folder / "tmp"
        place.mkdir()
        place.chmod(0o777)
        script = shutil.copy(Path(__file__).with_name("locked_in.py"), folder)
        environment = {"TMPDIR": str(place)}
        if engine == "monty":
            environment["MONTY_BIN"] = _monty(folder)
        canary = Path(CANARY)
        canary.write_text("whole")
        canary.chmod(0o666)
        try:
            done = subprocess.run(
                [_interpreter(folder), "-I", "-S", "-B", script, name, engine],
                env=environment, input=json.dumps(timed), capture_output=True, text=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            found = json.loads(done.stdout)
            kept = canary.stat()
            found["canary"] = [canary.read_text(), kept.st_mode & 0o7777, kept.st_mtime > 1]
            return found
        finally:
            canary.unlink(missing_ok=True)


def _monty(folder):
    """Copy the engine to where every user may read it; return its program."""
    import pydantic_monty
    import typing_extensions
    from pydantic_monty._binary import find_monty_binary

    shutil.copytree(Path(pydantic_monty.__file__).parent, folder / "pydantic_monty")
    shutil.copy(typing_extensions.__file__, folder)
    return shutil.copy(find_monty_binary(), folder)
